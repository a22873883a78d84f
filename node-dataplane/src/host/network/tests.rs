//! Links, addresses and routes of the kernel, as this code and as `ip` see them.

use std::net::{Ipv4Addr, Ipv6Addr};

use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::host::testing::{in_namespace, ip, not_in_this_kernel};

fn addresses(range: std::ops::Range<u32>) -> Vec<IpAddr> {
    let v4 = |n| IpAddr::from(Ipv4Addr::from(0x0a60_0000 + n));
    let v6 = |n| {
        IpAddr::from(Ipv6Addr::from(
            0xfd00_0000_0000_0000_0000_0000_0000_0000 + u128::from(n),
        ))
    };
    range.flat_map(|n| [v4(n), v6(n)]).collect()
}

/// A link that takes addresses, in any kernel.
fn bridge(network: &mut Network) -> Link {
    ip("link add kube-ipvs0 type bridge");
    network.link("kube-ipvs0").unwrap().expect("it was made")
}

fn of_link(network: &mut Network, link: u32) -> BTreeSet<IpAddr> {
    let all = network.addresses().unwrap();
    all.into_iter()
        .filter(|address| address.link == link)
        .map(|address| address.address)
        .collect()
}

#[test]
fn links_are_found_by_name() {
    in_namespace(|| {
        let mut network = Network::connect().unwrap();
        let link = network.link("lo").unwrap().expect("the loopback");
        assert_eq!((link.index, link.is_up), (LOOPBACK, true));
        assert_eq!(network.link("kube-ipvs0").unwrap(), None);
        assert_eq!(network.link("a-name-that-is-too-long").unwrap(), None);
        let made = bridge(&mut network);
        assert!(!made.is_up);
        assert!(network.remove_link("kube-ipvs0").unwrap());
        assert!(!network.remove_link("kube-ipvs0").unwrap());
    });
}

#[test]
fn a_dummy_is_made_once_and_is_down() {
    in_namespace(|| {
        let mut network = Network::connect().unwrap();
        let made = match network.ensure_dummy("kube-ipvs0") {
            Err(HostError::NotSupported(_)) => {
                return not_in_this_kernel("no dummy links");
            }
            made => made.unwrap(),
        };
        assert_eq!(network.ensure_dummy("kube-ipvs0").unwrap(), made);
        assert!(!made.is_up);
        let shown = ip("-d link show kube-ipvs0");
        assert!(
            shown.contains("NOARP") && shown.contains("dummy"),
            "{shown}"
        );
        // Though it is down, its addresses are this node's.
        let wanted = addresses(1..3);
        assert!(
            network
                .add_addresses(made.index, &wanted)
                .unwrap()
                .is_empty()
        );
        for address in wanted {
            let route = ip(&format!("route get {address}"));
            assert!(route.contains("local"), "{route}");
        }
    });
}

#[test]
fn thousands_of_addresses_come_and_go_in_one_call_each() {
    in_namespace(|| {
        let mut network = Network::connect().unwrap();
        ip("addr add 192.0.2.1/24 dev lo");
        let link = bridge(&mut network);
        let many = addresses(1..1001);
        assert!(network.add_addresses(link.index, &many).unwrap().is_empty());
        assert_eq!(
            of_link(&mut network, link.index),
            many.iter().copied().collect()
        );
        // Again, with one more: there already is done.
        let more = addresses(1..1002);
        assert!(network.add_addresses(link.index, &more).unwrap().is_empty());
        assert!(
            network
                .remove_addresses(link.index, &many)
                .unwrap()
                .is_empty()
        );
        assert!(
            network
                .remove_addresses(link.index, &many)
                .unwrap()
                .is_empty()
        );
        let left = addresses(1001..1002).into_iter().collect();
        assert_eq!(of_link(&mut network, link.index), left);
        let foreign = LinkAddress {
            link: LOOPBACK,
            address: [192, 0, 2, 1].into(),
            prefix: 24,
        };
        assert!(network.addresses().unwrap().contains(&foreign));
    });
}

#[test]
fn addresses_that_cannot_be_given_are_named_and_the_others_are_given() {
    in_namespace(|| {
        let mut network = Network::connect().unwrap();
        let link = bridge(&mut network);
        let mut wanted = addresses(1..3);
        // Nobody has an address that is a group's.
        wanted.insert(1, "ff02::1".parse().unwrap());
        let undone = network.add_addresses(link.index, &wanted).unwrap();
        assert!(
            matches!(undone[..], [Undone { index: 1, .. }]),
            "{undone:?}"
        );
        wanted.remove(1);
        let given = wanted.into_iter().collect();
        assert_eq!(of_link(&mut network, link.index), given);
        let nowhere = network.add_addresses(4711, &addresses(5..6)).unwrap();
        assert!(
            matches!(
                nowhere[..],
                [
                    Undone {
                        error: HostError::NoSuchLink(_),
                        ..
                    },
                    _
                ]
            ),
            "{nowhere:?}"
        );
    });
}

#[test]
fn where_there_is_no_routing_table_yet_there_are_no_routes_of_ours() {
    in_namespace(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let routes = Network::connect().unwrap().local_routes().unwrap();
        assert_eq!(routes, BTreeSet::new());
    });
}

#[test]
fn local_routes_make_addresses_this_nodes_and_others_routes_stay() {
    in_namespace(|| {
        let mut network = Network::connect().unwrap();
        ip("route add local 10.96.255.0/24 dev lo");
        ip("route add local 10.97.0.1 dev lo");
        ip("-6 route add local fd00:97::1 dev lo");
        let many = addresses(1..1001);
        let ours: BTreeSet<_> = many.iter().copied().collect();
        assert!(
            network
                .add_local_routes(LOOPBACK, &many)
                .unwrap()
                .is_empty()
        );
        assert_eq!(network.local_routes().unwrap(), ours);
        assert!(
            network
                .add_local_routes(LOOPBACK, &many)
                .unwrap()
                .is_empty()
        );
        assert_eq!(network.local_routes().unwrap(), ours);
        for address in [many[0], many[1]] {
            let route = ip(&format!("route get {address}"));
            assert!(route.contains("local"), "{route}");
        }
        // Another's route to an address that we are asked for: it serves, and is not ours to remove.
        let foreign = ["10.97.0.1", "fd00:97::1"].map(|a| a.parse().unwrap());
        network.add_local_routes(LOOPBACK, &foreign).unwrap();
        assert!(network.remove_local_routes(&foreign).unwrap().is_empty());
        assert!(network.remove_local_routes(&many).unwrap().is_empty());
        assert!(network.remove_local_routes(&many).unwrap().is_empty());
        assert!(network.local_routes().unwrap().is_empty());
        let left = ip("route show table local") + &ip("-6 route show table local");
        for survivor in ["10.96.255.0/24", "10.97.0.1", "fd00:97::1"] {
            assert!(left.contains(survivor), "{survivor} is not in\n{left}");
        }
    });
}

#[test]
fn a_local_route_is_there_beside_an_address_of_a_link_and_stays_when_that_goes() {
    in_namespace(|| {
        let mut network = Network::connect().unwrap();
        let ours: Vec<IpAddr> = ["10.98.0.1", "fd00:98::1"]
            .map(|a| a.parse().unwrap())
            .into();
        ip("link add proxy type bridge");
        ip("link set proxy up");
        ip("address add 10.98.0.1/32 dev proxy");
        ip("address add fd00:98::1/128 dev proxy nodad");
        assert!(
            network
                .add_local_routes(LOOPBACK, &ours)
                .unwrap()
                .is_empty()
        );
        assert_eq!(network.local_routes().unwrap().len(), ours.len());
        ip("link delete proxy");
        for address in &ours {
            let route = ip(&format!("route get {address}"));
            assert!(route.contains("local"), "{route}");
        }
    });
}
