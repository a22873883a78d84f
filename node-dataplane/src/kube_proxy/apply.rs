//! What the fields of a `KubeProxyConfiguration` make of a node's configuration.

mod addresses;

use std::{str::FromStr, time::Duration};

use ipnet::IpNet;

use super::values::Values;
use crate::{Config, Conntrack, DetectLocal, Mode, Scheduler};

/// The part of a configuration that the mode makes kube-proxy use.
struct Section {
    name: &'static str,
    masquerade_all: &'static str,
    sync_period: &'static str,
    min_sync_period: &'static str,
    /// kube-proxy's own; it has this for 0 too.
    default_min_sync_period: Duration,
}

const SYNC_PERIOD: Duration = Duration::from_secs(30);

const IPTABLES: Section = Section {
    name: "iptables",
    masquerade_all: "iptables.masqueradeAll",
    sync_period: "iptables.syncPeriod",
    min_sync_period: "iptables.minSyncPeriod",
    default_min_sync_period: Duration::from_secs(1),
};

const IPVS: Section = Section {
    name: "ipvs",
    // kube-proxy's ipvs mode asks its iptables section.
    masquerade_all: "iptables.masqueradeAll",
    sync_period: "ipvs.syncPeriod",
    min_sync_period: "ipvs.minSyncPeriod",
    default_min_sync_period: Duration::ZERO,
};

const NFTABLES: Section = Section {
    name: "nftables",
    masquerade_all: "nftables.masqueradeAll",
    sync_period: "nftables.syncPeriod",
    min_sync_period: "nftables.minSyncPeriod",
    default_min_sync_period: Duration::from_secs(1),
};

/// Fields that mean something where IPVS may be used.
const ONLY_IPVS: [&str; 6] = [
    "ipvs.excludeCIDRs",
    "ipvs.scheduler",
    "ipvs.strictARP",
    "ipvs.tcpFinTimeout",
    "ipvs.tcpTimeout",
    "ipvs.udpTimeout",
];

/// Puts values over a configuration. `mode` is that of a flag, which decides instead of the field.
pub(super) fn apply(values: &mut Values, mode: Option<Mode>, mut config: Config) -> Config {
    let (mode, section) = mode_of(values, mode);
    config.mode = mode;
    if let Some(name) = values.text("hostnameOverride") {
        name.trim().to_lowercase().clone_into(&mut config.node_name);
        if config.node_name.is_empty() {
            values.mistake("hostnameOverride", "is empty; name the Node");
        }
    }
    addresses::apply(values, &section, &mut config);
    sync(values, &section, &mut config);
    config.masquerade_all = values.switch(section.masquerade_all).unwrap_or(false);
    config.detect_local = detect_local(values);
    config.conntrack = conntrack(values);
    if matches!(mode, Mode::Auto | Mode::Ipvs) {
        ipvs(values, &mut config);
    } else {
        let is_asked = |path: &&'static str| values.is_set(path) && values.text(path) != Some("rr");
        let asked: Vec<_> = ONLY_IPVS.into_iter().filter(is_asked).collect();
        for path in asked {
            values.remark(path, format!("does not apply: the mode is {mode}"));
        }
    }
    config
}

fn mode_of(values: &mut Values, flag: Option<Mode>) -> (Mode, Section) {
    let field = values.text("mode").unwrap_or_default().to_owned();
    match (flag, field.as_str()) {
        (Some(mode @ Mode::Ipvs), _) => (mode, IPVS),
        (Some(mode @ Mode::Nftables), _) => (mode, NFTABLES),
        (Some(mode), _) => (mode, IPTABLES),
        (None, "") => (Mode::Auto, IPTABLES),
        (None, "ipvs") => (Mode::Ipvs, IPVS),
        (None, "nftables") => (Mode::Nftables, NFTABLES),
        (None, "iptables") => {
            values.remark(
                "mode",
                "iptables is served by nftables, which does the same without iptables rules",
            );
            (Mode::Nftables, IPTABLES)
        }
        (None, "userspace") => (Mode::Userspace, IPTABLES),
        (None, other) => {
            let what = if other == "kernelspace" {
                "kernelspace is for Windows".to_owned()
            } else {
                format!("`{other}` is not a mode")
            };
            let advice = "write ipvs, nftables or iptables, or nothing for the best that works";
            values.mistake("mode", format!("{what}; {advice}"));
            (Mode::Auto, IPTABLES)
        }
    }
}

fn sync(values: &mut Values, section: &Section, config: &mut Config) {
    let set = |path| values.duration(path).filter(|duration| !duration.is_zero());
    config.sync_period = set(section.sync_period).unwrap_or(SYNC_PERIOD);
    let least = set(section.min_sync_period);
    config.min_sync_period = least.unwrap_or(section.default_min_sync_period);
    if config.min_sync_period > config.sync_period {
        let longest = section.sync_period;
        values.mistake(
            section.min_sync_period,
            format!("is longer than {longest}; make it at most that"),
        );
    }
    let others = [IPTABLES, IPVS, NFTABLES];
    for other in others.iter().filter(|other| other.name != section.name) {
        let name = section.name;
        let why = format!("does not apply: the section of this mode is {name}");
        let periods = [
            (other.sync_period, config.sync_period),
            (other.min_sync_period, config.min_sync_period),
        ];
        for (path, used) in periods {
            if values.is_set(path) && values.duration(path) != Some(used) {
                values.remark(path, why.as_str());
            }
        }
        let is_other = other.masquerade_all != section.masquerade_all;
        if is_other && values.is_set(other.masquerade_all) && !values.is_set(section.masquerade_all)
        {
            values.remark(other.masquerade_all, why);
        }
    }
}

fn ipvs(values: &mut Values, config: &mut Config) {
    let scheduler = values.text("ipvs.scheduler").map(str::to_owned);
    config.scheduler = match scheduler {
        Some(name) => read(values, "ipvs.scheduler", &name).unwrap_or_default(),
        None => Scheduler::Rr,
    };
    config.strict_arp = values.switch("ipvs.strictARP").unwrap_or(false);
    let ranges = values.texts("ipvs.excludeCIDRs").to_vec();
    config.exclude_cidrs = ranges_of(values, "ipvs.excludeCIDRs", &ranges);
    config.tcp_timeout = unless_zero(values.duration("ipvs.tcpTimeout"));
    config.tcp_fin_timeout = unless_zero(values.duration("ipvs.tcpFinTimeout"));
    config.udp_timeout = unless_zero(values.duration("ipvs.udpTimeout"));
}

fn conntrack(values: &Values) -> Conntrack {
    let ours = Conntrack::default();
    let timeout = |path, default| match values.duration(path) {
        Some(timeout) => unless_zero(Some(timeout)),
        None => default,
    };
    Conntrack {
        max_per_core: values
            .number("conntrack.maxPerCore")
            .unwrap_or(ours.max_per_core),
        min: values.number("conntrack.min").unwrap_or(ours.min),
        tcp_established_timeout: timeout(
            "conntrack.tcpEstablishedTimeout",
            ours.tcp_established_timeout,
        ),
        tcp_close_wait_timeout: timeout(
            "conntrack.tcpCloseWaitTimeout",
            ours.tcp_close_wait_timeout,
        ),
        tcp_be_liberal: values
            .switch("conntrack.tcpBeLiberal")
            .unwrap_or(ours.tcp_be_liberal),
        udp_timeout: timeout("conntrack.udpTimeout", ours.udp_timeout),
        udp_stream_timeout: timeout("conntrack.udpStreamTimeout", ours.udp_stream_timeout),
    }
}

fn detect_local(values: &mut Values) -> DetectLocal {
    const MODE: &str = "detectLocalMode";
    const CIDR: &str = "clusterCIDR";
    const BRIDGE: &str = "detectLocal.bridgeInterface";
    const PREFIX: &str = "detectLocal.interfaceNamePrefix";
    let mode = values.text(MODE).unwrap_or("ClusterCIDR").to_owned();
    for (of, path) in [
        ("ClusterCIDR", CIDR),
        ("BridgeInterface", BRIDGE),
        ("InterfaceNamePrefix", PREFIX),
    ] {
        if values.is_set(path) && mode != of {
            values.remark(path, format!("does not apply: detectLocalMode is {mode}"));
        }
    }
    let named = |path| values.text(path).map(str::to_owned);
    match mode.as_str() {
        "ClusterCIDR" => match named(CIDR) {
            Some(ranges) => DetectLocal::ClusterCidr(cluster_cidr(values, CIDR, &ranges)),
            None => DetectLocal::Snapshot,
        },
        "NodeCIDR" => DetectLocal::NodeCidr,
        "BridgeInterface" => DetectLocal::Bridge(named(BRIDGE).unwrap_or_else(|| {
            values.mistake(
                BRIDGE,
                "is not set; name the bridge, or write another detectLocalMode",
            );
            String::new()
        })),
        "InterfaceNamePrefix" => DetectLocal::InterfacePrefix(named(PREFIX).unwrap_or_else(|| {
            values.mistake(
                PREFIX,
                "is not set; give the prefix, or write another detectLocalMode",
            );
            String::new()
        })),
        other => {
            let what = format!(
                "`{other}` is not ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix"
            );
            values.mistake(MODE, what);
            DetectLocal::Snapshot
        }
    }
}

/// One range, or one of each family.
fn cluster_cidr(values: &mut Values, path: &'static str, text: &str) -> Vec<IpNet> {
    let texts: Vec<_> = text.split(',').map(str::to_owned).collect();
    let ranges = ranges_of(values, path, &texts);
    let is_good = match ranges.as_slice() {
        [] | [_] => true,
        [a, b] => a.addr().is_ipv4() != b.addr().is_ipv4(),
        _ => false,
    };
    if !is_good {
        values.mistake(
            path,
            "is more than one range, or one for IPv4 and one for IPv6",
        );
    }
    ranges
}

/// Ranges as kube-proxy reads them: host bits are cut off. What is none is a mistake.
fn ranges_of(values: &mut Values, path: &'static str, texts: &[String]) -> Vec<IpNet> {
    let mut ranges = Vec::with_capacity(texts.len());
    for text in texts {
        match text.trim().parse::<IpNet>() {
            Ok(range) => ranges.push(range.trunc()),
            Err(_) => values.mistake(
                path,
                format!("`{text}` is not a range of addresses, such as 10.244.0.0/16"),
            ),
        }
    }
    ranges
}

fn read<T: FromStr<Err: ToString>>(
    values: &mut Values,
    path: &'static str,
    text: &str,
) -> Option<T> {
    let read = text.parse::<T>();
    read.map_err(|error| values.mistake(path, error.to_string()))
        .ok()
}

/// For kube-proxy, 0 is to leave the kernel's own.
fn unless_zero(duration: Option<Duration>) -> Option<Duration> {
    duration.filter(|duration| !duration.is_zero())
}
