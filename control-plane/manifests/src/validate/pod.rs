//! Pods: only what makes them endpoints.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::{Path, Report, ip, names, present, validate_protocol};

pub(super) fn default(pod: &mut Pod) {
    if let Some(spec) = &mut pod.spec {
        default_spec(spec);
    }
}

pub(super) fn default_spec(spec: &mut PodSpec) {
    let containers = spec
        .containers
        .iter_mut()
        .chain(spec.init_containers.iter_mut().flatten());
    for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
        if port.protocol.as_ref().is_none_or(String::is_empty) {
            port.protocol = Some("TCP".to_owned());
        }
    }
}

pub(super) fn validate(pod: &Pod, report: &mut Report) {
    if let Some(spec) = &pod.spec {
        validate_spec(spec, Path::root("spec"), report);
    }
    let Some(status) = &pod.status else {
        return;
    };
    let at = Path::root("status");
    if let Some(address) = present(status.pod_ip.as_ref()) {
        ip::validate_reachable(address, at.field("podIP"), report);
    }
    let at = at.field("podIPs");
    let addresses = status.pod_ips.as_deref().unwrap_or_default();
    for (i, address) in addresses.iter().enumerate() {
        let at = at.index(i);
        ip::validate_reachable(&address.ip, at.field("ip"), report);
    }
    if let (Some(one), Some(first)) = (present(status.pod_ip.as_ref()), addresses.first())
        && one.parse::<IpAddr>().ok() != first.ip.parse::<IpAddr>().ok()
    {
        report.invalid(at.index(0), &first.ip, "must be the same as `podIP`");
    }
}

pub(super) fn validate_spec(spec: &PodSpec, at: Path<'_>, report: &mut Report) {
    for (field, value) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(value) = present(value.as_ref()) {
            report.follows(at.field(field), value, names::dns_label);
        }
    }
    let containers = at.field("containers");
    for (i, container) in spec.containers.iter().enumerate() {
        validate_ports(container, containers.index(i), report);
    }
    let containers = at.field("initContainers");
    for (i, container) in spec.init_containers.iter().flatten().enumerate() {
        validate_ports(container, containers.index(i), report);
    }
}

fn validate_ports(container: &Container, at: Path<'_>, report: &mut Report) {
    let at = at.field("ports");
    let ports = container.ports.as_deref().unwrap_or_default();
    let mut names_before = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        report.port(at.field("containerPort"), port.container_port);
        validate_protocol(port.protocol.as_deref(), at.field("protocol"), report);
        let Some(name) = present(port.name.as_ref()) else {
            continue;
        };
        report.follows(at.field("name"), name, names::port_name);
        if !names_before.insert(name) {
            report.duplicate(at.field("name"), name);
        }
    }
}
