//! Which connections stand in the way: those of a Service that do not go to an endpoint which serves it. Pure.
//!
//! UDP has no connections, but the kernel keeps one for as long as a client sends: to an endpoint that is gone, or, of a
//! client that was there before the first endpoint, to no endpoint at all. The rule is that of kube-proxy: whoever serves
//! may be answered by, whatever traffic policies and topology say of new connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use meshlite_snapshot::AddressFamily;

use super::Flow;
use crate::table::{Frontend, VirtualAddress};

/// Which endpoints serve what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serving {
    /// NodePorts are at these.
    node_addresses: BTreeSet<IpAddr>,
    endpoints: BTreeMap<Frontend, BTreeSet<SocketAddr>>,
}

impl Serving {
    /// Nothing yet, on a node with these addresses.
    pub(crate) fn on(node_addresses: BTreeSet<IpAddr>) -> Self {
        Self {
            node_addresses,
            endpoints: BTreeMap::new(),
        }
    }

    /// Adds endpoints of a frontend: all that serve, near and far, terminating ones as well.
    pub(crate) fn add(
        &mut self,
        frontend: Frontend,
        endpoints: impl IntoIterator<Item = SocketAddr>,
    ) {
        self.endpoints
            .entry(frontend)
            .or_default()
            .extend(endpoints);
    }

    /// Those of the connections that go to no endpoint of the Service which they are to. Where no endpoint serves there is
    /// nothing better for them, so they stay.
    pub(crate) fn stale(&self, flows: impl IntoIterator<Item = Flow>) -> Vec<Flow> {
        let is_stale = |flow: &Flow| {
            self.of(flow).is_some_and(|endpoints| {
                !endpoints.is_empty() && !endpoints.contains(&flow.reply.source)
            })
        };
        flows.into_iter().filter(is_stale).collect()
    }

    /// The endpoints of what a connection is to.
    fn of(&self, flow: &Flow) -> Option<&BTreeSet<SocketAddr>> {
        let destination = flow.original.destination;
        let at = |address| Frontend {
            address,
            port: destination.port(),
            protocol: flow.protocol,
        };
        let ip = destination.ip();
        if let Some(endpoints) = self.endpoints.get(&at(VirtualAddress::Ip(ip))) {
            return Some(endpoints);
        }
        if !self.node_addresses.contains(&ip) {
            return None;
        }
        let family = match ip {
            IpAddr::V4(_) => AddressFamily::Ipv4,
            IpAddr::V6(_) => AddressFamily::Ipv6,
        };
        self.endpoints
            .get(&at(VirtualAddress::EveryNodeAddress(family)))
    }
}
