//! Where the traffic of a Service goes: affinity, policies, distribution, health checks.

use k8s_openapi::api::core::v1::ServiceSpec;

use super::{
    super::{Path, Report, present},
    is_externally_accessible, kind,
};

const POLICIES: [&str; 2] = ["Cluster", "Local"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameNode", "PreferSameZone"];

pub(super) fn validate(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    validate_session_affinity(spec, at, report);
    if let Some(policy) = &spec.internal_traffic_policy {
        report.supported(at.field("internalTrafficPolicy"), policy, &POLICIES);
    }
    validate_external_traffic_policy(spec, at, report);
    if let Some(distribution) = present(spec.traffic_distribution.as_ref()) {
        report.supported(
            at.field("trafficDistribution"),
            distribution,
            &DISTRIBUTIONS,
        );
    }
}

fn validate_session_affinity(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let affinity = spec.session_affinity.as_deref().unwrap_or("None");
    report.supported(at.field("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let client_ip = spec
        .session_affinity_config
        .as_ref()
        .and_then(|c| c.client_ip.as_ref());
    if let Some(seconds) = client_ip.and_then(|c| c.timeout_seconds)
        && affinity == "ClientIP"
        && !(1..=86_400).contains(&seconds)
    {
        let at = at.field("sessionAffinityConfig");
        let at = at.field("clientIP");
        report.invalid(
            at.field("timeoutSeconds"),
            seconds,
            "must be greater than 0 and less than or equal to 86400",
        );
    }
}

fn validate_external_traffic_policy(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let policy = spec.external_traffic_policy.as_deref();
    if let Some(policy) = policy {
        let at = at.field("externalTrafficPolicy");
        if POLICIES.contains(&policy) && !is_externally_accessible(spec) {
            report.invalid(
                at,
                policy,
                "may only be set for externally-accessible services",
            );
        } else {
            report.supported(at, policy, &POLICIES);
        }
    }
    if let Some(port) = spec.health_check_node_port {
        let at = at.field("healthCheckNodePort");
        if kind(spec) == "LoadBalancer" && policy == Some("Local") {
            report.port(at, port);
        } else {
            report.invalid(
                at,
                port,
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
            );
        }
    }
}
