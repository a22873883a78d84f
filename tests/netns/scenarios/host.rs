//! What Services leave to the host they are on: its daemons and sockets, its firewalls, whatever others programmed.

use std::{collections::BTreeSet, os::unix::fs::symlink};

use meshlite_tests::world::{Family, Host, Protocol};

use super::{Notes, Scenario};
use crate::{
    backend::Backend,
    cluster::{Cluster, meshlite},
    load::Load,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 8] = [
    Scenario::new("what_is_not_ours_is_left_alone", what_is_not_ours),
    Scenario::new("cleanup_removes_all_of_ours_and_nothing_else", cleanup),
    Scenario::new(
        "tables_of_others_can_be_flushed_under_load",
        others_are_flushed,
    ),
    Scenario::new(
        "a_foreign_forward_drop_is_reported_and_answered_where_that_is_asked",
        forward_drop,
    )
    .except(&[(
        Backend::Userspace,
        "its connections begin and end on the node: nothing is forwarded",
    )]),
    Scenario::new("an_address_of_a_service_answers_icmp_echo", echo),
    Scenario::new("a_node_port_opens_no_listening_socket", no_listener).except(LISTENS),
    Scenario::new("a_daemon_on_a_node_port_is_reported", daemon_on_node_port).except(LISTENS),
    Scenario::new("preflight_finds_what_is_in_the_way", preflight),
];

const LISTENS: Notes = &[(Backend::Userspace, "it serves node ports by listening")];
const PORT: u16 = 80;
const NODE_PORT: u16 = 30004;

fn run(host: &Host, program: &str, arguments: &str) -> String {
    let output = host.output(program, &arguments.split(' ').collect::<Vec<_>>());
    output.unwrap_or_else(|error| panic!("{error}"))
}

/// Adds a table as other people's programs have them.
fn add_theirs(node: &Host) -> String {
    let table = "add table inet theirs\n\
         add chain inet theirs input { type filter hook input priority 10; policy accept; }\n\
         add rule inet theirs input tcp dport 9 counter drop comment \"theirs\"\n\
         add table ip nat\n\
         add chain ip nat POSTROUTING { type nat hook postrouting priority 100; policy accept; }\n\
         add rule ip nat POSTROUTING ip daddr 192.0.2.77 masquerade\n";
    node.output("nft", &[table]).expect("a table");
    run(node, "nft", "list table inet theirs")
}

fn what_is_not_ours(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2]);
    let theirs = add_theirs(cluster.world.node(0));
    if backend == Backend::Ipvs {
        run(cluster.world.node(0), "ipvsadm", "-A -t 192.0.2.4:56 -s rr");
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
    let node = cluster.world.node(0);
    assert_eq!(run(node, "nft", "list table inet theirs"), theirs);
    if backend == Backend::Ipvs {
        let listed = run(node, "ipvsadm", "-Ln");
        assert!(listed.contains("192.0.2.4:56"), "{listed}");
    }
}

/// Every line that a backend could have changed. Link-local addresses come and go by themselves while devices are new.
fn state(backend: Backend, node: &Host) -> BTreeSet<String> {
    let mut state = run(node, "nft", "-s list ruleset");
    for what in [
        "-o link",
        "-o address",
        "-4 route show table all",
        "-6 route show table all",
    ] {
        state += &run(node, "ip", what);
    }
    if backend == Backend::Ipvs {
        state += &run(node, "ipvsadm", "-Sn");
    }
    let lasting = state.lines().filter(|line| !line.contains("fe80:"));
    lasting.map(str::to_owned).collect()
}

fn cleanup(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2]);
    cluster.is_ready(0);
    cluster.kill_node(0);
    cluster.run_on(0, &["node", "cleanup"]);
    add_theirs(cluster.world.node(0));
    if backend == Backend::Ipvs {
        run(cluster.world.node(0), "ipvsadm", "-A -t 192.0.2.4:56 -s rr");
    }
    let before = state(backend, cluster.world.node(0));
    cluster.start_node(0);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(54).port(Protocol::Tcp, PORT);
    let service = service.node_port(NODE_PORT).load_balancer("VIP");
    let service = service.to(&endpoint);
    cluster.apply(&service);
    for family in Family::BOTH {
        cluster.answers(cluster.world.pod(0, 1), service.at(family, PORT), &endpoint);
    }
    cluster.kill_node(0);
    cluster.run_on(0, &["node", "cleanup"]);
    let after = state(backend, cluster.world.node(0));
    let (gone, left) = (&before - &after, &after - &before);
    assert!(
        gone.is_empty() && left.is_empty(),
        "gone: {gone:#?}, left: {left:#?}"
    );
}

fn others_are_flushed(backend: Backend) {
    let cluster = Cluster::new(backend, &[2, 1]);
    let endpoints = [Endpoint::ready(0, 0), Endpoint::ready(1, 0)];
    let service = Service::new(55)
        .port(Protocol::Tcp, PORT)
        .node_port(NODE_PORT);
    let service = service.to(&endpoints);
    cluster.apply(&service);
    let node = cluster.world.node(0);
    let (inside, outside) = (service.at(Family::V4, PORT), node.at(Family::V4, NODE_PORT));
    cluster.answers(cluster.world.pod(0, 1), inside, &endpoints);
    cluster.answers(cluster.world.client(), outside, &endpoints);
    let from_pod = Load::start(&cluster.world, |world| world.pod(0, 1), &[inside]);
    let from_outside = Load::start(&cluster.world, |world| world.client(), &[outside]);
    for _ in 0..3 {
        add_theirs(node);
        for command in [
            "flush table ip nat",
            "flush table inet theirs",
            "delete table ip nat",
            "delete table inet theirs",
        ] {
            run(node, "nft", command);
            cluster.answers(cluster.world.pod(0, 1), inside, &endpoints);
        }
    }
    from_pod.stop();
    from_outside.stop();
}

fn forward_drop(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[2]);
    let docker = "add table ip filter\n\
         add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n";
    let dropped = cluster.world.node(0).output("nft", &[docker]);
    dropped.expect("a table");
    cluster.kill_node(0);
    cluster.start_node(0);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(56).port(Protocol::Tcp, PORT).to(&endpoint);
    cluster.apply(&service);
    cluster.logs_that(0, "FORWARD");
    let to = service.at(Family::V4, PORT);
    cluster.serves_nobody(cluster.world.pod(0, 1), Protocol::Tcp, to);
    cluster.kill_node(0);
    cluster.set_flags(&["--open-forward"]);
    cluster.start_node(0);
    cluster.answers(cluster.world.pod(0, 1), to, &endpoint);
}

fn echo(backend: Backend) {
    let cluster = Cluster::new(backend, &[2]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(57).port(Protocol::Tcp, PORT).to(&endpoint);
    cluster.apply(&service);
    for family in Family::BOTH {
        let to = service.at(family, PORT);
        cluster.answers(cluster.world.pod(0, 1), to, &endpoint);
        for client in [cluster.world.pod(0, 1), cluster.world.node(0)] {
            let what = format!("{} hears an echo of {}", client.name(), to.ip());
            cluster.eventually(&what, || client.ping(to.ip()));
        }
    }
}

fn no_listener(backend: Backend) {
    let cluster = Cluster::new(backend, &[1]);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(58).port(Protocol::Tcp, PORT);
    cluster.apply(&service.node_port(NODE_PORT).to(&endpoint));
    let node = cluster.world.node(0);
    cluster.answers(
        cluster.world.client(),
        node.at(Family::V4, NODE_PORT),
        &endpoint,
    );
    let sockets = run(node, "ss", "-Hltnu");
    let listens = |line: &str| {
        let local = line.split_whitespace().nth(4);
        local.is_some_and(|local| local.ends_with(&format!(":{NODE_PORT}")))
    };
    assert!(!sockets.lines().any(listens), "{sockets}");
}

fn daemon_on_node_port(backend: Backend) {
    let cluster = Cluster::new(backend, &[1]);
    let node = cluster.world.node(0);
    let _daemon = node.serve(Protocol::Tcp, NODE_PORT).expect("a daemon");
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(59).port(Protocol::Tcp, PORT);
    cluster.apply(&service.node_port(NODE_PORT).to(&endpoint));
    cluster.answers(
        cluster.world.client(),
        node.at(Family::V4, NODE_PORT),
        &endpoint,
    );
    cluster.logs_that(0, &NODE_PORT.to_string());
}

/// What `meshlite preflight` prints on a node, with its exit status.
fn looked_at(cluster: &Cluster, backend: Backend) -> String {
    let program = meshlite();
    let line = format!(
        "{} preflight --mode {}; echo exit status $?",
        program.display(),
        backend.name()
    );
    let said = cluster.world.node(0).output("sh", &["-c", &line]);
    said.expect("a verdict")
}

fn preflight(backend: Backend) {
    let mut cluster = Cluster::new(backend, &[1]);
    cluster.kill_node(0);
    let before = looked_at(&cluster, backend);
    assert!(before.contains("\nready, mode "), "{before}");
    assert!(before.ends_with("exit status 0\n"), "{before}");

    let node = cluster.world.node(0);
    let theirs = "add table ip filter\n\
         add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n\
         add table ip nat\n\
         add chain ip nat KUBE-SERVICES\n";
    node.output("nft", &[theirs]).expect("tables");
    let _daemon = node.serve(Protocol::Tcp, NODE_PORT).expect("a daemon");
    let _metrics = node.serve(Protocol::Tcp, 10256).expect("a daemon");
    let folder = tempfile::tempdir().expect("a folder");
    let kube_proxy = folder.path().join("kube-proxy");
    symlink("/bin/sleep", &kube_proxy).expect("a program");
    let _kube_proxy = node.start(&kube_proxy, ["3600"]).expect("a process");
    let after = cluster.eventually("kube-proxy is seen", || {
        let said = looked_at(&cluster, backend);
        let is_seen = said.contains("failure  kube-proxy ");
        if is_seen { Ok(said) } else { Err(said) }
    });
    let mut expected = vec![
        "rules of kube-proxy are in ip nat",
        "port 30004/TCP",
        "failure  port 10256/TCP",
        "kube-proxy --cleanup",
        "--healthz-bind-address",
        "\nnot ready, mode ",
    ];
    if backend != Backend::Userspace {
        expected.push("chain FORWARD of table ip filter drops");
        expected.push("--open-forward");
    }
    for text in expected {
        assert!(after.contains(text), "{text:?} is not in\n{after}");
    }
    assert!(after.ends_with("exit status 1\n"), "{after}");
}
