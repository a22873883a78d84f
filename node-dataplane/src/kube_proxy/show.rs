//! A node's configuration as a `KubeProxyConfiguration`, for `/configz`.

use ipnet::IpNet;
use meshlite_snapshot::duration;
use serde_json::{Value, json};

use super::document::{API_VERSION, KIND};
use crate::{Config, DetectLocal, Mode};

/// The fields that apply, as kube-proxy answers them. [`configure`](super::configure) reads the object back.
pub(crate) fn configz(config: &Config) -> Value {
    let (mut cidr, mut bridge, mut prefix) = (String::new(), "", "");
    match &config.detect_local {
        DetectLocal::Snapshot | DetectLocal::NodeCidr => {}
        DetectLocal::ClusterCidr(ranges) => cidr = texts(ranges).join(","),
        DetectLocal::Bridge(name) => bridge = name,
        DetectLocal::InterfacePrefix(name) => prefix = name,
    }
    let mode = match config.mode {
        Mode::Auto => "",
        mode => mode.as_str(),
    };
    let mut node_ports = texts(&config.node_port_addresses);
    if config.node_port_primary {
        node_ports.push("primary".to_owned());
    }
    let period = duration::print(config.sync_period);
    let least = duration::print(config.min_sync_period);
    let limit = |limit: Option<_>| duration::print(limit.unwrap_or_default());
    let conntrack = &config.conntrack;
    json!({ "kubeproxy.config.k8s.io": {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "hostnameOverride": config.node_name,
        "healthzBindAddress": config.health_listen,
        "metricsBindAddress": config.metrics_listen,
        "mode": mode,
        "iptables": {
            "localhostNodePorts": config.localhost_node_ports,
            "masqueradeAll": config.masquerade_all,
            "minSyncPeriod": least,
            "syncPeriod": period,
        },
        "ipvs": {
            "excludeCIDRs": texts(&config.exclude_cidrs),
            "minSyncPeriod": least,
            "scheduler": config.scheduler,
            "strictARP": config.strict_arp,
            "syncPeriod": period,
            "tcpFinTimeout": limit(config.tcp_fin_timeout),
            "tcpTimeout": limit(config.tcp_timeout),
            "udpTimeout": limit(config.udp_timeout),
        },
        "nftables": {
            "masqueradeAll": config.masquerade_all,
            "minSyncPeriod": least,
            "syncPeriod": period,
        },
        "detectLocalMode": config.detect_local.mode(),
        "detectLocal": { "bridgeInterface": bridge, "interfaceNamePrefix": prefix },
        "clusterCIDR": cidr,
        "nodePortAddresses": node_ports,
        "conntrack": {
            "maxPerCore": conntrack.max_per_core,
            "min": conntrack.min,
            "tcpBeLiberal": conntrack.tcp_be_liberal,
            "tcpCloseWaitTimeout": limit(conntrack.tcp_close_wait_timeout),
            "tcpEstablishedTimeout": limit(conntrack.tcp_established_timeout),
            "udpStreamTimeout": limit(conntrack.udp_stream_timeout),
            "udpTimeout": limit(conntrack.udp_timeout),
        },
    }})
}

fn texts(ranges: &[IpNet]) -> Vec<String> {
    ranges.iter().map(ToString::to_string).collect()
}
