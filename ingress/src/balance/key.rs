//! What of a request says which endpoint it belongs to.

use std::net::SocketAddr;

use http::{HeaderMap, header, request::Parts};
use meshlite_snapshot::HashPart;

use crate::sanitise;

/// What requests are hashed by: these parts, one after the other. None where the request has none of them.
pub(super) fn hash_key(parts: &[HashPart], request: &Parts, peer: SocketAddr) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    if parts.is_empty() {
        key.extend_from_slice(peer.ip().to_canonical().to_string().as_bytes());
    }
    for part in parts {
        append(part, request, peer, &mut key);
    }
    (!key.is_empty()).then_some(key)
}

fn append(part: &HashPart, request: &Parts, peer: SocketAddr, key: &mut Vec<u8>) {
    match part {
        HashPart::ClientAddress => {
            key.extend_from_slice(peer.ip().to_canonical().to_string().as_bytes());
        }
        HashPart::RequestUri => {
            let uri = request.uri.path_and_query().map_or("/", |uri| uri.as_str());
            key.extend_from_slice(uri.as_bytes());
        }
        HashPart::Path => key.extend_from_slice(request.uri.path().as_bytes()),
        HashPart::Host => {
            let host = request.headers.get(header::HOST);
            key.extend_from_slice(host.map(sanitise::name_of).unwrap_or_default().as_bytes());
        }
        HashPart::Header(name) => {
            for value in request.headers.get_all(name) {
                key.extend_from_slice(value.as_bytes());
            }
        }
        HashPart::Cookie(name) => {
            key.extend_from_slice(cookie(&request.headers, name).unwrap_or_default());
        }
        HashPart::Query(name) => {
            let query = request.uri.query().unwrap_or_default();
            let value = sanitise::query_value(query, name).unwrap_or_default();
            key.extend_from_slice(value.as_bytes());
        }
        HashPart::Text(text) => key.extend_from_slice(text.as_bytes()),
    }
}

/// The value of a cookie; of the first, where there are several.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get_all(header::COOKIE).iter().find_map(|cookies| {
        let mut cookies = cookies.as_bytes().split(|byte| *byte == b';');
        cookies.find_map(|cookie| {
            let value = cookie.trim_ascii_start().strip_prefix(name.as_bytes())?;
            Some(value.strip_prefix(b"=")?.trim_ascii_end())
        })
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn mk_request() -> Parts {
        let request = Request::get("/a?x=1&y=2")
            .header("host", "Shop.example:81")
            .header("x-user", "ann")
            .header("cookie", "other=x; session=abc ; session=2");
        request.body(()).unwrap().into_parts().0
    }

    fn key(parts: &[HashPart]) -> Option<String> {
        let peer = "[::ffff:192.0.2.1]:1234".parse().unwrap();
        let key = hash_key(parts, &mk_request(), peer)?;
        Some(String::from_utf8(key).unwrap())
    }

    #[test]
    fn a_key_is_made_of_its_parts_in_their_order() {
        let all = [
            (HashPart::ClientAddress, "192.0.2.1"),
            (HashPart::RequestUri, "/a?x=1&y=2"),
            (HashPart::Path, "/a"),
            (HashPart::Host, "shop.example"),
            (HashPart::Header("x-user".into()), "ann"),
            (HashPart::Cookie("session".into()), "abc"),
            (HashPart::Query("y".into()), "2"),
            (HashPart::Text("-".into()), "-"),
        ];
        for (part, expected) in &all {
            assert_eq!(key(std::slice::from_ref(part)).as_deref(), Some(*expected));
        }
        let both = [HashPart::Path, HashPart::Text("|".into()), HashPart::Host];
        assert_eq!(key(&both).unwrap(), "/a|shop.example");
        assert_eq!(key(&[]).unwrap(), "192.0.2.1");
    }

    #[test]
    fn a_request_without_the_part_has_no_key() {
        assert_eq!(key(&[HashPart::Header("x-none".into())]), None);
        assert_eq!(key(&[HashPart::Cookie("sess".into())]), None);
    }

    #[test]
    fn a_cookie_is_found_whatever_surrounds_it() {
        let found = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(text));
            cookie(&headers, "s").map(<[u8]>::to_vec)
        };
        assert_eq!(found("s=1"), Some(b"1".to_vec()));
        assert_eq!(found("as=1; s="), Some(vec![]));
        assert_eq!(found("ss=1;s=2=3"), Some(b"2=3".to_vec()));
        assert_eq!(found("s; ;=; t=s=1"), None);
    }
}
