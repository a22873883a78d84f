//! What a route asks of a request before a backend is chosen, and of its response on the way back.
//!
//! In this order: preflights, the redirect to HTTPS, rates and numbers, the size of the body, addresses and
//! authentication; then the cluster. A route without a policy costs one look.

mod access;
mod admit;
mod basic;
mod build;
mod canary;
mod certificate;
mod compress;
mod concurrency;
mod cors;
mod error_pages;
mod external;
mod limits;
mod rate;
mod remember;
mod subrequest;
mod template;

use http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};

use self::{
    access::AccessList,
    basic::{BasicAuth, Denied},
    canary::Canary,
    cors::{Allowed, Cors},
    error_pages::{ErrorPages, Failed},
    external::ExternalAuth,
    limits::Limits,
};
pub(crate) use self::{
    basic::{Htpasswd, Passwords},
    compress::Gzip,
    concurrency::Place,
    limits::Taken,
    template::{Filling, Template},
};
use crate::{
    forward::Exchange,
    respond::{Body, Refusal},
    sanitise::{self, Malformed, Names},
    table::{ClusterId, CredentialId, Groups, Route},
};

const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Certificates are issued by what answers here, without TLS.
const ACME: &str = "/.well-known/acme-challenge/";

/// What a route does besides sending requests to its backends.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch that a route turns on by itself"
)]
pub(crate) struct Policy {
    https_redirect: Option<StatusCode>,
    list: Option<AccessList>,
    satisfy_any: bool,
    basic: Option<(BasicAuth, CredentialId)>,
    external: Option<ExternalAuth>,
    limits: Option<Limits>,
    /// Zero for no limit.
    body_bytes: Option<u64>,
    cors: Option<Cors>,
    canaries: Box<[Canary]>,
    default_backend: Option<ClusterId>,
    error_pages: Option<ErrorPages>,
    compression: bool,
    pub(crate) no_access_log: bool,
    allow_encoded_slashes: bool,
    forwarded_prefix: Option<Groups>,
}

/// What an endpoint is told; headers without a value are taken out.
type Told = Vec<(HeaderName, Option<HeaderValue>)>;

/// What was decided about a request that may pass.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    cluster: Option<ClusterId>,
    max_body_bytes: Option<u64>,
    headers: Told,
    kept: Option<Box<Kept>>,
}

/// What a response needs of its request.
#[derive(Debug, Default)]
struct Kept {
    cors: Option<Allowed>,
    cookies: Vec<HeaderValue>,
    compress: bool,
    failed: Option<Failed>,
    place: Option<Place>,
}

/// An answer that ends the request.
#[derive(Debug)]
pub(crate) struct Answered(pub(crate) Box<Response<Body>>);

// === impl Admitted ===

impl Admitted {
    /// The cluster that the request goes to instead of one of its route.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// The most that the request's body may have; none for any.
    pub(crate) fn body_limit(&self) -> Option<u64> {
        self.max_body_bytes
    }

    /// The place among its client's requests, for what takes longer than its response.
    pub(crate) fn take_place(&mut self) -> Option<Place> {
        self.kept.as_mut()?.place.take()
    }

    /// Tells the endpoint what was found out, whatever the client's headers say.
    pub(crate) fn tell(&self, headers: &mut http::HeaderMap) {
        for (name, value) in &self.headers {
            match value {
                Some(value) => drop(headers.insert(name.clone(), value.clone())),
                None => drop(headers.remove(name)),
            }
        }
    }
}

/// What only its route can say of a path that passed the sanitiser.
pub(crate) fn check_path(route: &Route, path: &str) -> Result<(), Malformed> {
    let allows = |policy: &Policy| policy.allow_encoded_slashes;
    if sanitise::has_encoded_slash(path) && !route.policy.as_deref().is_some_and(allows) {
        return Err(Malformed::EncodedSlash);
    }
    Ok(())
}

/// Before a backend is chosen. A refusal or a ready answer ends the request.
pub(crate) async fn admit(
    exchange: &Exchange<'_>,
    route: &Route,
    head: &mut Parts,
) -> Result<Admitted, Answered> {
    let mut admitted = Admitted::default();
    if exchange.listener.asks_certificates() {
        admitted.headers = certificate::check(exchange, head)?;
    }
    let Some(policy) = &route.policy else {
        let most = exchange.connection.worker.shared.config.max_body_bytes;
        check_length(exchange, most, head).map_err(|refusal| answer(exchange, refusal))?;
        admitted.max_body_bytes = most;
        return Ok(admitted);
    };
    Box::pin(policy.admit(exchange, route, head, admitted)).await
}

/// On the way back, for every response of this route, ours too.
pub(crate) async fn finish(
    exchange: &Exchange<'_>,
    route: &Route,
    admitted: Admitted,
    response: Response<Body>,
) -> Response<Body> {
    match (&route.policy, admitted.kept) {
        (Some(policy), Some(kept)) => policy.finish(exchange, route, *kept, response).await,
        _ => response,
    }
}

fn answer(exchange: &Exchange<'_>, refusal: Refusal) -> Answered {
    Answered(Box::new(exchange.refuse(refusal)))
}

fn check_length(exchange: &Exchange<'_>, most: Option<u64>, head: &Parts) -> Result<(), Refusal> {
    let Some(most) = most.filter(|_| exchange.names.has(Names::CONTENT_LENGTH)) else {
        return Ok(());
    };
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::TooLarge);
    }
    Ok(())
}
