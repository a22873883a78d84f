//! Takes out real servers that are virtual addresses themselves: traffic would come back to where it started.
//!
//! Kubernetes never sends traffic through two Services, and a kernel that did would never be done with it.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use meshlite_snapshot::{AddressFamily, Finding, Name, Protocol, Severity};

use super::{claims::Claims, finding};
use crate::{
    facts::Facts,
    table::{Frontend, VirtualAddress, VirtualServer},
};

/// Which Services have endpoints where.
///
/// A name is always there; none comes before all of an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoints(BTreeSet<(SocketAddr, Option<Name>)>);

/// Leaves no real server that is served by this node itself.
pub(super) fn cut(
    server: &mut VirtualServer,
    protocol: Protocol,
    claims: &Claims,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) {
    let origin = &server.origin;
    let is_loop = |address| is_virtual(address, protocol, claims, facts);
    let (first, last) = (server.real_servers.first(), server.real_servers.last());
    // Mostly Pods have a network of their own, where there is nothing to look for.
    let may_loop = first
        .zip(last)
        .is_some_and(|((first, _), (last, _))| claims.are_any_between(first.ip(), last.ip()));
    if !may_loop || !server.real_servers.addresses().any(is_loop) {
        return;
    }
    server.real_servers.retain(|address| {
        let is_loop = is_loop(address);
        if is_loop {
            findings.push(finding(
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

fn is_virtual(address: SocketAddr, protocol: Protocol, claims: &Claims, facts: &Facts) -> bool {
    let (ip, port) = (address.ip(), address.port());
    let is_claimed = |address| {
        claims.is_claimed(&Frontend {
            address,
            port,
            protocol,
        })
    };
    let is_here = || ip.is_loopback() || facts.local_addresses.contains(&ip);
    is_claimed(VirtualAddress::Ip(ip))
        || (is_here() && is_claimed(VirtualAddress::EveryNodeAddress(AddressFamily::of(ip))))
}

// === impl Endpoints ===

/// Those of Services, all at once: far sooner made than one by one.
impl<'a> FromIterator<(&'a Name, &'a [SocketAddr])> for Endpoints {
    fn from_iter<I: IntoIterator<Item = (&'a Name, &'a [SocketAddr])>>(services: I) -> Self {
        let mut all = Vec::new();
        for (name, endpoints) in services {
            let endpoints = endpoints.iter();
            all.extend(endpoints.map(|address| (*address, Some(name.clone()))));
        }
        Self(all.into_iter().collect())
    }
}

impl Endpoints {
    /// Says what a Service's endpoints are, and were. Both are sorted.
    pub(super) fn replace(&mut self, service: &Name, before: &[SocketAddr], after: &[SocketAddr]) {
        let missing = |from: &[SocketAddr], address| from.binary_search(address).is_err();
        for address in before.iter().filter(|address| missing(after, address)) {
            self.0.remove(&(*address, Some(service.clone())));
        }
        for address in after.iter().filter(|address| missing(before, address)) {
            self.0.insert((*address, Some(service.clone())));
        }
    }

    /// Services with an endpoint that is served by this node itself if the place is.
    pub(super) fn at(&self, frontend: &Frontend, facts: &Facts) -> Vec<&Name> {
        let port = frontend.port;
        match frontend.address {
            VirtualAddress::Ip(ip) => self.between(ip, port, ip, port).collect(),
            VirtualAddress::EveryNodeAddress(family) => {
                let (first, last) = loopback(family);
                let local = facts
                    .local_addresses
                    .iter()
                    .filter(|ip| AddressFamily::of(**ip) == family)
                    .flat_map(|ip| self.between(*ip, port, *ip, port));
                self.between(first, 0, last, u16::MAX)
                    .chain(local)
                    .collect()
            }
        }
    }

    /// Services with an endpoint at the address.
    pub(super) fn with(&self, ip: IpAddr) -> impl Iterator<Item = &Name> {
        self.between(ip, 0, ip, u16::MAX)
    }

    fn between(
        &self,
        from: IpAddr,
        from_port: u16,
        to: IpAddr,
        to_port: u16,
    ) -> impl Iterator<Item = &Name> {
        let to = SocketAddr::new(to, to_port);
        self.0
            .range((SocketAddr::new(from, from_port), None)..)
            .take_while(move |(address, _)| *address <= to)
            .filter_map(|(_, service)| service.as_ref())
    }
}

/// The first and the last address of the range that never leaves a host.
const fn loopback(family: AddressFamily) -> (IpAddr, IpAddr) {
    match family {
        AddressFamily::Ipv4 => (
            IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255)),
        ),
        AddressFamily::Ipv6 => (
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ),
    }
}
