//! Answers with another URL.

use http::{HeaderValue, Response, header, request::Parts};

use super::Exchange;
use crate::{
    respond::{self, Body, Refusal},
    sanitise::{self, Malformed},
    table::{RedirectTo, Route},
};

/// A redirect. What the route does not say is the request's own.
pub(super) fn redirect(
    to: &RedirectTo,
    exchange: Exchange<'_>,
    route: &Route,
    parts: &Parts,
) -> Response<Body> {
    let own_scheme = if exchange.connection.client.is_tls {
        "https"
    } else {
        "http"
    };
    let scheme = to.scheme.as_deref().unwrap_or(own_scheme);
    let own_host = parts
        .headers
        .get(header::HOST)
        .map(sanitise::name_of)
        .unwrap_or_default();
    let host = to.host.as_deref().unwrap_or(&own_host);
    let well_known = if scheme == "https" { 443 } else { 80 };
    let same_scheme = to.scheme.is_none();
    let own_port = if same_scheme {
        exchange.listener.port
    } else {
        well_known
    };
    let port = to.port.unwrap_or(own_port);
    let rewritten = to
        .path
        .as_ref()
        .and_then(|to| to.path(parts.uri.path(), route.matched));
    let path = rewritten.as_deref().unwrap_or(parts.uri.path());
    let mut location = format!("{scheme}://{host}");
    if port != well_known {
        location.push(':');
        location.push_str(&port.to_string());
    }
    location.push_str(path);
    if let Some(query) = parts.uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let Ok(location) = HeaderValue::try_from(location) else {
        return Refusal::Malformed(Malformed::Target).response();
    };
    let mut response = respond::text(to.status, String::new());
    response.headers_mut().insert(header::LOCATION, location);
    response
}
