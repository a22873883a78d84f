//! Which endpoints get connections, while they come and go.

use meshlite_tests::world::{Connection, Family, Protocol};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    service::{Endpoint, Service, TARGET},
};

pub(super) const SCENARIOS: [Scenario; 12] = [
    Scenario::new(
        "cluster_ip_reaches_every_endpoint_from_pods_and_nodes",
        every_endpoint,
    ),
    Scenario::new("without_endpoints_clients_are_refused", without_endpoints),
    Scenario::new("added_endpoint_gets_connections", added_endpoint),
    Scenario::new(
        "removed_endpoint_keeps_its_established_connections",
        removed_endpoint,
    ),
    Scenario::new(
        "endpoint_that_comes_back_gets_connections_again",
        endpoint_that_comes_back,
    ),
    Scenario::new(
        "terminating_endpoints_serve_only_while_none_is_ready",
        terminating_endpoints,
    ),
    Scenario::new(
        "endpoint_that_serves_no_longer_gets_nothing",
        endpoint_that_serves_no_longer,
    ),
    Scenario::new(
        "no_connection_fails_during_a_rolling_update",
        rolling_update,
    ),
    Scenario::new("zone_hints_count_only_where_all_have_them", zone_hints),
    Scenario::new(
        "node_hints_count_only_where_all_have_them_and_before_zones",
        node_hints,
    ),
    Scenario::new(
        "one_port_name_can_be_another_port_in_each_slice",
        ports_of_slices,
    ),
    Scenario::new(
        "every_node_weighs_endpoints_by_what_all_nodes_carry",
        weights_of_all_nodes,
    )
    .except(&[
        (
            Backend::Userspace,
            "tests/mesh shows it, where connections are counted as well",
        ),
        (
            Backend::Nftables,
            "it knows of no connections: the connection tracking has them",
        ),
    ]),
];

const PORT: u16 = 80;
/// Connections during a rolling update.
const MANY: usize = 300;

fn web() -> Service {
    Service::new(10).port(Protocol::Tcp, PORT)
}

fn every_endpoint(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 2]);
    let endpoints = [(0, 0), (0, 1), (1, 0)].map(|(node, pod)| Endpoint::ready(node, pod));
    let service = web().to(&endpoints);
    cluster.apply(&service);
    let client = cluster.world.pod(1, 1);
    for family in Family::BOTH {
        let to = service.at(family, PORT);
        cluster.answers(client, to, &endpoints);
        cluster.answers(cluster.world.node(0), to, &endpoints);
    }
}

fn without_endpoints(backend: Backend) {
    let cluster = Cluster::new(backend, &[1]);
    let endpoint = [Endpoint::ready(0, 0)];
    let mut service = web().to(&endpoint);
    cluster.apply(&service);
    let (node, pod) = (cluster.world.node(0), cluster.world.pod(0, 0));
    cluster.answers(node, service.at(Family::V4, PORT), &endpoint);
    service.endpoints.clear();
    cluster.apply(&service);
    for client in [node, pod] {
        for family in Family::BOTH {
            cluster.refuses(client, Protocol::Tcp, service.at(family, PORT));
        }
    }
}

fn added_endpoint(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let mut service = web().to(&[Endpoint::ready(0, 0)]);
    for added in [None, Some(Endpoint::ready(1, 0))] {
        service.endpoints.extend(added);
        cluster.apply(&service);
        for family in Family::BOTH {
            cluster.answers(client, service.at(family, PORT), &service.endpoints);
        }
    }
}

/// Connections of each family to the Service's only endpoint.
fn established(cluster: &Cluster, service: &Service) -> [Connection; 2] {
    let client = cluster.world.pod(0, 1);
    Family::BOTH.map(|family| {
        let to = service.at(family, PORT);
        cluster.answers(client, to, &service.endpoints);
        client.connect(Protocol::Tcp, to).expect("a connection")
    })
}

/// They still lead to this pod.
fn still_answer(connections: &mut [Connection; 2], pod: &str) {
    for connection in connections {
        let answer = connection.ask();
        assert_eq!(answer.expect("an established connection lives").who, pod);
    }
}

fn removed_endpoint(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let (first, second) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let mut service = web().to(&[first]);
    cluster.apply(&service);
    let mut connections = established(&cluster, &service);
    still_answer(&mut connections, cluster.name(first));
    service.endpoints = vec![second];
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    for family in Family::BOTH {
        cluster.answers(client, service.at(family, PORT), &[second]);
    }
    still_answer(&mut connections, cluster.name(first));
}

fn endpoint_that_comes_back(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let (first, second) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let mut service = web().to(&[first]);
    cluster.apply(&service);
    let mut connections = established(&cluster, &service);
    for endpoints in [vec![second], vec![first, second]] {
        service.endpoints = endpoints;
        cluster.apply(&service);
        let client = cluster.world.pod(0, 1);
        for family in Family::BOTH {
            cluster.answers(client, service.at(family, PORT), &service.endpoints);
        }
    }
    still_answer(&mut connections, cluster.name(first));
}

fn terminating_endpoints(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let ending = Endpoint::terminating(0, 0, true);
    let ready = Endpoint::ready(1, 0);
    let mut service = web();
    for (endpoint, serving) in [(ending, ending), (ready, ready)] {
        service.endpoints.push(endpoint);
        cluster.apply(&service);
        for family in Family::BOTH {
            cluster.answers(client, service.at(family, PORT), &[serving]);
        }
    }
}

fn endpoint_that_serves_no_longer(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let ready = Endpoint::ready(1, 0);
    let service = web().to(&[Endpoint::terminating(0, 0, false), ready]);
    cluster.apply(&service);
    for family in Family::BOTH {
        cluster.answers(client, service.at(family, PORT), &[ready]);
    }
}

fn rolling_update(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let (old, new) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let ending = Endpoint::terminating(0, 0, true);
    let mut service = web().to(&[old]);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(client, to, &[old]);
    let steps = [vec![old, new], vec![ending, new], vec![new]];
    let each = MANY / steps.len();
    for endpoints in steps {
        service.endpoints = endpoints;
        cluster.apply(&service);
        let answers = client.ask_times(each, Protocol::Tcp, to);
        answers.expect("every connection is answered");
    }
    cluster.answers(client, to, &[new]);
}

fn zone_hints(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let (near, far) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let hinted = [near.for_zone_of(0), far.for_zone_of(1)];
    let mut service = web().to(&hinted);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(client, to, &[near]);
    service.endpoints = vec![hinted[0], far];
    cluster.apply(&service);
    cluster.answers(client, to, &[near, far]);
    // No endpoint is for the client's zone.
    service.endpoints = vec![near.for_zone_of(1), hinted[1]];
    cluster.apply(&service);
    cluster.answers(client, to, &[near, far]);
}

fn node_hints(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let (near, far) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let service = web().with("trafficDistribution", "PreferSameNode");
    let to = service.at(Family::V4, PORT);
    let served = |endpoints: [Endpoint; 2], answering: &[Endpoint]| {
        cluster.apply(&service.clone().to(&endpoints));
        cluster.answers(client, to, answering);
    };
    // By zone it would be the other way round.
    let (near, far) = (near.for_zone_of(1), far.for_zone_of(0));
    served([near, far], &[far]);
    served([near.for_node(0), far.for_node(1)], &[near]);
    served([near.for_node(0), far], &[far]);
    let (near, far) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    served([near.for_node(1), far.for_node(1)], &[near, far]);
    served([near.for_node(0), far.for_node(1)], &[near]);
}

fn ports_of_slices(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let (here, there) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0).on(9090));
    let _server = cluster.world.pod(1, 0).serve(Protocol::Tcp, 9090);
    let service = web().to(&[here, there]);
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    for family in Family::BOTH {
        cluster.answers(client, service.at(family, PORT), &[here, there]);
    }
}

/// Connections over one node, and the weights on another.
fn weights_of_all_nodes(backend: Backend) {
    const HELD: usize = 12;
    let cluster = Cluster::new(backend, &[2, 1]);
    let (used, idle) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let service = web().annotation("meshlite.io/balance", "load");
    cluster.apply(&service.clone().to(&[used]));
    let (client, to) = (cluster.world.pod(0, 1), service.at(Family::V4, PORT));
    cluster.answers(client, to, &[used]);
    let held = (0..HELD).map(|_| client.connect(Protocol::Tcp, to).expect("a connection"));
    let held: Vec<_> = held.collect();
    cluster.apply(&service.to(&[used, idle]));
    let node = cluster.world.node(1);
    let weight = |listed: &str, pod: Endpoint| {
        let real = cluster.world.pod(pod.node, pod.pod).at(Family::V4, TARGET);
        let line = listed
            .lines()
            .find(|line| line.contains(&format!("{real} ")));
        line.and_then(|line| line.split_whitespace().nth(3)?.parse::<u32>().ok())
    };
    cluster.eventually("the node without connections weighs them", || {
        let listed = node.output("ipvsadm", &["-Ln", "-t", &to.to_string()]);
        let listed = listed.map_err(|error| error.to_string())?;
        match (weight(&listed, used), weight(&listed, idle)) {
            (Some(used), Some(idle)) if used < idle => Ok(()),
            _ => Err(listed),
        }
    });
    drop(held);
}
