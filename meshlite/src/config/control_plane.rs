//! What a control plane watches, what it writes, and who may connect.

use std::path::PathBuf;

use meshlite_control_plane::{Config, KubernetesConfig, PublishStatus, Security, SourceConfig};

use meshlite_kubernetes::Connection;

use super::{
    ConfigError, Problems,
    cluster::cluster_of,
    host_name,
    security::{files_security, kubernetes_security},
};
use crate::args::{ControlPlaneCommand, KubernetesArgs, SecurityArgs, ServerArgs, SourceArgs};

/// Where a control plane of Kubernetes lives, where nothing says otherwise.
const NAMESPACE: &str = "meshlite";

/// What `meshlite control-plane` runs.
pub(crate) fn control_plane(args: ControlPlaneCommand) -> Result<Config, ConfigError> {
    let ControlPlaneCommand {
        source,
        kubernetes,
        servers,
        security,
        replica_name,
    } = args;
    let mut problems = Problems::default();
    let replica = replica_name
        .or_else(|| variable("POD_NAME"))
        .unwrap_or_else(host_name);
    let listen = problems.address("listen", &servers.listen);
    let admin_listen = problems.optional_address("admin-listen", &servers.admin_listen);
    let is_kubernetes = is_kubernetes(&kubernetes);
    let namespace = kubernetes
        .namespace
        .clone()
        .or_else(|| variable("POD_NAMESPACE"))
        .unwrap_or_else(|| NAMESPACE.to_owned());
    let security = if is_kubernetes {
        kubernetes_security(security, servers.insecure, &namespace, &mut problems)
    } else {
        unused_by_files(&kubernetes, &security, &mut problems);
        files_security(security, servers.insecure, listen, &mut problems)
    };
    let without_class = kubernetes.watch_ingress_without_class;
    let SourceArgs {
        manifests,
        state_dir,
        cluster,
    } = source;
    let cluster = cluster_of(&cluster, &mut problems);
    let source = if is_kubernetes {
        if manifests.is_some() {
            problems.add(
                "manifests",
                "there is one source: give it, or one of --kubernetes, --kubeconfig and --kube-api-server",
            );
        }
        if state_dir.is_some() {
            problems.add(
                "state-dir",
                "is for --manifests; the API server keeps allocations",
            );
        }
        kubernetes_of(kubernetes, namespace, &mut problems).map(SourceConfig::Kubernetes)
    } else {
        let admit = cluster.as_ref().map(|(admit, _)| admit.clone());
        manifests_of(manifests, &mut problems)
            .zip(admit)
            .map(|(manifests, admit)| SourceConfig::Files {
                manifests,
                state_dir,
                admit,
                pods: None,
            })
    };
    let config = || {
        let (_, mut settings) = cluster?;
        settings.watch_ingress_without_class = !is_kubernetes || without_class;
        Some(Config {
            listen: listen?,
            admin_listen: admin_listen?,
            source: source?,
            settings,
            security: security?,
            replica,
        })
    };
    let config = config();
    problems.or(config)
}

/// A control plane of manifests beside data planes that trust it, because it is this process.
pub(super) fn control_plane_of(
    source: SourceArgs,
    servers: &ServerArgs,
    problems: &mut Problems,
) -> Option<Config> {
    let SourceArgs {
        manifests,
        state_dir,
        cluster,
    } = source;
    let manifests = manifests_of(manifests, problems);
    let cluster = cluster_of(&cluster, problems);
    let listen = problems.address("listen", &servers.listen);
    let admin_listen = problems.optional_address("admin-listen", &servers.admin_listen);
    if !servers.insecure && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        problems.add(
            "listen",
            "standalone serves gRPC in plaintext, so only on loopback; to allow it elsewhere: --insecure",
        );
    }
    let (admit, settings) = cluster?;
    Some(Config {
        listen: listen?,
        admin_listen: admin_listen?,
        source: SourceConfig::Files {
            manifests: manifests?,
            state_dir,
            admit,
            pods: None,
        },
        settings,
        security: Security::Insecure,
        replica: host_name(),
    })
}

fn manifests_of(manifests: Option<PathBuf>, problems: &mut Problems) -> Option<PathBuf> {
    let Some(path) = manifests else {
        problems.add(
            "manifests",
            "not set; name the folder or file of manifests to serve, or an API server (control-plane --kubernetes)",
        );
        return None;
    };
    problems.existing("manifests", path)
}

fn is_kubernetes(args: &KubernetesArgs) -> bool {
    args.kubernetes || args.kubeconfig.is_some() || args.kube_api_server.is_some()
}

fn kubernetes_of(
    args: KubernetesArgs,
    namespace: String,
    problems: &mut Problems,
) -> Option<KubernetesConfig> {
    let KubernetesArgs {
        kubernetes,
        kubeconfig,
        kube_api_server,
        watch_namespace,
        watch_ingress_without_class: _,
        namespace: _,
        lease_name,
        publish_status_address,
        publish_service,
        peer_service,
    } = args;
    if kubernetes && kubeconfig.is_some() {
        problems.add("kubeconfig", "give it or --kubernetes, not both");
    }
    let kubeconfig = match kubeconfig {
        Some(path) => problems.existing("kubeconfig", path).map(Some),
        None => Some(None),
    };
    let publish_service = publish_service.map(|name| problems.object("publish-service", &name));
    let publish_status = match (publish_status_address.is_empty(), publish_service) {
        (true, None) => Some(PublishStatus::Nothing),
        (true, Some(service)) => service.map(PublishStatus::Service),
        (false, None) => Some(PublishStatus::Addresses(publish_status_address)),
        (false, Some(_)) => {
            problems.add(
                "publish-service",
                "give it or --publish-status-address, not both",
            );
            None
        }
    };
    let peer_service = match peer_service {
        Some(name) => problems.object("peer-service", &name).map(Some),
        None => Some(None),
    };
    Some(KubernetesConfig {
        connection: Connection {
            kubeconfig: kubeconfig?,
            api_server: kube_api_server,
        },
        namespace,
        watch_namespaces: watch_namespace,
        lease_name,
        publish_status: publish_status?,
        peer_service: peer_service?,
    })
}

/// Flags that mean nothing to a control plane of manifests.
fn unused_by_files(kubernetes: &KubernetesArgs, security: &SecurityArgs, problems: &mut Problems) {
    for (flag, is_set) in [
        ("watch-namespace", !kubernetes.watch_namespace.is_empty()),
        (
            "publish-status-address",
            !kubernetes.publish_status_address.is_empty(),
        ),
        ("publish-service", kubernetes.publish_service.is_some()),
        ("peer-service", kubernetes.peer_service.is_some()),
        (
            "node-service-account",
            !security.node_service_account.is_empty(),
        ),
        (
            "ingress-service-account",
            !security.ingress_service_account.is_empty(),
        ),
        (
            "reader-service-account",
            !security.reader_service_account.is_empty(),
        ),
        (
            "replica-service-account",
            !security.replica_service_account.is_empty(),
        ),
    ] {
        if is_set {
            problems.add(
                flag,
                "needs an API server: --kubernetes, --kubeconfig or --kube-api-server",
            );
        }
    }
}

/// A variable that our Deployment sets from the Pod's own fields, as Kubernetes' components read it.
#[expect(
    clippy::disallowed_methods,
    reason = "a second name for a flag that has a variable of its own; clap knows only one"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
