//! Nodes and namespaces.

use meshlite_snapshot::{Namespace, Node, NodeAddressKind};

use super::{shown, text};
use crate::v1;

pub(super) fn node(node: &Node) -> v1::Node {
    use v1::node_address::Type;
    v1::Node {
        name: node.name.clone(),
        zone: text(node.zone.as_deref()),
        addresses: node
            .addresses
            .iter()
            .map(|from| v1::NodeAddress {
                r#type: match from.kind {
                    NodeAddressKind::InternalIP => Type::InternalIp,
                    NodeAddressKind::ExternalIP => Type::ExternalIp,
                }
                .into(),
                address: from.address.to_string(),
            })
            .collect(),
        pod_cidrs: shown(&node.pod_cidrs),
        leaving: node.leaving,
    }
}

pub(super) fn namespace(namespace: &Namespace) -> v1::Namespace {
    v1::Namespace {
        name: namespace.name.clone(),
    }
}
