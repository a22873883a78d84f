//! Services.

mod addresses;
mod defaults;
mod ports;
mod traffic;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::{Path, Report, meta, names, present};
pub(super) use defaults::default;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub(super) fn validate(service: &Service, report: &mut Report) {
    let at = Path::root("spec");
    let Some(spec) = &service.spec else {
        report.required(at, "");
        return;
    };
    validate_type(spec, at, report);
    ports::validate(spec, at, report);
    if let Some(selector) = &spec.selector {
        meta::validate_labels(selector, at.field("selector"), report);
    }
    traffic::validate(spec, at, report);
    addresses::validate(spec, at, report);
    if let Some(status) = service
        .status
        .as_ref()
        .and_then(|s| s.load_balancer.as_ref())
    {
        addresses::validate_status(status, report);
    }
}

fn validate_type(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let kind = kind(spec);
    report.supported(at.field("type"), kind, &TYPES);
    let cluster_ips = at.field("clusterIPs");
    match kind {
        "NodePort" | "LoadBalancer" if is_headless(spec) => report.invalid(
            cluster_ips.index(0),
            "None",
            &format!("may not be set to 'None' for {kind} services"),
        ),
        "ExternalName" => {
            const DETAIL: &str = "may not be set for ExternalName services";
            if spec.cluster_ips.is_some() || spec.cluster_ip.is_some() {
                report.forbidden(cluster_ips, DETAIL);
            }
            if spec.ip_families.is_some() {
                report.forbidden(at.field("ipFamilies"), DETAIL);
            }
            if spec.ip_family_policy.is_some() {
                report.forbidden(at.field("ipFamilyPolicy"), DETAIL);
            }
            let at = at.field("externalName");
            match present(spec.external_name.as_ref()) {
                None => report.required(at, ""),
                // A dot at the end says that the name is fully qualified.
                Some(name) => {
                    let name = name.strip_suffix('.').unwrap_or(name);
                    report.follows(at, name, names::dns_subdomain);
                }
            }
        }
        _ => {}
    }
}

/// `spec.type`; defaults were filled in.
fn kind(spec: &ServiceSpec) -> &str {
    present(spec.type_.as_ref()).unwrap_or("ClusterIP")
}

/// `clusterIP: None`.
fn is_headless(spec: &ServiceSpec) -> bool {
    let first = spec.cluster_ips.as_deref().and_then(<[String]>::first);
    spec.cluster_ip.as_deref() == Some("None") || first.is_some_and(|ip| ip == "None")
}

/// Reachable from outside the cluster, so that `externalTrafficPolicy` means something.
fn is_externally_accessible(spec: &ServiceSpec) -> bool {
    match kind(spec) {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => spec
            .external_ips
            .as_ref()
            .is_some_and(|ips| !ips.is_empty()),
        _ => false,
    }
}
