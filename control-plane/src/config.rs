//! What a control plane is told when it starts.

use std::{fmt::Debug, net::SocketAddr, path::PathBuf, sync::Arc};

use meshlite_compile::Settings;
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
}

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// A file, or a folder that is read recursively and watched.
    Files {
        /// The file or folder (`--manifests`).
        manifests: PathBuf,
        /// Where allocated addresses and node ports survive a restart (`--state-dir`); none to keep them in memory.
        state_dir: Option<PathBuf>,
        /// What an API server would be set up with.
        admit: AdmitSettings,
        /// What runs the Pods of workloads; none where nothing does.
        pods: Option<Arc<dyn PodRuntime>>,
    },
}

/// Runs Pods where no kubelet does.
pub trait PodRuntime: Send + Sync + Debug {
    /// Runs these workloads (starting and stopping backends as needed) and says which Pods run now.
    ///
    /// Called with all workloads after every change of the manifests, on a thread that may block.
    fn run(&self, workloads: &[Workload]) -> Vec<RunningPod>;
}
