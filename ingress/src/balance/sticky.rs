//! A cookie that brings a client back to the endpoint that served it.

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderValue};
use meshlite_snapshot::{SameSite, StickyCookie};

use super::{endpoint::Endpoint, key::cookie};

/// The longest value of a balanced cookie that is believed.
const LONGEST: usize = 64;

/// Which endpoint a cookie means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sticky {
    pub(super) cookie: StickyCookie,
    /// What each endpoint is called in cookies; empty where a cookie's value is hashed instead.
    marks: Box<[Mark]>,
    attributes: String,
}

/// A name of an endpoint that tells nothing of it.
type Mark = [u8; 32];

/// What a client's cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    Endpoint(usize),
    Hashed(&'a [u8]),
}

impl Sticky {
    /// `cluster` is the key of the endpoints' names: the same on every replica, another for each cluster.
    pub(crate) fn new(cookie: &StickyCookie, cluster: &str, endpoints: &[Endpoint]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, cluster.as_bytes());
        let marks = if cookie.balanced { &[] } else { endpoints };
        Self {
            marks: marks.iter().map(|endpoint| mark(&key, endpoint)).collect(),
            attributes: attributes(cookie),
            cookie: cookie.clone(),
        }
    }

    /// What the request's cookie wants, if that is still there.
    pub(super) fn wanted<'a>(&self, headers: &'a HeaderMap) -> Option<Wanted<'a>> {
        let value = cookie(headers, &self.cookie.name)?;
        if self.cookie.balanced {
            return (1..=LONGEST)
                .contains(&value.len())
                .then_some(Wanted::Hashed(value));
        }
        let at = self.marks.iter().position(|mark| mark.as_slice() == value);
        at.map(Wanted::Endpoint)
    }

    /// The `Set-Cookie` for an endpoint, or for what is hashed.
    pub(super) fn set_cookie(&self, wanted: Wanted<'_>, is_tls: bool) -> Option<HeaderValue> {
        let value = match wanted {
            Wanted::Endpoint(at) => self.marks.get(at)?.as_slice(),
            Wanted::Hashed(value) => value,
        };
        let secure = self.cookie.secure.unwrap_or(is_tls);
        let mut header = Vec::with_capacity(96);
        header.extend_from_slice(self.cookie.name.as_bytes());
        header.push(b'=');
        header.extend_from_slice(value);
        header.extend_from_slice(self.attributes.as_bytes());
        if secure {
            header.extend_from_slice(b"; Secure");
        }
        HeaderValue::from_bytes(&header).ok()
    }
}

fn mark(key: &hmac::Key, endpoint: &Endpoint) -> Mark {
    let tag = hmac::sign(key, endpoint.name.as_bytes());
    let bytes = tag.as_ref().first_chunk().copied().unwrap_or_default();
    hex(u128::from_be_bytes(bytes))
}

/// Thirty-two hexadecimal digits.
pub(super) fn hex(number: u128) -> [u8; 32] {
    let mut digits = [b'0'; 32];
    for (digit, shift) in digits.iter_mut().zip((0..128).step_by(4).rev()) {
        let value = u8::try_from((number >> shift) & 0xf).unwrap_or_default();
        *digit = if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        };
    }
    digits
}

/// All that follows the value but `Secure`, which may depend on the connection.
fn attributes(cookie: &StickyCookie) -> String {
    let mut text = format!("; Path={}", cookie.path.as_deref().unwrap_or("/"));
    if let Some(domain) = &cookie.domain {
        text.push_str("; Domain=");
        text.push_str(domain);
    }
    if let Some(seconds) = cookie.max_age_seconds {
        text.push_str("; Max-Age=");
        text.push_str(&seconds.to_string());
    }
    if cookie.http_only {
        text.push_str("; HttpOnly");
    }
    text.push_str(match cookie.same_site {
        None => "",
        Some(SameSite::Strict) => "; SameSite=Strict",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::None) => "; SameSite=None",
    });
    text
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn mk_endpoints() -> Vec<Endpoint> {
        let now = tokio::time::Instant::now();
        let endpoint = |last: u8| {
            let address = std::net::SocketAddr::from(([10, 0, 0, last], 80));
            Endpoint::new(address, address.to_string().into(), now)
        };
        (1..4).map(endpoint).collect()
    }

    fn mk_cookie(balanced: bool) -> StickyCookie {
        StickyCookie {
            name: "route".into(),
            path: None,
            domain: Some("example.com".into()),
            max_age_seconds: Some(60),
            secure: None,
            http_only: true,
            same_site: Some(SameSite::Lax),
            balanced,
            change_on_failure: false,
            canary: true,
        }
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = format!("a=b; route={value}");
        headers.insert(header::COOKIE, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_cookie_brings_a_client_back_and_does_not_tell_the_address() {
        let sticky = Sticky::new(&mk_cookie(false), "default/web/80", &mk_endpoints());
        let set = sticky.set_cookie(Wanted::Endpoint(1), true).unwrap();
        let set = set.to_str().unwrap();
        let (pair, attributes) = set.split_once("; ").unwrap();
        assert_eq!(
            attributes,
            "Path=/; Domain=example.com; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        let value = pair.strip_prefix("route=").unwrap();
        assert!(value.len() == 32 && !value.contains("10.0"), "{value}");
        assert_eq!(sticky.wanted(&headers(value)), Some(Wanted::Endpoint(1)));
        let plain = sticky.set_cookie(Wanted::Endpoint(1), false).unwrap();
        assert!(!plain.to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn an_endpoint_has_the_same_mark_on_every_replica_and_another_in_each_cluster() {
        let mark = |cluster: &str| {
            let sticky = Sticky::new(&mk_cookie(false), cluster, &mk_endpoints());
            sticky.set_cookie(Wanted::Endpoint(0), false).unwrap()
        };
        assert_eq!(mark("default/web/80"), mark("default/web/80"));
        assert_ne!(mark("default/web/80"), mark("default/api/80"));
    }

    #[test]
    fn a_cookie_of_an_endpoint_that_is_gone_or_of_nobody_means_nothing() {
        let all = mk_endpoints();
        let sticky = Sticky::new(&mk_cookie(false), "default/web/80", &all);
        let set = sticky.set_cookie(Wanted::Endpoint(2), false).unwrap();
        let value = set.to_str().unwrap().get(6..38).unwrap().to_owned();
        let fewer = Sticky::new(&mk_cookie(false), "default/web/80", &all[..2]);
        assert_eq!(fewer.wanted(&headers(&value)), None);
        for value in ["", "x", &"0".repeat(32), &"0".repeat(5000)] {
            assert_eq!(sticky.wanted(&headers(value)), None);
        }
    }

    #[test]
    fn a_balanced_cookie_is_a_key_of_bounded_length() {
        let sticky = Sticky::new(&mk_cookie(true), "default/web/80", &mk_endpoints());
        assert_eq!(sticky.wanted(&headers("k1")), Some(Wanted::Hashed(b"k1")));
        assert_eq!(sticky.wanted(&headers("")), None);
        assert_eq!(sticky.wanted(&headers(&"x".repeat(65))), None);
    }

    #[test]
    fn hexadecimal_digits_are_in_order() {
        assert_eq!(&hex(0xf0), b"000000000000000000000000000000f0");
        assert_eq!(hex(1 << 124)[0], b'1');
    }
}
