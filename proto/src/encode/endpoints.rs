//! Endpoint groups and weights.

use meshlite_snapshot::{Endpoint, EndpointGroup, Weights};

use super::{family, port, protocol, shown, text};
use crate::v1;

pub(super) fn group(group: &EndpointGroup) -> v1::EndpointGroup {
    v1::EndpointGroup {
        namespace: group.namespace.clone(),
        service: group.service.clone(),
        slice: group.slice.clone(),
        address_family: family(group.address_family),
        ports: group
            .ports
            .iter()
            .map(|from| v1::EndpointPort {
                name: from.name.clone(),
                protocol: protocol(from.protocol),
                port: port(from.port),
                app_protocol: text(from.app_protocol.as_deref()),
            })
            .collect(),
        endpoints: group.endpoints.iter().map(endpoint).collect(),
    }
}

pub(super) fn weights(weights: &Weights) -> v1::Weights {
    v1::Weights {
        namespace: weights.namespace.clone(),
        service: weights.service.clone(),
        endpoints: weights
            .endpoints
            .iter()
            .map(|from| v1::EndpointWeight {
                address: from.address.to_string(),
                port: port(from.port),
                weight: from.weight.into(),
            })
            .collect(),
    }
}

fn endpoint(endpoint: &Endpoint) -> v1::Endpoint {
    v1::Endpoint {
        address: endpoint.address.to_string(),
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        node: text(endpoint.node.as_deref()),
        zone: text(endpoint.zone.as_deref()),
        hostname: text(endpoint.hostname.as_deref()),
        target: text(endpoint.target.as_deref()),
        hint_zones: shown(&endpoint.hint_zones),
        hint_nodes: shown(&endpoint.hint_nodes),
    }
}
