//! Endpoint groups and weights.

use meshlite_snapshot::{
    AddressFamily, Endpoint, EndpointGroup, EndpointPort, EndpointWeight, Weights,
};

use super::{DecodeError, Strings, field};
use crate::v1;

pub(super) fn group(
    from: v1::EndpointGroup,
    strings: &mut Strings,
) -> Result<EndpointGroup, DecodeError> {
    let family = field::family("address_family", from.address_family)?;
    Ok(EndpointGroup {
        namespace: field::object_name("namespace", from.namespace)?,
        service: field::object_name("service", from.service)?,
        slice: field::object_name("slice", from.slice)?,
        address_family: family,
        ports: field::each("ports", from.ports, port)?,
        endpoints: field::each("endpoints", from.endpoints, |from| {
            endpoint(from, family, strings)
        })?,
    })
}

pub(super) fn weights(from: v1::Weights) -> Result<Weights, DecodeError> {
    Ok(Weights {
        namespace: field::object_name("namespace", from.namespace)?,
        service: field::object_name("service", from.service)?,
        endpoints: field::each("endpoints", from.endpoints, |from| {
            Ok(EndpointWeight {
                address: field::address("address", &from.address)?,
                port: field::optional_port("port", from.port)?,
                weight: field::number("weight", from.weight, &(0..=u16::MAX))?,
            })
        })?,
    })
}

fn port(from: v1::EndpointPort) -> Result<EndpointPort, DecodeError> {
    Ok(EndpointPort {
        protocol: field::protocol("protocol", from.protocol)?,
        port: field::optional_port("port", from.port)?,
        app_protocol: field::optional(from.app_protocol),
        name: from.name,
    })
}

fn endpoint(
    from: v1::Endpoint,
    family: AddressFamily,
    strings: &mut Strings,
) -> Result<Endpoint, DecodeError> {
    let address = field::address("address", &from.address)?;
    if AddressFamily::of(address) != family {
        return Err(DecodeError::invalid(
            "address",
            format_args!("{address} is not of the group's family"),
        ));
    }
    let all = |texts: Vec<String>, strings: &mut Strings| {
        texts
            .iter()
            .filter_map(|text| strings.shared(text))
            .collect()
    };
    Ok(Endpoint {
        address,
        ready: from.ready,
        serving: from.serving,
        terminating: from.terminating,
        node: strings.shared(&from.node),
        zone: strings.shared(&from.zone),
        hostname: field::optional(from.hostname).map(Into::into),
        target: field::optional(from.target).map(Into::into),
        hint_zones: all(from.hint_zones, strings),
        hint_nodes: all(from.hint_nodes, strings),
    })
}
