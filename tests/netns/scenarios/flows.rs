//! Clients that keep to something: a UDP socket to its port, an address to its endpoint.

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use meshlite_tests::world::{Answer, DialError, Family, Host, Protocol};
use serde_json::json;

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 9] = [
    Scenario::new(
        "a_udp_socket_is_answered_by_the_new_endpoint_when_its_own_is_gone",
        udp_endpoint_is_replaced,
    ),
    Scenario::new(
        "a_udp_socket_is_answered_by_the_new_endpoint_of_its_node",
        udp_endpoint_of_the_node_is_replaced,
    ),
    Scenario::new(
        "a_udp_socket_that_was_there_first_is_answered_once_an_endpoint_is_ready",
        udp_client_comes_first,
    ),
    Scenario::new(
        "client_ip_affinity_keeps_to_one_endpoint_until_it_is_gone",
        client_ip_affinity,
    ),
    Scenario::new("affinity_ends_after_its_timeout", affinity_timeout),
    Scenario::new(
        "a_reused_source_port_reaches_live_endpoints_during_a_rolling_update",
        reused_ports,
    ),
    Scenario::new(
        "a_source_port_in_time_wait_reaches_live_endpoints_during_a_rolling_update",
        ports_in_time_wait,
    ),
    Scenario::new(
        "affinity_is_one_for_all_addresses_of_a_service_port",
        affinity_of_addresses,
    ),
    Scenario::new(
        "a_client_hears_the_end_of_a_connection_that_is_not_tracked_any_more",
        end_of_untracked,
    )
    .except(&[
        (
            Backend::Userspace,
            "it asks nobody which connections there are",
        ),
        (
            Backend::Nftables,
            "what is not tracked any more is not translated any more either",
        ),
    ]),
];

const PORT: u16 = 80;
const NODE_PORT: u16 = 30003;
const CLIENT_PORT: u16 = 12345;

fn udp_endpoint_is_replaced(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let (first, second) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let mut service = Service::new(40)
        .port(Protocol::Udp, PORT)
        .node_port(NODE_PORT);
    service.endpoints = vec![first];
    cluster.apply(&service);
    let node = cluster.world.node(0);
    for family in Family::BOTH {
        let (cluster_ip, node_port) = (service.at(family, PORT), node.at(family, NODE_PORT));
        let ways = [
            (cluster.world.pod(0, 1), cluster_ip),
            (node, cluster_ip),
            (cluster.world.client(), node_port),
        ];
        let mut sockets = ways.map(|(client, to)| {
            let socket = client.connect_from(CLIENT_PORT, Protocol::Udp, to);
            (client.name(), socket.expect("a socket"))
        });
        for endpoint in [first, second, first] {
            service.endpoints = vec![endpoint];
            cluster.apply(&service);
            let wanted = cluster.name(endpoint);
            for (client, socket) in &mut sockets {
                let what = format!("{client} is answered by {wanted}");
                cluster.eventually(&what, || match socket.ask() {
                    Ok(answer) if answer.who == wanted => Ok(()),
                    other => Err(format!("{other:?}")),
                });
            }
        }
    }
}

fn udp_endpoint_of_the_node_is_replaced(backend: Backend) {
    let cluster = Cluster::new(backend, &[3, 1]);
    let (here, elsewhere) = ([(0, 0), (0, 1)], Endpoint::ready(1, 0));
    let service = Service::new(46).port(Protocol::Udp, PORT);
    let service = service.with("internalTrafficPolicy", "Local");
    let to = service.at(Family::V4, PORT);
    let client = cluster.world.pod(0, 2);
    let socket = client.connect_from(CLIENT_PORT, Protocol::Udp, to);
    let mut socket = socket.expect("a socket");
    for (node, pod) in here.into_iter().chain(here) {
        let endpoint = Endpoint::ready(node, pod);
        cluster.apply(&service.clone().to(&[endpoint, elsewhere]));
        let wanted = cluster.name(endpoint);
        cluster.eventually(&format!("{wanted} answers"), || match socket.ask() {
            Ok(answer) if answer.who == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

fn udp_client_comes_first(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let mut service = Service::new(41).port(Protocol::Udp, PORT);
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    let to = service.at(Family::V4, PORT);
    let socket = client.connect_from(CLIENT_PORT, Protocol::Udp, to);
    let mut socket = socket.expect("a socket");
    for endpoint in [None, Some(Endpoint::terminating(0, 0, false))] {
        service.endpoints.extend(endpoint);
        cluster.apply(&service);
        let asked = socket.ask();
        assert!(asked.is_err(), "{asked:?}");
    }
    service.endpoints = vec![Endpoint::ready(0, 0)];
    cluster.apply(&service);
    cluster.eventually("the socket is answered", || socket.ask());
}

fn client_ip_affinity(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 2]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let service = Service::new(42).port(Protocol::Tcp, PORT).to(&endpoints);
    let mut sticky = service.clone().with("sessionAffinity", "ClientIP");
    cluster.apply(&sticky);
    let client = cluster.world.pod(0, 1);
    let to = service.at(Family::V4, PORT);
    let first = cluster.eventually("it answers", || client.ask(Protocol::Tcp, to));
    let answers = client.ask_times(20, Protocol::Tcp, to).expect("answers");
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&first.who]);
    let other = endpoints
        .into_iter()
        .find(|endpoint| cluster.name(*endpoint) != first.who);
    let other = other.expect("the other one");
    sticky.endpoints = vec![other];
    cluster.apply(&sticky);
    cluster.answers(client, to, &[other]);
    cluster.apply(&service);
    cluster.answers(client, to, &endpoints);
}

fn affinity_of_addresses(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 2]);
    let endpoints = [(0, 0), (1, 0), (1, 1)].map(|(node, pod)| Endpoint::ready(node, pod));
    let service = Service::new(43).port(Protocol::Tcp, PORT);
    let service = service.node_port(NODE_PORT).load_balancer("VIP");
    let service = service.to(&endpoints);
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    let addresses = [
        service.at(Family::V4, PORT),
        service.balanced_at(Family::V4, PORT),
        cluster.world.node(0).at(Family::V4, NODE_PORT),
    ];
    for to in addresses {
        cluster.answers(client, to, &endpoints);
    }
    cluster.apply(&service.with("sessionAffinity", "ClientIP"));
    // What was programmed before may have chosen for a while: until all addresses agree ten times.
    cluster.eventually("every address leads to the same endpoint", || {
        let mut seen = BTreeSet::new();
        for to in addresses.repeat(10) {
            let answer = client.ask(Protocol::Tcp, to);
            seen.insert(answer.map_err(|error| error.to_string())?.who);
        }
        if seen.len() == 1 {
            return Ok(());
        }
        Err(format!("{seen:?}"))
    });
}

/// Asks on a connection that leaves nothing behind.
fn ask_once(client: &Host, port: u16, to: SocketAddr) -> Result<Answer, DialError> {
    let mut connection = client.connect_from(port, Protocol::Tcp, to)?;
    let answer = connection.ask()?;
    connection.abort()?;
    Ok(answer)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a client is idle is what is tested"
)]
fn affinity_timeout(backend: Backend) {
    // IPVS knows a connection for 10 s after its reset. Where an affinity ends before its connections do, IPVS lets it go
    // on for a minute (`ip_vs_conn_expire` of Linux).
    let timeout = Duration::from_secs(if backend == Backend::Ipvs { 15 } else { 3 });
    let cluster = Cluster::new(backend, &[2, 1]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let config = json!({"clientIP": {"timeoutSeconds": timeout.as_secs()}});
    let service = Service::new(44).port(Protocol::Tcp, PORT).to(&endpoints);
    let service = service.with("sessionAffinity", "ClientIP");
    cluster.apply(&service.clone().with("sessionAffinityConfig", config));
    let (client, to) = (cluster.world.pod(0, 1), service.at(Family::V4, PORT));
    let ask = || ask_once(client, 0, to);
    let first = cluster.eventually("it answers", ask).who;
    // Each question counts as activity: it goes on for longer than the timeout.
    for _ in 0..5 {
        thread::sleep(timeout / 4);
        assert_eq!(ask().expect("an answer").who, first);
    }
    let moved = (0..16).any(|_| {
        thread::sleep(timeout + Duration::from_secs(1));
        ask().expect("an answer").who != first
    });
    assert!(moved, "{first} answers whenever it is asked");
}

fn reused_ports(backend: Backend) {
    rolling_update(backend, 45, |cluster, port, to| {
        ask_once(cluster.world.pod(0, 1), port, to)
    });
}

fn ports_in_time_wait(backend: Backend) {
    rolling_update(backend, 47, |cluster, port, to| {
        let client = cluster.world.pod(0, 1);
        // What IPVS and the connection tracking keep for two minutes, the client forgets.
        client
            .set("net/ipv4/tcp_max_tw_buckets", "0")
            .expect("a setting");
        let mut connection = cluster.eventually("the port is free", || {
            match client.connect_from(port, Protocol::Tcp, to) {
                // The connection before has not been closed by the other side yet.
                Err(DialError::Local(error)) => Err(error),
                connected => Ok(connected),
            }
        })?;
        connection.ask()
    });
}

/// Asks from the same few ports, in a way that ends each connection, while endpoints come and go.
fn rolling_update(
    backend: Backend,
    number: u8,
    ask: impl Fn(&Cluster, u16, SocketAddr) -> Result<Answer, DialError>,
) {
    const PORTS: u16 = 20;
    let cluster = Cluster::new(backend, &[2, 1]);
    let (old, new) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let ending = Endpoint::terminating(0, 0, true);
    let mut service = Service::new(number).port(Protocol::Tcp, PORT).to(&[old]);
    cluster.apply(&service);
    let (client, to) = (cluster.world.pod(0, 1), service.at(Family::V4, PORT));
    cluster.answers(client, to, &[old]);
    let steps = [
        ([old, new].to_vec(), [old, new].to_vec()),
        ([ending, new].to_vec(), [new].to_vec()),
        ([new].to_vec(), [new].to_vec()),
        ([old].to_vec(), [old].to_vec()),
        ([new].to_vec(), [new].to_vec()),
    ];
    for (endpoints, serving) in steps {
        service.endpoints = endpoints;
        cluster.apply(&service);
        cluster.answers(client, to, &serving);
        for round in 0..3 * PORTS {
            let port = CLIENT_PORT + round % PORTS;
            let answer = ask(&cluster, port, to);
            let who = answer
                .expect("a port that was used before is as good as a new one")
                .who;
            assert!(
                serving.iter().any(|pod| cluster.name(*pod) == who),
                "{who} answers"
            );
        }
    }
}

fn end_of_untracked(backend: Backend) {
    const TARGET: u16 = 8090;
    let cluster = Cluster::new(backend, &[2]);
    let pod = cluster.world.pod(0, 0);
    let server = pod.serve(Protocol::Tcp, TARGET).expect("a server");
    let service = Service::new(47).port(Protocol::Tcp, PORT);
    let endpoints = [Endpoint::ready(0, 0).on(TARGET)];
    cluster.apply(&service.clone().to(&endpoints));
    let client = cluster.world.pod(0, 1);
    let mut connections = Family::BOTH.map(|family| {
        let to = service.at(family, PORT);
        cluster.answers(client, to, &endpoints);
        let mut connection = client.connect(Protocol::Tcp, to).expect("a connection");
        connection.ask().expect("it is answered");
        connection
    });
    let forgotten = cluster.world.node(0).output("conntrack", &["-F"]);
    forgotten.expect("the node tracks nothing any more");
    drop(server);
    for connection in &mut connections {
        connection.hear_end().expect("the client hears the end");
    }
}
