//! What was typed, or set in the environment: text only, so that every mistake can be reported at once.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod examples;

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

/// How this process logs; to standard error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// `text` or `json`.
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_env_values = true,
        env = "MESHLITE_LOG_FORMAT"
    )]
    pub(crate) log_format: String,
    /// A level, or levels by module: `info,meshlite_node=debug`. Default: info; for `demo`, error; for `get`, warn.
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        hide_env_values = true,
        env = "MESHLITE_LOG_LEVEL"
    )]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ControlPlaneCommand {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) servers: ServerArgs,
}

/// Where objects come from, and what they are served as.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct SourceArgs {
    /// The folder (read recursively and watched) or file of Kubernetes manifests to serve.
    #[arg(
        long,
        value_name = "DIR|FILE",
        hide_env_values = true,
        env = "MESHLITE_MANIFESTS"
    )]
    pub(crate) manifests: Option<PathBuf>,
    /// Where allocated cluster IPs and node ports survive a restart. Without it, an object that is added while the
    /// control plane is down may change those of others.
    #[arg(
        long,
        value_name = "DIR",
        hide_env_values = true,
        env = "MESHLITE_STATE_DIR"
    )]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// What an API server would be set up with, and the ingress class that is ours.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Cluster IPs are allocated from here: one range, or one for IPv4 and one for IPv6.
    #[arg(
        long,
        value_name = "CIDR[,CIDR]",
        default_value = "10.96.0.0/12",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_SERVICE_CIDR"
    )]
    pub(crate) service_cidr: Vec<String>,
    /// Node ports are allocated from here.
    #[arg(
        long,
        value_name = "FIRST-LAST",
        default_value = "30000-32767",
        hide_env_values = true,
        env = "MESHLITE_SERVICE_NODE_PORT_RANGE"
    )]
    pub(crate) service_node_port_range: String,
    /// The ingress class that is served. Ingresses without a class are served too.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "meshlite",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_CLASS"
    )]
    pub(crate) ingress_class: String,
    /// The port that ingresses bind for HTTP.
    #[arg(
        long,
        value_name = "PORT",
        default_value = "8080",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_HTTP_PORT"
    )]
    pub(crate) ingress_http_port: String,
    /// The port that ingresses bind for HTTPS.
    #[arg(
        long,
        value_name = "PORT",
        default_value = "8443",
        hide_env_values = true,
        env = "MESHLITE_INGRESS_HTTPS_PORT"
    )]
    pub(crate) ingress_https_port: String,
    /// The TLS Secret for server names that no Ingress has a certificate for. Without it, ingresses make their own.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        hide_env_values = true,
        env = "MESHLITE_DEFAULT_CERTIFICATE"
    )]
    pub(crate) default_certificate: Option<String>,
}

/// Where a control plane listens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Control plane servers")]
pub(crate) struct ServerArgs {
    /// Where data planes connect (gRPC). It is plaintext and carries private keys: keep it on loopback.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:18000",
        hide_env_values = true,
        env = "MESHLITE_LISTEN"
    )]
    pub(crate) listen: String,
    /// Where health, readiness and metrics are served. Empty for nowhere.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:18001",
        hide_env_values = true,
        env = "MESHLITE_ADMIN_LISTEN"
    )]
    pub(crate) admin_listen: String,
}

/// Which control plane a data plane follows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct FollowArgs {
    /// The control plane to follow. Repeat it, or use commas, for replicas.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:18000",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_CONTROL_PLANE"
    )]
    pub(crate) control_plane: Vec<String>,
}

/// Which node this is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct NodeNameArgs {
    /// The name of this node's Node object. Default: the host's name.
    #[arg(
        long,
        value_name = "NAME",
        hide_env_values = true,
        env = "MESHLITE_NODE_NAME"
    )]
    pub(crate) node_name: Option<String>,
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

/// How a node serves; the names are kube-proxy's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct NodeArgs {
    /// What carries the traffic: auto, ipvs, nftables, userspace or memory (nothing).
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        hide_env_values = true,
        env = "MESHLITE_MODE"
    )]
    pub(crate) mode: String,
    /// Node ports are served on this host's addresses in these ranges. Default: all of them.
    #[arg(
        long,
        value_name = "CIDR,…",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_NODEPORT_ADDRESSES"
    )]
    pub(crate) nodeport_addresses: Vec<String>,
    /// Where metrics, /proxyMode, /snapshot and /virtualservers are served. Empty for nowhere.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:10249",
        hide_env_values = true,
        env = "MESHLITE_METRICS_BIND_ADDRESS"
    )]
    pub(crate) metrics_bind_address: String,
    /// Where load balancers ask whether this node is healthy. Empty for nowhere.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "0.0.0.0:10256",
        hide_env_values = true,
        env = "MESHLITE_HEALTHZ_BIND_ADDRESS"
    )]
    pub(crate) healthz_bind_address: String,
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

/// How an ingress serves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ingress")]
pub(crate) struct IngressArgs {
    /// The address that HTTP and HTTPS are served on; the ports are the control plane's to say.
    #[arg(
        long,
        value_name = "IP",
        default_value = "0.0.0.0",
        hide_env_values = true,
        env = "MESHLITE_ADDRESS"
    )]
    pub(crate) address: String,
    /// Clients whose X-Forwarded-* headers are believed: the load balancers in front. Default: nobody's.
    #[arg(
        long,
        value_name = "CIDR,…",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_TRUSTED_PROXY"
    )]
    pub(crate) trusted_proxy: Vec<String>,
    /// How long an endpoint may take to answer, from the request's head to the response's.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        hide_env_values = true,
        env = "MESHLITE_RESPONSE_TIMEOUT"
    )]
    pub(crate) response_timeout: String,
    /// How long requests that are under way get when the ingress stops.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        hide_env_values = true,
        env = "MESHLITE_DRAIN_TIMEOUT"
    )]
    pub(crate) drain_timeout: String,
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
