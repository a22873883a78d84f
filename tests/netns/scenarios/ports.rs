//! Which addresses and ports serve a Service.

use std::net::{Ipv4Addr, SocketAddr};

use meshlite_tests::world::{Family, Protocol};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 10] = [
    Scenario::new(
        "a_port_that_is_no_services_is_refused",
        other_ports_are_refused,
    )
    .except(&[(
        Backend::Userspace,
        "every address of a local route is the host's own: its daemons on 0.0.0.0 answer there",
    )]),
    Scenario::new("a_pod_reaches_itself_through_its_service", hairpin),
    Scenario::new(
        "node_port_is_served_on_the_addresses_that_are_given",
        node_port_addresses,
    ),
    Scenario::new(
        "node_port_serves_outside_clients_on_every_node",
        node_port_on_every_node,
    ),
    Scenario::new("node_port_answers_on_localhost", node_port_on_localhost),
    Scenario::new("external_ips_serve_pods_and_outside_clients", external_ips),
    Scenario::new(
        "load_balancer_address_is_served_only_in_mode_vip",
        load_balancer_modes,
    ),
    Scenario::new(
        "a_service_of_another_proxy_is_left_alone",
        service_of_another_proxy,
    ),
    Scenario::new("tcp_and_udp_on_one_port_are_apart", tcp_and_udp),
    Scenario::new("sctp_is_served_beside_tcp", sctp).except(&[
        (Backend::Userspace, "it carries TCP and UDP"),
        (
            Backend::Nftables,
            "it carries SCTP, but this machine's kernel need not have it to ask with",
        ),
    ]),
];

const PORT: u16 = 80;
const NODE_PORT: u16 = 30001;

fn other_ports_are_refused(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(20).port(Protocol::Tcp, PORT).to(&endpoint);
    let node = cluster.world.node(0);
    let _daemon = node.serve(Protocol::Tcp, 22).expect("a daemon of the node");
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    for family in Family::BOTH {
        cluster.answers(client, service.at(family, PORT), &endpoint);
        for port in [22, 81] {
            cluster.refuses(client, Protocol::Tcp, service.at(family, port));
        }
    }
}

fn hairpin(backend: Backend) {
    let cluster = Cluster::new(backend, &[1]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(21).port(Protocol::Tcp, PORT).to(&endpoint);
    cluster.apply(&service);
    let pod = cluster.world.pod(0, 0);
    for family in Family::BOTH {
        let to = service.at(family, PORT);
        cluster.answers(pod, to, &endpoint);
        let answer = pod.ask(Protocol::Tcp, to).expect("an answer");
        assert_ne!(answer.peer.ip(), pod.ip(family), "it would answer itself");
    }
}

fn node_port_addresses(backend: Backend) {
    let flags = &["--nodeport-addresses", "172.18.0.0/24"];
    let cluster = Cluster::with_flags(backend, &[1], flags);
    let node = cluster.world.node(0);
    let other = Ipv4Addr::new(192, 0, 2, 10);
    let batch = format!("address add {other}/32 dev eth0\n");
    node.ip_batch(&batch).expect("an address");
    let route = format!("route add {other} via {}\n", node.ip(Family::V4));
    cluster.world.router().ip_batch(&route).expect("a route");
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(22).port(Protocol::Tcp, PORT);
    cluster.apply(&service.node_port(NODE_PORT).to(&endpoint));
    let client = cluster.world.client();
    cluster.answers(client, node.at(Family::V4, NODE_PORT), &endpoint);
    let other = SocketAddr::from((other, NODE_PORT));
    cluster.refuses(client, Protocol::Tcp, other);
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, NODE_PORT));
    cluster.serves_nobody(node, Protocol::Tcp, loopback);
}

fn node_port_on_every_node(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 1]);
    let service = Service::new(23).port(Protocol::Tcp, PORT);
    let endpoint = [Endpoint::ready(1, 0)];
    cluster.apply(&service.node_port(NODE_PORT).to(&endpoint));
    let client = cluster.world.client();
    for node in cluster.world.nodes() {
        for family in Family::BOTH {
            let to = node.at(family, NODE_PORT);
            cluster.answers(client, to, &endpoint);
            // What comes from outside is masqueraded, so that answers go back through the node.
            let answer = client.ask(Protocol::Tcp, to).expect("an answer");
            assert_ne!(answer.peer.ip(), client.ip(family), "{}", node.name());
        }
    }
}

fn node_port_on_localhost(backend: Backend) {
    let cluster = Cluster::with_flags(backend, &[1], &["--localhost-nodeports"]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(28).port(Protocol::Tcp, PORT);
    cluster.apply(&service.node_port(NODE_PORT).to(&endpoint));
    let node = cluster.world.node(0);
    cluster.answers(node, node.at(Family::V4, NODE_PORT), &endpoint);
    let localhost = SocketAddr::from((Ipv4Addr::LOCALHOST, NODE_PORT));
    cluster.answers(node, localhost, &endpoint);
}

fn external_ips(backend: Backend) {
    let cluster = Cluster::new(backend, &[1, 1]);
    let endpoint = [Endpoint::ready(1, 0)];
    let service = Service::new(29).port(Protocol::Tcp, PORT).to(&endpoint);
    // The router knows which node has the address, as someone's network would.
    let to = Family::BOTH.map(|family| service.balanced_at(family, PORT));
    for to in to {
        let node = cluster.world.node(0).ip(Family::of(to));
        let route = format!("route add {} via {node}\n", to.ip());
        cluster.world.router().ip_batch(&route).expect("a route");
    }
    let external_ips = to.map(|to| to.ip().to_string()).to_vec();
    cluster.apply(&service.with("externalIPs", external_ips));
    for to in to {
        for client in [cluster.world.client(), cluster.world.pod(0, 0)] {
            cluster.answers(client, to, &endpoint);
        }
    }
}

fn load_balancer_modes(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let client = cluster.world.pod(0, 1);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(24).port(Protocol::Tcp, PORT).to(&endpoint);
    for family in Family::BOTH {
        let to = service.balanced_at(family, PORT);
        cluster.apply(&service.clone().load_balancer("VIP"));
        cluster.answers(client, to, &endpoint);
        cluster.apply(&service.clone().load_balancer("Proxy"));
        cluster.serves_nobody(client, Protocol::Tcp, to);
    }
}

fn service_of_another_proxy(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let client = cluster.world.pod(0, 1);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(25).port(Protocol::Tcp, PORT).to(&endpoint);
    let to = service.at(Family::V4, PORT);
    for label in [
        "service.kubernetes.io/service-proxy-name",
        "service.kubernetes.io/headless",
    ] {
        cluster.apply(&service);
        cluster.answers(client, to, &endpoint);
        cluster.apply(&service.clone().label(label, "other"));
        cluster.serves_nobody(client, Protocol::Tcp, to);
    }
}

fn tcp_and_udp(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = |protocols: &[Protocol]| {
        let ports = protocols.iter();
        let service = ports.fold(Service::new(26), |service, p| service.port(*p, PORT));
        service.to(&endpoint)
    };
    let both = service(&[Protocol::Tcp, Protocol::Udp]);
    cluster.apply(&both);
    let client = cluster.world.pod(0, 1);
    for family in Family::BOTH {
        let to = both.at(family, PORT);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            cluster.eventually("both answer", || client.ask(protocol, to));
        }
    }
    cluster.apply(&service(&[Protocol::Udp]));
    for family in Family::BOTH {
        let to = both.at(family, PORT);
        cluster.serves_nobody(client, Protocol::Tcp, to);
        client.ask(Protocol::Udp, to).expect("UDP stays");
    }
    cluster.delete(&both);
    for family in Family::BOTH {
        cluster.serves_nobody(client, Protocol::Udp, both.at(family, PORT));
    }
}

fn sctp(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let endpoint = [Endpoint::ready(1, 0)];
    let service = Service::new(27).port(Protocol::Tcp, PORT);
    let service = service.port(Protocol::Sctp, PORT).node_port(NODE_PORT);
    cluster.apply(&service.clone().to(&endpoint));
    for family in Family::BOTH {
        let cluster_ip = service.at(family, PORT);
        cluster.answers(cluster.world.pod(0, 1), cluster_ip, &endpoint);
        let node_port = cluster.world.node(0).at(family, NODE_PORT);
        for (client, to) in [
            (cluster.world.pod(0, 1), cluster_ip),
            (cluster.world.client(), node_port),
        ] {
            cluster.eventually("SCTP is answered", || client.ask(Protocol::Sctp, to));
        }
    }
}
