//! From kube-proxy to Meshlite and back, as deploy/README.md says it, while clients ask.

use std::{collections::BTreeSet, fs, path::Path};

use meshlite_tests::world::{Family, Host, Protocol, World};

use super::Scenario;
use crate::{
    backend::Backend,
    cluster::Cluster,
    kube_proxy::{Api, KubeProxy},
    load::Load,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 1] = [Scenario::new(
    "from_kube_proxy_and_back_no_connection_fails_and_all_is_as_before",
    from_kube_proxy_and_back,
)
.except(&[(
    Backend::Userspace,
    "kube-proxy has no such mode; what it carried ends with the process",
)])];

const PORT: u16 = 80;
const NODE: usize = 0;
const NODE_PORT: u16 = 30_094;
const LOCAL_NODE_PORT: u16 = 30_095;

fn from_kube_proxy_and_back(backend: Backend) {
    let Some(api) = Api::start() else {
        return;
    };
    let mut cluster = Cluster::new(backend, &[2, 1]);
    cluster.kill_node(NODE);
    cluster.run_on(NODE, &["node", "cleanup"]);
    let mut kube_proxy = KubeProxy::on(&api, &cluster, NODE, backend);
    let here = [Endpoint::ready(0, 0)];
    let endpoints = [here[0], Endpoint::ready(1, 0)];
    let service = Service::new(94).port(Protocol::Tcp, PORT);
    let service = service.node_port(NODE_PORT).to(&endpoints);
    let local = Service::new(95).port(Protocol::Tcp, PORT);
    let local = local.node_port(LOCAL_NODE_PORT).to(&endpoints);
    let local = local.with("externalTrafficPolicy", "Local");
    api.apply(&cluster, &service);
    api.apply(&cluster, &local);
    kube_proxy.start(&cluster);
    let serves = |cluster: &Cluster, service: &Service, outside: &[Endpoint]| {
        let (inside, outside_too) = (cluster.world.pod(0, 1), cluster.world.client());
        for family in Family::BOTH {
            let node = cluster.world.node(NODE);
            cluster.answers(inside, service.at(family, PORT), &service.endpoints);
            cluster.answers(outside_too, node.at(family, node_port(service)), outside);
        }
    };
    serves(&cluster, &service, &endpoints);
    serves(&cluster, &local, &here);
    let before = of_kube_proxy(cluster.world.node(NODE));
    assert!(before.len() > 20, "{before:#?}");
    let load = clients(&cluster, &[&service, &local]);

    kube_proxy.stop();
    cluster.start_node(NODE);
    cluster.is_ready(NODE);
    let node = cluster.world.node(NODE);
    let removed = node.output("sh", &["-ec", &documented_commands()]);
    removed.expect("the commands work");
    assert_eq!(
        rules_of_kube_proxy(cluster.world.node(NODE)),
        BTreeSet::new()
    );
    cluster.apply(&service.clone().to(&here));
    serves(&cluster, &service.clone().to(&here), &here);
    cluster.apply(&service);
    serves(&cluster, &service, &endpoints);
    serves(&cluster, &local, &here);

    cluster.kill_node(NODE);
    kube_proxy.start(&cluster);
    let cleanup = documented_cleanup();
    let cleanup: Vec<_> = cleanup.split_whitespace().collect();
    cluster.run_on(NODE, &cleanup);
    serves(&cluster, &service, &endpoints);
    serves(&cluster, &local, &here);
    for load in load {
        load.stop();
    }
    cluster.eventually("kube-proxy has what it had", || {
        let now = of_kube_proxy(cluster.world.node(NODE));
        let (gone, new) = (before.difference(&now), now.difference(&before));
        if before == now {
            return Ok(());
        }
        let (gone, new): (Vec<_>, Vec<_>) = (gone.collect(), new.collect());
        Err(format!("gone: {gone:#?}, new: {new:#?}"))
    });
    assert_eq!(of_meshlite(cluster.world.node(NODE)), BTreeSet::new());
}

fn node_port(service: &Service) -> u16 {
    match service.name().as_str() {
        "s94" => NODE_PORT,
        _ => LOCAL_NODE_PORT,
    }
}

/// Clients in a pod and outside, each with a connection that it keeps and with new ones.
fn clients(cluster: &Cluster, services: &[&Service]) -> [Load; 2] {
    let node = cluster.world.node(NODE);
    let each = || {
        services
            .iter()
            .flat_map(|service| Family::BOTH.map(|family| (service, family)))
    };
    let inside: Vec<_> = each()
        .map(|(service, family)| service.at(family, PORT))
        .collect();
    let outside: Vec<_> = each()
        .map(|(service, family)| node.at(family, node_port(service)))
        .collect();
    [
        Load::start(&cluster.world, |world| world.pod(0, 1), &inside),
        Load::start(&cluster.world, World::client, &outside),
    ]
}

/// What deploy/README.md has below a heading.
fn documented(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/README.md");
    let text = fs::read_to_string(path).expect("the document");
    let section = text.split("\n### ").find_map(|it| it.strip_prefix(heading));
    section.expect("the heading").to_owned()
}

/// The commands that take away what kube-proxy left.
fn documented_commands() -> String {
    let section = documented("What kube-proxy left\n");
    let block = section.split("```").nth(1).expect("commands");
    let (_what_it_is, commands) = block.split_once('\n').expect("lines of commands");
    commands.to_owned()
}

/// What `meshlite` is told once kube-proxy is back.
fn documented_cleanup() -> String {
    let section = documented("And back\n");
    let command = section
        .lines()
        .find_map(|line| line.split_once("-- /meshlite "));
    command.expect("a command").1.to_owned()
}

/// What kube-proxy has programmed, in either mode.
fn of_kube_proxy(host: &Host) -> BTreeSet<String> {
    let mut all = rules_of_kube_proxy(host);
    all.extend(lines(host, "ipvsadm-save -n"));
    let addresses = lines(host, "ip -o address show dev kube-ipvs0 scope global");
    // The number of the link is another where it was made anew.
    all.extend(
        addresses
            .iter()
            .filter_map(|line| Some(line.split_once("kube-ipvs0")?.1.to_owned())),
    );
    all
}

/// Of that, what nothing of Meshlite takes over.
fn rules_of_kube_proxy(host: &Host) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let of_kube = |line: &String| line.contains("KUBE-");
    for command in ["iptables-save", "ip6tables-save", "ipset save"] {
        let without_counters = |line: String| line.split(['[', ']']).step_by(2).collect::<String>();
        // A set has a number by chance.
        let sets = |line: String| line.split(" initval").next().map(str::to_owned);
        let found = lines(host, command).into_iter().filter(of_kube);
        all.extend(found.map(without_counters).filter_map(sets));
    }
    for family in ["ip", "ip6"] {
        all.extend(lines(
            host,
            &format!("nft -s list table {family} kube-proxy"),
        ));
    }
    all
}

/// What Meshlite has programmed beside virtual servers at addresses.
fn of_meshlite(host: &Host) -> BTreeSet<String> {
    let mut all = lines(host, "nft -s list table inet meshlite");
    for family in ["-4", "-6"] {
        all.extend(lines(
            host,
            &format!("ip {family} route show table local proto 109"),
        ));
    }
    let virtual_servers = lines(host, "ipvsadm-save -n").into_iter();
    all.extend(virtual_servers.filter(|line| line.contains(" -f ")));
    all
}

/// What a command prints; nothing where it finds nothing.
fn lines(host: &Host, command: &str) -> BTreeSet<String> {
    let arguments: Vec<_> = command.split(' ').collect();
    let output = host
        .output(arguments[0], &arguments[1..])
        .unwrap_or_default();
    output.lines().map(str::to_owned).collect()
}
