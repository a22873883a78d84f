//! An upstream of the ingress: one port of one Service.

use serde::Serialize;

/// One port of one Service, as routes refer to it. Named `namespace/service/port`, where the port is as the route writes
/// it, a number or a name: a change of the Service changes no route.
///
/// Its endpoints are those of the Service's EndpointGroups, at the group port called [`Cluster::port_name`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The namespace of the Service.
    pub namespace: String,
    /// The Service.
    pub service: String,
    /// The Service's port number, or that of the host behind an ExternalName; none where the route names a port that the
    /// Service does not have, so that nothing can be forwarded.
    pub port: Option<u16>,
    /// The port's name in the Service's EndpointGroups; empty for an unnamed port. Without a port, what the route says.
    pub port_name: String,
    /// What is spoken to the endpoints.
    pub protocol: UpstreamProtocol,
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// Where the Service is an ExternalName: the DNS name that stands in for endpoints.
    pub external_name: Option<String>,
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (`appProtocol: kubernetes.io/h2c`).
    H2c,
    /// HTTP over TLS.
    Https,
}

/// How an endpoint of a cluster is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum LoadBalancing {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The less busy of two random ones.
    LeastRequest,
    /// The faster of two random ones, by a decaying average of latency.
    PeakEwma,
    /// By a consistent hash of the client.
    Ketama,
}
