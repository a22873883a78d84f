//! What a control plane is told when it starts.

use std::{fmt::Debug, net::SocketAddr, path::PathBuf, sync::Arc};

use meshlite_compile::{ObjectKey, Settings};
use meshlite_kubernetes::Connection;
use meshlite_manifests::admit::{AdmitSettings, RunningPod, Workload};

/// How a control plane is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where data planes connect (gRPC). Port 0 takes one of the system's.
    pub listen: SocketAddr,
    /// Where probes, metrics and findings are served; none for nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Where objects come from.
    pub source: SourceConfig,
    /// How they are compiled.
    pub settings: Settings,
    /// Who may connect to `listen`, and how they know that it is us.
    pub security: Security,
    /// Name of this replica in status, Lease and Events: that of its Pod, or the host's.
    pub replica: String,
}

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// A file, or a folder that is read recursively and watched.
    Files {
        /// The file or folder (`--manifests`).
        manifests: PathBuf,
        /// Where allocated addresses, node ports and our own CA survive a restart (`--state-dir`); none to keep them in
        /// memory.
        state_dir: Option<PathBuf>,
        /// What an API server would be set up with.
        admit: AdmitSettings,
        /// What runs the Pods of workloads; none where nothing does.
        pods: Option<Arc<dyn PodRuntime>>,
    },
    /// A Kubernetes API server.
    Kubernetes(KubernetesConfig),
}

/// Which API server is watched, and what is written there.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// How the API server is reached.
    pub connection: Connection,
    /// Where our Lease, and the Secret and ConfigMap of our CA live: the namespace that this Pod runs in.
    pub namespace: String,
    /// The namespaces whose objects are served; empty for all.
    pub watch_namespaces: Vec<String>,
    /// The Lease that the one replica holds which writes.
    pub lease_name: String,
    /// What `status.loadBalancer` of our Ingresses says.
    pub publish_status: PublishStatus,
    /// The Service whose endpoints are the replicas of this control plane; none where there is one.
    pub peer_service: Option<ObjectKey>,
}

/// Where the addresses in `status.loadBalancer` of Ingresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishStatus {
    /// No status is written.
    Nothing,
    /// IP addresses or host names, as they are.
    Addresses(Vec<String>),
    /// Those of this Service.
    Service(ObjectKey),
}

/// Who may connect for snapshots, and how they know that it is us.
#[derive(Clone, Debug)]
pub enum Security {
    /// Plaintext, and everybody may do everything (`--insecure`).
    Insecure,
    /// TLS, and callers say who they are.
    Tls(TlsConfig),
}

/// How callers and the server prove who they are.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// What the server shows.
    pub certificate: ServerCertificate,
    /// Verifies client certificates (PEM file). The organisation says what a client may do: `meshlite:node`,
    /// `meshlite:ingress`, `meshlite:reader` or `meshlite:replica`; the common name is that of its node or user.
    pub client_ca: Option<PathBuf>,
    /// Verifies bearer tokens; with an API server only.
    pub tokens: Option<TokenConfig>,
}

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerCertificate {
    /// Signed by a CA of our own.
    SelfManaged {
        /// Host names or addresses that it is for, besides those that we know.
        names: Vec<String>,
    },
    /// PEM files, read again when they change.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The leaf's private key.
        key: PathBuf,
    },
}

/// What bearer tokens of service accounts are worth.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The audience that a token must be for.
    pub audience: String,
    /// Service accounts of nodes.
    pub node: Vec<ObjectKey>,
    /// Service accounts of ingresses: they may have private keys.
    pub ingress: Vec<ObjectKey>,
    /// Service accounts of people and tools that look.
    pub reader: Vec<ObjectKey>,
    /// Service accounts of replicas of this control plane.
    pub replica: Vec<ObjectKey>,
}

/// Runs Pods where no kubelet does.
pub trait PodRuntime: Send + Sync + Debug {
    /// Runs these workloads (starting and stopping backends as needed) and says which Pods run now.
    ///
    /// Called with all workloads after every change of the manifests, on a thread that may block.
    fn run(&self, workloads: &[Workload]) -> Vec<RunningPod>;
}
