//! What a node has besides Services: links, addresses, routes, connections, settings of the kernel, and other people's rules.
//!
//! ```text
//! wanted addresses, routes, settings ──> Network, sysctl, modules ──> kernel
//! kernel ──> Network, Conntrack, firewalls, listeners, processes ──> what is there, what is stale, findings
//! ```
//!
//! All of it is of the network namespace of the calling thread, and blocks for as long as the kernel works: it is called
//! from a thread for such work. What is decided is decided in pure functions; the rest sends and reads.

mod conntrack;
mod error;
pub(crate) mod firewalls;
pub(crate) mod listeners;
pub(crate) mod modules;
mod network;
pub(crate) mod processes;
pub(crate) mod sysctl;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod watch;

pub(crate) use conntrack::{Conntrack, Flow, Serving};
pub(crate) use error::{HostError, Undone};
pub(crate) use network::{LOOPBACK, LinkAddress, Network};
