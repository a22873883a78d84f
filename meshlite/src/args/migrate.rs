//! Flags of `migrate`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArgs;

/// What becomes of Ingresses that were made for ingress-nginx, annotation by annotation.
///
/// Exits 0 where all is served as before, 1 where something is not, 2 where nothing could be read.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Manifests with Ingresses; `-` for standard input.
    #[arg(value_name = "FILE", required_unless_present = "cluster")]
    pub(crate) files: Vec<PathBuf>,
    /// Read the Ingresses of the cluster that this Pod runs in, or that `KUBECONFIG` or ~/.kube/config names.
    #[arg(
        long,
        conflicts_with = "files",
        hide_env_values = true,
        env = "MESHLITE_CLUSTER"
    )]
    pub(crate) cluster: bool,
    /// With --cluster: that of the current context of this kubeconfig.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_KUBECONFIG"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// As a control plane with this flag serves them: with ingress-nginx's defaults where they write nothing.
    #[arg(long, hide_env_values = true, env = "MESHLITE_NGINX_COMPAT")]
    pub(crate) nginx_compat: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
