//! Logs what a plane was told at start, as fields: paths and names, never what is in a file.

use meshlite_control_plane::{
    KubernetesConfig, PublishStatus, Security, ServerCertificate, SourceConfig,
};
use meshlite_node::kube_proxy::Remark;
use meshlite_proto::{
    cache::Cache,
    connect::{self, Ca, Credentials},
};
use tracing::{info, warn};

use crate::config::NodeConfig;

/// What a control plane was told.
pub(super) fn control_plane(config: &meshlite_control_plane::Config) {
    let meshlite_control_plane::Config {
        listen,
        admin_listen,
        source,
        settings,
        security,
        replica,
    } = config;
    let admin = admin_listen.map(tracing::field::display);
    info!(
        replica,
        %listen,
        admin,
        source = source_of(source),
        security = security_of(security),
        ingress_class = settings.ingress_class,
        ingress_controller = settings.ingress_controller,
        without_class = settings.watch_ingress_without_class,
        nginx_compat = settings.nginx_compat,
        external_names = settings.external_names,
        "control plane starting"
    );
    match source {
        SourceConfig::Files {
            state_dir, admit, ..
        } => {
            let state = state_dir.as_ref().map(|path| path.display().to_string());
            let ranges = joined(&admit.service_cidrs);
            let ports = &admit.node_port_range;
            let node_ports = format!("{}-{}", ports.start(), ports.end());
            info!(
                state_dir = state,
                service_cidrs = ranges,
                node_ports,
                "manifests are the source"
            );
        }
        SourceConfig::Kubernetes(kubernetes) => kubernetes_source(kubernetes),
    }
}

/// What of kube-proxy's configuration does not apply.
pub(crate) fn say(remarks: &[Remark]) {
    for Remark {
        line,
        field,
        message,
    } in remarks
    {
        warn!(
            line,
            field,
            detail = message,
            "kube-proxy's configuration does not apply as it is"
        );
    }
}

/// What a node was told.
pub(super) fn node(config: &NodeConfig) {
    let NodeConfig {
        node: config,
        remarks,
    } = config;
    say(remarks);
    info!(
        node = config.node_name,
        mode = %config.mode,
        control_planes = config.control_plane.join(","),
        security = client_security(&config.security),
        state_dir = cache_of(config.cache.as_ref()),
        dry_run = config.dry_run,
        metrics = config.metrics_listen.map(tracing::field::display),
        health = config.health_listen.map(tracing::field::display),
        node_port_addresses = joined(&config.node_port_addresses),
        scheduler = %config.scheduler,
        vip_binding = %config.vip_binding,
        masquerade_all = config.masquerade_all,
        detect_local = config.detect_local.mode(),
        strict_arp = config.strict_arp,
        exclude_cidrs = joined(&config.exclude_cidrs),
        sysctls = config.sysctls,
        open_forward = config.open_forward,
        localhost_node_ports = config.localhost_node_ports,
        check_endpoints = config.check_endpoints,
        sync_period_seconds = config.sync_period.as_secs_f64(),
        min_sync_period_seconds = config.min_sync_period.as_secs_f64(),
        "node starting"
    );
}

/// What an ingress was told.
pub(super) fn ingress(config: &meshlite_ingress::Config) {
    let secrets = config.cache.as_ref().and_then(|c| c.secrets.as_ref());
    info!(
        node = config.node_name,
        address = %config.address,
        control_planes = config.control_plane.join(","),
        security = client_security(&config.security),
        state_dir = cache_of(config.cache.as_ref()),
        secrets_dir = secrets.map(|path| path.display().to_string()),
        admin = config.admin_listen.map(tracing::field::display),
        trusted_proxies = joined(&config.trusted_proxies),
        access_log = config.access_log.map(tracing::field::debug),
        max_body_bytes = config.max_body_bytes,
        max_client_connections = config.max_client_connections,
        response_timeout_seconds = config.response_timeout.as_secs_f64(),
        drain_timeout_seconds = config.drain_timeout.as_secs_f64(),
        "ingress starting"
    );
}

fn kubernetes_source(config: &KubernetesConfig) {
    let publish = match &config.publish_status {
        PublishStatus::Nothing => "nothing".to_owned(),
        PublishStatus::Addresses(addresses) => addresses.join(","),
        PublishStatus::Service(service) => format!("service {service}"),
    };
    let namespaces = &config.watch_namespaces;
    info!(
        namespace = config.namespace,
        lease = config.lease_name,
        watch_namespaces = if namespaces.is_empty() {
            "all".to_owned()
        } else {
            namespaces.join(",")
        },
        publish_status = publish,
        peer_service = config.peer_service.as_ref().map(ToString::to_string),
        "an API server is the source"
    );
}

fn source_of(source: &SourceConfig) -> String {
    match source {
        SourceConfig::Files { manifests, .. } => format!("manifests {}", manifests.display()),
        SourceConfig::Kubernetes(kubernetes) => {
            let connection = &kubernetes.connection;
            let url = connection.api_server.as_deref();
            let at = url.map_or_else(String::new, |url| format!(" at {url}"));
            match &connection.kubeconfig {
                Some(path) => format!("kubernetes by {}{at}", path.display()),
                None => format!("kubernetes{at}"),
            }
        }
    }
}

fn security_of(security: &Security) -> String {
    let Security::Tls(tls) = security else {
        return "none: plaintext".to_owned();
    };
    let mut text = match &tls.certificate {
        ServerCertificate::SelfManaged { names } if names.is_empty() => {
            "TLS with a certificate of our own CA".to_owned()
        }
        ServerCertificate::SelfManaged { names } => {
            format!(
                "TLS with a certificate of our own CA, also for {}",
                names.join(",")
            )
        }
        ServerCertificate::Files { certificate, .. } => {
            format!("TLS with {}", certificate.display())
        }
    };
    if let Some(path) = &tls.client_ca {
        text.push_str("; client certificates of ");
        text.push_str(&path.display().to_string());
    }
    if let Some(tokens) = &tls.tokens {
        text.push_str("; tokens for ");
        text.push_str(&tokens.audience);
        for (role, accounts) in [
            (": nodes ", &tokens.node),
            (", ingresses ", &tokens.ingress),
            (", readers ", &tokens.reader),
            (", replicas ", &tokens.replica),
        ] {
            text.push_str(role);
            text.push_str(&joined(accounts));
        }
    }
    text
}

fn client_security(security: &connect::Security) -> String {
    let connect::Security::Tls(tls) = security else {
        return "none: plaintext".to_owned();
    };
    let ca = match &tls.ca {
        Ca::File(path) => path.display().to_string(),
        Ca::Pem(_) => "given CAs".to_owned(),
        Ca::System => "this machine's CAs".to_owned(),
    };
    let credentials = match &tls.credentials {
        Credentials::None => "no credentials".to_owned(),
        Credentials::TokenFile(path) => format!("token of {}", path.display()),
        Credentials::Certificate { certificate, .. } => {
            format!("certificate {}", certificate.display())
        }
    };
    format!("TLS, {} by {ca}; {credentials}", tls.server_name)
}

fn cache_of(cache: Option<&Cache>) -> Option<String> {
    cache.map(|cache| cache.folder.display().to_string())
}

fn joined<T: ToString>(values: &[T]) -> String {
    let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
    texts.join(",")
}
