//! What is remembered of a Service, so that a change of it is told from the whole.

use std::{collections::BTreeMap, net::SocketAddr};

use meshlite_snapshot::Finding;

use super::{HealthCheck, NoLocalEndpoints, claims::Claim};
use crate::table::VirtualServer;

/// What one Service asks of this node.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) share: Share,
    /// What it would serve where.
    pub(super) offers: BTreeMap<Claim, Offer>,
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
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) everyone: VirtualServer,
    pub(super) inside: Option<VirtualServer>,
}

// === impl Wish ===

impl Wish {
    pub(super) fn new(mut share: Share, offers: BTreeMap<Claim, Offer>) -> Self {
        let servers = offers
            .values()
            .flat_map(|offer| offer.inside.iter().chain([&offer.everyone]));
        let endpoints = servers.flat_map(|server| server.real_servers.keys().copied());
        share.endpoints = endpoints.collect();
        share.endpoints.sort_unstable();
        share.endpoints.dedup();
        share.claims = offers.keys().cloned().collect();
        Self { share, offers }
    }
}
