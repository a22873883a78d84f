//! What a snapshot asks of one node.

mod incremental;
mod masquerade;

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use meshlite_snapshot::{
    EndpointWeight, LoadBalancerAddress, LoadBalancerIpMode, Name, Node, NodeAddress,
    NodeAddressKind, Protocol, Resource, Service, TrafficPolicy, Weights,
};

use super::*;
use crate::{
    kernel::print,
    table::{Scheduler, WhenEmpty},
    testing::{ip, key, mk_group, mk_service, mk_snapshot},
};

fn everything() -> Capabilities {
    Capabilities {
        name: "test",
        protocols: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
        schedulers: Scheduler::ALL.into(),
        every_node_address: vec![Protocol::Tcp],
        is_atomic: false,
        needs_drains: true,
    }
}

fn mk_facts() -> Facts {
    Facts {
        node_name: "n1".into(),
        local_addresses: [ip("127.0.0.1"), ip("192.168.0.1")].into(),
        node_port_ranges: vec!["192.168.0.0/16".parse().unwrap()],
        loopback_node_ports: true,
        ..Facts::default()
    }
}

fn desired(snapshot: &Snapshot) -> Desired {
    desired_within(snapshot, &mk_facts(), &everything())
}

fn desired_within(snapshot: &Snapshot, facts: &Facts, capabilities: &Capabilities) -> Desired {
    Desired::new(Sources {
        snapshot,
        facts,
        capabilities,
        dead: &BTreeSet::new(),
    })
}

/// The table without its heading.
fn printed(desired: &Desired) -> Vec<String> {
    let text = print::table(&desired.table);
    let lines = text.lines().skip(3);
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn reasons(desired: &Desired) -> Vec<(&str, &str)> {
    let findings = desired.findings();
    findings
        .map(|f| (f.object.name.as_str(), f.reason.as_ref()))
        .collect()
}

const TWO: [(&str, &str); 2] = [("10.244.1.1", "n1"), ("10.244.2.1", "n2")];

#[test]
fn every_address_of_a_service_is_a_virtual_server() {
    let mut service = mk_service("web", "10.96.0.1");
    service.external_ips = vec![ip("198.51.100.1")];
    service.ports[0].node_port = Some(30_080);
    let lb = |address, ip_mode| LoadBalancerAddress {
        ip: ip(address),
        ip_mode,
    };
    service.load_balancer = vec![
        lb("203.0.113.1", LoadBalancerIpMode::Vip),
        lb("203.0.113.2", LoadBalancerIpMode::Proxy),
    ];
    service.load_balancer_source_ranges = vec!["10.0.0.0/8".parse().unwrap()];
    let desired = desired(&mk_snapshot(
        vec![service],
        vec![mk_group("web", &TWO[..1])],
    ));
    let real = "-> 10.244.1.1:8080 Masq 1 0 0";
    assert_eq!(
        printed(&desired),
        [
            "TCP 10.96.0.1:80 rr",
            real,
            "TCP 192.168.0.1:30080 rr",
            real,
            "TCP 198.51.100.1:80 rr",
            real,
            "TCP 203.0.113.1:80 rr",
            real,
        ]
    );
    for (key, server) in &desired.table.virtual_servers {
        let is_lb = key.frontend.address.ip() == ip("203.0.113.1");
        assert_eq!(!server.settings.source_ranges.is_empty(), is_lb, "{key}");
    }
    assert_eq!(reasons(&desired), []);
}

#[test]
fn a_node_that_may_connect_may_do_so_from_the_very_address_that_it_connects_to() {
    let mut service = mk_service("web", "10.96.0.1");
    service.load_balancer = vec![LoadBalancerAddress {
        ip: ip("203.0.113.1"),
        ip_mode: LoadBalancerIpMode::Vip,
    }];
    // The node has an address towards its Pods too, which says nothing of the node.
    for (range, ranges) in [
        ("192.168.0.0/16", vec!["192.168.0.0/16", "203.0.113.1/32"]),
        ("10.244.0.0/16", vec!["10.244.0.0/16"]),
    ] {
        service.load_balancer_source_ranges = vec![range.parse().unwrap()];
        let mut snapshot = mk_snapshot(vec![service.clone()], vec![mk_group("web", &TWO)]);
        let node = Node {
            name: "n1".into(),
            zone: None,
            addresses: vec![NodeAddress {
                kind: NodeAddressKind::InternalIP,
                address: ip("192.168.0.1"),
            }],
            pod_cidrs: vec![],
            leaving: false,
        };
        snapshot.insert(Name::new("n1").unwrap(), Resource::Node(Arc::new(node)));
        let desired = desired(&snapshot);
        let settings = &desired.table.virtual_servers[&key("TCP 203.0.113.1:80")].settings;
        let ranges: BTreeSet<IpNet> = ranges.iter().map(|range| range.parse().unwrap()).collect();
        assert_eq!(*settings.source_ranges, ranges);
    }
}

#[test]
fn services_that_another_proxy_serves_are_left_out() {
    let mut service = mk_service("web", "10.96.0.1");
    service.l4 = false;
    let desired = desired(&mk_snapshot(vec![service], vec![]));
    assert_eq!(desired.table.virtual_servers.len(), 0);
}

#[test]
fn affinity_and_scheduler_come_from_the_service() {
    let mut service = mk_service("web", "10.96.0.1");
    service.session_affinity_seconds = Some(10_800);
    service.ipvs_scheduler = Some("lc".into());
    let found = desired(&mk_snapshot(vec![service.clone()], vec![]));
    assert_eq!(printed(&found), ["TCP 10.96.0.1:80 lc persistent 10800"]);
    service.ipvs_scheduler = Some("fastest".into());
    let found = desired(&mk_snapshot(vec![service], vec![]));
    assert_eq!(printed(&found), ["TCP 10.96.0.1:80 rr persistent 10800"]);
    assert_eq!(reasons(&found), [("web", "UnknownScheduler")]);
}

#[test]
fn outside_clients_of_policy_local_get_local_endpoints_and_inside_ones_get_all() {
    let mut service = mk_service("web", "10.96.0.1");
    service.external_traffic_policy = TrafficPolicy::Local;
    service.external_ips = vec![ip("198.51.100.1")];
    service.health_check_node_port = Some(32_000);
    let desired = desired(&mk_snapshot(vec![service], vec![mk_group("web", &TWO)]));
    let (here, there) = (
        "-> 10.244.1.1:8080 Masq 1 0 0",
        "-> 10.244.2.1:8080 Masq 1 0 0",
    );
    assert_eq!(
        printed(&desired),
        [
            "TCP 10.96.0.1:80 rr",
            here,
            there,
            "TCP 198.51.100.1:80 rr",
            here,
            "TCP 198.51.100.1:80 rr inside",
            here,
            there,
        ]
    );
    let check = &desired.health_checks()[&32_000];
    assert_eq!((check.name.as_str(), check.local_endpoints), ("web", 1));
}

#[test]
fn without_local_endpoints_policy_local_drops_and_without_any_it_rejects() {
    let mut service = mk_service("web", "10.96.0.1");
    service.internal_traffic_policy = TrafficPolicy::Local;
    let server = |desired: &Desired| {
        let server = &desired.table.virtual_servers[&key("TCP 10.96.0.1:80")];
        assert!(server.real_servers.is_empty());
        server.settings.when_empty
    };
    let elsewhere = desired(&mk_snapshot(
        vec![service.clone()],
        vec![mk_group("web", &TWO[1..])],
    ));
    assert_eq!(server(&elsewhere), WhenEmpty::Drop);
    assert_eq!(elsewhere.no_local_endpoints.ipv4.internal, 1);
    let nowhere = desired(&mk_snapshot(vec![service], vec![]));
    assert_eq!(server(&nowhere), WhenEmpty::Reject);
    assert_eq!(nowhere.no_local_endpoints.ipv4.internal, 0);
}

#[test]
fn each_family_has_its_own_endpoints() {
    let mut service = mk_service("web", "10.96.0.1");
    service.cluster_ips.push(ip("fd00:96::1"));
    let mut v6 = mk_group("web", &[("fd00:244::1", "n1")]);
    v6.slice = "s2".into();
    let groups = vec![mk_group("web", &TWO[..1]), v6];
    let found = desired(&mk_snapshot(vec![service.clone()], groups));
    assert_eq!(
        printed(&found),
        [
            "TCP 10.96.0.1:80 rr",
            "-> 10.244.1.1:8080 Masq 1 0 0",
            "TCP [fd00:96::1]:80 rr",
            "-> [fd00:244::1]:8080 Masq 1 0 0",
        ]
    );
    service.cluster_ips.pop();
    service.external_ips = vec![ip("2001:db8::1")];
    let found = desired(&mk_snapshot(vec![service], vec![]));
    assert_eq!(reasons(&found), [("web", "FamilyNotServed")]);
}

#[test]
fn a_cluster_ip_cannot_be_taken_over_as_an_external_ip() {
    let mut thief = mk_service("a-thief", "10.96.0.2");
    thief.external_ips = vec![ip("10.96.0.1")];
    // Its inside table would catch Pods.
    thief.external_traffic_policy = TrafficPolicy::Local;
    let snapshot = mk_snapshot(
        vec![thief, mk_service("victim", "10.96.0.1")],
        vec![mk_group("a-thief", &TWO), mk_group("victim", &TWO[..1])],
    );
    let desired = desired(&snapshot);
    let at_victim: Vec<_> = desired
        .table
        .virtual_servers
        .iter()
        .filter(|(key, _)| key.frontend.address.ip() == ip("10.96.0.1"))
        .map(|(_, server)| &*server.origin.service_port.service)
        .collect();
    assert_eq!(at_victim, ["victim"]);
    assert_eq!(reasons(&desired), [("a-thief", "AddressConflict")]);
}

#[test]
fn two_services_at_one_external_ip_are_told_apart_by_name() {
    let with_ip = |name, cluster_ip| {
        let mut service = mk_service(name, cluster_ip);
        service.external_ips = vec![ip("198.51.100.1")];
        service
    };
    let services = vec![with_ip("b", "10.96.0.2"), with_ip("a", "10.96.0.1")];
    let desired = desired(&mk_snapshot(services, vec![]));
    let server = &desired.table.virtual_servers[&key("TCP 198.51.100.1:80")];
    assert_eq!(&*server.origin.service_port.service, "a");
    assert_eq!(reasons(&desired), [("b", "AddressConflict")]);
}

#[test]
fn one_address_named_twice_by_one_service_is_no_conflict() {
    let mut service = mk_service("web", "10.96.0.1");
    service.external_ips = vec![ip("203.0.113.1")];
    service.load_balancer = vec![LoadBalancerAddress {
        ip: ip("203.0.113.1"),
        ip_mode: LoadBalancerIpMode::Vip,
    }];
    let desired = desired(&mk_snapshot(vec![service], vec![]));
    assert_eq!(desired.table.virtual_servers.len(), 2);
    assert_eq!(reasons(&desired), []);
}

#[test]
fn what_the_kernel_lacks_is_a_finding_and_the_rest_is_served() {
    let mut service = mk_service("web", "10.96.0.1");
    service.ipvs_scheduler = Some("mh".into());
    let mut sctp = service.ports[0].clone();
    sctp.name = "sctp".into();
    sctp.protocol = Protocol::Sctp;
    service.ports.push(sctp);
    let lacking = Capabilities {
        name: "userspace",
        protocols: vec![Protocol::Tcp],
        schedulers: vec![Scheduler::Rr],
        ..everything()
    };
    let snapshot = mk_snapshot(vec![service], vec![]);
    assert_eq!(desired(&snapshot).table.virtual_servers.len(), 2);
    let desired = desired_within(&snapshot, &mk_facts(), &lacking);
    assert_eq!(printed(&desired), ["TCP 10.96.0.1:80 rr"]);
    assert_eq!(
        reasons(&desired),
        [
            ("web", "ProtocolNotSupported"),
            ("web", "SchedulerNotSupported"),
        ]
    );
}

/// A Service whose first endpoint of two has the weight 30.
fn weighted(service: Service) -> Snapshot {
    let mut snapshot = mk_snapshot(vec![service], vec![mk_group("web", &TWO)]);
    let weights = Weights {
        namespace: "default".into(),
        service: "web".into(),
        endpoints: vec![EndpointWeight {
            address: ip("10.244.1.1"),
            port: None,
            weight: 30,
        }],
    };
    let name = Name::namespaced("default", "web").unwrap();
    snapshot.insert(name, Resource::Weights(Arc::new(weights)));
    snapshot
}

#[test]
fn observed_weights_count_and_an_endpoint_they_do_not_list_has_100() {
    let snapshot = weighted(mk_service("web", "10.96.0.1"));
    let server = &desired(&snapshot).table.virtual_servers[&key("TCP 10.96.0.1:80")];
    let weights: Vec<_> = server.real_servers.weights().collect();
    assert_eq!(weights, [30, 100]);
}

#[test]
fn a_service_with_weights_gets_wrr_where_it_asks_for_nothing_and_the_kernel_has_it() {
    let mut service = mk_service("web", "10.96.0.1");
    let snapshot = weighted(service.clone());
    let scheduler = |snapshot: &Snapshot, facts: &Facts, capabilities: &Capabilities| {
        let found = desired_within(snapshot, facts, capabilities);
        let server = &found.table.virtual_servers[&key("TCP 10.96.0.1:80")];
        let reasons = found.findings().map(|f| f.reason.to_string()).collect();
        (server.settings.scheduler, reasons)
    };
    let (facts, all): (_, Vec<String>) = (mk_facts(), vec![]);
    let found = scheduler(&snapshot, &facts, &everything());
    assert_eq!(found, (Scheduler::Wrr, all.clone()));
    let mut kernel = everything();
    kernel.schedulers = vec![Scheduler::Rr];
    let found = scheduler(&snapshot, &facts, &kernel);
    assert_eq!(found, (Scheduler::Rr, vec!["WeightsIgnored".to_owned()]));
    let default = Facts {
        scheduler: Scheduler::Lc,
        ..mk_facts()
    };
    let found = scheduler(&snapshot, &default, &everything());
    assert_eq!(found, (Scheduler::Lc, all.clone()));
    service.ipvs_scheduler = Some("rr".into());
    let found = scheduler(&weighted(service), &facts, &everything());
    assert_eq!(found, (Scheduler::Rr, all));
}

#[test]
fn zone_pod_networks_and_leaving_come_from_the_node_objects() {
    let mut group = mk_group("web", &TWO);
    group.endpoints[0].hint_zones = vec!["zb".into()];
    group.endpoints[1].hint_zones = vec!["za".into()];
    let mut snapshot = mk_snapshot(vec![mk_service("web", "10.96.0.1")], vec![group]);
    let node = Node {
        name: "n1".into(),
        zone: Some("za".into()),
        addresses: vec![],
        pod_cidrs: vec!["10.244.1.0/24".parse().unwrap()],
        leaving: true,
    };
    snapshot.insert(Name::new("n1").unwrap(), Resource::Node(Arc::new(node)));
    let desired = desired(&snapshot);
    assert_eq!(
        printed(&desired),
        ["TCP 10.96.0.1:80 rr", "-> 10.244.2.1:8080 Masq 1 0 0"]
    );
    assert!(desired.node_leaving());
    let inside: Vec<_> = desired
        .table
        .inside
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        inside,
        ["10.244.1.0/24", "127.0.0.0/8", "192.168.0.1/32", "::1/128",]
    );
}

#[test]
fn an_endpoint_that_is_a_virtual_address_gets_no_traffic() {
    let mut looped = mk_service("looped", "10.96.0.1");
    looped.ports[0].node_port = Some(30_080);
    let mut group = mk_group(
        "looped",
        &[("10.96.0.2", "n1"), ("192.168.0.1", "n1"), TWO[0]],
    );
    group.ports[0].port = Some(30_080);
    let mut other = mk_service("other", "10.96.0.2");
    other.ports[0].port = 30_080;
    let desired = desired(&mk_snapshot(vec![looped, other], vec![group]));
    let real = "-> 10.244.1.1:30080 Masq 1 0 0";
    assert_eq!(
        printed(&desired),
        [
            "TCP 10.96.0.1:80 rr",
            real,
            "TCP 10.96.0.2:30080 rr",
            "TCP 192.168.0.1:30080 rr",
            real,
        ]
    );
    let reasons = reasons(&desired);
    assert!(
        reasons.contains(&("looped", "EndpointIsVirtualAddress")),
        "{reasons:?}"
    );
}
