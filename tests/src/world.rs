//! A small cluster in network namespaces: nodes, their pods, and a client outside.
//!
//! ```text
//!                    172.18.0.0/24                         10.244.N.0/24
//!  client ── router ──┬── node-0 ──┬── pod-0-0
//!  198.51.100.0/24    │            └── pod-0-1
//!                     ├── node-1 ───── pod-1-0
//!                     └── control-plane
//! ```
//!
//! Every host is a namespace with both families of addresses. Pods are routed: each hangs on a veth of its node, and nodes
//! know the way to each other's pods, as the control plane does. The client and the router know nodes, and nothing of pods and Services.
//!
//! No namespace has a name: each lives as long as this process holds its file, so a test that is killed leaves none.

mod dial;
mod echo;
mod host;
mod http;
mod namespace;
mod process;
mod relay;
mod server;
mod topology;
mod traces;

use std::io;

pub use dial::{Answer, Connection, DialError};
pub use host::{Family, Host, Protocol};
pub use http::{Kept, KeptAnswer};
pub use namespace::Namespace;
pub use process::Process;
pub use server::Server;

/// Why a world cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may, or whoever is root in a user namespace.
    #[error(
        "network namespaces cannot be made: {0}. Run this as root, or in `tests/vm/run`, which needs no root"
    )]
    NotPermitted(io::Error),
    /// A command failed on a host.
    #[error("{host}: `{command}` failed: {said}")]
    Command {
        /// The host.
        host: String,
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A program cannot be run at all.
    #[error("{0} cannot be started: {1}. `make tools` installs what the tests need")]
    NotStarted(String, io::Error),
    /// A setting of a host cannot be written.
    #[error("{host}: {setting} cannot be set: {error}")]
    Setting {
        /// The host.
        host: String,
        /// Its path below `/proc/sys`.
        setting: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// The cluster. Dropped, it is gone with everything in it.
#[derive(Debug)]
pub struct World {
    router: Host,
    client: Host,
    control_plane: Host,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    host: Host,
    pods: Vec<Host>,
}

// === impl World ===

impl World {
    /// A world with a node for each number, which says how many pods the node has.
    pub fn new(pods: &[u8]) -> Result<Self, Error> {
        topology::build(pods)
    }

    /// Between the nodes and the client.
    pub fn router(&self) -> &Host {
        &self.router
    }

    /// Outside of the cluster: it reaches the nodes through the router.
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// A host beside the nodes that is none.
    pub fn control_plane(&self) -> &Host {
        &self.control_plane
    }

    /// All nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.nodes.iter().map(|node| &node.host)
    }

    /// A node, by its place in what [`World::new`] was given.
    pub fn node(&self, node: usize) -> &Host {
        &self.nodes[node].host
    }

    /// The range of the pods of a node.
    pub fn pod_network(node: u8, family: Family) -> String {
        topology::pod_network(node, family)
    }

    /// A pod, by its node and its place there.
    pub fn pod(&self, node: usize, pod: usize) -> &Host {
        &self.nodes[node].pods[pod]
    }
}
