//! Which addresses and ports serve a Service, and to whom.

use meshlite_tests::world::{DialError, Family, Protocol};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 4] = [
    Scenario::new(
        "node_port_serves_outside_clients_on_every_node",
        node_port_on_every_node,
    ),
    Scenario::new("tcp_and_udp_on_one_port_are_apart", tcp_and_udp_on_one_port),
    Scenario::new(
        "a_port_that_is_no_services_is_refused",
        other_ports_are_refused,
    )
    .except(&[(
        Backend::Userspace,
        "every address of a local route is the host's own: its daemons on 0.0.0.0 answer there",
    )]),
    Scenario::new(
        "client_ip_affinity_keeps_to_one_endpoint",
        client_ip_affinity,
    ),
];

const PORT: u16 = 80;
const NODE_PORT: u16 = 30001;

fn node_port_on_every_node(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 1]);
    let service = Service::new(20)
        .port(Protocol::Tcp, PORT)
        .node_port(NODE_PORT);
    let service = service.to(&[Endpoint::ready(1, 0)]);
    cluster.apply(&service);
    let client = cluster.world.client();
    for node in cluster.world.nodes() {
        for family in Family::BOTH {
            let answer = cluster.eventually("the node port answers", || {
                client.ask(Protocol::Tcp, node.at(family, NODE_PORT))
            });
            assert_eq!(answer.who, "pod-1-0");
            // What comes from outside is masqueraded, so that answers go back through the node.
            let seen = answer.peer.ip();
            assert_ne!(seen, client.ip(family), "{}", node.name());
        }
    }
}

fn tcp_and_udp_on_one_port(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let both = Service::new(21)
        .port(Protocol::Tcp, PORT)
        .port(Protocol::Udp, PORT);
    let endpoint = [Endpoint::ready(0, 0)];
    let both = both.to(&endpoint);
    cluster.apply(&both);
    let client = cluster.world.pod(0, 1);
    let ask = |protocol, family| client.ask(protocol, both.at(family, PORT));
    for family in Family::BOTH {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            cluster.eventually("both answer", || ask(protocol, family));
        }
    }
    cluster.apply(&Service::new(21).port(Protocol::Udp, PORT).to(&endpoint));
    for family in Family::BOTH {
        cluster.eventually("TCP is refused", || match ask(Protocol::Tcp, family) {
            Err(DialError::Refused) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        ask(Protocol::Udp, family).expect("UDP stays");
    }
    cluster.delete(&both);
    for family in Family::BOTH {
        cluster.eventually("UDP is gone", || match ask(Protocol::Udp, family) {
            Err(_) => Ok(()),
            Ok(answer) => Err(format!("{answer:?}")),
        });
    }
}

fn other_ports_are_refused(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let service = Service::new(22).port(Protocol::Tcp, PORT);
    let service = service.to(&[Endpoint::ready(0, 0)]);
    let node = cluster.world.node(0);
    let _daemon = node.serve(Protocol::Tcp, 22).expect("a daemon of the node");
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    for family in Family::BOTH {
        cluster.eventually("the port answers", || {
            client.ask(Protocol::Tcp, service.at(family, PORT))
        });
        for port in [22, 81] {
            let asked = client.ask(Protocol::Tcp, service.at(family, port));
            assert!(
                matches!(asked, Err(DialError::Refused)),
                "{port}: {asked:?}"
            );
        }
    }
}

fn client_ip_affinity(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 2]);
    let service = Service::new(23).port(Protocol::Tcp, PORT);
    let service = service.with("sessionAffinity", "ClientIP");
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let mut service = service.to(&endpoints);
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    let to = service.at(Family::V4, PORT);
    let first = cluster.eventually("it answers", || client.ask(Protocol::Tcp, to));
    let answers = client.ask_times(20, Protocol::Tcp, to).expect("answers");
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&first.who]);
    let other = endpoints
        .into_iter()
        .find(|e| cluster.world.pod(e.node, e.pod).name() != first.who);
    service.endpoints = vec![other.expect("the other one")];
    cluster.apply(&service);
    cluster.eventually("its endpoint gone, the client moves", || {
        match client.ask(Protocol::Tcp, to) {
            Ok(answer) if answer.who != first.who => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
