//! The headers that an endpoint gets: what the client sent, and what the ingress knows of the client.

use http::{HeaderMap, HeaderValue, Version, header, request::Parts, uri};

use super::{Exchange, upgrade::Upgrade};
use crate::{
    client::Told,
    http1::has_option,
    policy::Admitted,
    respond::Refusal,
    sanitise::{Names, strip_hop_by_hop_of},
    table::{Cluster, Forwarding, Route},
};

impl Exchange<'_> {
    /// Makes the client's request the one that the endpoint gets, and gives what else that is told.
    pub(super) fn prepare(
        &self,
        parts: &mut Parts,
        route: &Route,
        admitted: &Admitted,
        cluster: &Cluster,
        upgrade: Option<&Upgrade>,
    ) -> Result<Option<Told<'_>>, Refusal> {
        let wants_trailers = |value: &HeaderValue| has_option(value.as_bytes(), "trailers");
        let takes_trailers = self.names.has(Names::TE)
            && parts.headers.get_all(header::TE).iter().any(wants_trailers);
        strip_hop_by_hop_of(self.names, &mut parts.headers);
        if parts.version == Version::HTTP_2 {
            join_cookies(&mut parts.headers);
        }
        let trusted = &self.connection.worker.shared.config.trusted_proxies;
        let client = &self.connection.client;
        let port = &self.listener.port_value;
        let mut told = client.tell(&mut parts.headers, self.names, port, trusted);
        if reads_headers(route)
            && let Some(told) = told.take()
        {
            told.put_in(&mut parts.headers);
        }
        admitted.tell(&mut parts.headers);
        for edits in &route.filters.request {
            edits.apply(&mut parts.headers);
        }
        if let Some(rewrite) = &route.filters.rewrite {
            if let Some(host) = &rewrite.host {
                parts.headers.insert(header::HOST, host.clone());
            }
            if let Some(path) = rewrite.path(parts.uri.path(), route.matched)? {
                set_path(parts, path);
            }
        }
        if let Some(upgrade) = upgrade {
            upgrade.ask(&mut parts.headers);
        }
        if takes_trailers {
            parts
                .headers
                .insert(header::TE, HeaderValue::from_static("trailers"));
        }
        speak(parts, cluster.transport.is_http2);
        Ok(told)
    }
}

/// Whether anybody reads or changes what an endpoint is told before it is.
fn reads_headers(route: &Route) -> bool {
    let copies = |forwarding: &Forwarding| forwarding.mirror.is_some();
    route.policy.is_some()
        || !route.filters.request.is_empty()
        || route.forwarding.as_deref().is_some_and(copies)
}

/// HTTP/2 clients may split their cookies (RFC 9113 section 8.2.3), which HTTP/1.1 does not know.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<_> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(b"; ".as_slice())) {
        headers.insert(header::COOKIE, joined);
    }
}

/// A query that the new path has comes before the request's own.
fn set_path(parts: &mut Parts, mut path: String) {
    if let Some(query) = parts.uri.query() {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(query);
    }
    // The parts were checked when the table was built and when the request was sanitised.
    if let Ok(uri) = path.parse() {
        parts.uri = uri;
    }
}

/// Where HTTP/2 and HTTP/1.1 have the host: in the URI, and in a header.
pub(super) fn speak(parts: &mut Parts, is_http2: bool) {
    parts.version = if is_http2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    let mut target = uri::Parts::default();
    if is_http2 {
        let Some(host) = parts.headers.remove(header::HOST) else {
            return;
        };
        target.scheme = Some(uri::Scheme::HTTP);
        target.authority = uri::Authority::try_from(host.as_bytes()).ok();
    } else {
        let authority = parts.uri.authority();
        let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let Some(host) = host else {
            return;
        };
        parts.headers.insert(header::HOST, host);
    }
    target.path_and_query = parts.uri.path_and_query().cloned();
    if let Ok(uri) = uri::Uri::from_parts(target) {
        parts.uri = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_http_2_become_one_header() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut headers);
        let all: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2"]);
    }
}
