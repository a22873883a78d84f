//! What `meshlite preflight` looks for.

use std::{ops::RangeInclusive, path::PathBuf};

use super::{
    ConfigError, Problems, ask::format, cluster::node_port_range, node::NodeConfig, node::node_of,
};
use crate::{
    args::{NodeInitArgs, NodeNameArgs, PreflightArgs},
    output::Format,
};

/// How a node would run, and how the findings are printed.
#[derive(Debug)]
pub(crate) struct PreflightConfig {
    pub(crate) node: NodeConfig,
    /// Where the root of the host's file system is, if not at `/`.
    pub(crate) host_root: Option<PathBuf>,
    pub(crate) node_ports: RangeInclusive<u16>,
    pub(crate) format: Format,
}

/// Checks all of it.
pub(crate) fn preflight(args: PreflightArgs) -> Result<PreflightConfig, ConfigError> {
    let PreflightArgs {
        host: NodeInitArgs { host_root, node },
        service_node_port_range,
        output,
    } = args;
    let mut problems = Problems::default();
    let node = node_of(NodeNameArgs { node_name: None }, node, &mut problems);
    let node_ports = node_port_range(&service_node_port_range, &mut problems);
    let format = format(&output, &mut problems);
    let config = node_ports
        .zip(format)
        .map(|(node_ports, format)| PreflightConfig {
            node,
            host_root,
            node_ports,
            format,
        });
    problems.or(config)
}
