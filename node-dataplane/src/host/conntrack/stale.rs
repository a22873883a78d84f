//! Which connections stand in the way: those of a Service that do not go to an endpoint which serves it. Pure.
//!
//! UDP has no connections, but the kernel keeps one for as long as a client sends: to an endpoint that is gone, or, of a
//! client that was there before the first endpoint, to no endpoint at all. The rule is that of kube-proxy: whoever serves
//! may be answered by, whatever traffic policies and topology say of new connections. Who may connect, and whether anybody
//! serves, was asked when it began, so where the answer is another one now it has to begin again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use meshlite_snapshot::AddressFamily;

use super::Flow;
use crate::table::{Frontend, VirtualAddress};

/// Which endpoints serve what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serving {
    /// NodePorts are at these.
    node_addresses: BTreeSet<IpAddr>,
    served: BTreeMap<Frontend, Served>,
}

/// Who serves at a frontend, and whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Served {
    endpoints: BTreeSet<SocketAddr>,
    /// Clients that may connect; empty for all.
    source_ranges: Arc<BTreeSet<IpNet>>,
}

impl Serving {
    /// Nothing yet, on a node with these addresses.
    pub(crate) fn on(node_addresses: BTreeSet<IpAddr>) -> Self {
        Self {
            node_addresses,
            served: BTreeMap::new(),
        }
    }

    /// Adds endpoints of a frontend: all that serve, near and far, terminating ones as well.
    pub(crate) fn add(
        &mut self,
        frontend: Frontend,
        endpoints: impl IntoIterator<Item = SocketAddr>,
    ) {
        let served = self.served.entry(frontend).or_default();
        served.endpoints.extend(endpoints);
    }

    /// Says which clients of a frontend may connect; empty for all.
    pub(crate) fn restrict(&mut self, frontend: Frontend, to: &Arc<BTreeSet<IpNet>>) {
        self.served.entry(frontend).or_default().source_ranges = Arc::clone(to);
    }

    /// Those of the connections that go to no endpoint of the Service which they are to, or come from who may not connect.
    /// Where no endpoint serves there is nothing better for one that was answered, so it stays.
    pub(crate) fn stale(&self, flows: impl IntoIterator<Item = Flow>) -> Vec<Flow> {
        let is_stale = |flow: &Flow| self.of(flow).is_some_and(|served| served.is_stale(flow));
        flows.into_iter().filter(is_stale).collect()
    }

    /// What a connection is to.
    fn of(&self, flow: &Flow) -> Option<&Served> {
        let destination = flow.original.destination;
        let at = |address| Frontend {
            address,
            port: destination.port(),
            protocol: flow.protocol,
        };
        let ip = destination.ip();
        if let Some(served) = self.served.get(&at(VirtualAddress::Ip(ip))) {
            return Some(served);
        }
        if !self.node_addresses.contains(&ip) {
            return None;
        }
        let family = match ip {
            IpAddr::V4(_) => AddressFamily::Ipv4,
            IpAddr::V6(_) => AddressFamily::Ipv6,
        };
        self.served
            .get(&at(VirtualAddress::EveryNodeAddress(family)))
    }
}

impl Served {
    fn is_stale(&self, flow: &Flow) -> bool {
        let client = flow.original.source.ip();
        let ranges = &self.source_ranges;
        if !ranges.is_empty() && !ranges.iter().any(|range| range.contains(&client)) {
            return true;
        }
        if self.endpoints.is_empty() {
            let goes_to_an_endpoint = flow.reply.source != flow.original.destination;
            return goes_to_an_endpoint && !flow.is_answered;
        }
        !self.endpoints.contains(&flow.reply.source)
    }
}
