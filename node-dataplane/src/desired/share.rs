//! What is remembered of a Service, so that a change of it is told from the whole.

use std::net::SocketAddr;

use meshlite_snapshot::Finding;

use super::{HealthCheck, NoLocalEndpoints, claims::Claim};
use crate::table::{Frontend, VirtualServer};

/// What is remembered of a Service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Sorted.
    pub(super) claims: Vec<Claim>,
    /// What it claims depends on this host's addresses.
    pub(super) has_node_ports: bool,
    pub(super) asks: Asks,
}

/// What a Service asks for, apart from places.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// Where its real servers are, sorted.
    pub(super) endpoints: Vec<SocketAddr>,
    /// What is wrong with it by itself.
    pub(super) findings: Vec<Finding>,
    /// With its port.
    pub(super) health_check: Option<(u16, HealthCheck)>,
    pub(super) no_local_endpoints: NoLocalEndpoints,
}

/// What a Service asks for, and what it offers.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) asks: Asks,
    /// What it serves, for each place that it has.
    pub(super) offers: Vec<(Frontend, Option<Offer>)>,
}

/// What a Service serves at a place.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) everyone: VirtualServer,
    pub(super) inside: Option<VirtualServer>,
}
