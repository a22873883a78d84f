//! Where a node listens, and on which of its addresses node ports are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{IPTABLES, NFTABLES, Section, Values, ranges_of};
use crate::{Config, facts};

const METRICS_PORT: u16 = 10249;
const HEALTH_PORT: u16 = 10256;

pub(super) fn apply(values: &mut Values, section: &Section, config: &mut Config) {
    let bind = values.text("bindAddress").map(str::to_owned);
    let bind = bind.map(|text| {
        text.parse::<IpAddr>().unwrap_or_else(|_| {
            let what = format!("`{text}` is not an IP address, such as 0.0.0.0 or ::");
            values.mistake("bindAddress", what);
            Ipv4Addr::UNSPECIFIED.into()
        })
    });
    // The family of the address is all that it says of where to listen.
    let (everywhere, loopback) = match bind {
        Some(IpAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        _ => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
    };
    let metrics = SocketAddr::new(loopback, METRICS_PORT);
    config.metrics_listen = Some(listen(values, "metricsBindAddress", metrics));
    let health = SocketAddr::new(everywhere, HEALTH_PORT);
    config.health_listen = Some(listen(values, "healthzBindAddress", health));
    node_ports(
        values,
        section,
        bind.filter(|ip| !ip.is_unspecified()),
        config,
    );
}

/// An address, with the port that it has where the field names none.
fn listen(values: &mut Values, path: &'static str, default: SocketAddr) -> SocketAddr {
    let Some(text) = values.text(path).map(str::to_owned) else {
        return default;
    };
    let ip = text.trim_start_matches('[').trim_end_matches(']');
    let address = text
        .parse()
        .or_else(|_no_port| ip.parse().map(|ip| SocketAddr::new(ip, default.port())));
    address.unwrap_or_else(|_| {
        let what = format!("`{text}` is not an IP address with a port, such as {default}");
        values.mistake(path, what);
        default
    })
}

/// The ranges and words of `nodePortAddresses`. `primary` is what `bindAddress` says is the node's primary address.
fn node_ports(
    values: &mut Values,
    section: &Section,
    primary: Option<IpAddr>,
    config: &mut Config,
) {
    const PATH: &str = "nodePortAddresses";
    let mut texts = values.texts(PATH).to_vec();
    if texts.is_empty() && section.name == NFTABLES.name {
        texts.push("primary".to_owned());
    }
    let is_everywhere = texts.is_empty() || texts.iter().any(|text| text == "all");
    config.node_port_primary = false;
    config.node_port_addresses.clear();
    if !is_everywhere {
        let mut ranges = Vec::new();
        for text in texts {
            match (text.as_str(), primary) {
                ("primary", Some(primary)) => ranges.push(primary.into()),
                ("primary", None) => config.node_port_primary = true,
                ("localhost", _) => ranges.extend(facts::LOOPBACK),
                _ => ranges.extend(ranges_of(values, PATH, &[text])),
            }
        }
        config.node_port_addresses = ranges;
    }
    let ranges = &config.node_port_addresses;
    let names_loopback = ranges.iter().any(|range| range.addr().is_loopback());
    // kube-proxy has them in its iptables mode alone, unless loopback is left out.
    let field = values.switch("iptables.localhostNodePorts");
    config.localhost_node_ports = if section.name == IPTABLES.name {
        field.unwrap_or(true) && (is_everywhere || names_loopback)
    } else {
        if field == Some(true) {
            values.remark(
                "iptables.localhostNodePorts",
                "does not apply in this mode; --localhost-nodeports serves them in every mode",
            );
        }
        names_loopback
    };
}
