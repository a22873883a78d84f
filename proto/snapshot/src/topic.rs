//! What can be subscribed to: a resource type and a scope.

use serde::Serialize;

/// The type of a resource, as it is named on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ResourceType {
    /// A Kubernetes Service, also where no data plane of ours serves it.
    Service,
    /// The endpoints of one EndpointSlice.
    EndpointGroup,
    /// A cluster node, trimmed to what a data plane needs.
    Node,
    /// A Namespace that exists.
    Namespace,
    /// Observed weights of one Service's endpoints.
    Weights,
    /// A socket the ingress listens on.
    Listener,
    /// The routes of one host.
    RouteTable,
    /// An upstream: one port of one Service.
    Cluster,
    /// A certificate with its key and the hosts it serves.
    TlsSecret,
    /// Passwords, authorities and client certificates that routes and clusters refer to.
    Credential,
}

impl ResourceType {
    /// Every type, in the order in which a commit sends them.
    pub const ALL: [Self; 10] = [
        Self::Namespace,
        Self::Node,
        Self::Service,
        Self::EndpointGroup,
        Self::Weights,
        Self::TlsSecret,
        Self::Credential,
        Self::Cluster,
        Self::RouteTable,
        Self::Listener,
    ];

    /// Whether its resources hold private keys or passwords: they go to an ingress and to nobody else, stay out of logs
    /// and dumps, and are kept in memory only.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::TlsSecret | Self::Credential)
    }

    /// The type's name as users see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointGroup => "EndpointGroup",
            Self::Node => "Node",
            Self::Namespace => "Namespace",
            Self::Weights => "Weights",
            Self::Listener => "Listener",
            Self::RouteTable => "RouteTable",
            Self::Cluster => "Cluster",
            Self::TlsSecret => "TlsSecret",
            Self::Credential => "Credential",
        }
    }
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which resources of a type: all of them, or only those that the ingress role needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Scope {
    /// Every resource of the type. On the wire: the empty string.
    #[default]
    All,
    /// Only resources that a route refers to. On the wire: `ingress`.
    Ingress,
}

impl Scope {
    /// The scope as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Ingress => "ingress",
        }
    }
}

/// One subscribable set. Its content is the same for every client that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Topic {
    /// The type of the resources.
    pub kind: ResourceType,
    /// Which of them.
    pub scope: Scope,
}

impl Topic {
    /// What an L4 node subscribes to.
    pub const NODE: [Self; 5] = [
        Self::all(ResourceType::Namespace),
        Self::all(ResourceType::Node),
        Self::all(ResourceType::Service),
        Self::all(ResourceType::EndpointGroup),
        Self::all(ResourceType::Weights),
    ];

    /// What an ingress subscribes to.
    pub const INGRESS: [Self; 6] = [
        Self {
            kind: ResourceType::EndpointGroup,
            scope: Scope::Ingress,
        },
        Self::all(ResourceType::TlsSecret),
        Self::all(ResourceType::Credential),
        Self::all(ResourceType::Cluster),
        Self::all(ResourceType::RouteTable),
        Self::all(ResourceType::Listener),
    ];

    /// Every resource of one type.
    pub const fn all(kind: ResourceType) -> Self {
        Self {
            kind,
            scope: Scope::All,
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.scope {
            Scope::All => f.write_str(self.kind.as_str()),
            Scope::Ingress => write!(f, "{}/{}", self.kind, self.scope.as_str()),
        }
    }
}
