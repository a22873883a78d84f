//! The ports of a Service.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::core::v1::{ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    super::{Path, Report, names, present, validate_protocol},
    is_headless, kind,
};

/// The port of the kubelet, which a load balancer must not expose.
const KUBELET_PORT: i32 = 10250;

/// What the ports before have.
#[derive(Default)]
struct Seen<'a> {
    names: BTreeSet<&'a str>,
    ports: BTreeSet<(i32, &'a str)>,
    node_ports: BTreeSet<(i32, &'a str)>,
}

pub(super) fn validate(spec: &ServiceSpec, at: Path<'_>, report: &mut Report) {
    let at = at.field("ports");
    let ports = spec.ports.as_deref().unwrap_or_default();
    let kind = kind(spec);
    if ports.is_empty() && kind != "ExternalName" && !is_headless(spec) {
        report.required(at, "");
    }
    let mut seen = Seen::default();
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        validate_port(port, at, report);
        validate_name(port, &mut seen, ports.len() > 1, at, report);
        validate_node_port(port, &mut seen, kind, at, report);
        if kind == "LoadBalancer" && port.port == KUBELET_PORT {
            report.invalid(
                at.field("port"),
                port.port,
                "may not expose port 10250 externally since it is used by kubelet",
            );
        }
        if !seen.ports.insert((port.port, protocol(port))) {
            report.duplicate(at, format!("{}/{}", port.port, protocol(port)));
        }
    }
}

fn validate_port(port: &ServicePort, at: Path<'_>, report: &mut Report) {
    report.port(at.field("port"), port.port);
    validate_protocol(port.protocol.as_deref(), at.field("protocol"), report);
    match &port.target_port {
        // Filled in from a port that is already reported.
        Some(IntOrString::Int(number)) if *number == port.port => {}
        Some(IntOrString::Int(number)) => report.port(at.field("targetPort"), *number),
        Some(IntOrString::String(name)) if name.parse::<u16>().is_ok() => report.invalid(
            at.field("targetPort"),
            name,
            "must contain at least one letter (a-z); write a number without quotes",
        ),
        Some(IntOrString::String(name)) => {
            report.follows(at.field("targetPort"), name, names::port_name);
        }
        None => {}
    }
    if let Some(protocol) = present(port.app_protocol.as_ref()) {
        report.follows(at.field("appProtocol"), protocol, names::qualified_name);
    }
}

fn validate_name<'a>(
    port: &'a ServicePort,
    seen: &mut Seen<'a>,
    required: bool,
    at: Path<'_>,
    report: &mut Report,
) {
    let at = at.field("name");
    match present(port.name.as_ref()) {
        None if required => report.required(at, ""),
        None => {}
        Some(name) => {
            report.follows(at, name, names::dns_label);
            if !seen.names.insert(name) {
                report.duplicate(at, name);
            }
        }
    }
}

fn validate_node_port<'a>(
    port: &'a ServicePort,
    seen: &mut Seen<'a>,
    kind: &str,
    at: Path<'_>,
    report: &mut Report,
) {
    let Some(node_port) = port.node_port else {
        return;
    };
    let at = at.field("nodePort");
    match kind {
        "ClusterIP" => report.forbidden(at, "may not be used when `type` is 'ClusterIP'"),
        "ExternalName" => report.forbidden(at, "may not be used when `type` is 'ExternalName'"),
        _ => report.port(at, node_port),
    }
    if !seen.node_ports.insert((node_port, protocol(port))) {
        report.duplicate(at, node_port);
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}
