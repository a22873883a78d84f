//! Nodes and namespaces, trimmed to what a data plane or DNS needs.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

/// A cluster node. Named by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// The label `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// `status.addresses` that are IP addresses.
    pub addresses: Vec<NodeAddress>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
    /// The node is being deleted or drained by the cluster autoscaler, so load balancers should leave it.
    pub leaving: bool,
}

/// One address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NodeAddress {
    /// Where the address is reachable.
    pub kind: NodeAddressKind,
    /// The address.
    pub address: IpAddr,
}

/// `NodeAddress.type` of an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "Kubernetes' own names")]
pub enum NodeAddressKind {
    InternalIP,
    ExternalIP,
}

/// A Namespace that exists: DNS must tell an empty namespace from one that is not there. Named by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// The namespace's name.
    pub name: String,
}
