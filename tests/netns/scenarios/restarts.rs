//! Planes that are killed and come back.

use meshlite_tests::world::{Family, Protocol};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 4] = [
    Scenario::new(
        "without_a_control_plane_all_goes_on_and_the_next_one_catches_up",
        without_control_plane,
    ),
    Scenario::new(
        "a_killed_node_comes_back_to_what_is_wanted_then",
        killed_node,
    ),
    Scenario::new("what_is_not_ours_is_left_alone", what_is_not_ours),
    Scenario::new(
        "established_and_new_connections_outlive_a_killed_node",
        connections_outlive_a_killed_node,
    )
    .except(&[(
        Backend::Userspace,
        "the process carries the traffic: what it carried ends with it",
    )]),
];

const PORT: u16 = 80;

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
    let service = Service::new(52).port(Protocol::Tcp, PORT).to(&endpoints);
    cluster.apply(&service);
    let to = service.at(Family::V4, PORT);
    cluster.answers(cluster.world.pod(0, 1), to, &endpoints);
    let connection = cluster.world.pod(0, 1).connect(Protocol::Tcp, to);
    let mut connection = connection.expect("a connection");
    let who = connection.ask().expect("an answer").who;
    for _ in 0..3 {
        cluster.kill_node(0);
        let answers = cluster.world.pod(0, 1).ask_times(20, Protocol::Tcp, to);
        answers.expect("new connections do without the node's process");
        cluster.start_node(0);
        let answers = cluster.world.pod(0, 1).ask_times(20, Protocol::Tcp, to);
        answers.expect("a start disturbs none");
        assert_eq!(connection.ask().expect("it lives").who, who);
    }
}

fn what_is_not_ours(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2]);
    let table = "add table inet theirs\n\
         add chain inet theirs input { type filter hook input priority 10; policy accept; }\n\
         add rule inet theirs input tcp dport 9 counter drop comment \"theirs\"\n";
    let nft = |cluster: &Cluster, arguments: &[&str]| {
        let node = cluster.world.node(0);
        node.output("nft", arguments).expect("nft works")
    };
    nft(&cluster, &[table]);
    let theirs = nft(&cluster, &["list", "table", "inet", "theirs"]);
    let ipvsadm = |cluster: &Cluster, arguments: &[&str]| {
        let node = cluster.world.node(0);
        node.output("ipvsadm", arguments).expect("ipvsadm works")
    };
    if backend == Backend::Ipvs {
        ipvsadm(&cluster, &["-A", "-t", "192.0.2.4:56", "-s", "rr"]);
    }
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(53).port(Protocol::Tcp, PORT).to(&endpoint);
    let to = service.at(Family::V4, PORT);
    for _ in 0..2 {
        cluster.apply(&service);
        cluster.answers(cluster.world.pod(0, 1), to, &endpoint);
        cluster.delete(&service);
        cluster.serves_nobody(cluster.world.pod(0, 1), Protocol::Tcp, to);
        cluster.kill_node(0);
        cluster.start_node(0);
    }
    assert_eq!(nft(&cluster, &["list", "table", "inet", "theirs"]), theirs);
    if backend == Backend::Ipvs {
        let listed = ipvsadm(&cluster, &["-Ln"]);
        assert!(listed.contains("192.0.2.4:56"), "{listed}");
    }
}
