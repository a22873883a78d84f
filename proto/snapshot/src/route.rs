//! Listeners and routes: what the ingress accepts and where it sends it.
//!
//! The model is the union of Ingress and Gateway API, so that the latter needs no other shape.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;

use crate::{ClientAuth, Name, ObjectRef, Policy};

/// A port that the ingress serves. Named by its owner: `class/http`, or `namespace/gateway/listener`.
///
/// It is selected by local address where the virtual IP is local, and by [`Listener::proxy_port`] where L4 rewrote the
/// destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Addresses that clients connect to; empty for all.
    pub addresses: Vec<IpAddr>,
    /// The port that clients connect to.
    pub port: u16,
    /// The port that the ingress process binds; unique among listeners.
    pub proxy_port: u16,
    /// What is spoken on it.
    pub protocol: ListenerProtocol,
    /// TLS settings; only where the protocol is HTTPS.
    pub tls: Option<TlsPolicy>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ListenerProtocol {
    /// HTTP/1.1, and HTTP/2 by prior knowledge.
    #[serde(rename = "HTTP")]
    Http,
    /// HTTP/1.1 and HTTP/2 by ALPN, over TLS.
    #[serde(rename = "HTTPS")]
    Https,
}

/// How a listener terminates TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsPolicy {
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// The certificate for clients whose SNI no TlsSecret serves; none for one that the ingress makes itself.
    pub default_certificate: Option<Name>,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(missing_docs, reason = "the versions' own names")]
pub enum TlsVersion {
    #[default]
    Tls12,
    Tls13,
}

/// The routes of one host, from all objects that speak of it. Named `class/host`.
///
/// A request is served by the most specific table of its listener: exact host, then one label, then the longest suffix,
/// then any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteTable {
    /// The listeners that serve these routes.
    pub listeners: Vec<Name>,
    /// The host.
    pub host: HostMatch,
    /// The routes, by rising [`Route::rank`].
    pub routes: Vec<Route>,
    /// The certificates that clients show. A request whose server name (SNI) has another rule than its host gets 421.
    pub client_auth: Option<ClientAuth>,
}

/// Which hosts a table is for. Names are lower-case and have no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum HostMatch {
    /// Exactly this host.
    Exact(String),
    /// Exactly one label before this domain (Ingress: `*.example.com`).
    OneLabel(String),
    /// One or more labels before this domain (Gateway API: `*.example.com`).
    Suffix(String),
    /// Every host.
    Any,
}

impl std::fmt::Display for HostMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => f.pad(host),
            Self::OneLabel(domain) => f.pad(&format!("*.{domain}")),
            Self::Suffix(domain) => f.pad(&format!("**.{domain}")),
            Self::Any => f.pad("*"),
        }
    }
}

/// One route: if all of its matches hold, its filters are applied and one of its clusters is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The object that asked for it.
    pub owner: ObjectRef,
    /// Matches are tried by rising rank; unique within a table. The compiler has decided all precedence.
    pub rank: u32,
    /// Also serves requests whose more specific host has no route for their path (an Ingress `defaultBackend`).
    pub fallback: bool,
    /// The path to match.
    pub path: RoutePath,
    /// The method to match; none for any.
    pub method: Option<String>,
    /// Headers that must all match; names are lower-case.
    pub headers: Vec<ValueMatch>,
    /// Query parameters that must all match.
    pub query: Vec<ValueMatch>,
    /// What to change, in order.
    pub filters: Vec<Filter>,
    /// Where to send it, by weight. None, or all of weight 0: 503.
    pub backends: Vec<WeightedCluster>,
    /// Timeouts; absent ones are the ingress's own.
    pub timeouts: RouteTimeouts,
    /// Everything else; none where nothing of it is set.
    pub policy: Option<Arc<Policy>>,
}

/// How a path is matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoutePath {
    /// Exact, prefix or regular expression.
    pub kind: PathMatch,
    /// The path, starting with `/`, or the expression.
    pub value: String,
}

/// The kinds of path match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum PathMatch {
    /// The whole path.
    Exact,
    /// Whole path elements from the start; a trailing `/` of the rule does not count.
    Prefix,
    /// A regular expression, anchored at the start.
    Regex,
    /// As [`PathMatch::Regex`], without regard to case.
    RegexIgnoreCase,
}

/// A named value to match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueMatch {
    /// The header or parameter.
    pub name: String,
    /// The value or expression.
    pub value: String,
    /// The value is a regular expression.
    pub regex: bool,
}

/// A change to a request or its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Filter {
    /// Changes the request's headers.
    RequestHeaders(HeaderChange),
    /// Changes the response's headers.
    ResponseHeaders(HeaderChange),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Changes host or path before forwarding.
    Rewrite(Rewrite),
    /// Sends a copy to another cluster, whose answer is thrown away.
    Mirror(WeightedCluster),
    /// Answers with this status.
    Respond(u16),
}

/// Header changes: remove, then set, then add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderChange {
    /// Replaces all values.
    pub set: Vec<(String, String)>,
    /// Adds a value.
    pub add: Vec<(String, String)>,
    /// Removes all values.
    pub remove: Vec<String>,
}

/// Where a redirect points; absent parts are the request's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<Rewrite>,
    /// The whole `Location` in place of all of these. `$scheme`, `$host`, `$http_host`, `$request_uri`, `$uri`, `$args`
    /// and `$is_args`, also in braces, stand for what the request has.
    pub location: Option<String>,
    /// 301, 302, 303, 307 or 308; with `location` any 3xx.
    pub status: u16,
}

/// A changed host or path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rewrite {
    /// The new host.
    pub host: Option<String>,
    /// Replaces the whole path.
    pub full_path: Option<String>,
    /// Replaces the matched prefix.
    pub prefix: Option<String>,
    /// Replaces the whole path by what an expression found in it.
    pub regex: Option<Substitution>,
}

/// A path made of parts of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Substitution {
    /// The expression; where it is not found in the path, the path stays.
    pub pattern: String,
    /// The new path. `$0` to `$9`, also in braces, are what the expression's groups found; a `?` begins parameters that
    /// come before the request's own.
    pub with: String,
    /// The expression is without regard to case.
    pub ignore_case: bool,
}

/// A cluster and its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WeightedCluster {
    /// The [`crate::Cluster`]'s name.
    pub cluster: Name,
    /// Its share of the sum of all weights.
    pub weight: u32,
}

/// Timeouts of a route in milliseconds; none for the ingress's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the unit is part of a name")]
pub struct RouteTimeouts {
    /// To a connection with an endpoint, TLS included.
    pub connect_ms: Option<u32>,
    /// From the request's head to the response's head; while the request's body moves, it does not run.
    pub response_ms: Option<u32>,
    /// Without a byte in either direction.
    pub idle_ms: Option<u32>,
    /// The whole exchange, to the response's last byte.
    pub request_ms: Option<u32>,
}
