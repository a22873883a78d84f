//! Who may send requests: by address, by password, by another server's word, by certificate.

use ipnet::IpNet;
use serde::Serialize;

use crate::Name;

/// Who may send requests. Everybody, where nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The networks that clients may have addresses of; empty for all.
    pub allow: Vec<IpNet>,
    /// The networks whose clients are refused; stronger than `allow`.
    pub deny: Vec<IpNet>,
    /// An address that may pass needs no password and no other server's word; without it all must hold.
    pub satisfy_any: bool,
    /// Asks for a password.
    pub basic: Option<BasicAuth>,
    /// Asks another server.
    pub external: Option<ExternalAuth>,
}

/// A user and a password, as RFC 7617 has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BasicAuth {
    /// What clients show to their users.
    pub realm: String,
    /// The [`crate::Credential`] that holds the users.
    pub users: Name,
}

/// A request to another server whose status decides: 2xx lets the request pass, 401 and 403 are the answer, anything else
/// is an error.
///
/// In `url`, `signin` and values, `$host`, `$http_host`, `$scheme`, `$request_method`, `$request_uri`,
/// `$escaped_request_uri`, `$uri`, `$args`, `$remote_addr`, `$http_NAME`, `$cookie_NAME` and `$arg_NAME`, also in braces,
/// stand for what the request has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExternalAuth {
    /// `http(s)://host[:port]/path`.
    pub url: String,
    /// The cluster that serves `url`, where its host is a Service's name; otherwise the host is looked up.
    pub cluster: Option<Name>,
    /// Its method; none for GET.
    pub method: Option<String>,
    /// Headers of its request.
    pub request_headers: Vec<(String, String)>,
    /// Headers of its answer that the backend gets, in place of those that the client sent.
    pub response_headers: Vec<String>,
    /// Where clients go whom it refused with 401: a redirect of status 302.
    pub signin: Option<String>,
    /// The query parameter of `signin` with the address that was asked for.
    pub signin_redirect_param: String,
    /// Its `Set-Cookie` reaches the client with every answer; otherwise only with successful ones and redirects.
    pub always_set_cookie: bool,
    /// How long it may take, in milliseconds; none for the route's response timeout.
    pub timeout_ms: Option<u32>,
}

/// Certificates of clients, for all of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientAuth {
    /// The [`crate::Credential`] with the authorities.
    pub authorities: Name,
    /// What of clients without a good certificate.
    pub mode: ClientAuthMode,
    /// The most certificates between the client's and an authority's, plus one.
    pub depth: u32,
    /// The backend gets the certificate, PEM as a URL has it, in `ssl-client-cert`.
    pub forward_certificate: bool,
    /// Where clients go that have no good certificate: a redirect of status 302.
    pub error_page: Option<String>,
    /// A regular expression that the certificate's subject, as RFC 2253 writes it, has a match of; case matters. Clients with
    /// another one, or none, are refused with 403.
    pub subject: Option<String>,
}

/// What becomes of clients without a good certificate. What was found is in `ssl-client-verify` for the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ClientAuthMode {
    /// They are refused with 400.
    Require,
    /// Those without one pass, those with a bad one are refused.
    Optional,
    /// All pass.
    OptionalUnverified,
}
