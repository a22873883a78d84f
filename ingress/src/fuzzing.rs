//! Requests, responses and routes from any bytes, and what must hold of them: for fuzzing.

mod router;

use std::net::{Ipv4Addr, SocketAddr};

use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};

pub use self::router::router;
use crate::{
    listen, pool,
    sanitise::{Names, normal, sanitise, strip_hop_by_hop},
};

/// Method, target and `name: value` pairs, each on a line: what passes has one Host, one length and a path in its one form, and
/// passes again as it is.
///
/// # Panics
///
/// Where that does not hold.
pub fn head(lines: &[u8]) {
    if let Some(request) = parse(lines) {
        check(request);
    }
}

/// What the sanitiser lets pass has one reading.
fn check(mut request: Parts) {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let names = Names::of(&request.headers);
    if sanitise(&mut request, names, local).is_err() {
        return;
    }
    strip_hop_by_hop(&mut request.headers);
    let count = |name| request.headers.get_all(name).iter().count();
    assert_eq!(count(header::HOST), 1, "{request:?}");
    assert!(count(header::CONTENT_LENGTH) <= 1, "{request:?}");
    assert_eq!(count(header::TRANSFER_ENCODING), 0, "{request:?}");
    assert!(request.uri.authority().is_none(), "{request:?}");
    let (uri, headers) = (request.uri.clone(), request.headers.clone());
    let names = Names::of(&request.headers);
    assert_eq!(sanitise(&mut request, names, local), Ok(()), "{request:?}");
    assert_eq!((uri, headers), (request.uri, request.headers));
}

fn parse(lines: &[u8]) -> Option<Parts> {
    let mut lines = lines.split(|byte| *byte == b'\n');
    let (mut request, ()) = Request::new(()).into_parts();
    request.method = Method::from_bytes(lines.next()?).ok()?;
    request.uri = Uri::try_from(lines.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        request.headers.append(name, value);
    }
    Some(request)
}

/// What an endpoint sends: it is the same answer, or none, however it is cut. One whose connection may be used again has one length at
/// most, and nothing after it.
///
/// # Panics
///
/// Where that does not hold.
pub fn response(cut: u8, bytes: &[u8]) {
    for method in [Method::GET, Method::HEAD] {
        let whole = pool::replay(&method, bytes, usize::MAX);
        assert_eq!(pool::replay(&method, bytes, cut.into()), whole);
        let Some(whole) = whole.filter(|whole| whole.may_reuse) else {
            continue;
        };
        let lengths = whole.headers.get_all(header::CONTENT_LENGTH).iter().count();
        let codings = whole
            .headers
            .get_all(header::TRANSFER_ENCODING)
            .iter()
            .count();
        assert!(lengths + codings <= 1, "{whole:?}");
        assert!(whole.rest.is_empty(), "{whole:?}");
    }
}

/// What a client sends: the same requests, however it is cut. Each has one length at most, and what the sanitiser lets pass has one
/// reading.
///
/// # Panics
///
/// Where that does not hold.
pub fn pipeline(cut: u8, bytes: &[u8]) {
    let all = listen::replay(bytes, usize::MAX);
    assert_eq!(listen::replay(bytes, cut.into()), all);
    for whole in all {
        let lengths = whole.headers.get_all(header::CONTENT_LENGTH).iter().count();
        let is_chunked = whole.headers.contains_key(header::TRANSFER_ENCODING);
        assert!(lengths + usize::from(is_chunked) <= 1, "{whole:?}");
        let (mut request, ()) = Request::new(()).into_parts();
        (request.method, request.uri, request.headers) = (whole.method, whole.uri, whole.headers);
        check(request);
    }
}

/// A path: in its one form it stays as it is, and not even an endpoint that decodes `%2F` and takes `\` for `/` finds a dot
/// segment in it.
///
/// # Panics
///
/// Where that does not hold.
pub fn path(text: &str) {
    let text = format!("/{}", text.replace('?', ""));
    let Ok(form) = normal(text) else {
        return;
    };
    assert_eq!(normal(form.clone()), Ok(form.clone()));
    let slashes = form.replace("%2F", "/").replace("%5C", "/");
    let is_dots = |segment: &str| segment == "." || segment == "..";
    assert!(!slashes.split('/').any(is_dots), "{form}");
}
