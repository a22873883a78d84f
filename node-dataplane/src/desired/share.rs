//! What is remembered of a Service, so that a change of it is told from the whole.

use std::net::SocketAddr;

use meshlite_snapshot::Finding;

use super::{HealthCheck, NoLocalEndpoints, claims::Claim};
use crate::table::VirtualServer;

/// What one Service asks of this node.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) share: Share,
    /// What it would serve where, for each of its claims.
    pub(super) offers: Vec<Option<Offer>>,
}

/// What is remembered of a Service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Sorted.
    pub(super) claims: Vec<Claim>,
    /// Where its real servers are, sorted.
    pub(super) endpoints: Vec<SocketAddr>,
    /// What is wrong with it by itself.
    pub(super) findings: Vec<Finding>,
    /// With its port.
    pub(super) health_check: Option<(u16, HealthCheck)>,
    pub(super) no_local_endpoints: NoLocalEndpoints,
    /// What it claims depends on this host's addresses.
    pub(super) has_node_ports: bool,
}

/// What a Service would serve at a place.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) everyone: VirtualServer,
    pub(super) inside: Option<VirtualServer>,
}
