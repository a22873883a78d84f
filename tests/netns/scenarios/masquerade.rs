//! Whom a server sees: every kind of client, address and policy, as kube-proxy's matrix of masquerading has it.

use std::net::SocketAddr;

use meshlite_tests::world::{Family, Host, Protocol};

use super::{
    Notes, Scenario,
    policies::{NODE_PORT, PORT, balanced},
};
use crate::{
    backend::{Backend, SERVICES},
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 3] = [
    Scenario::new(
        "servers_see_the_client_unless_it_must_be_masqueraded",
        by_default,
    )
    .except(PROCESS),
    Scenario::new(
        "with_masquerade_all_servers_see_no_client_of_a_cluster_ip",
        masquerade_all,
    )
    .except(PROCESS),
    Scenario::new(
        "without_a_range_of_pods_every_client_of_a_cluster_ip_is_seen",
        without_pod_networks,
    )
    .except(PROCESS),
];

const PROCESS: Notes = &[(
    Backend::Userspace,
    "servers see the process, which asks in the client's stead",
)];

/// What is different for whole nodes.
#[derive(Clone, Copy)]
struct Told {
    masquerade_all: bool,
    knows_pods: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Pod,
    Node,
    Outside,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    ClusterIp,
    /// A node port or a load balancer.
    Outer,
}

/// Whom the server sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Client,
    /// The node, by one of its addresses that lead back to it.
    Node,
}

fn by_default(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    matrix(
        &cluster,
        Told {
            masquerade_all: false,
            knows_pods: true,
        },
    );
}

fn masquerade_all(backend: Backend) {
    let cluster = Cluster::with_flags(backend, &[2, 1], &["--masquerade-all"]);
    matrix(
        &cluster,
        Told {
            masquerade_all: true,
            knows_pods: true,
        },
    );
}

fn without_pod_networks(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    cluster.forget_pod_networks();
    matrix(
        &cluster,
        Told {
            masquerade_all: false,
            knows_pods: false,
        },
    );
}

/// kube-proxy's.
fn oracle(told: Told, client: Client, at: At, is_local: bool) -> Seen {
    let masquerades = match at {
        At::ClusterIp if told.masquerade_all => true,
        At::ClusterIp => told.knows_pods && client != Client::Pod,
        At::Outer if !is_local => true,
        // Within the cluster the policy Local does not hold, so answers may have to come back through the node.
        At::Outer => told.knows_pods && client == Client::Node,
    };
    if masquerades || client == Client::Node {
        Seen::Node
    } else {
        Seen::Client
    }
}

fn matrix(cluster: &Cluster, told: Told) {
    for (family, range) in Family::BOTH.into_iter().zip(SERVICES) {
        let node = cluster.world.node(0).ip(family);
        let route = format!("route add {range} via {node}\n");
        cluster.world.router().ip_batch(&route).expect("a route");
    }
    let mut endpoints = vec![Endpoint::ready(0, 0)];
    // Where outside clients are not masqueraded, a pod of another node answers them past this one.
    endpoints.extend(told.knows_pods.then(|| Endpoint::ready(1, 0)));
    let service = balanced(cluster).to(&endpoints);
    for field in [
        None,
        Some("externalTrafficPolicy"),
        Some("internalTrafficPolicy"),
    ] {
        let is_external = field == Some("externalTrafficPolicy");
        let service = match field {
            Some(field) => service.clone().with(field, "Local"),
            None => service.clone(),
        };
        cluster.apply(&service);
        for family in Family::BOTH {
            row(cluster, told, &service, (family, is_external));
        }
    }
}

fn row(cluster: &Cluster, told: Told, service: &Service, (family, is_local): (Family, bool)) {
    let node = cluster.world.node(0);
    let clients = [
        (Client::Pod, cluster.world.pod(0, 1)),
        (Client::Node, node),
        (Client::Outside, cluster.world.client()),
    ];
    let addresses = [
        (At::ClusterIp, service.at(family, PORT)),
        (At::Outer, node.at(family, NODE_PORT)),
        (At::Outer, service.balanced_at(family, PORT)),
    ];
    for (client, host) in clients {
        for (at, to) in addresses {
            let wanted = oracle(told, client, at, is_local);
            let what = format!("{client:?} at {at:?} {to}, is seen as {wanted:?} by the server");
            // What was programmed for the policy before may still be there.
            cluster.eventually(&what, || sees(cluster, host, to, wanted));
        }
    }
}

/// Asks until both endpoints had their chance.
fn sees(cluster: &Cluster, client: &Host, to: SocketAddr, wanted: Seen) -> Result<(), String> {
    let family = Family::of(to);
    for _ in 0..4 {
        let answer = client.ask(Protocol::Tcp, to);
        let answer = answer.map_err(|error| error.to_string())?;
        let ip = answer.peer.ip();
        let seen = if ip == client.ip(family) && wanted == Seen::Client {
            Seen::Client
        } else if is_of_node(cluster, ip) {
            Seen::Node
        } else {
            return Err(format!("{ip} is seen by {}", answer.who));
        };
        if seen != wanted {
            return Err(format!("{ip} is seen by {}", answer.who));
        }
    }
    Ok(())
}

/// One of those that the first node has towards pods and other nodes; no Service's.
fn is_of_node(cluster: &Cluster, ip: std::net::IpAddr) -> bool {
    let node = cluster.world.node(0);
    let gateway = node.output("ip", &["-o", "address", "show", "to", &ip.to_string()]);
    gateway.is_ok_and(|held| {
        held.lines()
            .any(|line| !line.contains("kube-ipvs0") && line.contains("inet"))
    })
}
