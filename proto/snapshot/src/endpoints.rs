//! The endpoints of a Service, one group for each EndpointSlice, and their observed weights.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;

use crate::Protocol;

/// The endpoints of one EndpointSlice. Named `namespace/service/slice`.
///
/// Every endpoint of a group has every port of the group. A Service's endpoints are the union of its groups, in which
/// the same address may appear more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointGroup {
    /// The namespace of the Service and of the slice.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// The EndpointSlice.
    pub slice: String,
    /// The family of every address in the group.
    pub address_family: AddressFamily,
    /// The ports; names are unique within a protocol.
    pub ports: Vec<EndpointPort>,
    /// The endpoints, sorted by address.
    pub endpoints: Vec<Endpoint>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the families' own names")]
pub enum AddressFamily {
    #[serde(rename = "IPv4")]
    Ipv4,
    #[serde(rename = "IPv6")]
    Ipv6,
}

impl AddressFamily {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// A port of an [`EndpointGroup`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointPort {
    /// The name of the Service port that it belongs to; empty for an unnamed one.
    pub name: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The endpoints' port; none means every port (only in hand-made slices of headless Services).
    pub port: Option<u16>,
    /// What is spoken on the port.
    pub app_protocol: Option<String>,
}

/// One endpoint. Source: `discovery.k8s.io/v1.Endpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The endpoint's address (the first of the slice's `addresses`; the others mean the same).
    pub address: IpAddr,
    /// May get new traffic. `publishNotReadyAddresses` is already counted in.
    pub ready: bool,
    /// Answers requests, also while it is terminating.
    pub serving: bool,
    /// Is being deleted.
    pub terminating: bool,
    /// The node it runs on.
    pub node: Option<Arc<str>>,
    /// The zone it runs in.
    pub zone: Option<Arc<str>>,
    /// Its host name, for DNS.
    pub hostname: Option<Arc<str>>,
    /// The name of the Pod (or other object) behind it.
    pub target: Option<Arc<str>>,
    /// Zones whose clients should use it.
    pub hint_zones: Vec<Arc<str>>,
    /// Nodes whose clients should use it.
    pub hint_nodes: Vec<Arc<str>>,
}

/// Observed weights of one Service's endpoints. Named `namespace/service`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// The namespace of the Service.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// Weights by endpoint, sorted; an endpoint that is not listed has weight 100.
    pub endpoints: Vec<EndpointWeight>,
}

/// The weight of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EndpointWeight {
    /// The endpoint's address.
    pub address: IpAddr,
    /// Its port, where ports differ; none for all of them.
    pub port: Option<u16>,
    /// 0 (no new connections) to 65,535.
    pub weight: u16,
}
