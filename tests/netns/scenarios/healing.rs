//! Somebody changes what we programmed: it is as it was within a resync period, and said aloud.

use meshlite_tests::world::{Family, Protocol};

use super::{Notes, Scenario};
use crate::{
    backend::{Backend, cluster_ip},
    cluster::Cluster,
    service::{Endpoint, Service},
};

pub(super) const SCENARIOS: [Scenario; 5] = [
    Scenario::new("a_deleted_table_comes_back", table).except(PROCESS),
    Scenario::new("a_deleted_virtual_server_comes_back", virtual_server).except(&[
        (Backend::Userspace, IN_PROCESS),
        (Backend::Nftables, "its table is all that it has"),
    ]),
    Scenario::new("a_deleted_destination_comes_back", destination).except(&[
        (Backend::Userspace, IN_PROCESS),
        (Backend::Nftables, "its table is all that it has"),
    ]),
    Scenario::new("a_deleted_route_comes_back", route).except(&[
        (Backend::Userspace, IN_PROCESS),
        (Backend::Nftables, "its table is all that it has"),
    ]),
    Scenario::new("a_deleted_address_comes_back", address).except(&[
        (Backend::Userspace, IN_PROCESS),
        (Backend::Nftables, "its table is all that it has"),
    ]),
];

const IN_PROCESS: &str = "what it serves is in its process, where nobody else comes";
const PROCESS: Notes = &[(Backend::Userspace, IN_PROCESS)];
const PORT: u16 = 80;
const NUMBER: u8 = 60;
const SYNC: &[&str] = &["--sync-period", "1s"];
const REPAIRS: &str = "meshlite_node_repairs_total";

fn table(backend: Backend) {
    heals(backend, SYNC, &|_| {
        ("nft", "delete table inet meshlite".to_owned())
    });
}

fn virtual_server(backend: Backend) {
    heals(backend, SYNC, &|service| {
        ("ipvsadm", format!("-D -t {}", service.at(Family::V4, PORT)))
    });
}

fn destination(backend: Backend) {
    heals(backend, SYNC, &|service| {
        let to = service.at(Family::V4, PORT);
        ("ipvsadm", format!("-d -t {to} -r 10.244.0.10:8080"))
    });
}

fn route(backend: Backend) {
    heals(backend, SYNC, &|_| {
        let ip = cluster_ip(Family::V4, NUMBER);
        ("ip", format!("route delete local {ip} proto 109"))
    });
}

fn address(backend: Backend) {
    const BOUND: &[&str] = &["--sync-period", "1s", "--vip-binding", "address"];
    heals(backend, BOUND, &|_| {
        let ip = cluster_ip(Family::V4, NUMBER);
        ("ip", format!("address delete {ip}/32 dev kube-ipvs0"))
    });
}

/// The same clients are served after somebody has run a command, without being told so.
fn heals(
    backend: Backend,
    flags: &'static [&'static str],
    harm: &dyn Fn(&Service) -> (&'static str, String),
) {
    let cluster = Cluster::with_flags(backend, &[2], flags);
    let endpoint = [Endpoint::ready(0, 0)];
    let service = Service::new(NUMBER).port(Protocol::Tcp, PORT).to(&endpoint);
    cluster.apply(&service);
    let client = cluster.world.pod(0, 1);
    for family in Family::BOTH {
        cluster.answers(client, service.at(family, PORT), &endpoint);
    }
    cluster.is_ready(0);
    let before = cluster.metric(0, REPAIRS).expect("a metric");
    let (program, arguments) = harm(&service);
    let arguments: Vec<_> = arguments.split(' ').collect();
    let harmed = cluster.world.node(0).output(program, &arguments);
    harmed.expect("it was there to be taken away");
    cluster.logs_that(0, "repaired");
    for family in Family::BOTH {
        cluster.answers(client, service.at(family, PORT), &endpoint);
    }
    let after = cluster.metric(0, REPAIRS).expect("a metric");
    assert!(after > before, "{before} repairs before, {after} after");
}
