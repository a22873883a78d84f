//! kube-proxy's cases of `CategorizeEndpoints`, in our words.

use meshlite_snapshot::{EndpointPort, Protocol, TargetPort};

use super::*;

const HERE: Place<'_> = Place {
    node: "n1",
    zone: Some("za"),
};

/// An endpoint at 10.244.0.`n`, ready, on node `node`.
fn endpoint(n: u8, node: &str) -> Endpoint {
    Endpoint {
        address: [10, 244, 0, n].into(),
        ready: true,
        serving: true,
        terminating: false,
        node: Some(node.into()),
        zone: None,
        hostname: None,
        target: None,
        hint_zones: vec![],
        hint_nodes: vec![],
    }
}

fn terminating(endpoint: Endpoint) -> Endpoint {
    Endpoint {
        ready: false,
        terminating: true,
        ..endpoint
    }
}

fn hinted(endpoint: Endpoint, zones: &[&str], nodes: &[&str]) -> Endpoint {
    let all = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    Endpoint {
        hint_zones: all(zones),
        hint_nodes: all(nodes),
        ..endpoint
    }
}

fn run(endpoints: &[Endpoint]) -> Categorized {
    let candidates: Vec<_> = endpoints
        .iter()
        .map(|endpoint| (SocketAddr::new(endpoint.address, 80), endpoint))
        .collect();
    categorize(&candidates, HERE)
}

fn last_bytes(addresses: &[SocketAddr]) -> Vec<u8> {
    let last = |address: &SocketAddr| match address {
        SocketAddr::V4(v4) => v4.ip().octets()[3],
        SocketAddr::V6(v6) => v6.ip().octets()[15],
    };
    addresses.iter().map(last).collect()
}

#[track_caller]
fn assert_chosen(endpoints: &[Endpoint], cluster: &[u8], local: &[u8]) {
    let chosen = run(endpoints);
    assert_eq!(last_bytes(&chosen.cluster), cluster, "policy Cluster");
    assert_eq!(last_bytes(&chosen.local), local, "policy Local");
}

#[test]
fn ready_endpoints_are_used_and_the_local_ones_of_them_by_policy_local() {
    assert_chosen(&[endpoint(1, "n1"), endpoint(2, "n2")], &[1, 2], &[1]);
}

#[test]
fn terminating_endpoints_are_used_only_where_none_is_ready() {
    let mixed = [terminating(endpoint(1, "n1")), endpoint(2, "n2")];
    assert_chosen(&mixed, &[2], &[1]);
    let last = [
        terminating(endpoint(1, "n1")),
        terminating(endpoint(2, "n2")),
    ];
    assert_chosen(&last, &[1, 2], &[1]);
    assert!(run(&last).has_any);
}

#[test]
fn an_endpoint_that_neither_is_ready_nor_serves_is_never_used() {
    let dead = Endpoint {
        serving: false,
        ..terminating(endpoint(1, "n1"))
    };
    let starting = Endpoint {
        ready: false,
        serving: false,
        ..endpoint(2, "n1")
    };
    let unready = Endpoint {
        ready: false,
        ..endpoint(3, "n1")
    };
    let all = [dead, starting, unready];
    assert_chosen(&all, &[], &[]);
    assert!(!run(&all).has_any);
}

#[test]
fn endpoints_elsewhere_count_for_drop_instead_of_reject() {
    let chosen = run(&[endpoint(1, "n2")]);
    assert!(chosen.local.is_empty() && chosen.has_any);
    assert!(!run(&[]).has_any);
}

#[test]
fn health_checks_count_ready_local_endpoints_only() {
    let chosen = run(&[terminating(endpoint(1, "n1")), endpoint(2, "n2")]);
    assert_eq!(last_bytes(&chosen.local), [1], "still served");
    assert!(chosen.local_ready.is_empty());
}

#[test]
fn zone_hints_on_every_endpoint_narrow_policy_cluster_only() {
    let zoned = [
        hinted(endpoint(1, "n1"), &["zb"], &[]),
        hinted(endpoint(2, "n2"), &["za"], &[]),
        hinted(endpoint(3, "n3"), &["zb", "za"], &[]),
    ];
    assert_chosen(&zoned, &[2, 3], &[1]);
}

#[test]
fn hints_are_ignored_when_one_ready_endpoint_has_none() {
    let mut endpoints = vec![hinted(endpoint(1, "n1"), &["za"], &[]), endpoint(2, "n2")];
    assert_chosen(&endpoints, &[1, 2], &[1]);
    endpoints[1] = terminating(endpoints[1].clone());
    assert_chosen(&endpoints, &[1], &[1]);
}

#[test]
fn hints_are_ignored_when_none_is_for_this_zone_or_the_zone_is_unknown() {
    let elsewhere = [hinted(endpoint(1, "n1"), &["zb"], &[])];
    assert_chosen(&elsewhere, &[1], &[1]);
    let two = [
        hinted(endpoint(1, "n1"), &["za"], &[]),
        hinted(endpoint(2, "n1"), &["zb"], &[]),
    ];
    let candidates: Vec<_> = two
        .iter()
        .map(|e| (SocketAddr::new(e.address, 80), e))
        .collect();
    let nowhere = Place { zone: None, ..HERE };
    assert_eq!(
        last_bytes(&categorize(&candidates, nowhere).cluster),
        [1, 2]
    );
}

#[test]
fn node_hints_come_before_zone_hints() {
    let both = [
        hinted(endpoint(1, "n2"), &["za"], &["n1"]),
        hinted(endpoint(2, "n3"), &["za"], &["n3"]),
    ];
    assert_chosen(&both, &[1], &[]);
    let not_for_this_node = [
        hinted(endpoint(1, "n2"), &["za"], &["n2"]),
        hinted(endpoint(2, "n3"), &["zb"], &["n3"]),
    ];
    assert_chosen(&not_for_this_node, &[1], &[]);
}

fn group(slice: &str, ports: &[(&str, u16)], endpoints: &[Endpoint]) -> Arc<EndpointGroup> {
    Arc::new(EndpointGroup {
        namespace: "default".into(),
        service: "web".into(),
        slice: slice.into(),
        address_family: AddressFamily::Ipv4,
        ports: ports
            .iter()
            .map(|(name, port)| EndpointPort {
                name: (*name).into(),
                protocol: Protocol::Tcp,
                port: Some(*port),
                app_protocol: None,
            })
            .collect(),
        endpoints: endpoints.to_vec(),
    })
}

fn port(name: &str) -> ServicePort {
    ServicePort {
        name: name.into(),
        protocol: Protocol::Tcp,
        port: 80,
        target_port: TargetPort::Name(name.into()),
        node_port: None,
        app_protocol: None,
    }
}

#[test]
fn each_slice_has_its_own_number_for_a_named_port() {
    let groups = [
        group("a", &[("http", 8080), ("admin", 1)], &[endpoint(1, "n1")]),
        group(
            "b",
            &[("http", 9090)],
            &[endpoint(1, "n1"), endpoint(2, "n1")],
        ),
    ];
    let found = candidates(&groups, &port("http"), AddressFamily::Ipv4, "n1");
    let addresses: Vec<_> = found.iter().map(|(a, _)| a.to_string()).collect();
    assert_eq!(
        addresses,
        ["10.244.0.1:8080", "10.244.0.1:9090", "10.244.0.2:9090"]
    );
    assert!(candidates(&groups, &port("http"), AddressFamily::Ipv6, "n1").is_empty());
}

#[test]
fn an_endpoint_in_two_slices_counts_once_by_its_better_copy() {
    let groups = [
        group("a", &[("http", 80)], &[terminating(endpoint(1, "n1"))]),
        group("b", &[("http", 80)], &[endpoint(1, "n1")]),
    ];
    for groups in [&groups, &[Arc::clone(&groups[1]), Arc::clone(&groups[0])]] {
        let found = candidates(groups, &port("http"), AddressFamily::Ipv4, "n1");
        assert_eq!(found.len(), 1);
        assert!(found[0].1.ready);
    }
}
