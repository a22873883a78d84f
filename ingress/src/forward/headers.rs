//! The headers that an endpoint gets: what the client sent, and what the ingress knows of the client.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts, uri};
use ipnet::IpNet;

use super::{Exchange, upgrade::Upgrade};
use crate::{
    sanitise,
    table::{Cluster, Route},
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of a client, worked out once for each connection.
#[derive(Debug)]
pub(crate) struct Client {
    ip: HeaderValue,
    is_trusted: bool,
    pub(super) is_tls: bool,
}

impl Client {
    pub(crate) fn new(ip: IpAddr, is_tls: bool, trusted: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        Self {
            ip: HeaderValue::try_from(ip.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            is_trusted: is_trusted(ip, trusted),
            is_tls,
        }
    }
}

fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

impl Exchange<'_> {
    /// Makes the client's request the one that the endpoint gets.
    pub(super) fn prepare(
        &self,
        parts: &mut Parts,
        route: &Route,
        cluster: &Cluster,
        upgrade: Option<&Upgrade>,
    ) {
        let takes_trailers = parts.headers.get_all(header::TE).iter().any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        });
        sanitise::strip_hop_by_hop(&mut parts.headers);
        if parts.version == Version::HTTP_2 {
            join_cookies(&mut parts.headers);
        }
        self.tell_client(&mut parts.headers);
        for edits in &route.filters.request {
            edits.apply(&mut parts.headers);
        }
        if let Some(rewrite) = &route.filters.rewrite {
            if let Some(host) = &rewrite.host {
                parts.headers.insert(header::HOST, host.clone());
            }
            if let Some(path) = rewrite.path(parts.uri.path(), route.matched) {
                set_path(parts, path);
            }
        }
        if upgrade.is_some() {
            Upgrade::ask(&mut parts.headers);
        }
        parts.version = Version::HTTP_11;
        if takes_trailers {
            parts
                .headers
                .insert(header::TE, HeaderValue::from_static("trailers"));
        }
        if cluster.is_h2c {
            parts.version = Version::HTTP_2;
            set_authority(parts);
        }
    }

    /// `X-Forwarded-*`, `X-Real-IP` and `X-Request-ID`. Those of a client that is not trusted are replaced.
    fn tell_client(&self, headers: &mut HeaderMap) {
        let client = &self.connection.client;
        let proto = HeaderValue::from_static(if client.is_tls { "https" } else { "http" });
        let host = headers.get(header::HOST).cloned();
        let told = [
            (FORWARDED_HOST, host),
            (FORWARDED_PROTO, Some(proto)),
            (FORWARDED_PORT, Some(self.listener.port_value.clone())),
        ];
        let (mut chain, mut real) = (client.ip.clone(), client.ip.clone());
        if client.is_trusted {
            let trusted = &self.connection.worker.shared.config.trusted_proxies;
            (chain, real) = extend(headers, &client.ip, trusted);
        }
        headers.insert(FORWARDED_FOR, chain);
        headers.insert(REAL_IP, real);
        for (name, value) in told {
            if let Some(value) = value
                && !(client.is_trusted && headers.contains_key(&name))
            {
                headers.insert(name, value);
            }
        }
        if !headers.contains_key(REQUEST_ID) {
            headers.insert(REQUEST_ID, random_id());
        }
    }
}

/// The chain of proxies with this client added, and the last address in it that is not trusted.
fn extend(headers: &HeaderMap, ip: &HeaderValue, trusted: &[IpNet]) -> (HeaderValue, HeaderValue) {
    let mut chain = Vec::new();
    for value in headers.get_all(FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(ip.as_bytes());
    let addresses = chain.split(|byte| *byte == b',').rev();
    let mut addresses = addresses.map(|address| std::str::from_utf8(address.trim_ascii()));
    let real = addresses.find_map(|address| {
        let address: IpAddr = address.ok()?.parse().ok()?;
        (!is_trusted(address, trusted)).then(|| HeaderValue::try_from(address.to_string()).ok())?
    });
    let chain = HeaderValue::from_bytes(&chain).unwrap_or_else(|_| ip.clone());
    (chain, real.unwrap_or_else(|| ip.clone()))
}

fn random_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = fastrand::u128(..);
    let mut id = [0; 32];
    for digit in &mut id {
        let low = usize::try_from(bits & 0xf).unwrap_or_default();
        *digit = DIGITS.get(low).copied().unwrap_or(b'0');
        bits >>= 4;
    }
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("0"))
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

fn set_path(parts: &mut Parts, mut path: String) {
    if let Some(query) = parts.uri.query() {
        path.push('?');
        path.push_str(query);
    }
    // The parts were checked when the table was built and when the request was sanitised.
    if let Ok(uri) = path.parse() {
        parts.uri = uri;
    }
}

/// HTTP/2 has the host in the URI.
fn set_authority(parts: &mut Parts) {
    let Some(host) = parts.headers.remove(header::HOST) else {
        return;
    };
    let mut target = uri::Parts::default();
    target.scheme = Some(uri::Scheme::HTTP);
    target.authority = uri::Authority::try_from(host.as_bytes()).ok();
    target.path_and_query = parts.uri.path_and_query().cloned();
    if let Ok(uri) = uri::Uri::from_parts(target) {
        parts.uri = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_ip_is_the_last_one_that_no_trusted_proxy_has() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.append(
            FORWARDED_FOR,
            HeaderValue::from_static("1.1.1.1, 192.0.2.7"),
        );
        headers.append(FORWARDED_FOR, HeaderValue::from_static("10.0.0.9"));
        let (chain, real) = extend(&headers, &HeaderValue::from_static("10.0.0.1"), &trusted);
        assert_eq!(chain, "1.1.1.1, 192.0.2.7, 10.0.0.9, 10.0.0.1");
        assert_eq!(real, "192.0.2.7");
    }

    #[test]
    fn cookies_of_http_2_become_one_header() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut headers);
        let all: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2"]);
    }

    #[test]
    fn request_ids_differ() {
        assert_ne!(random_id(), random_id());
        assert_eq!(random_id().len(), 32);
    }
}
