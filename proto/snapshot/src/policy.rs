//! What a route does to its requests before a backend is chosen and after it answered.

mod access;
mod canary;
mod cors;
mod limits;
mod retry;

use serde::Serialize;

pub use self::{
    access::{Access, BasicAuth, ClientAuth, ClientAuthMode, ExternalAuth},
    canary::{Canary, CanaryHeader, CanaryMatch},
    cors::Cors,
    limits::{Limits, RateLimit},
    retry::{Retry, RetryOn},
};
use crate::Name;

/// What a route does besides sending requests to its backends. All of it is off by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The status, a redirect's, of the answer to requests that came without TLS: they are sent to `https`. Not for
    /// `/.well-known/acme-challenge/`, which certificates are issued by.
    pub https_redirect: Option<u16>,
    /// Who may send requests.
    pub access: Access,
    /// How many requests, and how large.
    pub limits: Limits,
    /// What scripts of other origins may do.
    pub cors: Option<Cors>,
    /// Requests that go to other backends; the first that takes a request wins.
    pub canaries: Vec<Canary>,
    /// How often a request is tried; none for the ingress's default.
    pub retry: Option<Retry>,
    /// Answers that are replaced.
    pub error_pages: Option<ErrorPages>,
    /// The [`crate::Cluster`] that serves what the route's backends have no endpoint for.
    pub default_backend: Option<Name>,
    /// Responses are compressed where the client can read it and the content is text.
    pub compression: bool,
    /// Requests are left out of the access log.
    pub no_access_log: bool,
    /// Paths with `%2F` or `%5C` are served, and these separate nothing; without it they are refused with 400.
    pub allow_encoded_slashes: bool,
    /// The value of `X-Forwarded-Prefix` for the backend; `$1` to `$9` are the groups of the route's expression.
    pub forwarded_prefix: Option<String>,
}

/// Answers that are replaced by those of another cluster. It gets `X-Code`, `X-Format`, `X-Original-URI`, `X-Namespace`,
/// `X-Ingress-Name`, `X-Service-Name` and `X-Service-Port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorPages {
    /// The statuses, 400 to 599.
    pub statuses: Vec<u16>,
    /// Who answers instead.
    pub cluster: Name,
}
