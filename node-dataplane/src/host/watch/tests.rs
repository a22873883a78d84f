//! Looks at a host of the test's own, with a firewall, a program at a node port, and clients that were there before.

use std::{
    net::{TcpListener, UdpSocket},
    sync::Arc,
};

use super::*;
use crate::{
    host::testing::{in_namespace, ip, run},
    table::VirtualServer,
    testing::{key, mk_group, mk_service, mk_snapshot, mk_table, origin, server},
};

const FIREWALL: &str = "table ip filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; }
}";

/// A Service default/dns with a port of UDP, and endpoints of which one is ready, one terminates, and one is not ready.
fn snapshot() -> Snapshot {
    snapshot_of(Protocol::Udp)
}

fn snapshot_of(protocol: Protocol) -> Snapshot {
    let mut service = mk_service("dns", "10.96.0.10");
    service.ports[0].protocol = protocol;
    let endpoints = ["10.244.0.2", "10.244.0.3", "10.244.0.4"].map(|ip| (ip, "elsewhere"));
    let mut group = mk_group("dns", &endpoints);
    group.ports[0].protocol = protocol;
    for endpoint in &mut group.endpoints[1..] {
        endpoint.ready = false;
    }
    group.endpoints[1].terminating = true;
    group.endpoints[2].serving = false;
    mk_snapshot(vec![service], vec![group])
}

/// Its virtual servers, which have no real server here.
fn table() -> Table {
    table_of("UDP")
}

fn table_of(protocol: &str) -> Table {
    let of = |kind| {
        let mut origin = origin("dns");
        origin.service_port.port = Arc::from("http");
        origin.kind = kind;
        VirtualServer {
            origin,
            ..server(&[])
        }
    };
    mk_table([
        (
            key(&format!("{protocol} 10.96.0.10:53")),
            of(VipKind::ClusterIP),
        ),
        (
            key(&format!("{protocol} 172.18.0.2:30053")),
            of(VipKind::NodePort),
        ),
    ])
}

fn facts() -> Facts {
    Facts {
        node_name: "node-1".to_owned(),
        local_addresses: BTreeSet::from(["172.18.0.2".parse().unwrap()]),
        ..Facts::default()
    }
}

/// Looks once, at everything.
fn look(watch: &mut Watch) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let facts = facts();
    runtime.block_on(watch.look(Look {
        snapshot: &snapshot(),
        table: &table(),
        facts: &facts,
        is_full: true,
        flows_changed: true,
    }))
}

fn watch(open_forward: bool) -> Watch {
    let config = Config {
        open_forward,
        ..Config::default()
    };
    Watch::new(&config, Metrics::new().0)
}

fn reasons(findings: &[Finding]) -> Vec<[&str; 3]> {
    let short = |finding| {
        let Finding { object, reason, .. }: &Finding = finding;
        [object.kind.as_ref(), object.name.as_ref(), reason.as_ref()]
    };
    findings.iter().map(short).collect()
}

#[test]
fn what_is_wrong_with_the_host_is_found_and_gone_once_it_is_mended() {
    in_namespace(|| {
        let mut watch = watch(false);
        assert!(look(&mut watch).is_empty());
        run("nft", &[FIREWALL]);
        let program = UdpSocket::bind("0.0.0.0:30053").unwrap();
        let other = TcpListener::bind("0.0.0.0:30053").unwrap();
        let found = look(&mut watch);
        let expected = [
            ["Node", "node-1", "ForwardDropped"],
            ["Service", "dns", "NodePortInUse"],
        ];
        assert_eq!(reasons(&found), expected);
        assert!(
            found[0]
                .message
                .contains("chain FORWARD of table ip filter"),
            "{found:?}"
        );
        assert!(
            found[1].message.contains("0.0.0.0:30053 (UDP)"),
            "{found:?}"
        );
        run("nft", &["delete", "table", "ip", "filter"]);
        drop((program, other));
        assert!(look(&mut watch).is_empty());
    });
}

#[test]
fn an_accept_is_kept_where_it_is_asked_for_and_taken_back_where_not() {
    in_namespace(|| {
        run("nft", &[FIREWALL]);
        let accepts = || run("nft", &["list", "ruleset"]).matches("meshlite").count();
        let mut opens = watch(true);
        assert!(look(&mut opens).is_empty());
        assert_eq!(accepts(), 1);
        run("nft", &["flush", "chain", "ip", "filter", "FORWARD"]);
        assert!(look(&mut opens).is_empty());
        assert_eq!(accepts(), 1, "it is healed");
        assert_eq!(look(&mut watch(false)).len(), 1);
        assert_eq!(accepts(), 0);
    });
}

#[test]
fn udp_flows_stay_with_endpoints_that_serve_whatever_the_policy_and_no_others() {
    in_namespace(|| {
        for address in ["10.244.0.2", "10.244.0.3", "10.244.0.4", "10.96.0.10"] {
            ip(&format!("addr add {address}/32 dev lo"));
        }
        for (number, endpoint) in ["10.244.0.2", "10.244.0.3", "10.244.0.4"]
            .iter()
            .enumerate()
        {
            let rules = format!(
                "table ip t {{
                   chain out {{ type nat hook output priority -100; udp dport 53 dnat to {endpoint}:8080; }}
                 }}"
            );
            run("nft", &[&rules]);
            let client = UdpSocket::bind(("127.0.0.1", 40_000 + u16::try_from(number).unwrap()));
            client.unwrap().send_to(b"?", "10.96.0.10:53").unwrap();
            run("nft", &["delete", "table", "ip", "t"]);
        }
        // Something has to track connections.
        run(
            "nft",
            &[
                "table ip t { chain in { type filter hook input priority 0; ct state new accept; }; }",
            ],
        );
        let endpoints = || {
            let mut conntrack = Conntrack::connect().unwrap();
            let flows = conntrack.flows(&[Protocol::Udp]).unwrap();
            let mut endpoints: Vec<_> = flows
                .iter()
                .map(|flow| flow.reply.source.ip().to_string())
                .collect();
            endpoints.sort();
            endpoints
        };
        assert_eq!(endpoints(), ["10.244.0.2", "10.244.0.3", "10.244.0.4"]);
        look(&mut watch(false));
        assert_eq!(endpoints(), ["10.244.0.2", "10.244.0.3"]);
    });
}

#[test]
fn flows_of_sctp_stay_with_endpoints_that_serve_as_those_of_udp_do() {
    let nothing = || Serving::on(facts().local_addresses);
    for (protocol, name, is_watched) in [
        (Protocol::Udp, "UDP", true),
        (Protocol::Sctp, "SCTP", true),
        (Protocol::Tcp, "TCP", false),
    ] {
        let mut expected = nothing();
        for place in ["10.96.0.10:53", "172.18.0.2:30053"] {
            let endpoints = ["10.244.0.2:8080", "10.244.0.3:8080"];
            if is_watched {
                let frontend = key(&format!("{name} {place}")).frontend;
                expected.add(frontend, endpoints.map(|it| it.parse().unwrap()));
            }
        }
        let found = serving::serving(&snapshot_of(protocol), &table_of(name), &facts());
        assert_eq!(found, expected, "{name}");
    }
}
