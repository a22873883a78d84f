//! What was typed, or set in the environment: text only, so that every mistake can be reported at once.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

mod connect;
mod control_plane;
mod examples;
mod get;
mod groups;
mod migrate;
mod node;
mod preflight;

pub(crate) use connect::ConnectArgs;
pub(crate) use control_plane::{KubernetesArgs, SecurityArgs};
pub(crate) use get::{
    DiffArgs, ExplainArgs, GetArgs, GetCommand, GetSnapshotArgs, GetWhat, NodeUrlArgs, OutputArgs,
    SetsArgs, StatusArgs, WatchArgs,
};
pub(crate) use groups::{ClusterArgs, IngressArgs, LogArgs, NodeNameArgs, ServerArgs, SourceArgs};
pub(crate) use migrate::MigrateArgs;
pub(crate) use node::{IpvsArgs, NodeArgs, NodeInitArgs};
pub(crate) use preflight::PreflightArgs;

use examples::{
    COMPLETIONS_EXAMPLES, CONTROL_PLANE_EXAMPLES, DEMO_EXAMPLES, DIFF_EXAMPLES, EXAMPLES,
    EXPLAIN_EXAMPLES, INGRESS_EXAMPLES, MAN_EXAMPLES, MIGRATE_EXAMPLES, NODE_CLEANUP_EXAMPLES,
    NODE_EXAMPLES, NODE_INIT_EXAMPLES, NODE_SETS_EXAMPLES, PREFLIGHT_EXAMPLES, STANDALONE_EXAMPLES,
    STATUS_EXAMPLES, VERSION_EXAMPLES,
};

/// A service mesh-lite for Kubernetes: L4 Services and L7 Ingresses from one streamed snapshot.
#[derive(Debug, Parser)]
#[command(name = "meshlite", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compiles what a Kubernetes API server or a folder of manifests holds, and streams it to the data planes.
    #[command(after_help = CONTROL_PLANE_EXAMPLES)]
    ControlPlane(ControlPlaneCommand),
    /// Serves Services on this node: ClusterIP, NodePort, externalIPs; TCP and UDP.
    #[command(after_help = NODE_EXAMPLES, args_conflicts_with_subcommands = true)]
    Node(NodeCommand),
    /// Serves Ingresses: HTTP/1.1, HTTP/2, WebSocket, TLS; by host and path.
    #[command(after_help = INGRESS_EXAMPLES)]
    Ingress(IngressCommand),
    /// Runs control plane, node and ingress in one process.
    #[command(after_help = STANDALONE_EXAMPLES)]
    Standalone(Box<StandaloneCommand>),
    /// Shows all of it on loopback, with demo backends: no root, no cluster.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    #[command(after_help = PREFLIGHT_EXAMPLES)]
    Preflight(Box<PreflightArgs>),
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(MigrateArgs),
    /// Prints what a control plane serves, or what a node or ingress has installed.
    Get(GetCommand),
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArgs),
    /// Prints the version.
    #[command(after_help = VERSION_EXAMPLES)]
    Version(VersionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ControlPlaneCommand {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) kubernetes: KubernetesArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// The name of this replica in status, Lease and Events. Default: `POD_NAME`, else the host's name.
    #[arg(
        long,
        value_name = "NAME",
        hide_env_values = true,
        env = "MESHLITE_REPLICA_NAME"
    )]
    pub(crate) replica_name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeCommand {
    #[command(subcommand)]
    pub(crate) action: Option<NodeAction>,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    #[command(flatten)]
    pub(crate) name: NodeNameArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Where the last good snapshot survives a restart, in a folder `node` there: such as /var/lib/meshlite. With it, a
    /// node that starts serves at once, also while no control plane can be reached. Default: nowhere.
    #[arg(
        long,
        value_name = "DIR",
        hide_env_values = true,
        env = "MESHLITE_STATE_DIR"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    /// Prints what would be programmed, in the style of `ipvsadm -Ln`, and programs nothing.
    #[arg(long, hide_env_values = true, env = "MESHLITE_DRY_RUN")]
    pub(crate) dry_run: bool,
}

/// What is done to this host instead of serving on it.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeAction {
    /// Loads the kernel modules and sets the sysctls that a mode takes, says each, and exits: so that what serves then
    /// needs fewer privileges. Exit status 1: something is missing that the mode cannot do without.
    #[command(after_help = NODE_INIT_EXAMPLES)]
    Init(Box<NodeInitArgs>),
    /// Removes everything of Meshlite from this host and nothing else: rules, virtual servers, addresses, routes. Says
    /// each, and exits. Sysctls and modules stay. Connections through virtual servers end.
    #[command(after_help = NODE_CLEANUP_EXAMPLES)]
    Cleanup(CleanupArgs),
    #[command(after_help = NODE_SETS_EXAMPLES)]
    Sets(SetsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    /// Leaves virtual servers of Services, and addresses of kube-ipvs0, to kube-proxy, which serves with them by now: no
    /// connection ends. Not before kube-proxy has programmed everything.
    #[arg(long, hide_env_values = true, env = "MESHLITE_KEEP_VIRTUAL_SERVERS")]
    pub(crate) keep_virtual_servers: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IngressCommand {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    #[command(flatten)]
    pub(crate) name: NodeNameArgs,
    #[command(flatten)]
    pub(crate) ingress: IngressArgs,
    /// Where the last good snapshot survives a restart, without private keys, in a folder `ingress` there: such as
    /// /var/lib/meshlite. Default: nowhere.
    #[arg(
        long,
        value_name = "DIR",
        hide_env_values = true,
        env = "MESHLITE_STATE_DIR"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    /// With --state-dir: where private keys survive a restart of this process. It must be in memory (tmpfs). Default:
    /// nowhere, and HTTPS waits for a control plane.
    #[arg(
        long,
        value_name = "DIR",
        requires = "state_dir",
        hide_env_values = true,
        env = "MESHLITE_SECRETS_DIR"
    )]
    pub(crate) secrets_dir: Option<PathBuf>,
    /// A Unix socket by which a new ingress on this host takes over from the one that runs, without a failed request: it
    /// gets the listening sockets once it has something to serve, and the old one drains. SIGHUP (`systemctl reload`)
    /// starts a new one; another Pod with the same path, on a hostPath volume, does it too. Default: none.
    #[arg(
        long,
        value_name = "PATH",
        hide_env_values = true,
        env = "MESHLITE_TAKEOVER"
    )]
    pub(crate) takeover: Option<PathBuf>,
    /// Where health, readiness, metrics, /config, /explain, /snapshot, /resources and /listeners are served. Empty for
    /// nowhere.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "0.0.0.0:10254",
        hide_env_values = true,
        env = "MESHLITE_ADMIN_LISTEN"
    )]
    pub(crate) admin_listen: String,
}

#[derive(Debug, Args)]
pub(crate) struct StandaloneCommand {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
    #[command(flatten)]
    pub(crate) name: NodeNameArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) ingress: IngressArgs,
    /// Where the ingress serves health, readiness, metrics, /snapshot, /resources and /listeners. Empty for nowhere.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "0.0.0.0:10254",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_ADMIN_LISTEN"
    )]
    pub(crate) ingress_admin_listen: String,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Your own manifests instead of the built-in ones. Deployments, StatefulSets and Pods without a status become
    /// local backends.
    #[arg(
        long,
        value_name = "DIR|FILE",
        hide_env_values = true,
        env = "MESHLITE_MANIFESTS"
    )]
    pub(crate) manifests: Option<PathBuf>,
    /// Tests the demo from outside with real clients, prints a line for each check, and exits 0 only if all passed.
    #[arg(
        long,
        conflicts_with = "manifests",
        hide_env_values = true,
        env = "MESHLITE_CHECK"
    )]
    pub(crate) check: bool,
}

/// Prints what a shell needs to complete `meshlite`. For `kubectl meshlite`, put this program on the PATH under the names
/// kubectl-meshlite and `kubectl_complete-meshlite`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Prints a manual page, as `man` reads it.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command that it is about, such as `node init`. Default: the program.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// `text`, `yaml` or `json`.
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        default_value = "text",
        hide_env_values = true,
        env = "MESHLITE_OUTPUT"
    )]
    pub(crate) output: String,
}

#[cfg(test)]
mod tests;
