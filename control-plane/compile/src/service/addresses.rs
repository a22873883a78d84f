//! The addresses of a Service: cluster IPs, external IPs, load balancer.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::{AddressFamily, LoadBalancerAddress, LoadBalancerIpMode};

use crate::{report::About, values};

/// The virtual IPs, at most one of each family.
pub(super) fn cluster_ips(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> Vec<IpAddr> {
    let one = spec.cluster_ip.as_ref().filter(|text| !text.is_empty());
    let many = spec.cluster_ips.as_deref().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(2);
    let mut add = |field: String, text: &str, about: &mut About<'_>| match values::unicast(text) {
        Ok(address) => {
            let family = AddressFamily::of(address);
            if addresses.iter().any(|a| AddressFamily::of(*a) == family) {
                let family = values::family_name(family);
                let message = format!("there is an {family} cluster IP before it");
                about.error(field, "Duplicate", message);
            } else {
                addresses.push(address);
            }
        }
        Err(problem) => about.error(field, "InvalidAddress", problem),
    };
    if many.is_empty() {
        match one {
            Some(text) => add("spec.clusterIP".to_owned(), text, about),
            None => about.warning(
                "spec.clusterIP",
                "NoClusterIP",
                "no cluster IP is allocated, so no node serves this Service",
            ),
        }
    }
    for (i, text) in many.iter().enumerate() {
        add(format!("spec.clusterIPs[{i}]"), text, about);
    }
    addresses
}

/// The addresses that an administrator routes to the nodes.
pub(super) fn external_ips(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> Vec<IpAddr> {
    let listed = spec.external_ips.as_deref().unwrap_or_default();
    let mut addresses = Vec::with_capacity(listed.len());
    for (i, text) in listed.iter().enumerate() {
        match values::unicast(text) {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) => addresses.push(address),
            Err(problem) => {
                about.error(format!("spec.externalIPs[{i}]"), "InvalidAddress", problem);
            }
        }
    }
    addresses
}

/// The address that the user asks the load balancer for.
pub(super) fn load_balancer_ip(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> Option<IpAddr> {
    let text = spec
        .load_balancer_ip
        .as_ref()
        .filter(|text| !text.is_empty())?;
    match values::unicast(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            about.error("spec.loadBalancerIP", "InvalidAddress", problem);
            None
        }
    }
}

/// The load balancer's addresses and who may reach them.
///
/// Where sources are named and none of them can be read, nobody may: the addresses are left out.
pub(super) fn load_balancer(
    spec: &k8s::ServiceSpec,
    status: Option<&k8s::ServiceStatus>,
    about: &mut About<'_>,
) -> (Vec<LoadBalancerAddress>, Vec<IpNet>) {
    let addresses = load_balancer_addresses(status, about);
    let listed = spec
        .load_balancer_source_ranges
        .as_deref()
        .unwrap_or_default();
    let mut ranges = Vec::with_capacity(listed.len());
    for (i, text) in listed.iter().enumerate() {
        match text.trim().parse::<IpNet>() {
            Ok(range) => ranges.push(range.trunc()),
            Err(_) => about.error(
                format!("spec.loadBalancerSourceRanges[{i}]"),
                "InvalidCIDR",
                format!("{text:?} is not a network such as 10.0.0.0/8; it lets nobody in"),
            ),
        }
    }
    if ranges.is_empty() && !listed.is_empty() {
        about.error(
            "spec.loadBalancerSourceRanges",
            "NoSourceAllowed",
            "no range can be read, so the load balancer's addresses are not served",
        );
        return (vec![], ranges);
    }
    (addresses, ranges)
}

fn load_balancer_addresses(
    status: Option<&k8s::ServiceStatus>,
    about: &mut About<'_>,
) -> Vec<LoadBalancerAddress> {
    let listed = status
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|load_balancer| load_balancer.ingress.as_deref())
        .unwrap_or_default();
    let mut addresses: Vec<LoadBalancerAddress> = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        // An entry with a hostname only is somebody else's to resolve.
        let Some(text) = entry.ip.as_ref().filter(|text| !text.is_empty()) else {
            continue;
        };
        let ip = match values::unicast(text) {
            Ok(ip) => ip,
            Err(problem) => {
                let field = format!("status.loadBalancer.ingress[{i}].ip");
                about.error(field, "InvalidAddress", problem);
                continue;
            }
        };
        let ip_mode = match entry.ip_mode.as_deref() {
            None | Some("VIP") => LoadBalancerIpMode::Vip,
            Some("Proxy") => LoadBalancerIpMode::Proxy,
            Some(other) => {
                about.error(
                    format!("status.loadBalancer.ingress[{i}].ipMode"),
                    "UnsupportedValue",
                    values::unsupported(other, &["VIP", "Proxy"]),
                );
                continue;
            }
        };
        if !addresses.iter().any(|address| address.ip == ip) {
            addresses.push(LoadBalancerAddress { ip, ip_mode });
        }
    }
    addresses
}
