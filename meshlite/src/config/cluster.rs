//! What an API server would be set up with, and what is served as Ingress.

use std::ops::RangeInclusive;

use meshlite_compile::Settings;
use meshlite_manifests::admit::AdmitSettings;
use meshlite_snapshot::Name;

use super::Problems;
use crate::args::ClusterArgs;

pub(super) fn cluster_of(
    cluster: &ClusterArgs,
    problems: &mut Problems,
) -> Option<(AdmitSettings, Settings)> {
    let ClusterArgs {
        service_cidr,
        service_node_port_range,
        ingress_class,
        ingress_controller,
        ingress_http_port,
        ingress_https_port,
        default_certificate,
        nginx_compat,
        external_names,
    } = cluster;
    let service_cidrs = service_cidrs(service_cidr, problems);
    let node_port_range = node_port_range(service_node_port_range, problems);
    let is_class = !ingress_class.is_empty()
        && ingress_class
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    if !is_class {
        problems.add(
            "ingress-class",
            format_args!(
                "`{ingress_class}` is not a name of lower-case letters, digits, `-` and `.`"
            ),
        );
    }
    let mut port = |flag, text: &str| {
        problems
            .parse::<std::num::NonZeroU16>(flag, text, "a port from 1 to 65535")
            .map(std::num::NonZeroU16::get)
    };
    let http_proxy_port = port("ingress-http-port", ingress_http_port);
    let https_proxy_port = port("ingress-https-port", ingress_https_port);
    if http_proxy_port.is_some() && http_proxy_port == https_proxy_port {
        problems.add(
            "ingress-https-port",
            "the same as --ingress-http-port; each needs its own",
        );
    }
    let default_certificate = match default_certificate {
        None => Some(None),
        Some(name) => secret_name(name, problems).map(Some),
    };
    let admit = AdmitSettings {
        service_cidrs: service_cidrs?,
        node_port_range: node_port_range?,
    };
    let settings = Settings {
        ingress_class: ingress_class.clone(),
        ingress_controller: ingress_controller.clone(),
        watch_ingress_without_class: true,
        http_proxy_port: http_proxy_port?,
        https_proxy_port: https_proxy_port?,
        default_certificate: default_certificate?,
        nginx_compat: *nginx_compat,
        external_names: *external_names,
    };
    Some((admit, settings))
}

fn service_cidrs(texts: &[String], problems: &mut Problems) -> Option<Vec<ipnet::IpNet>> {
    let ranges = problems.ranges("service-cidr", texts)?;
    let is_ipv4 = |range: &ipnet::IpNet| range.addr().is_ipv4();
    let families_differ = match ranges.as_slice() {
        [_one] => true,
        [one, two] => is_ipv4(one) != is_ipv4(two),
        _ => false,
    };
    if !families_differ {
        problems.add(
            "service-cidr",
            "takes one range, or one for IPv4 and one for IPv6",
        );
        return None;
    }
    Some(ranges)
}

pub(super) fn node_port_range(text: &str, problems: &mut Problems) -> Option<RangeInclusive<u16>> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    });
    if range.is_none() {
        problems.add(
            "service-node-port-range",
            format_args!("`{text}` is not a range of ports, such as 30000-32767"),
        );
    }
    range
}

fn secret_name(text: &str, problems: &mut Problems) -> Option<Name> {
    let name = text
        .split_once('/')
        .filter(|(_, name)| !name.contains('/'))
        .and_then(|(namespace, name)| Name::namespaced(namespace, name).ok());
    if name.is_none() {
        problems.add(
            "default-certificate",
            format_args!("`{text}` is not NAMESPACE/NAME"),
        );
    }
    name
}
