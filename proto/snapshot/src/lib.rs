//! What the mesh should be, as plain values: no tokio, no prost, no kube, no clock.
//!
//! ```text
//! compile ──> Resource, Finding ──> Snapshot ──> encode ──> … ──> decode ──> Snapshot ──> desired state of a data plane
//! ```
//!
//! Input: nothing; this crate only defines values. Output: the vocabulary every other crate shares.
//! A [`Snapshot`] is a set of named [`Resource`]s. Each travels as bytes, its version is the hash of those bytes
//! ([`Version`]), and a set of them is proved equal by one order-free [`SetDigest`].

mod buckets;
mod cluster;
mod credential;
mod digest;
pub mod duration;
mod endpoints;
mod finding;
mod name;
mod node;
mod policy;
mod resource;
mod route;
mod secret;
mod service;
mod snapshot;
mod table;
mod topic;

pub use buckets::{Bucket, BucketDigests};
pub use cluster::{
    Cluster, HashPart, LoadBalancing, ProxyProtocol, SameSite, StickyCookie, UpstreamProtocol,
    UpstreamTls,
};
pub use credential::{Credential, Htpasswd, UpstreamIdentity};
pub use digest::{SetDigest, Version};
pub use endpoints::{
    AddressFamily, Endpoint, EndpointGroup, EndpointPort, EndpointWeight, Weights,
};
pub use finding::{Finding, ObjectRef, Severity, SourceLocation};
pub use name::{InvalidName, Name};
pub use node::{Namespace, Node, NodeAddress, NodeAddressKind};
pub use policy::{
    Access, BasicAuth, Canary, CanaryHeader, CanaryMatch, ClientAuth, ClientAuthMode, Cors,
    ErrorPages, ExternalAuth, Limits, Policy, RateLimit, Retry, RetryOn,
};
pub use resource::Resource;
pub use route::{
    Filter, HeaderChange, HostMatch, Listener, ListenerProtocol, PathMatch, Redirect, Rewrite,
    Route, RoutePath, RouteTable, RouteTimeouts, Substitution, TlsPolicy, TlsVersion, ValueMatch,
    WeightedCluster,
};
pub use secret::{PrivateKey, SniBinding, TlsSecret};
pub use service::{
    Balance, IpFamilyPolicy, LoadBalancerAddress, LoadBalancerIpMode, Protocol, Service,
    ServicePort, ServiceType, TargetPort, TrafficDistribution, TrafficPolicy,
};
pub use snapshot::Snapshot;
pub use table::Table;
pub use topic::{ResourceType, Scope, Topic};
