//! Which endpoints get connections, while they come and go.

use std::collections::BTreeMap;

use meshlite_tests::world::{DialError, Family, Host, Protocol};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 6] = [
    Scenario::new(
        "cluster_ip_reaches_every_endpoint_from_pods_and_nodes",
        cluster_ip_reaches_every_endpoint,
    ),
    Scenario::new(
        "without_endpoints_clients_are_refused",
        without_endpoints_clients_are_refused,
    ),
    Scenario::new("added_endpoint_gets_connections", added_endpoint),
    Scenario::new(
        "removed_endpoint_keeps_its_established_connections",
        removed_endpoint,
    ),
    Scenario::new(
        "terminating_endpoints_serve_only_while_none_is_ready",
        terminating_endpoints,
    ),
    Scenario::new(
        "endpoint_that_serves_no_longer_gets_nothing",
        endpoint_that_serves_no_longer,
    ),
];

const PORT: u16 = 80;
const SOME: usize = 12;

fn web() -> Service {
    Service::new(10).port(Protocol::Tcp, PORT)
}

/// Waits until these pods answer a client, and nobody else does.
fn answered_by(cluster: &Cluster, client: &Host, service: &Service, pods: &[Endpoint]) {
    let wanted = pods.iter();
    let wanted = wanted.map(|endpoint| cluster.world.pod(endpoint.node, endpoint.pod).name());
    let wanted = wanted.collect::<Vec<_>>();
    for family in Family::BOTH {
        let what = format!("{} gets answers from {wanted:?} only", client.name());
        cluster.eventually(&what, || -> Result<(), String> {
            let asked = client.ask_times(SOME, Protocol::Tcp, service.at(family, PORT));
            let answers: BTreeMap<_, _> = asked.map_err(|error| error.to_string())?;
            if answers.keys().eq(&wanted) {
                return Ok(());
            }
            Err(format!("{answers:?}"))
        });
    }
}

fn cluster_ip_reaches_every_endpoint(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 2]);
    let endpoints = [(0, 0), (0, 1), (1, 0)].map(|(node, pod)| Endpoint::ready(node, pod));
    let service = web().to(&endpoints);
    cluster.apply(&service);
    let client = cluster.world.pod(1, 1);
    answered_by(&cluster, client, &service, &endpoints);
    answered_by(&cluster, cluster.world.node(0), &service, &endpoints);
    for family in Family::BOTH {
        let answer = client.ask(Protocol::Tcp, service.at(family, PORT));
        let seen = answer.expect("an answer").peer.ip();
        let wanted = if backend.shows_clients() {
            client.ip(family)
        } else {
            // The proxy of the client's node.
            seen
        };
        assert_eq!(seen, wanted);
    }
}

fn without_endpoints_clients_are_refused(backend: Backend) {
    let cluster = Cluster::new(backend, &[1]);
    let endpoint = [Endpoint::ready(0, 0)];
    let mut service = web().to(&endpoint);
    cluster.apply(&service);
    let client = cluster.world.node(0);
    answered_by(&cluster, client, &service, &endpoint);
    service.endpoints.clear();
    cluster.apply(&service);
    for client in [client, cluster.world.pod(0, 0)] {
        for family in Family::BOTH {
            cluster.eventually("clients are refused", || {
                let asked = client.ask(Protocol::Tcp, service.at(family, PORT));
                match asked {
                    Err(DialError::Refused) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
        }
    }
}

fn added_endpoint(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let mut service = web().to(&[Endpoint::ready(0, 0)]);
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &service.endpoints);
    service.endpoints.push(Endpoint::ready(1, 0));
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &service.endpoints);
}

fn removed_endpoint(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let (first, second) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let mut service = web().to(&[first]);
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &[first]);
    let mut established = Family::BOTH.map(|family| {
        let connection = client.connect(Protocol::Tcp, service.at(family, PORT));
        connection.expect("a connection")
    });
    let asked = |connection: &mut meshlite_tests::world::Connection| {
        let answer = connection.ask();
        answer.expect("an established connection lives").who
    };
    assert_eq!(established.each_mut().map(asked), ["pod-0-0", "pod-0-0"]);
    service.endpoints = vec![second];
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &[second]);
    assert_eq!(established.each_mut().map(asked), ["pod-0-0", "pod-0-0"]);
}

fn terminating_endpoints(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let ending = Endpoint::terminating(0, 0, true);
    let mut service = web().to(&[ending]);
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &[ending]);
    let ready = Endpoint::ready(1, 0);
    service.endpoints.push(ready);
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &[ready]);
}

fn endpoint_that_serves_no_longer(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let client = cluster.world.pod(0, 1);
    let ready = Endpoint::ready(1, 0);
    let service = web().to(&[Endpoint::terminating(0, 0, false), ready]);
    cluster.apply(&service);
    answered_by(&cluster, client, &service, &[ready]);
}
