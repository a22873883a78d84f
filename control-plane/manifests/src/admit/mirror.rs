//! The mirroring controller: Endpoints become EndpointSlices.

use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service},
    discovery::v1::{Endpoint, EndpointConditions},
};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{AddressFamily, ObjectRef};

use super::{
    catalog::Entry,
    findings::Findings,
    selection,
    slices::{MIRRORING_CONTROLLER, Port, Shape, Slices},
};

const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The slices of these Endpoints; none if they are not to be mirrored.
pub(super) fn slices<'a>(
    key: &'a ObjectKey,
    entry: &Entry<'_, Endpoints>,
    service: Option<&Service>,
    has_slices: bool,
    findings: &mut Findings,
) -> Option<Slices<'a>> {
    let endpoints = entry.object;
    let reference = || ObjectRef::new("Endpoints", &key.namespace, &key.name);
    if is_not_for_mirroring(endpoints) {
        return None;
    }
    let Some(service) = service else {
        let message =
            "there is no Service of this name, so nothing uses them: add it, without a selector";
        findings.warning(
            reference(),
            entry.source,
            "metadata.name",
            "NoService",
            message,
        );
        return None;
    };
    if selection::selector(service).is_some() {
        if !is_made_by_controller(endpoints) {
            let message = "the Service has a selector, so its endpoints are its Pods and these are not used; remove \
                           the selector to use them";
            findings.warning(reference(), entry.source, "", "ServiceHasSelector", message);
        }
        return None;
    }
    // They were mirrored already, or somebody maintains slices by hand.
    if has_slices {
        return None;
    }
    let mut slices = Slices::new(key, MIRRORING_CONTROLLER, service);
    for (i, subset) in endpoints.subsets.iter().flatten().enumerate() {
        add(subset, &mut slices);
        for (j, port) in subset.ports.iter().flatten().enumerate() {
            let name = port.name.as_deref().unwrap_or_default();
            if !has_port(service, name) {
                let message = format!(
                    "no port of the Service is called {name:?}, so nothing reaches this one; the names must be equal"
                );
                let field = format!("subsets[{i}].ports[{j}].name");
                findings.warning(reference(), entry.source, field, "PortNotFound", message);
            }
        }
    }
    Some(slices)
}

fn add(subset: &EndpointSubset, slices: &mut Slices<'_>) {
    let ports: Vec<_> = subset
        .ports
        .iter()
        .flatten()
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                number: u16::try_from(port.port).ok().filter(|port| *port != 0)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    let ready = subset
        .addresses
        .iter()
        .flatten()
        .map(|address| (address, true));
    let not_ready = subset
        .not_ready_addresses
        .iter()
        .flatten()
        .map(|address| (address, false));
    for (address, ready) in ready.chain(not_ready) {
        if let Ok(ip) = address.ip.parse() {
            let shape = Shape {
                family: AddressFamily::of(ip),
                ports: ports.clone(),
            };
            slices.add(shape, endpoint(address, ready));
        }
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(ready),
            terminating: Some(false),
        }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn has_port(service: &Service, name: &str) -> bool {
    let mut ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    ports.any(|port| port.name.as_deref().unwrap_or_default() == name)
}

/// The user said so, or they are a lock of an old leader election.
fn is_not_for_mirroring(endpoints: &Endpoints) -> bool {
    let label = |key| endpoints.metadata.labels.as_ref()?.get(key);
    let annotation = |key| endpoints.metadata.annotations.as_ref()?.get(key);
    label(SKIP_MIRROR).is_some_and(|value| value == "true") || annotation(LEADER).is_some()
}

/// They were read from a cluster, in which a controller made them.
fn is_made_by_controller(endpoints: &Endpoints) -> bool {
    let label = |key| endpoints.metadata.labels.as_ref()?.get(key);
    let annotation = |key| endpoints.metadata.annotations.as_ref()?.get(key);
    label(MANAGED_BY).is_some() || annotation(LAST_CHANGE).is_some()
}
