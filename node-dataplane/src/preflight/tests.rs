//! What facts mean, one at a time: each case is a good host but for one thing.

use std::collections::BTreeSet;

use meshlite_nft::{Family, TableKey};
use meshlite_snapshot::Protocol;

use super::{
    facts::{Facts, Socket},
    *,
};
use crate::{
    Mode, Scheduler,
    cleanup::Found,
    host::{
        firewalls::ForwardDrop,
        listeners::Listener,
        modules::{self, Outcome},
        processes::Process,
        sysctl::{self, KernelVersion},
        testing::in_namespace,
    },
    init,
    mode::{Backend, Choice},
};

const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;

/// A host on which nothing is to be done.
fn good() -> Facts {
    let modules = init::wanted_modules(Mode::Auto).into_iter();
    let sysctls = init::wanted_sysctls(&Config::default(), true).into_iter();
    Facts {
        kernel: Ok(KernelVersion(6, 12)),
        capabilities: Ok(u64::MAX),
        choice: Ok(Choice {
            backend: Backend::Ipvs,
            why: "auto: it works here".to_owned(),
            schedulers: Scheduler::ALL.into(),
        }),
        modules: modules
            .map(|module| modules::Report {
                module,
                outcome: Outcome::Present,
            })
            .collect(),
        sysctls: sysctls
            .map(|sysctl| sysctl::Report {
                sysctl,
                outcome: sysctl::Outcome::AsWanted,
            })
            .collect(),
        processes: Vec::new(),
        state: Ok(Found::default()),
        chains: Ok(Vec::new()),
        forward_drops: Ok(Vec::new()),
        legacy_tables: Vec::new(),
        sockets: Ok(Vec::new()),
    }
}

fn mk_process(name: &str) -> Process {
    Process {
        name: name.to_owned(),
        pid: 812,
    }
}

fn mk_socket(protocol: Protocol, address: &str, holder: &str) -> Socket {
    Socket {
        listener: Listener {
            protocol,
            address: address.parse().unwrap(),
        },
        holder: (!holder.is_empty()).then(|| mk_process(holder)),
    }
}

fn mk_chain(family: Family, table: &str, name: &str) -> meshlite_nft::ChainKey {
    let table = TableKey {
        family,
        name: table.parse().unwrap(),
    };
    table.chain(name.parse().unwrap())
}

/// Changes a good host, or how a node is to run on it.
type Change = fn(&mut Facts, &mut Config);

fn report(change: Change) -> Report {
    let (mut facts, mut config) = (good(), Config::default());
    change(&mut facts, &mut config);
    judge(&facts, &config, &NODE_PORTS)
}

/// Everything that is not as it should be, in a line each.
fn amiss(change: Change) -> Vec<String> {
    let report = report(change);
    let amiss = report.findings.into_iter().filter(|it| it.todo.is_some());
    amiss
        .map(
            |Finding {
                 level,
                 check,
                 found,
                 todo,
             }| { format!("{level} {check}: {found} -> {}", todo.unwrap_or_default()) },
        )
        .collect()
}

fn lose_module(facts: &mut Facts, name: &str) {
    for report in &mut facts.modules {
        if report.module.starts_with(name) {
            report.outcome = Outcome::NoProgram;
        }
    }
}

fn spoil_sysctl(facts: &mut Facts, path: &str) {
    for report in &mut facts.sysctls {
        if report.sysctl.path == path {
            report.outcome = sysctl::Outcome::Left(0);
        }
    }
}

#[test]
fn a_good_host_is_ready_and_each_thing_is_said_to_be() {
    let report = report(|_, _| {});
    assert!(report.ready);
    assert_eq!(report.mode.as_deref(), Some("ipvs"));
    let bad = report.findings.iter().find(|it| it.level != Level::Ok);
    assert_eq!(bad, None);
    let checks: Vec<_> = report.findings.iter().map(|it| it.check.as_str()).collect();
    let expected = [
        "kernel",
        "permissions",
        "mode",
        "modules",
        "sysctl net.ipv4.ip_forward",
        "sysctl net.ipv4.vs.conntrack",
        "tables",
        "virtual servers",
        "firewall",
        "port 10249/TCP",
        "port 10256/TCP",
        "ports",
    ];
    assert_eq!(checks, expected);
}

/// What is wrong, its level and check, and a part of what is said and of what to do.
const CASES: [(Change, &str, &str, &str); 24] = [
    (
        |it, _| it.kernel = Ok(KernelVersion(5, 4)),
        "warning kernel",
        "Linux 5.4",
        "Linux 6.1 or newer",
    ),
    (
        |it, _| it.kernel = Err("no /proc".to_owned()),
        "warning kernel",
        "no /proc",
        "as root",
    ),
    (
        |it, _| it.capabilities = Ok(0),
        "failure permissions",
        "CAP_NET_ADMIN is missing",
        "as root",
    ),
    (
        |it, _| it.choice = Err("mode ipvs cannot be used here".to_owned()),
        "failure mode",
        "mode ipvs cannot",
        "--mode auto",
    ),
    (
        |it, _| {
            it.choice = Ok(Choice {
                backend: Backend::Userspace,
                why: "auto: it works here".to_owned(),
                schedulers: Vec::new(),
            });
        },
        "warning mode",
        "userspace (auto",
        "load the modules",
    ),
    (
        |it, _| lose_module(it, "ip_vs"),
        "warning modules",
        "ip_vs, ip_vs_",
        "modprobe -a ip_vs ip_vs_",
    ),
    (
        |it, config| {
            lose_module(it, "ip_vs_rr");
            config.mode = Mode::Ipvs;
        },
        "failure modules",
        "ip_vs_rr: is not there",
        "modprobe -a ip_vs_rr",
    ),
    (
        |it, config| {
            spoil_sysctl(it, "net/ipv4/ip_forward");
            config.sysctls = false;
        },
        "failure sysctl net.ipv4.ip_forward",
        "0, should be 1",
        "sysctl -w net.ipv4.ip_forward=1",
    ),
    (
        |it, config| {
            spoil_sysctl(it, "net/ipv4/vs/expire_nodest_conn");
            config.sysctls = false;
        },
        "warning sysctl net.ipv4.vs.expire_nodest_conn",
        "should be 1",
        "expire_nodest_conn=1",
    ),
    (
        |it, _| it.processes = vec![mk_process("kube-proxy")],
        "failure kube-proxy",
        "kube-proxy (process 812) runs",
        "deploy/README.md",
    ),
    (
        |it, _| it.processes = vec![mk_process("cilium-agent")],
        "warning proxies",
        "kubeProxyReplacement",
        "kubeProxyReplacement=false",
    ),
    (
        |it, _| it.processes = vec![mk_process("kube-router")],
        "warning proxies",
        "kube-router",
        "--run-service-proxy=false",
    ),
    (
        |it, _| {
            it.chains = Ok(vec![
                mk_chain(Family::Ipv4, "nat", "KUBE-SERVICES"),
                mk_chain(Family::Ipv6, "nat", "KUBE-SERVICES"),
            ]);
        },
        "warning tables",
        "in ip nat, ip6 nat",
        "kube-proxy --cleanup",
    ),
    (
        |it, _| it.chains = Ok(vec![mk_chain(Family::Ipv4, "kube-proxy", "services")]),
        "warning tables",
        "in ip kube-proxy",
        "--cleanup",
    ),
    (
        |it, _| it.chains = Err("no permission".to_owned()),
        "warning tables",
        "no permission",
        "as root",
    ),
    (
        |it, _| it.legacy_tables = vec!["nat".to_owned()],
        "warning legacy iptables",
        "nat",
        "iptables-legacy-save",
    ),
    (
        |it, _| {
            it.state = Ok(Found {
                virtual_servers: 7,
                ..Found::default()
            });
        },
        "warning virtual servers",
        "7 in IPVS",
        "taken over",
    ),
    (
        |it, _| {
            it.choice = Ok(Choice {
                backend: Backend::Nftables,
                why: String::new(),
                schedulers: Vec::new(),
            });
            it.state = Ok(Found {
                addresses: BTreeSet::from([[10, 96, 0, 1].into()]),
                ..Found::default()
            });
        },
        "warning virtual servers",
        "1 addresses on kube-ipvs0",
        "kube-proxy --cleanup",
    ),
    (
        |it, _| it.forward_drops = Ok(vec![mk_forward_drop(false)]),
        "warning firewall",
        "chain FORWARD of table ip filter",
        "--open-forward",
    ),
    (
        |it, _| {
            it.sockets = Ok(vec![mk_socket(
                Protocol::Tcp,
                "127.0.0.1:10249",
                "kube-proxy",
            )]);
        },
        "failure port 10249/TCP",
        "kube-proxy (process 812)",
        "once kube-proxy is gone",
    ),
    (
        |it, _| it.sockets = Ok(vec![mk_socket(Protocol::Tcp, "[::]:10256", "")]),
        "failure port 10256/TCP",
        "cannot be seen",
        "--healthz-bind-address",
    ),
    (
        |it, _| it.sockets = Ok(vec![mk_socket(Protocol::Udp, "0.0.0.0:30053", "named")]),
        "warning port 30053/UDP",
        "named (process 812) listens on 0.0.0.0:30053",
        "another port",
    ),
    (
        |it, _| it.sockets = Ok(vec![mk_socket(Protocol::Tcp, "[::]:80", "nginx")]),
        "warning port 80/TCP",
        "nginx",
        "--nodeport-addresses",
    ),
    (
        |it, _| it.sockets = Ok(vec![mk_socket(Protocol::Tcp, "10.0.0.1:18000", "python3")]),
        "warning port 18000/TCP",
        "python3",
        "if a control plane is to run",
    ),
];

fn mk_forward_drop(is_open: bool) -> ForwardDrop {
    ForwardDrop {
        chain: mk_chain(Family::Ipv4, "filter", "FORWARD"),
        is_dockers: true,
        is_open,
    }
}

#[test]
fn each_thing_that_is_amiss_is_the_only_finding_and_says_what_to_do() {
    for (change, head, found, todo) in CASES {
        let amiss = amiss(change);
        let [line] = &amiss[..] else {
            panic!("{head}: {amiss:#?}");
        };
        assert!(line.starts_with(&format!("{head}: ")), "{head}: {line}");
        let (said, advice) = line.split_once(" -> ").unwrap();
        assert!(said.contains(found), "{found}: {line}");
        assert!(advice.contains(todo), "{todo}: {line}");
        let prevents = head.starts_with("failure");
        assert_eq!(report(change).ready, !prevents, "{line}");
    }
}

/// What looks like a conflict and is none.
const HARMLESS: [Change; 9] = [
    |it, _| spoil_sysctl(it, "net/ipv4/ip_forward"),
    |it, config| {
        it.capabilities = Ok(0);
        config.mode = Mode::Userspace;
    },
    |it, _| {
        it.chains = Ok(vec![mk_chain(
            Family::Ipv4,
            "mangle",
            "KUBE-KUBELET-CANARY",
        )]);
    },
    |it, _| {
        it.state = Ok(Found {
            virtual_servers: 7,
            has_table: true,
            ..Found::default()
        });
    },
    |it, _| it.forward_drops = Ok(vec![mk_forward_drop(true)]),
    |it, config| {
        it.forward_drops = Ok(vec![mk_forward_drop(false)]);
        config.open_forward = true;
    },
    |it, _| {
        it.sockets = Ok(vec![mk_socket(
            Protocol::Tcp,
            "127.0.0.1:10249",
            "meshlite",
        )]);
    },
    |it, _| it.sockets = Ok(vec![mk_socket(Protocol::Tcp, "127.0.0.1:30080", "nginx")]),
    |it, config| {
        it.sockets = Ok(vec![mk_socket(Protocol::Tcp, "127.0.0.1:10249", "nginx")]);
        config.metrics_listen = None;
    },
];

#[test]
fn what_only_looks_like_a_conflict_is_none() {
    for (index, change) in HARMLESS.into_iter().enumerate() {
        assert_eq!(amiss(change), Vec::<String>::new(), "case {index}");
    }
}

#[test]
fn a_listener_at_another_address_leaves_ours_free() {
    let amiss = amiss(|it, _| {
        it.sockets = Ok(vec![mk_socket(
            Protocol::Tcp,
            "192.0.2.1:10249",
            "exporter",
        )]);
    });
    assert_eq!(amiss, Vec::<String>::new());
}

#[test]
fn an_empty_network_namespace_has_nothing_in_the_way_and_is_left_as_it_was() {
    in_namespace(|| {
        let ruleset = || crate::host::testing::run("nft", &["list", "ruleset"]);
        let before = ruleset();
        let config = Config {
            mode: Mode::Nftables,
            ..Config::default()
        };
        let report = preflight(&config, &NODE_PORTS);
        assert!(report.ready, "{:#?}", report.findings);
        assert_eq!(report.mode.as_deref(), Some("nftables"));
        assert_eq!(ruleset(), before);
    });
}
