//! What scripts of other origins may do (the Fetch standard's CORS protocol).

use serde::Serialize;

/// What scripts of other origins may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cors {
    /// Origins: `*` for every one, `https://shop.example.com:8443`, or `https://*.example.com` for exactly one label.
    pub allow_origins: Vec<String>,
    /// Methods.
    pub allow_methods: Vec<String>,
    /// Headers of requests.
    pub allow_headers: Vec<String>,
    /// Headers of responses that scripts may read.
    pub expose_headers: Vec<String>,
    /// Cookies and passwords may be sent. Not with `*`: browsers take no answer to a request with
    /// cookies that does not name their origin.
    pub allow_credentials: bool,
    /// How long an answer to a preflight holds.
    pub max_age_seconds: u32,
}
