//! The ports of a Service.

use k8s_openapi::{api::core::v1 as k8s, apimachinery::pkg::util::intstr::IntOrString};
use meshlite_snapshot::{ServicePort, ServiceType, TargetPort};

use crate::{report::About, values};

/// The ports in their order; those that cannot be served, or that come twice, are left out.
pub(super) fn ports(
    spec: &k8s::ServiceSpec,
    kind: ServiceType,
    about: &mut About<'_>,
) -> Vec<ServicePort> {
    let listed = spec.ports.as_deref().unwrap_or_default();
    let mut ports: Vec<ServicePort> = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        let Some(port) = port(i, entry, kind, about) else {
            continue;
        };
        let same_number =
            |other: &ServicePort| (other.port, other.protocol) == (port.port, port.protocol);
        if ports.iter().any(|other| other.name == port.name) {
            let message = if port.name.is_empty() {
                "a Service of several ports names each of them".to_owned()
            } else {
                format!("there is a port named {:?} before it", port.name)
            };
            about.error(field(i, "name"), "Duplicate", message);
        } else if ports.iter().any(same_number) {
            about.error(
                field(i, "port"),
                "Duplicate",
                format!("there is a port {}/{} before it", port.port, port.protocol),
            );
        } else {
            ports.push(port);
        }
    }
    ports
}

fn port(
    i: usize,
    entry: &k8s::ServicePort,
    kind: ServiceType,
    about: &mut About<'_>,
) -> Option<ServicePort> {
    let Some(number) = values::port(entry.port) else {
        let message = format!("{} is not a port", entry.port);
        about.error(field(i, "port"), "InvalidPort", message);
        return None;
    };
    let protocol = match values::protocol(entry.protocol.as_deref()) {
        Ok(protocol) => protocol,
        Err(problem) => {
            about.error(field(i, "protocol"), "UnsupportedValue", problem);
            return None;
        }
    };
    Some(ServicePort {
        name: entry.name.clone().unwrap_or_default(),
        protocol,
        port: number,
        target_port: target_port(i, entry, number, about)?,
        node_port: node_port(i, entry, kind, about),
        app_protocol: values::non_empty(entry.app_protocol.as_ref()),
    })
}

fn target_port(
    i: usize,
    entry: &k8s::ServicePort,
    port: u16,
    about: &mut About<'_>,
) -> Option<TargetPort> {
    match &entry.target_port {
        None | Some(IntOrString::Int(0)) => Some(TargetPort::Number(port)),
        Some(IntOrString::String(name)) if name.is_empty() => Some(TargetPort::Number(port)),
        Some(IntOrString::String(name)) => Some(TargetPort::Name(name.clone())),
        Some(IntOrString::Int(number)) => {
            let target = values::port(*number).map(TargetPort::Number);
            if target.is_none() {
                let message = format!("{number} is not a port");
                about.error(field(i, "targetPort"), "InvalidPort", message);
            }
            target
        }
    }
}

fn node_port(
    i: usize,
    entry: &k8s::ServicePort,
    kind: ServiceType,
    about: &mut About<'_>,
) -> Option<u16> {
    let number = entry.node_port.filter(|number| *number != 0)?;
    match kind {
        ServiceType::NodePort | ServiceType::LoadBalancer => {
            let port = values::port(number);
            if port.is_none() {
                let message = format!("{number} is not a port");
                about.error(field(i, "nodePort"), "InvalidPort", message);
            }
            port
        }
        ServiceType::ClusterIP | ServiceType::ExternalName => {
            let message = "only Services of type NodePort and LoadBalancer have node ports";
            about.error(field(i, "nodePort"), "Forbidden", message);
            None
        }
    }
}

fn field(i: usize, name: &str) -> String {
    format!("spec.ports[{i}].{name}")
}
