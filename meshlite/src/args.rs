//! What was typed, or set in the environment: text only, so that every mistake can be reported at once.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod examples;
mod groups;

pub(crate) use groups::{
    ClusterArgs, FollowArgs, IngressArgs, LogArgs, NodeArgs, NodeNameArgs, ServerArgs, SourceArgs,
};

use examples::{
    CONTROL_PLANE_EXAMPLES, DEMO_EXAMPLES, EXAMPLES, GET_EXAMPLES, INGRESS_EXAMPLES, NODE_EXAMPLES,
    STANDALONE_EXAMPLES,
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
#[expect(clippy::large_enum_variant, reason = "one value, made once")]
pub(crate) enum Command {
    /// Compiles manifests into a snapshot and streams it to the data planes over gRPC.
    #[command(after_help = CONTROL_PLANE_EXAMPLES)]
    ControlPlane(ControlPlaneCommand),
    /// Serves Services on this node: ClusterIP, NodePort, externalIPs; TCP and UDP.
    #[command(after_help = NODE_EXAMPLES)]
    Node(NodeCommand),
    /// Serves Ingresses: HTTP/1.1, HTTP/2, WebSocket, TLS; by host and path.
    #[command(after_help = INGRESS_EXAMPLES)]
    Ingress(IngressCommand),
    /// Runs control plane, node and ingress in one process.
    #[command(after_help = STANDALONE_EXAMPLES)]
    Standalone(StandaloneCommand),
    /// Shows all of it on loopback, with demo backends: no root, no cluster.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Prints what a control plane serves.
    Get(GetCommand),
    /// Prints the version.
    Version(VersionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ControlPlaneCommand {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NodeCommand {
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
    #[command(flatten)]
    pub(crate) name: NodeNameArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Prints what would be programmed, in the style of `ipvsadm -Ln`, and programs nothing.
    #[arg(long, hide_env_values = true, env = "MESHLITE_DRY_RUN")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IngressCommand {
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
    #[command(flatten)]
    pub(crate) name: NodeNameArgs,
    #[command(flatten)]
    pub(crate) ingress: IngressArgs,
    /// Where health, readiness, metrics, /snapshot and /listeners are served. Empty for nowhere.
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
    /// Where the ingress serves health, readiness, metrics, /snapshot and /listeners. Empty for nowhere.
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

#[derive(Debug, Args)]
pub(crate) struct GetCommand {
    #[command(subcommand)]
    pub(crate) what: GetWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GetWhat {
    /// Services, routes, listeners, certificates and findings, as a control plane serves them.
    ///
    /// Exits 0 also where there are findings; 1 where the snapshot cannot be fetched or read.
    #[command(after_help = GET_EXAMPLES)]
    Snapshot(GetSnapshotArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GetSnapshotArgs {
    /// The control plane to ask.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:18000",
        hide_env_values = true,
        env = "MESHLITE_CONTROL_PLANE"
    )]
    pub(crate) control_plane: String,
    /// Compile these manifests here instead; no control plane is asked.
    #[arg(
        long,
        value_name = "DIR|FILE",
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
    /// `table`, `yaml` or `json`.
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        default_value = "table",
        hide_env_values = true,
        env = "MESHLITE_OUTPUT"
    )]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
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
