//! Endpoints and EndpointSlices.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints},
    discovery::v1::{Endpoint, EndpointPort as SlicePort, EndpointSlice},
};

use super::{Path, Report, ip, names, present, validate_protocol};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 100;
const MAX_HINTS: usize = 8;

pub(super) fn default_endpoints(endpoints: &mut Endpoints) {
    for port in endpoints
        .subsets
        .iter_mut()
        .flatten()
        .flat_map(|s| s.ports.iter_mut().flatten())
    {
        default_protocol(&mut port.protocol);
    }
}

pub(super) fn default_slice(slice: &mut EndpointSlice) {
    for port in slice.ports.iter_mut().flatten() {
        default_protocol(&mut port.protocol);
        port.name.get_or_insert_default();
    }
    for endpoint in slice.endpoints.iter_mut().flatten() {
        let conditions = endpoint.conditions.get_or_insert_default();
        let ready = *conditions.ready.get_or_insert(true);
        conditions.serving.get_or_insert(ready);
        conditions.terminating.get_or_insert(false);
    }
}

fn default_protocol(protocol: &mut Option<String>) {
    if protocol.as_ref().is_none_or(String::is_empty) {
        *protocol = Some("TCP".to_owned());
    }
}

pub(super) fn validate_endpoints(endpoints: &Endpoints, report: &mut Report) {
    let subsets = Path::root("subsets");
    for (i, subset) in endpoints.subsets.iter().flatten().enumerate() {
        validate_subset(subset, subsets.index(i), report);
    }
}

fn validate_subset(subset: &EndpointSubset, at: Path<'_>, report: &mut Report) {
    let ready = subset.addresses.as_deref().unwrap_or_default();
    let not_ready = subset.not_ready_addresses.as_deref().unwrap_or_default();
    if ready.is_empty() && not_ready.is_empty() {
        report.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
        let at = at.field(field);
        for (i, address) in addresses.iter().enumerate() {
            validate_address(address, at.index(i), report);
        }
    }
    let ports = subset.ports.as_deref().unwrap_or_default();
    let at = at.field("ports");
    for (i, port) in ports.iter().enumerate() {
        validate_endpoint_port(port, ports.len() > 1, at.index(i), report);
    }
}

fn validate_address(address: &EndpointAddress, at: Path<'_>, report: &mut Report) {
    ip::validate_reachable(&address.ip, at.field("ip"), report);
    if let Some(hostname) = present(address.hostname.as_ref()) {
        report.follows(at.field("hostname"), hostname, names::dns_label);
    }
    if let Some(node) = present(address.node_name.as_ref()) {
        report.follows(at.field("nodeName"), node, names::dns_subdomain);
    }
}

fn validate_endpoint_port(
    port: &EndpointPort,
    name_required: bool,
    at: Path<'_>,
    report: &mut Report,
) {
    match present(port.name.as_ref()) {
        None if name_required => report.required(at.field("name"), ""),
        None => {}
        Some(name) => report.follows(at.field("name"), name, names::dns_label),
    }
    report.port(at.field("port"), port.port);
    validate_protocol(port.protocol.as_deref(), at.field("protocol"), report);
    if let Some(protocol) = present(port.app_protocol.as_ref()) {
        report.follows(at.field("appProtocol"), protocol, names::qualified_name);
    }
}

pub(super) fn validate_slice(slice: &EndpointSlice, report: &mut Report) {
    let at = Path::root("addressType");
    if slice.address_type.is_empty() {
        report.required(at, "");
    } else {
        report.supported(at, &slice.address_type, &["FQDN", "IPv4", "IPv6"]);
    }
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    let at = Path::root("endpoints");
    report.at_most(at, endpoints.len(), MAX_ENDPOINTS);
    for (i, endpoint) in endpoints.iter().enumerate() {
        validate_endpoint(endpoint, &slice.address_type, at.index(i), report);
    }
    let ports = slice.ports.as_deref().unwrap_or_default();
    let at = Path::root("ports");
    report.at_most(at, ports.len(), MAX_PORTS);
    let mut names_before = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        validate_slice_port(port, at.index(i), report);
        if !names_before.insert(port.name.as_deref()) {
            let name = port.name.as_deref().unwrap_or_default();
            report.duplicate(at.index(i).field("name"), name);
        }
    }
}

fn validate_endpoint(endpoint: &Endpoint, address_type: &str, at: Path<'_>, report: &mut Report) {
    let addresses = at.field("addresses");
    if endpoint.addresses.is_empty() {
        report.required(addresses, "must contain at least 1 address");
    }
    report.at_most(addresses, endpoint.addresses.len(), MAX_ADDRESSES);
    for (i, address) in endpoint.addresses.iter().enumerate() {
        let at = addresses.index(i);
        match (address_type, address.parse::<IpAddr>()) {
            ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => {
                ip::validate_reachable(address, at, report);
            }
            ("IPv4", _) => report.invalid(at, address, "must be a valid IPv4 address"),
            ("IPv6", _) => report.invalid(at, address, "must be a valid IPv6 address"),
            ("FQDN", _) => report.follows(at, address, names::fully_qualified),
            _ => {}
        }
    }
    if let Some(hostname) = &endpoint.hostname {
        report.follows(at.field("hostname"), hostname, names::dns_label);
    }
    if let Some(node) = &endpoint.node_name {
        report.follows(at.field("nodeName"), node, names::dns_subdomain);
    }
    let Some(hints) = &endpoint.hints else {
        return;
    };
    let at = at.field("hints");
    let zones = at.field("forZones");
    let nodes = at.field("forNodes");
    let for_zones = hints.for_zones.as_deref().unwrap_or_default();
    let for_nodes = hints.for_nodes.as_deref().unwrap_or_default();
    report.at_most(zones, for_zones.len(), MAX_HINTS);
    report.at_most(nodes, for_nodes.len(), MAX_HINTS);
    for (i, zone) in for_zones.iter().enumerate() {
        let at = zones.index(i);
        report.follows(at.field("name"), &zone.name, names::label_value);
    }
    for (i, node) in for_nodes.iter().enumerate() {
        let at = nodes.index(i);
        report.follows(at.field("name"), &node.name, names::dns_subdomain);
    }
}

fn validate_slice_port(port: &SlicePort, at: Path<'_>, report: &mut Report) {
    let name = port.name.as_deref().unwrap_or_default();
    if !name.is_empty() {
        report.follows(at.field("name"), name, names::dns_label);
    }
    if let Some(number) = port.port {
        report.port(at.field("port"), number);
    }
    validate_protocol(port.protocol.as_deref(), at.field("protocol"), report);
    if let Some(protocol) = present(port.app_protocol.as_ref()) {
        report.follows(at.field("appProtocol"), protocol, names::qualified_name);
    }
}
