//! Takes out real servers that are virtual addresses themselves: traffic would come back to where it started.

use std::{collections::BTreeSet, net::SocketAddr};

use meshlite_snapshot::{AddressFamily, Protocol, Severity};

use super::{Desired, finding};
use crate::{
    facts::Facts,
    table::{Frontend, VirtualAddress},
};

/// Where this node serves virtual servers.
struct Places {
    addresses: BTreeSet<(SocketAddr, Protocol)>,
    /// On every address of the node.
    ports: BTreeSet<(u16, Protocol, AddressFamily)>,
}

/// Leaves no real server that is served by this node itself. Kubernetes never sends traffic through two Services, and
/// a kernel that did would never be done with it.
pub(super) fn cut(desired: &mut Desired, facts: &Facts) {
    let servers = &mut desired.table.virtual_servers;
    let places = Places::new(servers.keys().map(|key| key.frontend));
    let mut findings = BTreeSet::new();
    for (key, server) in servers {
        let protocol = key.frontend.protocol;
        let origin = &server.origin;
        server.real_servers.retain(|address, _| {
            let is_loop = places.contain(*address, protocol, facts);
            if is_loop {
                findings.insert(finding(
                    Severity::Error,
                    origin,
                    "EndpointIsVirtualAddress",
                    format!(
                        "endpoint {address} is the address of a Service and gets no traffic; name the Pods behind it"
                    ),
                ));
            }
            !is_loop
        });
    }
    desired.findings.extend(findings);
}

impl Places {
    fn new(frontends: impl Iterator<Item = Frontend>) -> Self {
        let mut places = Self {
            addresses: BTreeSet::new(),
            ports: BTreeSet::new(),
        };
        for Frontend {
            address,
            port,
            protocol,
        } in frontends
        {
            match address {
                VirtualAddress::Ip(ip) => {
                    places
                        .addresses
                        .insert((SocketAddr::new(ip, port), protocol));
                }
                VirtualAddress::EveryNodeAddress(family) => {
                    places.ports.insert((port, protocol, family));
                }
            }
        }
        places
    }

    fn contain(&self, address: SocketAddr, protocol: Protocol, facts: &Facts) -> bool {
        let ip = address.ip();
        let is_here = || ip.is_loopback() || facts.local_addresses.contains(&ip);
        let port = (address.port(), protocol, AddressFamily::of(ip));
        self.addresses.contains(&(address, protocol)) || (self.ports.contains(&port) && is_here())
    }
}
