//! The addresses of a Service: cluster IPs and their families, external IPs, load balancers.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{LoadBalancerStatus, ServiceSpec};

use super::{
    super::{Path, Report, ip, names, present},
    is_headless, kind,
};

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const FAMILY_POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const LOAD_BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) fn validate(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    // An ExternalName has none of these, which is checked with its type.
    if kind(spec) != "ExternalName" {
        validate_families(spec, at, report);
        validate_cluster_ips(spec, at, report);
    }
    let external_ips = at.field("externalIPs");
    for (i, address) in spec.external_ips.iter().flatten().enumerate() {
        ip::validate_reachable(address, external_ips.index(i), report);
    }
    validate_load_balancer(spec, at, report);
}

fn validate_families(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let cluster_ips = spec.cluster_ips.as_deref().unwrap_or_default();
    let path = at.field("ipFamilies");
    for (i, family) in families.iter().enumerate() {
        report.supported(path.index(i), family, &FAMILIES);
        if families.iter().take(i).any(|other| other == family) {
            report.duplicate(path.index(i), family);
        }
    }
    let path = at.field("ipFamilyPolicy");
    if let Some(policy) = &spec.ip_family_policy {
        report.supported(path, policy, &FAMILY_POLICIES);
    }
    // Without a policy a Service has a single stack, unless it is headless and has no selector.
    let policy = match spec.ip_family_policy.as_deref() {
        None if is_headless(spec) && spec.selector.is_none() => "RequireDualStack",
        policy => policy.unwrap_or("SingleStack"),
    };
    if policy == "SingleStack" {
        for (count, what) in [
            (cluster_ips.len(), "cluster IPs"),
            (families.len(), "IP families"),
        ] {
            if count == 2 {
                report.invalid(
                    path,
                    policy,
                    &format!(
                        "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                    ),
                );
            }
        }
    }
}

fn validate_cluster_ips(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let ips = spec.cluster_ips.as_deref().unwrap_or_default();
    let at = at.field("clusterIPs");
    match (spec.cluster_ip.as_deref(), ips.first()) {
        (None, Some(_)) => {
            report.invalid(at, ips, "must be empty when `clusterIP` is not specified");
        }
        (Some(one), Some(first)) if one != first => {
            report.invalid(at, ips, "first value must match `clusterIP`");
        }
        _ => {}
    }
    if is_headless(spec) {
        if ips.len() > 1 {
            report.invalid(at, ips, "'None' must be the first and only value");
        }
        return;
    }
    if ips.len() > 2 {
        report.invalid(at, ips, "may only hold up to 2 values");
    }
    let mut parsed = Vec::with_capacity(ips.len());
    for (i, address) in ips.iter().enumerate() {
        match address.parse::<IpAddr>() {
            Ok(ip) => {
                if let Some(detail) = ip::unreachable(ip) {
                    report.invalid(at.index(i), address, detail);
                }
                parsed.push(ip);
            }
            Err(_) => report.invalid(at.index(i), address, ip::NOT_AN_IP),
        }
    }
    if parsed.len() < ips.len() {
        return;
    }
    if let [first, second] = parsed.as_slice()
        && first.is_ipv4() == second.is_ipv4()
    {
        report.invalid(
            at,
            ips,
            "may specify no more than one IP for each IP family",
        );
    }
    let families = spec.ip_families.as_deref().unwrap_or_default();
    for (i, (ip, family)) in parsed.iter().zip(families).enumerate() {
        if FAMILIES.contains(&family.as_str()) && ip.is_ipv4() != (family == "IPv4") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            report.invalid(at.index(i), ip.to_string(), &detail);
        }
    }
}

fn validate_load_balancer(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let is_load_balancer = kind(spec) == "LoadBalancer";
    let ranges = at.field("loadBalancerSourceRanges");
    if spec.load_balancer_source_ranges.is_some() && !is_load_balancer {
        report.forbidden(ranges, LOAD_BALANCER_ONLY);
    }
    for (i, range) in spec
        .load_balancer_source_ranges
        .iter()
        .flatten()
        .enumerate()
    {
        if range.parse::<IpNet>().is_err() {
            report.invalid(
                ranges.index(i),
                range,
                "must be a list of IP ranges. For example, 10.240.0.0/24,10.250.0.0/24",
            );
        }
    }
    if spec.allocate_load_balancer_node_ports.is_some() && !is_load_balancer {
        report.forbidden(
            at.field("allocateLoadBalancerNodePorts"),
            LOAD_BALANCER_ONLY,
        );
    }
    if let Some(class) = &spec.load_balancer_class {
        let at = at.field("loadBalancerClass");
        if !is_load_balancer {
            report.forbidden(at, LOAD_BALANCER_ONLY);
        }
        report.follows(at, class, names::qualified_name);
    }
    if let Some(address) = present(spec.load_balancer_ip.as_ref())
        && address.parse::<IpAddr>().is_err()
    {
        // Kubernetes accepts anything here.
        report.warning(
            at.field("loadBalancerIP"),
            "NotAnAddress",
            format!("{address:?} is not an IP address and is ignored"),
        );
    }
}

/// `status.loadBalancer`, which in file mode is written by hand.
pub(super) fn validate_status(status: &LoadBalancerStatus, report: &mut Report) {
    let at = Path::root("status");
    let at = at.field("loadBalancer");
    let at = at.field("ingress");
    for (i, address) in status.ingress.iter().flatten().enumerate() {
        let at = at.index(i);
        if let Some(ip) = present(address.ip.as_ref())
            && ip.parse::<IpAddr>().is_err()
        {
            report.invalid(at.field("ip"), ip, ip::NOT_AN_IP);
        }
        match present(address.ip_mode.as_ref()) {
            Some(_) if present(address.ip.as_ref()).is_none() => {
                report.forbidden(at.field("ipMode"), "may not be set when `ip` is not set");
            }
            Some(mode) => report.supported(at.field("ipMode"), mode, &["Proxy", "VIP"]),
            None => {}
        }
        if let Some(host) = present(address.hostname.as_ref()) {
            report.follows(at.field("hostname"), host, names::dns_subdomain);
            if host.parse::<IpAddr>().is_ok() {
                report.invalid(
                    at.field("hostname"),
                    host,
                    "must be a DNS name, not an IP address",
                );
            }
        }
    }
}
