//! Each field: what it does where it applies, and what is said where it does not.

use std::collections::BTreeSet;

use super::{
    super::fields::{FIELDS, Kind},
    *,
};

type Check = fn(&Config) -> bool;

const fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

/// Every field that applies, a document that sets it, and what it makes of the configuration.
const APPLIED: &[(&str, &str, Check)] = &[
    ("apiVersion", "mode: ipvs", |c| c.mode == Mode::Ipvs),
    ("kind", "mode: userspace", |c| c.mode == Mode::Userspace),
    ("mode", "mode: nftables", |c| c.mode == Mode::Nftables),
    ("bindAddress", "bindAddress: '::'", |c| {
        c.metrics_listen == "[::1]:10249".parse().ok()
            && c.health_listen == "[::]:10256".parse().ok()
    }),
    ("hostnameOverride", "hostnameOverride: ' Node-7 '", |c| {
        c.node_name == "node-7"
    }),
    ("healthzBindAddress", "healthzBindAddress: 10.0.0.1", |c| {
        c.health_listen == "10.0.0.1:10256".parse().ok()
    }),
    (
        "metricsBindAddress",
        "metricsBindAddress: '[::]:9000'",
        |c| c.metrics_listen == "[::]:9000".parse().ok(),
    ),
    (
        "clusterCIDR",
        "clusterCIDR: '10.244.0.0/16,fd00:1::/56'",
        |c| {
            let ranges = ["10.244.0.0/16", "fd00:1::/56"].map(|range| range.parse().unwrap());
            c.detect_local == DetectLocal::ClusterCidr(ranges.into())
        },
    ),
    ("detectLocalMode", "detectLocalMode: NodeCIDR", |c| {
        c.detect_local == DetectLocal::NodeCidr
    }),
    (
        "detectLocal.bridgeInterface",
        "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}",
        |c| c.detect_local == DetectLocal::Bridge("cni0".into()),
    ),
    (
        "detectLocal.interfaceNamePrefix",
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
        |c| c.detect_local == DetectLocal::InterfacePrefix("veth".into()),
    ),
    (
        "nodePortAddresses",
        "nodePortAddresses: [10.0.0.7/8, localhost, primary]",
        |c| {
            let ranges: Vec<_> = c
                .node_port_addresses
                .iter()
                .map(ToString::to_string)
                .collect();
            ranges == ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]
                && c.node_port_primary
                && c.localhost_node_ports
        },
    ),
    (
        "iptables.localhostNodePorts",
        "iptables: {localhostNodePorts: false}",
        |c| !c.localhost_node_ports,
    ),
    (
        "iptables.masqueradeAll",
        "mode: ipvs\niptables: {masqueradeAll: true}",
        |c| c.masquerade_all,
    ),
    (
        "iptables.minSyncPeriod",
        "iptables: {minSyncPeriod: 5s}",
        |c| c.min_sync_period == Duration::from_secs(5),
    ),
    ("iptables.syncPeriod", "iptables: {syncPeriod: 1m}", |c| {
        c.sync_period == minutes(1)
    }),
    (
        "nftables.masqueradeAll",
        "mode: nftables\nnftables: {masqueradeAll: true}",
        |c| c.masquerade_all,
    ),
    (
        "nftables.minSyncPeriod",
        "mode: nftables\nnftables: {minSyncPeriod: 5s}",
        |c| c.min_sync_period == Duration::from_secs(5),
    ),
    (
        "nftables.syncPeriod",
        "mode: nftables\nnftables: {syncPeriod: 1m}",
        |c| c.sync_period == minutes(1),
    ),
    (
        "ipvs.minSyncPeriod",
        "mode: ipvs\nipvs: {minSyncPeriod: 5s}",
        |c| c.min_sync_period == Duration::from_secs(5),
    ),
    (
        "ipvs.syncPeriod",
        "mode: ipvs\nipvs: {syncPeriod: 1m}",
        |c| c.sync_period == minutes(1),
    ),
    ("ipvs.scheduler", "ipvs: {scheduler: lblcr}", |c| {
        c.scheduler == Scheduler::Lblcr
    }),
    ("ipvs.strictARP", "ipvs: {strictARP: true}", |c| {
        c.strict_arp
    }),
    (
        "ipvs.excludeCIDRs",
        "ipvs: {excludeCIDRs: [10.9.0.0/16]}",
        |c| c.exclude_cidrs == ["10.9.0.0/16".parse().unwrap()],
    ),
    ("ipvs.tcpTimeout", "ipvs: {tcpTimeout: 15m}", |c| {
        c.tcp_timeout == Some(minutes(15))
    }),
    ("ipvs.tcpFinTimeout", "ipvs: {tcpFinTimeout: 2m}", |c| {
        c.tcp_fin_timeout == Some(minutes(2))
    }),
    ("ipvs.udpTimeout", "ipvs: {udpTimeout: 5m}", |c| {
        c.udp_timeout == Some(minutes(5))
    }),
    ("conntrack.maxPerCore", "conntrack: {maxPerCore: 0}", |c| {
        c.conntrack.max_per_core == 0
    }),
    ("conntrack.min", "conntrack: {min: 7}", |c| {
        c.conntrack.min == 7
    }),
    (
        "conntrack.tcpBeLiberal",
        "conntrack: {tcpBeLiberal: true}",
        |c| c.conntrack.tcp_be_liberal,
    ),
    (
        "conntrack.tcpCloseWaitTimeout",
        "conntrack: {tcpCloseWaitTimeout: 0s}",
        |c| c.conntrack.tcp_close_wait_timeout.is_none(),
    ),
    (
        "conntrack.tcpEstablishedTimeout",
        "conntrack: {tcpEstablishedTimeout: 5m}",
        |c| c.conntrack.tcp_established_timeout == Some(minutes(5)),
    ),
    ("conntrack.udpTimeout", "conntrack: {udpTimeout: 5m}", |c| {
        c.conntrack.udp_timeout == Some(minutes(5))
    }),
    (
        "conntrack.udpStreamTimeout",
        "conntrack: {udpStreamTimeout: 5m}",
        |c| c.conntrack.udp_stream_timeout == Some(minutes(5)),
    ),
];

/// A document in which one field says something.
fn document(path: &str, value: &str) -> String {
    let keys = path.split('.').enumerate();
    let keys = keys.map(|(depth, key)| format!("{}{key}:", "  ".repeat(depth)));
    format!("{HEAD}{} {value}\n", keys.collect::<Vec<_>>().join("\n"))
}

#[test]
fn each_field_that_applies_does_what_it_says() {
    for (path, text, check) in APPLIED {
        let (config, _) = configured(&format!("{HEAD}{text}\n"));
        assert!(check(&config), "{path}: {config:?}");
    }
    let tested: BTreeSet<_> = APPLIED.iter().map(|(path, ..)| *path).collect();
    let applied = FIELDS.iter().filter(|field| field.why_not.is_none());
    assert_eq!(tested, applied.map(|field| field.path).collect());
}

#[test]
fn each_field_that_does_not_apply_is_reported_unless_it_asks_for_nothing() {
    for field in FIELDS {
        let Some(why_not) = field.why_not else {
            continue;
        };
        let (value, zero) = match field.kind {
            Kind::Text => ("word", "\"\""),
            Kind::Switch => ("true", "false"),
            Kind::Number(..) => ("7", "0"),
            Kind::Duration => ("7m", "0s"),
            Kind::Texts => ("[word]", "[]"),
            Kind::Anything => ("{Key: true}", "{}"),
        };
        let (_, remarks) = configured(&document(field.path, value));
        let line = 3 + field.path.matches('.').count();
        let expected = format!("line {line}: {}: does not apply: {why_not}", field.path);
        assert_eq!(remarks, [expected]);
        for nothing in [zero, "null"] {
            let (_, remarks) = configured(&document(field.path, nothing));
            assert_eq!(remarks, [""; 0], "{}: {nothing}", field.path);
        }
    }
}

#[test]
fn each_field_of_another_type_is_a_mistake() {
    for field in FIELDS {
        let expected = match field.kind {
            Kind::Anything => continue,
            _ if matches!(field.path, "kind" | "apiVersion") => continue,
            Kind::Text => "text",
            Kind::Switch => "true or false",
            Kind::Number(..) => "a whole number",
            Kind::Duration => "a duration",
            Kind::Texts => "a list of texts",
        };
        let found = mistakes(&document(field.path, "{a: b}"));
        let line = 3 + field.path.matches('.').count();
        let start = format!("line {line}: {}: a mapping is not {expected}", field.path);
        assert!(
            found.len() == 1 && found[0].starts_with(&start),
            "{found:?}"
        );
    }
}

#[test]
fn each_field_is_in_the_documentation() {
    let text = include_str!("../../../../docs/kube-proxy.md");
    for field in FIELDS {
        let is_there = text.contains(&format!("`{}`", field.path));
        let is_head = matches!(field.path, "apiVersion" | "kind");
        assert!(is_there || is_head, "{}", field.path);
    }
}

#[test]
fn fields_are_sorted_and_each_is_there_once() {
    assert!(FIELDS.is_sorted_by(|a, b| a.path.to_lowercase() < b.path.to_lowercase()));
}

/// Values that kube-proxy would not start with, and what is said of them.
const MISTAKES: &[(&str, &str)] = &[
    (
        "mode: kernelspace",
        "line 3: mode: kernelspace is for Windows; write ipvs, nftables or iptables, or nothing for the best that works",
    ),
    (
        "mode: ebpf",
        "line 3: mode: `ebpf` is not a mode; write ipvs, nftables or iptables, or nothing for the best that works",
    ),
    (
        "ipvs:\n  strictArp: true",
        "line 4: ipvs.strictArp: unknown field; did you mean ipvs.strictARP?",
    ),
    (
        "strictARP: true",
        "line 3: strictARP: unknown field; did you mean ipvs.strictARP?",
    ),
    (
        "IPVS:\n  scheduler: lc",
        "line 3: IPVS: unknown field; did you mean ipvs?",
    ),
    ("ipvs: lc", "line 3: ipvs: is not a mapping of fields"),
    (
        "ipvs:\n  scheduler: fastest",
        "line 4: ipvs.scheduler: IPVS has no scheduler \"fastest\"; one of rr, wrr, lc, wlc, sh, dh, sed, nq, mh, fo, ovf, lblc, lblcr",
    ),
    (
        "ipvs:\n  # a comment\n  syncPeriod: 30",
        "line 5: ipvs.syncPeriod: `30` is not a duration, such as \"30s\" or \"1h30m\"",
    ),
    (
        "ipvs:\n  tcpTimeout: -1s",
        "line 4: ipvs.tcpTimeout: `-1s` is not a duration, such as \"30s\" or \"1h30m\"",
    ),
    (
        "ipvs:\n  strictARP: \"true\"",
        "line 4: ipvs.strictARP: `true` is not true or false",
    ),
    (
        "ipvs:\n  excludeCIDRs: [10.0.0.1]",
        "line 4: ipvs.excludeCIDRs: `10.0.0.1` is not a range of addresses, such as 10.244.0.0/16",
    ),
    (
        "iptables:\n  minSyncPeriod: 1m",
        "line 4: iptables.minSyncPeriod: is longer than iptables.syncPeriod; make it at most that",
    ),
    (
        "iptables:\n  masqueradeBit: 32",
        "line 4: iptables.masqueradeBit: `32` is not a whole number from 0 to 31",
    ),
    (
        "oomScoreAdj: 1001",
        "line 3: oomScoreAdj: `1001` is not a whole number from -1000 to 1000",
    ),
    (
        "clusterCIDR: 10.0.0.0/8,10.1.0.0/16",
        "line 3: clusterCIDR: is more than one range, or one for IPv4 and one for IPv6",
    ),
    (
        "detectLocalMode: Pods",
        "line 3: detectLocalMode: `Pods` is not ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
    ),
    (
        "detectLocalMode: BridgeInterface",
        "line 1: detectLocal.bridgeInterface: is not set; name the bridge, or write another detectLocalMode",
    ),
    (
        "bindAddress: here",
        "line 3: bindAddress: `here` is not an IP address, such as 0.0.0.0 or ::",
    ),
    (
        "healthzBindAddress: ':10256'",
        "line 3: healthzBindAddress: `:10256` is not an IP address with a port, such as 0.0.0.0:10256",
    ),
    (
        "hostnameOverride: ' '",
        "line 3: hostnameOverride: is empty; name the Node",
    ),
    (
        "nodePortAddresses: [lan]",
        "line 3: nodePortAddresses: `lan` is not a range of addresses, such as 10.244.0.0/16",
    ),
];

#[test]
fn each_mistake_names_its_line_and_field_and_says_what_to_write() {
    for (text, mistake) in MISTAKES {
        assert_eq!(mistakes(&format!("{HEAD}{text}\n")), [*mistake]);
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = mistakes(&format!(
        "{HEAD}mode: a\nipvs:\n  scheduler: b\nclusterCIDR: c\n"
    ));
    let lines: Vec<_> = found
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap())
        .collect();
    assert_eq!(lines, ["mode", "ipvs.scheduler", "clusterCIDR"]);
}
