//! What an API server fills into a Service.

use k8s_openapi::{
    api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{is_externally_accessible, kind};

/// Three hours.
const CLIENT_IP_TIMEOUT_SECONDS: i32 = 10_800;

pub(in crate::validate) fn default(service: &mut Service) {
    let Some(spec) = &mut service.spec else {
        return;
    };
    drop_empty(spec);
    spec.type_.get_or_insert_with(|| "ClusterIP".to_owned());
    for port in spec.ports.iter_mut().flatten() {
        default_port(port);
    }
    default_session_affinity(spec);
    // `clusterIP` and `clusterIPs` are two spellings of one field.
    if spec.cluster_ips.is_none()
        && let Some(ip) = &spec.cluster_ip
    {
        spec.cluster_ips = Some(vec![ip.clone()]);
    }
    if is_externally_accessible(spec) {
        spec.external_traffic_policy
            .get_or_insert_with(|| "Cluster".to_owned());
    }
    if matches!(kind(spec), "ClusterIP" | "NodePort" | "LoadBalancer") {
        spec.internal_traffic_policy
            .get_or_insert_with(|| "Cluster".to_owned());
    }
    if kind(spec) == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
    for range in spec.load_balancer_source_ranges.iter_mut().flatten() {
        let trimmed = range.trim();
        if trimmed.len() != range.len() {
            *range = trimmed.to_owned();
        }
    }
    let status = service.status.as_mut();
    let addresses = status.and_then(|s| s.load_balancer.as_mut()?.ingress.as_mut());
    for address in addresses.into_iter().flatten() {
        if address.ip.as_ref().is_some_and(|ip| !ip.is_empty()) {
            address.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}

fn default_port(port: &mut ServicePort) {
    drop_if_empty(&mut port.protocol);
    port.protocol.get_or_insert_with(|| "TCP".to_owned());
    if port.node_port == Some(0) {
        port.node_port = None;
    }
    let unset = match &port.target_port {
        None | Some(IntOrString::Int(0)) => true,
        Some(IntOrString::String(name)) => name.is_empty(),
        Some(IntOrString::Int(_)) => false,
    };
    if unset {
        port.target_port = Some(IntOrString::Int(port.port));
    }
}

fn default_session_affinity(spec: &mut ServiceSpec) {
    let affinity = spec
        .session_affinity
        .get_or_insert_with(|| "None".to_owned());
    match affinity.as_str() {
        "None" => spec.session_affinity_config = None,
        "ClientIP" => {
            spec.session_affinity_config
                .get_or_insert_with(SessionAffinityConfig::default)
                .client_ip
                .get_or_insert_with(ClientIPConfig::default)
                .timeout_seconds
                .get_or_insert(CLIENT_IP_TIMEOUT_SECONDS);
        }
        _ => {}
    }
}

/// In Kubernetes' API an empty value and an absent one are the same.
fn drop_empty(spec: &mut ServiceSpec) {
    for field in [
        &mut spec.type_,
        &mut spec.cluster_ip,
        &mut spec.external_name,
        &mut spec.external_traffic_policy,
        &mut spec.internal_traffic_policy,
        &mut spec.ip_family_policy,
        &mut spec.load_balancer_ip,
        &mut spec.session_affinity,
    ] {
        drop_if_empty(field);
    }
    for list in [
        &mut spec.cluster_ips,
        &mut spec.external_ips,
        &mut spec.ip_families,
        &mut spec.load_balancer_source_ranges,
    ] {
        if list.as_ref().is_some_and(Vec::is_empty) {
            *list = None;
        }
    }
    if spec.health_check_node_port == Some(0) {
        spec.health_check_node_port = None;
    }
    if spec
        .selector
        .as_ref()
        .is_some_and(std::collections::BTreeMap::is_empty)
    {
        spec.selector = None;
    }
}

fn drop_if_empty(field: &mut Option<String>) {
    if field.as_ref().is_some_and(String::is_empty) {
        *field = None;
    }
}
