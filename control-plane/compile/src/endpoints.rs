//! One EndpointSlice of a Service.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::discovery::v1 as k8s;
use meshlite_snapshot::{
    AddressFamily, Endpoint, EndpointGroup, EndpointPort, Name, Service, ServiceType,
};

use crate::{ObjectKey, report::About, values};

/// The label that names a slice's Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Strings that many endpoints share: nodes and zones.
#[derive(Debug, Default)]
#[expect(
    clippy::disallowed_types,
    reason = "two look-ups for each endpoint: with a BTreeMap, a sixth of all time; nothing walks it"
)]
pub(crate) struct Shared<'a>(std::collections::HashMap<&'a str, Arc<str>>);

impl<'a> Shared<'a> {
    fn get(&mut self, text: Option<&'a String>) -> Option<Arc<str>> {
        let text = text.filter(|text| !text.is_empty())?.as_str();
        Some(Arc::clone(
            self.0.entry(text).or_insert_with(|| Arc::from(text)),
        ))
    }
}

/// The Service that a slice says it belongs to.
pub(crate) fn service_of(slice: &k8s::EndpointSlice) -> Option<&str> {
    let labels = slice.metadata.labels.as_ref()?;
    let service = labels.get(SERVICE_NAME)?;
    (!service.is_empty()).then_some(service.as_str())
}

/// What a slice of this Service means; nothing where the Service has no endpoints, or the addresses no family.
pub(crate) fn group<'a>(
    key: &ObjectKey,
    slice: &'a k8s::EndpointSlice,
    service: &Service,
    shared: &mut Shared<'a>,
    about: &mut About<'_>,
) -> Option<(Name, EndpointGroup)> {
    let name = about.resource_name(&[&key.namespace, &service.name, &key.name])?;
    if service.kind == ServiceType::ExternalName {
        let message = "its Service is an ExternalName, which has no endpoints";
        about.warning("", "NoEndpointsWanted", message);
        return None;
    }
    let Some(address_family) = values::family(&slice.address_type) else {
        let message = values::unsupported(&slice.address_type, &["IPv4", "IPv6"]);
        about.error("addressType", "UnsupportedValue", message);
        return None;
    };
    let group = EndpointGroup {
        namespace: key.namespace.clone(),
        service: service.name.clone(),
        slice: key.name.clone(),
        address_family,
        ports: ports(slice, about),
        endpoints: endpoints(slice, address_family, service, shared, about),
    };
    Some((name, group))
}

fn ports(slice: &k8s::EndpointSlice, about: &mut About<'_>) -> Vec<EndpointPort> {
    let listed = slice.ports.as_deref().unwrap_or_default();
    let mut ports: Vec<EndpointPort> = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        let protocol = match values::protocol(entry.protocol.as_deref()) {
            Ok(protocol) => protocol,
            Err(problem) => {
                about.error(format!("ports[{i}].protocol"), "UnsupportedValue", problem);
                continue;
            }
        };
        let port = match entry.port.map(|number| (number, values::port(number))) {
            None => None,
            Some((_, Some(port))) => Some(port),
            Some((number, None)) => {
                let message = format!("{number} is not a port");
                about.error(format!("ports[{i}].port"), "InvalidPort", message);
                continue;
            }
        };
        let name = entry.name.clone().unwrap_or_default();
        if ports
            .iter()
            .any(|other| other.name == name && other.protocol == protocol)
        {
            let message = format!("there is a {protocol} port named {name:?} before it");
            about.error(format!("ports[{i}].name"), "Duplicate", message);
            continue;
        }
        ports.push(EndpointPort {
            name,
            protocol,
            port,
            app_protocol: values::non_empty(entry.app_protocol.as_ref()),
        });
    }
    ports
}

fn endpoints<'a>(
    slice: &'a k8s::EndpointSlice,
    family: AddressFamily,
    service: &Service,
    shared: &mut Shared<'a>,
    about: &mut About<'_>,
) -> Vec<Endpoint> {
    let listed = slice.endpoints.as_deref().unwrap_or_default();
    let mut endpoints = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        match address(entry, family) {
            Ok(address) => endpoints.push(endpoint(address, entry, service, shared)),
            Err(problem) => about.error(
                format!("endpoints[{i}].addresses"),
                "InvalidAddress",
                problem,
            ),
        }
    }
    // Stable, so that the order of one address's entries stays the slice's.
    endpoints.sort_by_key(|endpoint| endpoint.address);
    endpoints.dedup();
    endpoints
}

/// The first address; the others, where a slice has them, mean the same.
fn address(entry: &k8s::Endpoint, family: AddressFamily) -> Result<IpAddr, String> {
    let Some(text) = entry.addresses.first() else {
        return Err("an endpoint needs an address".to_owned());
    };
    let address = values::unicast(text)?;
    if AddressFamily::of(address) == family {
        Ok(address)
    } else {
        let family = values::family_name(family);
        Err(format!("{address} is not an {family} address"))
    }
}

fn endpoint<'a>(
    address: IpAddr,
    entry: &'a k8s::Endpoint,
    service: &Service,
    shared: &mut Shared<'a>,
) -> Endpoint {
    let conditions = entry.conditions.as_ref();
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    let hints = entry.hints.as_ref();
    let mut names = |name: &'a String| shared.get(Some(name));
    let hint_zones = hints
        .and_then(|hints| hints.for_zones.as_deref())
        .into_iter()
        .flatten()
        .filter_map(|zone| names(&zone.name))
        .collect();
    let hint_nodes = hints
        .and_then(|hints| hints.for_nodes.as_deref())
        .into_iter()
        .flatten()
        .filter_map(|node| names(&node.name))
        .collect();
    Endpoint {
        address,
        ready: ready || service.publish_not_ready_addresses,
        serving: conditions.and_then(|c| c.serving).unwrap_or(ready),
        terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
        node: shared.get(entry.node_name.as_ref()),
        zone: shared.get(entry.zone.as_ref()),
        hostname: own(entry.hostname.as_ref()),
        target: own(entry.target_ref.as_ref().and_then(|t| t.name.as_ref())),
        hint_zones,
        hint_nodes,
    }
}

fn own(text: Option<&String>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty())
        .map(|text| Arc::from(text.as_str()))
}
