//! Who may have which endpoints: traffic policies and source ranges.

use meshlite_tests::world::{Family, Protocol};
use serde_json::json;

use super::Scenario;
use crate::{
    backend::{Backend, LOAD_BALANCERS},
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 6] = [
    Scenario::new(
        "external_policy_local_serves_outside_clients_from_the_node_alone",
        external_local,
    ),
    Scenario::new(
        "external_policy_local_without_endpoints_drops_what_comes_from_outside",
        external_local_without_endpoints,
    )
    .but(CLOSED),
    Scenario::new(
        "internal_policy_local_without_endpoints_leaks_nothing_to_other_nodes",
        internal_local_without_endpoints,
    ),
    Scenario::new(
        "health_check_node_port_says_whether_an_endpoint_is_ready",
        health_check_node_port,
    ),
    Scenario::new(
        "source_ranges_hold_for_the_load_balancer_and_not_for_node_ports",
        source_ranges,
    )
    .but(CLOSED),
    Scenario::new("source_ranges_hold_for_nodes_too", source_ranges_for_nodes).but(CLOSED),
];

const CLOSED: &[(Backend, &str)] = &[(
    Backend::Userspace,
    "the connection is closed: a process cannot drop a packet",
)];

pub(super) const PORT: u16 = 80;
pub(super) const NODE_PORT: u16 = 30002;
const HEALTH: u16 = 32000;

/// With an address of a load balancer, whose packets the router gives to the first node.
pub(super) fn balanced(cluster: &Cluster) -> Service {
    for (family, range) in Family::BOTH.into_iter().zip(LOAD_BALANCERS) {
        let route = format!(
            "route add {range} via {}\n",
            cluster.world.node(0).ip(family)
        );
        cluster.world.router().ip_batch(&route).expect("a route");
    }
    let service = Service::new(30).port(Protocol::Tcp, PORT);
    service.node_port(NODE_PORT).load_balancer("VIP")
}

fn external_local(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let (here, there) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let service = balanced(&cluster).with("externalTrafficPolicy", "Local");
    cluster.apply(&service.clone().to(&[here, there]));
    let client = cluster.world.client();
    for family in Family::BOTH {
        let balanced = service.balanced_at(family, PORT);
        for to in [balanced, cluster.world.node(0).at(family, NODE_PORT)] {
            cluster.answers(client, to, &[here]);
        }
        cluster.answers(cluster.world.pod(0, 1), balanced, &[here, there]);
    }
}

fn external_local_without_endpoints(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 1]);
    let there = [Endpoint::ready(1, 0)];
    let service = balanced(&cluster).with("externalTrafficPolicy", "Local");
    cluster.apply(&service.clone().to(&there));
    let client = cluster.world.client();
    for family in Family::BOTH {
        let balanced = service.balanced_at(family, PORT);
        cluster.answers(cluster.world.pod(0, 0), balanced, &there);
        cluster.drops(client, balanced);
        let (without, with) = (cluster.world.node(0), cluster.world.node(1));
        cluster.answers(client, with.at(family, NODE_PORT), &there);
        cluster.drops(client, without.at(family, NODE_PORT));
    }
}

fn internal_local_without_endpoints(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 2]);
    let there = [Endpoint::ready(1, 0)];
    let service = Service::new(31)
        .port(Protocol::Tcp, PORT)
        .node_port(NODE_PORT);
    let service = service.with("internalTrafficPolicy", "Local").to(&there);
    cluster.apply(&service);
    for family in Family::BOTH {
        let to = service.at(family, PORT);
        cluster.answers(cluster.world.pod(1, 1), to, &there);
        for client in [cluster.world.pod(0, 0), cluster.world.node(0)] {
            cluster.serves_nobody(client, Protocol::Tcp, to);
        }
        let to = cluster.world.node(0).at(family, NODE_PORT);
        cluster.answers(cluster.world.client(), to, &there);
    }
}

fn health_check_node_port(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 1]);
    let service = balanced(&cluster).with("externalTrafficPolicy", "Local");
    let service = service.with("healthCheckNodePort", HEALTH);
    let statuses = |endpoints: &[Endpoint], wanted: [&str; 2]| {
        cluster.apply(&service.clone().to(endpoints));
        for (node, wanted) in cluster.world.nodes().zip(wanted) {
            let what = format!("{} says {wanted}", node.name());
            let to = node.at(Family::V4, HEALTH);
            cluster.eventually(&what, || match cluster.world.client().get(to, "/") {
                Ok((status, _)) if status == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
    };
    statuses(&[Endpoint::ready(0, 0)], ["200", "503"]);
    let ending = Endpoint::terminating(0, 0, true);
    statuses(&[ending, Endpoint::ready(1, 0)], ["503", "200"]);
}

fn source_ranges(backend: Backend) {
    let cluster = Cluster::new(backend, &[1]);
    let endpoint = [Endpoint::ready(0, 0)];
    let ranges = json!(["10.0.0.0/8", "fd00::/16"]);
    let service = balanced(&cluster).to(&endpoint);
    let open = service.clone();
    let service = service.with("loadBalancerSourceRanges", ranges);
    let (client, pod) = (cluster.world.client(), cluster.world.pod(0, 0));
    for family in Family::BOTH {
        let to = service.balanced_at(family, PORT);
        cluster.apply(&open);
        cluster.answers(client, to, &endpoint);
        cluster.apply(&service);
        cluster.drops(client, to);
        cluster.answers(pod, to, &endpoint);
        let to = cluster.world.node(0).at(family, NODE_PORT);
        cluster.answers(client, to, &endpoint);
    }
}

fn source_ranges_for_nodes(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 1]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = balanced(&cluster).to(&endpoint);
    let (pods, nodes) = (
        ["10.0.0.0/8", "fd00:244::/32"],
        ["172.18.0.0/16", "fd00:18::/32"],
    );
    for family in Family::BOTH {
        let to = service.balanced_at(family, PORT);
        let all = [pods, nodes].concat();
        cluster.apply(&service.clone().with("loadBalancerSourceRanges", all));
        for node in cluster.world.nodes() {
            cluster.answers(node, to, &endpoint);
        }
        cluster.apply(
            &service
                .clone()
                .with("loadBalancerSourceRanges", pods.to_vec()),
        );
        for node in cluster.world.nodes() {
            cluster.drops(node, to);
        }
        cluster.answers(cluster.world.pod(0, 0), to, &endpoint);
    }
}
