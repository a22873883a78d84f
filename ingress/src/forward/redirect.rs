//! Answers with another URL.

use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use super::Exchange;
use crate::{
    policy::Filling,
    respond::{self, Body, Refusal},
    sanitise::{self, Malformed},
    table::{RedirectTo, Route},
};

/// A redirect. What the route does not say is the request's own.
pub(super) fn redirect(
    to: &RedirectTo,
    exchange: &Exchange<'_>,
    route: &Route,
    parts: &Parts,
) -> Response<Body> {
    if let Some(location) = &to.location {
        let trusted = &exchange.connection.worker.shared.config.trusted_proxies;
        let client = &exchange.connection.client;
        let location = location.url(Filling {
            parts,
            scheme: client.scheme(&parts.headers),
            client: client.address(&parts.headers, trusted),
        });
        return answer(to.status, location);
    }
    let own_scheme = exchange.connection.client.scheme(&parts.headers);
    let scheme = to.scheme.as_deref().unwrap_or(own_scheme);
    let own_host = parts
        .headers
        .get(header::HOST)
        .map(sanitise::name_of)
        .unwrap_or_default();
    let host = to.host.as_deref().unwrap_or(&own_host);
    let well_known = if scheme == "https" { 443 } else { 80 };
    let is_own = scheme
        == (if exchange.connection.client.is_tls {
            "https"
        } else {
            "http"
        });
    let own_port = if to.scheme.is_none() && is_own {
        exchange.listener.port
    } else {
        well_known
    };
    let port = to.port.unwrap_or(own_port);
    let rewritten = match to
        .path
        .as_ref()
        .map(|to| to.path(parts.uri.path(), route.matched))
    {
        Some(Ok(path)) => path,
        None => None,
        Some(Err(malformed)) => return Refusal::from(malformed).response(),
    };
    let path = rewritten.as_deref().unwrap_or(parts.uri.path());
    let mut location = format!("{scheme}://{host}");
    if port != well_known {
        location.push(':');
        location.push_str(&port.to_string());
    }
    location.push_str(path);
    if let Some(query) = parts.uri.query() {
        location.push(if path.contains('?') { '&' } else { '?' });
        location.push_str(query);
    }
    answer(to.status, location)
}

fn answer(status: StatusCode, location: String) -> Response<Body> {
    let Ok(location) = HeaderValue::try_from(location) else {
        return Refusal::Malformed(Malformed::Target).response();
    };
    let mut response = respond::text(status, String::new());
    response.headers_mut().insert(header::LOCATION, location);
    response
}
