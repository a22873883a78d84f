//! The endpoint controller: Pods that a Service selects become EndpointSlices.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    core::v1::{Node, ObjectReference, Service, ServiceSpec},
    discovery::v1::{Endpoint, EndpointConditions, EndpointHints, ForNode, ForZone},
};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{AddressFamily, ObjectRef, SourceLocation};

use super::{
    catalog::Kind,
    findings::Findings,
    pods::PodEntry,
    slices::{Port, SLICE_CONTROLLER, Shape, Slices},
};

/// The zone of each node that has one.
#[derive(Debug)]
pub(super) struct Zones<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Zones<'a> {
    pub(super) fn new(nodes: &'a Kind<'_, Node>) -> Self {
        const LABELS: [&str; 2] = [
            "topology.kubernetes.io/zone",
            "failure-domain.beta.kubernetes.io/zone",
        ];
        let zone = |node: &'a Node| {
            let labels = node.metadata.labels.as_ref()?;
            let zone = LABELS.iter().find_map(|label| labels.get(*label))?;
            (!zone.is_empty()).then_some(zone.as_str())
        };
        let zones = nodes
            .iter()
            .filter_map(|(key, entry)| Some((key.name.as_str(), zone(entry.object)?)));
        Self(zones.collect())
    }
}

/// The slices of a Service that selects these Pods.
pub(super) fn slices<'a>(
    key: &'a ObjectKey,
    service: &Service,
    selected: &[&PodEntry<'_>],
    zones: &Zones<'_>,
) -> Slices<'a> {
    let mut slices = Slices::new(key, SLICE_CONTROLLER, service);
    let Some(spec) = &service.spec else {
        return slices;
    };
    let families = spec
        .ip_families
        .iter()
        .flatten()
        .filter_map(|family| match family.as_str() {
            "IPv4" => Some(AddressFamily::Ipv4),
            "IPv6" => Some(AddressFamily::Ipv6),
            _ => None,
        });
    for family in families {
        for pod in selected {
            if let Some(address) = pod.address(family) {
                let shape = Shape {
                    family,
                    ports: ports(spec, pod),
                };
                slices.add(shape, endpoint(key, spec, pod, address.to_string(), zones));
            }
        }
    }
    slices
}

/// The ports of the Service that this Pod has.
fn ports(spec: &ServiceSpec, pod: &PodEntry<'_>) -> Vec<Port> {
    let port = |port: &k8s_openapi::api::core::v1::ServicePort| {
        Some(Port {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            number: pod.target_port(port)?,
            app_protocol: port.app_protocol.clone(),
        })
    };
    spec.ports.iter().flatten().filter_map(port).collect()
}

fn endpoint(
    service: &ObjectKey,
    spec: &ServiceSpec,
    pod: &PodEntry<'_>,
    address: String,
    zones: &Zones<'_>,
) -> Endpoint {
    let serving = pod.ready_condition() == Some(true);
    let terminating = pod.is_terminating();
    let published = spec.publish_not_ready_addresses == Some(true);
    let node = pod
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref());
    let node = node.filter(|name| !name.is_empty());
    let zone = node.and_then(|node| zones.0.get(node)).copied();
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(published || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hints: hints(spec.traffic_distribution.as_deref(), node, zone),
        hostname: pod.hostname_in(&service.name).map(str::to_owned),
        node_name: node.map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.key.namespace.clone()),
            name: Some(pod.key.name.clone()),
            uid: pod.pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        zone: zone.map(str::to_owned),
        ..Endpoint::default()
    }
}

/// Each endpoint is hinted to where it is.
fn hints(
    distribution: Option<&str>,
    node: Option<&str>,
    zone: Option<&str>,
) -> Option<EndpointHints> {
    let for_zones = zone.map(|zone| {
        vec![ForZone {
            name: zone.to_owned(),
        }]
    });
    let for_nodes = node.map(|node| {
        vec![ForNode {
            name: node.to_owned(),
        }]
    });
    let hints = match distribution? {
        "PreferSameNode" => EndpointHints {
            for_nodes,
            for_zones,
        },
        "PreferClose" | "PreferSameZone" => EndpointHints {
            for_nodes: None,
            for_zones,
        },
        _ => return None,
    };
    (hints != EndpointHints::default()).then_some(hints)
}

/// Says which named target ports a Pod does not have, and which Pods nobody called ready or not.
pub(super) fn report(
    key: &ObjectKey,
    service: &Service,
    source: &SourceLocation,
    selected: &[&PodEntry<'_>],
    unready: &mut BTreeSet<ObjectKey>,
    findings: &mut Findings,
) {
    let Some(spec) = &service.spec else {
        return;
    };
    for (i, port) in spec.ports.iter().flatten().enumerate() {
        if let Some(pod) = selected.iter().find(|pod| pod.target_port(port).is_none())
            && let Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(name)) =
                &port.target_port
        {
            let message = format!(
                "no container port of {} is called {name:?} over {}, so this port has no endpoint there",
                pod.reference(),
                port.protocol.as_deref().unwrap_or("TCP")
            );
            let service = ObjectRef::new("Service", &key.namespace, &key.name);
            let field = format!("spec.ports[{i}].targetPort");
            findings.warning(service, source, field, "PortNotFound", message);
        }
    }
    if spec.publish_not_ready_addresses == Some(true) {
        return;
    }
    for pod in selected {
        let has_address = pod
            .address(AddressFamily::Ipv4)
            .or(pod.address(AddressFamily::Ipv6));
        if has_address.is_some()
            && pod.ready_condition().is_none()
            && let Some(source) = pod.source
            && unready.insert(pod.key.clone())
        {
            let message = "has no condition Ready, so it counts as not ready";
            findings.warning(
                pod.reference(),
                source,
                "status.conditions",
                "NotReady",
                message,
            );
        }
    }
}
