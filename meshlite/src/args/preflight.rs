//! Flags of `preflight`.

use clap::Args;

use super::{NodeInitArgs, OutputArgs};

/// Whether `meshlite node` can serve on this host, and what to do about each thing that is in the way: kernel, modules,
/// sysctls, permissions, other proxies and what they left, firewalls, ports. To be run as root on the host's network.
///
/// The flags of `meshlite node` say how it would run. Nothing is changed, but that the kernel loads modules for what is
/// tried. Exits 0 where a node can serve, also with warnings; 1 where something prevents it; 2 on wrong usage.
#[derive(Debug, Args)]
pub(crate) struct PreflightArgs {
    #[command(flatten)]
    pub(crate) host: NodeInitArgs,
    /// The node ports that Services may have: that of the API server.
    #[arg(
        long,
        value_name = "FIRST-LAST",
        default_value = "30000-32767",
        hide_env_values = true,
        env = "MESHLITE_SERVICE_NODE_PORT_RANGE"
    )]
    pub(crate) service_node_port_range: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
