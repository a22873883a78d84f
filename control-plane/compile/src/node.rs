//! Nodes and Namespaces, trimmed.

use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::{Name, Namespace, Node, NodeAddress, NodeAddressKind};

use crate::{report::About, values};

const ZONE: &str = "topology.kubernetes.io/zone";
const BEING_REMOVED: &str = "ToBeDeletedByClusterAutoscaler";

/// What data planes need to know of a Node.
pub(crate) fn node(name: &str, object: &k8s::Node, about: &mut About<'_>) -> Option<(Name, Node)> {
    let resource_name = about.resource_name(&[name])?;
    let spec = object.spec.as_ref();
    let labels = object.metadata.labels.as_ref();
    let being_removed = spec
        .and_then(|spec| spec.taints.as_deref())
        .is_some_and(|taints| taints.iter().any(|taint| taint.key == BEING_REMOVED));
    let node = Node {
        name: name.to_owned(),
        zone: values::non_empty(labels.and_then(|labels| labels.get(ZONE))),
        addresses: addresses(object, about),
        pod_cidrs: pod_cidrs(spec, about),
        leaving: being_removed || object.metadata.deletion_timestamp.is_some(),
    };
    Some((resource_name, node))
}

/// A Namespace that exists.
pub(crate) fn namespace(name: &str, about: &mut About<'_>) -> Option<(Name, Namespace)> {
    let resource_name = about.resource_name(&[name])?;
    let namespace = Namespace {
        name: name.to_owned(),
    };
    Some((resource_name, namespace))
}

fn addresses(object: &k8s::Node, about: &mut About<'_>) -> Vec<NodeAddress> {
    let listed = object
        .status
        .as_ref()
        .and_then(|status| status.addresses.as_deref())
        .unwrap_or_default();
    let mut addresses = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        let kind = match entry.type_.as_str() {
            "InternalIP" => NodeAddressKind::InternalIP,
            "ExternalIP" => NodeAddressKind::ExternalIP,
            // Hostname, InternalDNS, ExternalDNS and whatever comes: not addresses.
            _ => continue,
        };
        match values::unicast(&entry.address) {
            Ok(address) => addresses.push(NodeAddress { kind, address }),
            Err(problem) => about.error(
                format!("status.addresses[{i}].address"),
                "InvalidAddress",
                problem,
            ),
        }
    }
    addresses
}

fn pod_cidrs(spec: Option<&k8s::NodeSpec>, about: &mut About<'_>) -> Vec<ipnet::IpNet> {
    let Some(spec) = spec else { return vec![] };
    let (field, listed): (_, &[String]) = match (spec.pod_cidrs.as_deref(), &spec.pod_cidr) {
        (Some(many), _) if !many.is_empty() => ("podCIDRs", many),
        (_, Some(one)) if !one.is_empty() => ("podCIDR", std::slice::from_ref(one)),
        _ => return vec![],
    };
    let mut cidrs = Vec::with_capacity(listed.len());
    for (i, text) in listed.iter().enumerate() {
        match text.parse::<ipnet::IpNet>() {
            Ok(cidr) => cidrs.push(cidr.trunc()),
            Err(_) => about.error(
                if field == "podCIDR" {
                    "spec.podCIDR".to_owned()
                } else {
                    format!("spec.podCIDRs[{i}]")
                },
                "InvalidCIDR",
                format!("{text:?} is not a network such as 10.0.0.0/24"),
            ),
        }
    }
    cidrs
}
