//! Arguments of a node to its configuration.

use std::{path::Path, time::Duration};

use meshlite_node::{
    Config, Mode,
    kube_proxy::{self, Remark},
};

use super::{Problems, detect_local::Detector};
use crate::args::{IpvsArgs, NodeArgs, NodeNameArgs};

/// How a node runs, and what kube-proxy's configuration says of it that does not apply.
#[derive(Debug)]
pub(crate) struct NodeConfig {
    pub(crate) node: Config,
    pub(crate) remarks: Vec<Remark>,
}

/// How a node runs, whatever control plane it follows.
pub(super) fn node_of(name: NodeNameArgs, node: NodeArgs, problems: &mut Problems) -> NodeConfig {
    let NodeNameArgs { node_name } = name;
    let NodeArgs {
        config: file,
        mode,
        nodeport_addresses,
        localhost_nodeports,
        metrics_bind_address,
        healthz_bind_address,
        masquerade_all,
        detect_local_mode,
        cluster_cidr,
        pod_bridge_interface,
        pod_interface_name_prefix,
        sync_period,
        min_sync_period,
        no_sysctls,
        open_forward,
        check_endpoints,
        ipvs,
    } = node;
    let mode = mode.and_then(|text| problems.mode(&text));
    let (mut config, mut remarks) = (Config::default(), Vec::new());
    if let Some(file) = file {
        remarks = kube_proxy_configuration(&file, mode, &mut config, problems);
    }
    set(&mut config.node_name, node_name, Some);
    set(&mut config.mode, mode, Some);
    if let Some(mut texts) = given(nodeport_addresses) {
        let count = texts.len();
        texts.retain(|text| text != "primary");
        config.node_port_primary = texts.len() < count;
        if let Some(ranges) = problems.ranges("nodeport-addresses", &texts) {
            config.node_port_addresses = ranges;
        }
    }
    set(
        &mut config.localhost_node_ports,
        localhost_nodeports,
        |text| problems.switch("localhost-nodeports", &text),
    );
    set(&mut config.metrics_listen, metrics_bind_address, |text| {
        problems.optional_address("metrics-bind-address", &text)
    });
    set(&mut config.health_listen, healthz_bind_address, |text| {
        problems.optional_address("healthz-bind-address", &text)
    });
    set(&mut config.masquerade_all, masquerade_all, |text| {
        problems.switch("masquerade-all", &text)
    });
    let detector = Detector {
        mode: detect_local_mode,
        cluster_cidr: given(cluster_cidr),
        bridge: pod_bridge_interface,
        prefix: pod_interface_name_prefix,
    };
    config.detect_local = detector.over(config.detect_local, problems);
    set(&mut config.sync_period, sync_period, |text| {
        problems.period("sync-period", &text)
    });
    set(&mut config.min_sync_period, min_sync_period, |text| {
        problems.duration("min-sync-period", &text)
    });
    config.sysctls &= !no_sysctls;
    config.open_forward |= open_forward;
    config.check_endpoints |= check_endpoints;
    ipvs_of(&mut config, ipvs, problems);
    if config.min_sync_period > config.sync_period {
        let longest = config.sync_period;
        problems.add(
            "min-sync-period",
            format_args!("is longer than the sync period, which is {longest:?}"),
        );
    }
    NodeConfig {
        node: config,
        remarks,
    }
}

/// Puts a file over the configuration. The mode of the flag says which of its sections apply.
fn kube_proxy_configuration(
    file: &Path,
    mode: Option<Mode>,
    config: &mut Config,
    problems: &mut Problems,
) -> Vec<Remark> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) => {
            problems.add(
                "config",
                format_args!("cannot read {}: {error}", file.display()),
            );
            return Vec::new();
        }
    };
    kube_proxy::configure(&text, mode, config).unwrap_or_else(|error| {
        for line in error.lines() {
            problems.add("config", format_args!("{}: {line}", file.display()));
        }
        Vec::new()
    })
}

fn ipvs_of(config: &mut Config, ipvs: IpvsArgs, problems: &mut Problems) {
    let IpvsArgs {
        ipvs_scheduler,
        ipvs_strict_arp,
        ipvs_exclude_cidrs,
        ipvs_tcp_timeout,
        ipvs_tcpfin_timeout,
        ipvs_udp_timeout,
        vip_binding,
    } = ipvs;
    set(&mut config.scheduler, ipvs_scheduler, |text| {
        problems.read("ipvs-scheduler", &text)
    });
    set(&mut config.strict_arp, ipvs_strict_arp, |text| {
        problems.switch("ipvs-strict-arp", &text)
    });
    let ranges = given(ipvs_exclude_cidrs);
    set(&mut config.exclude_cidrs, ranges, |texts| {
        problems.ranges("ipvs-exclude-cidrs", &texts)
    });
    let timeouts = [
        (
            "ipvs-tcp-timeout",
            ipvs_tcp_timeout,
            &mut config.tcp_timeout,
        ),
        (
            "ipvs-tcpfin-timeout",
            ipvs_tcpfin_timeout,
            &mut config.tcp_fin_timeout,
        ),
        (
            "ipvs-udp-timeout",
            ipvs_udp_timeout,
            &mut config.udp_timeout,
        ),
    ];
    for (flag, text, timeout) in timeouts {
        set(timeout, text, |text| {
            let timeout = problems.duration(flag, &text)?;
            Some(Some(timeout).filter(|timeout| *timeout > Duration::ZERO))
        });
    }
    set(&mut config.vip_binding, vip_binding, |text| {
        problems.read("vip-binding", &text)
    });
}

/// Replaces a setting by what a flag says, if it was given and makes sense.
fn set<T, F>(setting: &mut T, flag: Option<F>, read: impl FnOnce(F) -> Option<T>) {
    if let Some(value) = flag.and_then(read) {
        *setting = value;
    }
}

/// A list, unless the flag was not given.
fn given(texts: Vec<String>) -> Option<Vec<String>> {
    Some(texts).filter(|texts| !texts.is_empty())
}
