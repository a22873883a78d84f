//! An upstream of the ingress: one port of one Service.

use std::net::IpAddr;

use serde::Serialize;

use crate::Name;

/// One port of one Service, as routes refer to it. Named `namespace/service/port`, where the port is as the route writes
/// it, a number or a name: a change of the Service changes no route. With settings that an Ingress has for itself:
/// `namespace/service/port@ingress`.
///
/// Its endpoints are those of the Service's EndpointGroups, at the group port called [`Cluster::port_name`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// What is hashed where `load_balancing` is [`LoadBalancing::Ketama`], one after the other; empty for the client's
    /// address.
    pub hash_by: Vec<HashPart>,
    /// Keeps a client at its endpoint.
    pub sticky: Option<StickyCookie>,
    /// How TLS is spoken, where `protocol` has TLS; none for no verification and no server name.
    pub tls: Option<UpstreamTls>,
    /// How long a connection may take to be made, in milliseconds; none for the ingress's default. A route's is stronger.
    pub connect_timeout_ms: Option<u32>,
    /// Requests go to these addresses of the Service, at [`Cluster::port`], and not to its endpoints; empty for endpoints.
    pub virtual_ips: Vec<IpAddr>,
    /// A PROXY protocol header precedes each connection, which is then for one client connection only.
    pub send_proxy_protocol: Option<ProxyProtocol>,
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (`appProtocol: kubernetes.io/h2c`).
    H2c,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    Https2,
}

/// How an endpoint of a cluster is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum LoadBalancing {
    /// Each in turn.
    RoundRobin,
    /// The less busy of two.
    #[default]
    LeastRequest,
    /// The faster of two random ones, by a decaying average of latency.
    PeakEwma,
    /// By a consistent hash ([`Cluster::hash_by`]).
    Ketama,
}

/// A part of what is hashed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum HashPart {
    /// The client's address.
    ClientAddress,
    /// The path with its query, as the client sent it.
    RequestUri,
    /// The path.
    Path,
    /// The host, without a port.
    Host,
    /// A header; names are in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
    /// This text.
    Text(String),
}

/// A cookie that names the endpoint which serves a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent attributes of a cookie"
)]
pub struct StickyCookie {
    /// The cookie.
    pub name: String,
    /// Its `Path`; none for `/`.
    pub path: Option<String>,
    /// Its `Domain`.
    pub domain: Option<String>,
    /// Its `Max-Age`; none for a cookie of the session.
    pub max_age_seconds: Option<u32>,
    /// Its `Secure`; none for: where the request came over TLS.
    pub secure: Option<bool>,
    /// Its `HttpOnly`.
    pub http_only: bool,
    /// Its `SameSite`.
    pub same_site: Option<SameSite>,
    /// A client moves where endpoints that come would otherwise have less to do; without it, only where its endpoint is
    /// gone.
    pub balanced: bool,
    /// A client moves to another endpoint where its own fails.
    pub change_on_failure: bool,
    /// A client that a canary served stays with the canary.
    pub canary: bool,
}

/// Which requests that another site caused a cookie is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "RFC 6265bis's own names")]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// How TLS is spoken to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UpstreamTls {
    /// The certificate must be for `server_name` and come from an authority.
    pub verify: bool,
    /// The [`crate::Credential`] with the authorities; none for the system's.
    pub authorities: Option<Name>,
    /// The server name (SNI); none for none, and the certificate must then be for the endpoint's address.
    pub server_name: Option<String>,
    /// The [`crate::Credential`] with the certificate to show.
    pub identity: Option<Name>,
}

/// The versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the versions' own names")]
pub enum ProxyProtocol {
    V1,
    V2,
}
