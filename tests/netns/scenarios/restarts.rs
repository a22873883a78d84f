//! Planes that are killed and come back.

use meshlite_tests::{
    soak::soaked,
    world::{DialError, Family, Protocol},
};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    load::Load,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 7] = [
    Scenario::new(
        "without_a_control_plane_all_goes_on_and_the_next_one_catches_up",
        without_control_plane,
    ),
    Scenario::new(
        "a_killed_node_comes_back_to_what_is_wanted_then",
        killed_node,
    ),
    Scenario::new(
        "established_and_new_connections_outlive_a_killed_node",
        connections_outlive_a_killed_node,
    )
    .except(&[(
        Backend::Userspace,
        "the process carries the traffic: what it carried ends with it",
    )]),
    Scenario::new(
        "a_node_port_is_masqueraded_from_its_first_packet_on",
        first_packet,
    ),
    Scenario::new(
        "another_scheduler_after_a_restart_fails_no_connection",
        another_scheduler,
    )
    .except(&[
        (Backend::Userspace, ONE_SCHEDULER),
        (Backend::Nftables, ONE_SCHEDULER),
    ]),
    Scenario::new(
        "another_mode_after_a_restart_fails_no_connection",
        another_mode,
    )
    .except(&[
        (
            Backend::Userspace,
            "the process carries the traffic: what it carried ends with it",
        ),
        (
            Backend::Nftables,
            "the row of ipvs goes to nftables and back, in a kernel that has both",
        ),
    ]),
    Scenario::new(
        "user_space_takes_over_and_no_new_connection_fails",
        user_space_takes_over,
    )
    .except(&[(Backend::Userspace, "it is what takes over")]),
];

const ONE_SCHEDULER: &str = "it has one way to choose";

const PORT: u16 = 80;
const NODE_PORT: u16 = 30005;

fn without_control_plane(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2, 1]);
    let (first, second) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let service = Service::new(50).port(Protocol::Tcp, PORT).to(&[first]);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(cluster.world.pod(0, 1), to, &[first]);
    cluster.kill_control_plane();
    let client = cluster.world.pod(0, 1);
    let mut connection = client.connect(Protocol::Tcp, to).expect("a connection");
    cluster.apply(&service.clone().to(&[second]));
    cluster.answers(client, to, &[first]);
    cluster.start_control_plane();
    cluster.answers(cluster.world.pod(0, 1), to, &[second]);
    let answer = connection.ask().expect("it outlived all that");
    assert_eq!(answer.who, cluster.name(first));
}

fn killed_node(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2, 1]);
    let (first, second) = (Endpoint::ready(0, 0), Endpoint::ready(1, 0));
    let service = Service::new(51).port(Protocol::Tcp, PORT);
    let to = service.at(Family::V4, PORT);
    // While it is away an endpoint that it was about to forget is ready again.
    for (endpoints, meanwhile) in [
        ([first, second], vec![second]),
        ([second, first], vec![first]),
    ] {
        cluster.apply(&service.clone().to(&endpoints));
        cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
        cluster.apply(&service.clone().to(&meanwhile));
        cluster.answers(cluster.world.pod(0, 1), to, &meanwhile);
        cluster.kill_node(0);
        cluster.apply(&service.clone().to(&endpoints));
        cluster.start_node(0);
        cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    }
}

fn connections_outlive_a_killed_node(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2, 1]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let service = Service::new(52)
        .port(Protocol::Tcp, PORT)
        .node_port(NODE_PORT);
    let service = service.to(&endpoints);
    cluster.apply(&service);
    let inside = Family::BOTH.map(|family| service.at(family, PORT));
    let outside = Family::BOTH.map(|family| cluster.world.node(0).at(family, NODE_PORT));
    for (inside, outside) in inside.into_iter().zip(outside) {
        cluster.answers(cluster.world.pod(0, 1), inside, &endpoints);
        cluster.answers(cluster.world.client(), outside, &endpoints);
    }
    let from_pod = Load::start(&cluster.world, |world| world.pod(0, 1), &inside);
    let from_outside = Load::start(&cluster.world, |world| world.client(), &outside);
    for _ in 0..soaked(3, 50) {
        cluster.kill_node(0);
        cluster.answers(cluster.world.pod(0, 1), inside[0], &endpoints);
        cluster.start_node(0);
        cluster.is_ready(0);
    }
    from_pod.stop();
    from_outside.stop();
}

fn first_packet(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[1, 1]);
    cluster.kill_node(0);
    if backend != Backend::Userspace {
        cluster.run_on(0, &["node", "cleanup"]);
    }
    let endpoint = [Endpoint::ready(1, 0)];
    for number in 61..90 {
        let service = Service::new(number).port(Protocol::Tcp, PORT).to(&endpoint);
        cluster.apply(&service.node_port(30_000 + u16::from(number)));
    }
    cluster.start_node(0);
    let (client, node) = (cluster.world.client(), cluster.world.node(0));
    for number in 61..90 {
        let to = node.at(Family::V4, 30_000 + number);
        // Until the port is served it is refused. Whoever is let through without being masqueraded hears nothing.
        let what = format!("{to} answers, or is refused until it does");
        cluster.eventually(&what, || match client.ask(Protocol::Tcp, to) {
            Err(DialError::Refused) => Err("refused"),
            answered => Ok(answered.expect("what is served is served at once")),
        });
    }
}

fn another_scheduler(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2, 1]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let service = Service::new(91).port(Protocol::Tcp, PORT).to(&endpoints);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    let load = Load::start(&cluster.world, |world| world.pod(0, 1), &[to]);
    cluster.kill_node(0);
    cluster.set_flags(&["--ipvs-scheduler", "wrr"]);
    cluster.start_node(0);
    let node = cluster.world.node(0);
    cluster.eventually("the virtual server has another scheduler", || {
        let listed = node.output("ipvsadm", &["-Ln"]);
        let listed = listed.map_err(|error| error.to_string())?;
        if listed.contains(&format!("TCP  {to} wrr")) {
            return Ok(());
        }
        Err(listed)
    });
    load.stop();
}

fn another_mode(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2, 1]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let service = Service::new(92).port(Protocol::Tcp, PORT).to(&endpoints);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    let load = Load::start(&cluster.world, |world| world.pod(0, 1), &[to]);
    for backend in [Backend::Nftables, Backend::Ipvs] {
        cluster.kill_node(0);
        cluster.start_node_as(backend, 0);
        cluster.is_ready(0);
        cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    }
    load.stop();
}

/// Those that were established end with the rules that translate them.
fn user_space_takes_over(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2, 1]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let service = Service::new(93).port(Protocol::Tcp, PORT).to(&endpoints);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    // IPVS takes what comes to a virtual server whether it has real servers or not, so it goes at once, and what it
    // translates ends with it. nftables leaves what it has translated to conntrack.
    let may_end = u64::from(backend == Backend::Ipvs);
    let load = Load::start_anew(&cluster.world, |world| world.pod(0, 1), &[to], may_end);
    cluster.kill_node(0);
    Backend::Userspace.prepare(cluster.world.node(0));
    cluster.start_node_as(Backend::Userspace, 0);
    cluster.is_ready(0);
    let node = cluster.world.node(0);
    cluster.eventually("what the kernel had is gone", || {
        let tables = node.output("nft", &["list", "tables"]);
        match tables.map_err(|error| error.to_string())? {
            tables if tables.contains("meshlite") => Err(tables),
            _ => Ok(()),
        }
    });
    cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    load.stop();
}
