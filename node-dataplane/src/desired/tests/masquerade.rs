//! Who reaches which endpoints from where, and with whose source address: kube-proxy's matrix of internal and external
//! traffic, decided alike.

use std::net::SocketAddr;

use meshlite_snapshot::{LoadBalancerAddress, LoadBalancerIpMode, TrafficPolicy};

use super::*;
use crate::{
    DetectLocal,
    table::{LocalDetector, Masquerade},
};

const NODE: &str = "192.168.0.1";
const POD: &str = "10.244.1.9";
const OUTSIDE: &str = "203.0.113.77";

/// What one Service of the matrix asks for, and where it is.
struct Case {
    name: &'static str,
    internal: TrafficPolicy,
    external: TrafficPolicy,
    cluster_ip: &'static str,
    node_port: u16,
    load_balancer: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        name: "cluster",
        internal: TrafficPolicy::Cluster,
        external: TrafficPolicy::Cluster,
        cluster_ip: "10.96.0.1",
        node_port: 3001,
        load_balancer: "198.51.100.1",
    },
    Case {
        name: "ext-local",
        internal: TrafficPolicy::Cluster,
        external: TrafficPolicy::Local,
        cluster_ip: "10.96.0.2",
        node_port: 3002,
        load_balancer: "198.51.100.2",
    },
    Case {
        name: "int-local",
        internal: TrafficPolicy::Local,
        external: TrafficPolicy::Cluster,
        cluster_ip: "10.96.0.3",
        node_port: 3003,
        load_balancer: "198.51.100.3",
    },
];

/// Which endpoints a client reaches, and whether its source address is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Endpoints on any node see who it is.
    AllSeen,
    AllMasked,
    /// Only endpoints on this node.
    HereSeen,
    HereMasked,
}

use Outcome::{AllMasked, AllSeen, HereMasked, HereSeen};

/// From a Pod, from this node, from outside: what each pair of Service and kind of address gives.
type Matrix = [(&'static str, &'static str, [Outcome; 3]); 9];

const WITH_DETECTOR: Matrix = [
    ("cluster", "ClusterIP", [AllSeen, AllMasked, AllMasked]),
    ("cluster", "NodePort", [AllMasked, AllMasked, AllMasked]),
    ("cluster", "LoadBalancer", [AllMasked, AllMasked, AllMasked]),
    ("ext-local", "ClusterIP", [AllSeen, AllMasked, AllMasked]),
    ("ext-local", "NodePort", [AllSeen, AllMasked, HereSeen]),
    ("ext-local", "LoadBalancer", [AllSeen, AllMasked, HereSeen]),
    ("int-local", "ClusterIP", [HereSeen, HereMasked, HereMasked]),
    ("int-local", "NodePort", [AllMasked, AllMasked, AllMasked]),
    (
        "int-local",
        "LoadBalancer",
        [AllMasked, AllMasked, AllMasked],
    ),
];

/// Nobody knows who is a Pod: then a Pod is a client from outside, and cluster IPs spare everybody.
const WITHOUT_DETECTOR: Matrix = [
    ("cluster", "ClusterIP", [AllSeen, AllSeen, AllSeen]),
    ("cluster", "NodePort", [AllMasked, AllMasked, AllMasked]),
    ("cluster", "LoadBalancer", [AllMasked, AllMasked, AllMasked]),
    ("ext-local", "ClusterIP", [AllSeen, AllSeen, AllSeen]),
    ("ext-local", "NodePort", [HereSeen, AllMasked, HereSeen]),
    ("ext-local", "LoadBalancer", [HereSeen, AllMasked, HereSeen]),
    ("int-local", "ClusterIP", [HereSeen, HereSeen, HereSeen]),
    ("int-local", "NodePort", [AllMasked, AllMasked, AllMasked]),
    (
        "int-local",
        "LoadBalancer",
        [AllMasked, AllMasked, AllMasked],
    ),
];

/// Masquerading all is about cluster IPs: everything else is as it was.
fn masquerading_all(matrix: &Matrix) -> Matrix {
    let mut matrix = *matrix;
    let cluster_ips = matrix
        .iter_mut()
        .filter(|(_, kind, _)| *kind == "ClusterIP");
    for outcome in cluster_ips.flat_map(|(_, _, outcomes)| outcomes) {
        *outcome = match outcome {
            AllSeen | AllMasked => AllMasked,
            HereSeen | HereMasked => HereMasked,
        };
    }
    matrix
}

fn table(detect_local: DetectLocal, masquerade_all: bool) -> Table {
    let services = CASES.map(|case| {
        let mut service = mk_service(case.name, case.cluster_ip);
        service.internal_traffic_policy = case.internal;
        service.external_traffic_policy = case.external;
        service.ports[0].node_port = Some(case.node_port);
        service.load_balancer = vec![LoadBalancerAddress {
            ip: ip(case.load_balancer),
            ip_mode: LoadBalancerIpMode::Vip,
        }];
        service
    });
    let groups = CASES.map(|case| mk_group(case.name, &TWO));
    let facts = Facts {
        masquerade_all,
        detect_local,
        ..mk_facts()
    };
    let snapshot = mk_snapshot(services.into(), groups.into());
    desired_within(&snapshot, &facts, &everything()).table
}

/// What a kernel that does as the table says does with a new connection.
fn connect(table: &Table, from: IpAddr, interface: &str, to: SocketAddr) -> Outcome {
    let is_pod = match &table.pods {
        LocalDetector::None => false,
        LocalDetector::Cidrs(networks) => networks.iter().any(|network| network.contains(&from)),
        LocalDetector::Interface(name) => interface == &**name,
        LocalDetector::InterfacePrefix(prefix) => interface.starts_with(&**prefix),
    };
    let is_inside = is_pod || table.inside.iter().any(|network| network.contains(&from));
    let everyone = key(&format!("TCP {to}"));
    let inside = Key::inside(everyone.frontend);
    let servers = &table.virtual_servers;
    let server = servers
        .get(&inside)
        .filter(|_| is_inside)
        .unwrap_or_else(|| &servers[&everyone]);
    let is_masked = match server.settings.masquerade {
        Masquerade::Never => false,
        Masquerade::NotPods => table.pods != LocalDetector::None && !is_pod,
        Masquerade::Always => true,
    };
    let addresses: Vec<_> = server.real_servers.addresses().map(|it| it.ip()).collect();
    let all = TWO.map(|(address, _)| ip(address));
    match (addresses == all, addresses == all[..1], is_masked) {
        (true, _, false) => AllSeen,
        (true, _, true) => AllMasked,
        (_, true, false) => HereSeen,
        (_, true, true) => HereMasked,
        _ => panic!("{to} has {addresses:?}"),
    }
}

fn check(detector: &DetectLocal, masquerade_all: bool, matrix: &Matrix) {
    let table = table(detector.clone(), masquerade_all);
    let clients = [(POD, "veth7"), (NODE, "lo"), (OUTSIDE, "eth0")];
    for &(service, kind, outcomes) in matrix {
        let case = CASES.iter().find(|case| case.name == service).unwrap();
        let to = match kind {
            "ClusterIP" => SocketAddr::new(ip(case.cluster_ip), 80),
            "NodePort" => SocketAddr::new(ip(NODE), case.node_port),
            _ => SocketAddr::new(ip(case.load_balancer), 80),
        };
        for ((from, interface), expected) in clients.into_iter().zip(outcomes) {
            let outcome = connect(&table, ip(from), interface, to);
            let what = format!("{detector:?}, masqueradeAll {masquerade_all}");
            assert_eq!(outcome, expected, "{what}: {from} to {kind} of {service}");
        }
    }
}

fn detectors() -> [DetectLocal; 3] {
    [
        DetectLocal::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]),
        DetectLocal::Bridge("veth7".into()),
        DetectLocal::InterfacePrefix("veth".into()),
    ]
}

#[test]
fn clients_reach_the_endpoints_and_keep_the_addresses_that_kube_proxy_gives_them() {
    for detector in detectors() {
        check(&detector, false, &WITH_DETECTOR);
    }
}

#[test]
fn without_a_detector_pods_are_outside_clients_as_with_kube_proxy() {
    check(&DetectLocal::Snapshot, false, &WITHOUT_DETECTOR);
}

#[test]
fn masquerading_all_hides_pods_from_endpoints_at_cluster_ips_only() {
    for detector in detectors() {
        check(&detector, true, &masquerading_all(&WITH_DETECTOR));
    }
    let expected = masquerading_all(&WITHOUT_DETECTOR);
    check(&DetectLocal::Snapshot, true, &expected);
}

#[test]
fn endpoints_on_this_node_are_marked_so_that_one_can_be_its_own_client() {
    let table = table(DetectLocal::Snapshot, false);
    for (key, server) in &table.virtual_servers {
        for (address, real) in &server.real_servers {
            let is_here = address.ip() == ip(TWO[0].0);
            assert_eq!(real.is_local, is_here, "{key} -> {address}");
        }
    }
}

#[test]
fn clients_inside_have_a_virtual_server_of_their_own_where_nobody_else_is_masqueraded_and_nowhere_else()
 {
    for (detector, all) in detectors()
        .map(|it| (it, true))
        .into_iter()
        .chain([(DetectLocal::Snapshot, false)])
    {
        let table = table(detector, all);
        let servers = &table.virtual_servers;
        for (key, server) in servers
            .iter()
            .filter(|(key, _)| **key == Key::everyone(key.frontend))
        {
            let is_never = server.settings.masquerade == Masquerade::Never;
            let has_inside = servers.contains_key(&Key::inside(key.frontend));
            assert_eq!(is_never, has_inside, "{key}");
        }
        let of_everyone = |key: &&Key| servers.contains_key(&Key::everyone(key.frontend));
        assert!(servers.keys().all(|key| of_everyone(&key)));
    }
}
