//! Nodes and namespaces.

use meshlite_snapshot::{Namespace, Node, NodeAddress, NodeAddressKind};

use super::{DecodeError, field};
use crate::v1;

pub(super) fn node(from: v1::Node) -> Result<Node, DecodeError> {
    Ok(Node {
        name: field::object_name("name", from.name)?,
        zone: field::optional(from.zone),
        addresses: field::each("addresses", &from.addresses, address)?,
        pod_cidrs: field::networks("pod_cidrs", &from.pod_cidrs)?,
        leaving: from.leaving,
    })
}

pub(super) fn namespace(from: v1::Namespace) -> Result<Namespace, DecodeError> {
    Ok(Namespace {
        name: field::object_name("name", from.name)?,
    })
}

fn address(from: &v1::NodeAddress) -> Result<NodeAddress, DecodeError> {
    use v1::node_address::Type;
    let kind = match field::known("type", from.r#type)? {
        Type::InternalIp => NodeAddressKind::InternalIP,
        Type::ExternalIp => NodeAddressKind::ExternalIP,
        Type::Unspecified => return Err(field::unspecified("type")),
    };
    Ok(NodeAddress {
        kind,
        address: field::address("address", &from.address)?,
    })
}
