//! Flags of `get`, `status` and `diff`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ClusterArgs, ConnectArgs, examples::GET_EXAMPLES};

#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub(crate) struct GetCommand {
    #[command(subcommand)]
    pub(crate) what: GetWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GetWhat {
    /// Services, routes, listeners, certificates, digests and findings in one.
    ///
    /// Exits 0 also where there are findings; 1 where the snapshot cannot be fetched or read.
    #[command(after_help = GET_EXAMPLES)]
    Snapshot(GetSnapshotArgs),
    /// Services: their addresses, ports and how many endpoints are ready.
    #[command(after_help = GET_EXAMPLES)]
    Services(GetArgs),
    /// Endpoints of Services: where they are and whether they get traffic.
    #[command(after_help = GET_EXAMPLES)]
    Endpoints(GetArgs),
    /// Routes of Ingresses: host, path and where they lead.
    #[command(after_help = GET_EXAMPLES)]
    Routes(GetArgs),
    /// Certificates and the hosts that they serve; never private keys.
    #[command(after_help = GET_EXAMPLES)]
    Certificates(GetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Only the object of this name; for routes, the host or the Ingress. It is a failure where there is none.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only objects of this namespace. Default: all.
    #[arg(
        long,
        short,
        value_name = "NAMESPACE",
        hide_env_values = true,
        env = "MESHLITE_NAMESPACE"
    )]
    pub(crate) namespace: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    #[command(flatten)]
    pub(crate) node: NodeUrlArgs,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetSnapshotArgs {
    /// Compile these manifests here instead; no control plane is asked.
    #[arg(
        long,
        value_name = "DIR|FILE",
        conflicts_with = "node",
        hide_env_values = true,
        env = "MESHLITE_MANIFESTS"
    )]
    pub(crate) manifests: Option<PathBuf>,
    /// With --manifests: the allocations of a control plane that has served them. Nothing is written there.
    #[arg(
        long,
        value_name = "DIR",
        hide_env_values = true,
        env = "MESHLITE_STATE_DIR"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    #[command(flatten)]
    pub(crate) node: NodeUrlArgs,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Every node and ingress: what it has installed, whether that is proved, and what it rejected.
///
/// Exits 0 where all have converged, 1 where one has not or a replica cannot be reached, 2 where nobody can be asked.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

/// What the node and the ingress of a node lack or rejected.
///
/// Exits 0 where there is no difference, 1 where there is one, 2 where nobody can be asked.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The name of a node, or the id of a node or ingress as `meshlite status -o wide` shows it.
    #[arg(value_name = "NODE")]
    pub(crate) client: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

/// What a request would meet at an ingress, and why: listener, host, route, policy, backends and their endpoints.
/// Nothing is sent to a backend.
///
/// Exits 0 where it is explained, also where the answer is an error; 1 where the ingress cannot be asked; 2 on wrong usage.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The URL that would be asked for.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The method.
    #[arg(
        long,
        short = 'X',
        value_name = "METHOD",
        default_value = "GET",
        hide_env_values = true,
        env = "MESHLITE_METHOD"
    )]
    pub(crate) method: String,
    /// A header of the request; may be given again.
    #[arg(
        long,
        short = 'H',
        value_name = "NAME: VALUE",
        hide_env_values = true,
        env = "MESHLITE_HEADER"
    )]
    pub(crate) header: Vec<String>,
    /// The address that the request would come from. Default: 127.0.0.1.
    #[arg(
        long,
        value_name = "IP",
        hide_env_values = true,
        env = "MESHLITE_CLIENT"
    )]
    pub(crate) client: Option<String>,
    /// The ingress to ask: the URL of its admin server.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:10254",
        hide_env_values = true,
        env = "MESHLITE_INGRESS"
    )]
    pub(crate) ingress: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The ipsets that kube-proxy would keep in IPVS mode, the nft sets that have their place, and what is in them.
///
/// Exits 0 where they are printed, 1 where the node cannot be asked, 2 on wrong usage.
#[derive(Debug, Args)]
pub(crate) struct SetsArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) node: NodeUrlArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Ask again every two seconds, and print what has changed, until it is interrupted.
    #[arg(long, short, hide_env_values = true, env = "MESHLITE_WATCH")]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// `table`, `wide` (with more columns, where there are more), `yaml` or `json`.
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        default_value = "table",
        hide_env_values = true,
        env = "MESHLITE_OUTPUT"
    )]
    pub(crate) output: String,
}

#[derive(Debug, Args)]
pub(crate) struct NodeUrlArgs {
    /// Ask this node or ingress what it has, instead of a control plane or the node of this host: the URL of its admin
    /// server, such as `http://127.0.0.1:10249` for a node or `http://127.0.0.1:10254` for an ingress.
    #[arg(
        long,
        value_name = "URL",
        hide_env_values = true,
        env = "MESHLITE_NODE"
    )]
    pub(crate) node: Option<String>,
}
