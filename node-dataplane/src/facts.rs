//! What a node knows of itself: its name and its addresses. Zone and Pod addresses come with the snapshot.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use meshlite_snapshot::{AddressFamily, Node, NodeAddressKind};
use nix::ifaddrs;

use crate::{DetectLocal, Scheduler, table::VirtualAddress};

/// Addresses that never leave a host.
pub(crate) const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

/// The interface that has virtual addresses, which are none of this host's own.
const VIPS: &str = "kube-ipvs0";

/// This node, as far as the table depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The name of its Node object.
    pub(crate) node_name: String,
    /// The addresses of its interfaces.
    pub(crate) local_addresses: BTreeSet<IpAddr>,
    /// Node ports are served on local addresses within these ranges; empty for all.
    pub(crate) node_port_ranges: Vec<IpNet>,
    /// Those ranges are the addresses that the Node object says; all addresses until it is known.
    pub(crate) node_port_primary: bool,
    /// Node ports are served on loopback addresses too: not where a kernel forwards, which drops what comes from one.
    pub(crate) loopback_node_ports: bool,
    /// Cluster IPs masquerade every client.
    pub(crate) masquerade_all: bool,
    /// What counts as a Pod.
    pub(crate) detect_local: DetectLocal,
    /// The scheduler of Services that ask for none.
    pub(crate) scheduler: Scheduler,
}

impl Facts {
    /// Where node ports are served.
    pub(crate) fn node_port_addresses(
        &self,
        family: AddressFamily,
        can_wildcard: bool,
    ) -> Vec<VirtualAddress> {
        let ranges = &self.node_port_ranges;
        if ranges.is_empty() && can_wildcard {
            return vec![VirtualAddress::EveryNodeAddress(family)];
        }
        // All of 127.0.0.0/8 is local on Linux, though one address of it is on an interface.
        let loopback = ranges
            .iter()
            .filter(|range| range.prefix_len() == range.max_prefix_len())
            .map(IpNet::addr)
            .filter(IpAddr::is_loopback);
        let local = self
            .local_addresses
            .iter()
            .copied()
            .filter(|ip| ranges.is_empty() || ranges.iter().any(|range| range.contains(ip)));
        let all: BTreeSet<IpAddr> = local.chain(loopback).collect();
        all.into_iter()
            .filter(|ip| AddressFamily::of(*ip) == family && !is_link_local(*ip))
            .map(VirtualAddress::Ip)
            .collect()
    }
}

/// The address of each family that a node is known by: an internal one if it has any.
pub(crate) fn primary_addresses(node: &Node) -> Vec<IpNet> {
    let primary = |family| {
        let addresses = node
            .addresses
            .iter()
            .map(|known| (known.kind, known.address));
        let mut of_family = addresses.filter(|(_, ip)| AddressFamily::of(*ip) == family);
        let first = of_family.clone().next();
        let internal = of_family.find(|(kind, _)| *kind == NodeAddressKind::InternalIP);
        internal.or(first).map(|(_, ip)| IpNet::from(ip))
    };
    let families = [AddressFamily::Ipv4, AddressFamily::Ipv6];
    families.into_iter().filter_map(primary).collect()
}

/// A link-local IPv6 address means nothing without its interface.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// The host's name, as the kernel has it.
pub(crate) fn host_name() -> io::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(name.trim().to_lowercase())
}

/// Families of the addresses by which this host can be reached; IPv4 where there are none.
pub(crate) fn families() -> Vec<AddressFamily> {
    let addresses = local_addresses().unwrap_or_default();
    let reachable = addresses
        .into_iter()
        .filter(|ip| !ip.is_loopback() && !is_link_local(*ip));
    let families: BTreeSet<_> = reachable.map(AddressFamily::of).collect();
    if families.is_empty() {
        return vec![AddressFamily::Ipv4];
    }
    families.into_iter().collect()
}

/// The addresses of this host's interfaces, but for virtual ones.
pub(crate) fn local_addresses() -> io::Result<BTreeSet<IpAddr>> {
    let interfaces = ifaddrs::getifaddrs()?;
    let address = |interface: ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    let own = interfaces.filter(|interface| interface.interface_name != VIPS);
    Ok(own.filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use meshlite_snapshot::NodeAddress;

    use super::*;

    fn mk_facts(local: &[&str], ranges: &[&str]) -> Facts {
        Facts {
            node_name: "n1".into(),
            local_addresses: local.iter().map(|ip| ip.parse().unwrap()).collect(),
            node_port_ranges: ranges.iter().map(|net| net.parse().unwrap()).collect(),
            ..Facts::default()
        }
    }

    fn ips(facts: &Facts, family: AddressFamily) -> Vec<String> {
        let addresses = facts.node_port_addresses(family, true);
        addresses.iter().map(|a| a.ip().to_string()).collect()
    }

    #[test]
    fn without_ranges_node_ports_are_on_every_address() {
        let facts = mk_facts(&["10.0.0.1", "fe80::1", "fd00::1"], &[]);
        let v6 = AddressFamily::Ipv6;
        assert_eq!(ips(&facts, v6), ["::"]);
        let each = facts.node_port_addresses(v6, false);
        assert_eq!(each, [VirtualAddress::Ip("fd00::1".parse().unwrap())]);
    }

    #[test]
    fn with_ranges_node_ports_are_on_local_addresses_within_them() {
        let facts = mk_facts(
            &["127.0.0.1", "10.0.0.1", "192.168.0.1"],
            &["10.0.0.0/8", "172.16.0.0/12"],
        );
        assert_eq!(ips(&facts, AddressFamily::Ipv4), ["10.0.0.1"]);
        assert!(ips(&facts, AddressFamily::Ipv6).is_empty());
    }

    #[test]
    fn any_single_loopback_address_is_local() {
        let facts = mk_facts(&["127.0.0.1"], &["127.0.0.9/32", "192.0.2.1/32"]);
        assert_eq!(ips(&facts, AddressFamily::Ipv4), ["127.0.0.9"]);
    }

    #[test]
    fn a_node_is_known_by_one_address_of_each_family_an_internal_one_first() {
        let known = |kind, address: &str| NodeAddress {
            kind,
            address: address.parse().unwrap(),
        };
        let node = Node {
            name: "n1".into(),
            zone: None,
            addresses: vec![
                known(NodeAddressKind::ExternalIP, "203.0.113.1"),
                known(NodeAddressKind::InternalIP, "10.0.0.1"),
                known(NodeAddressKind::InternalIP, "10.0.0.2"),
                known(NodeAddressKind::ExternalIP, "2001:db8::1"),
            ],
            pod_cidrs: vec![],
            leaving: false,
        };
        let found: Vec<_> = primary_addresses(&node)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, ["10.0.0.1/32", "2001:db8::1/128"]);
    }

    #[test]
    fn this_host_has_a_name_and_a_loopback_address() {
        assert!(!host_name().unwrap().is_empty());
        let addresses = local_addresses().unwrap();
        assert!(
            addresses.contains(&IpAddr::from([127, 0, 0, 1])),
            "{addresses:?}"
        );
    }
}
