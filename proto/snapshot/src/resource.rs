//! A resource of any type.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    Cluster, Credential, EndpointGroup, Listener, Namespace, Node, ResourceType, RouteTable,
    Service, TlsSecret, Weights,
};

/// A resource of any type. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is its type")]
pub enum Resource {
    Service(Arc<Service>),
    EndpointGroup(Arc<EndpointGroup>),
    Node(Arc<Node>),
    Namespace(Arc<Namespace>),
    Weights(Arc<Weights>),
    Listener(Arc<Listener>),
    RouteTable(Arc<RouteTable>),
    Cluster(Arc<Cluster>),
    TlsSecret(Arc<TlsSecret>),
    Credential(Arc<Credential>),
}

impl Resource {
    /// The resource's type.
    pub const fn kind(&self) -> ResourceType {
        match self {
            Self::Service(_) => ResourceType::Service,
            Self::EndpointGroup(_) => ResourceType::EndpointGroup,
            Self::Node(_) => ResourceType::Node,
            Self::Namespace(_) => ResourceType::Namespace,
            Self::Weights(_) => ResourceType::Weights,
            Self::Listener(_) => ResourceType::Listener,
            Self::RouteTable(_) => ResourceType::RouteTable,
            Self::Cluster(_) => ResourceType::Cluster,
            Self::TlsSecret(_) => ResourceType::TlsSecret,
            Self::Credential(_) => ResourceType::Credential,
        }
    }
}
