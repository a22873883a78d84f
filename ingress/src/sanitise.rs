//! Makes a request unambiguous before it is routed: one Host, one target form, one length, no hop-by-hop headers.

mod host;
mod names;
mod path;

use std::net::SocketAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{self, PathAndQuery, Scheme},
};

use self::path::Normalised;
pub(crate) use self::{
    host::name_of,
    names::Names,
    path::{has_encoded_slash, hex_of, query_value, query_values},
};
use crate::http1::names_nothing;

/// Why a request is refused before it is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("no Host header")]
    NoHost,
    #[error("more than one Host header")]
    ManyHosts,
    #[error("invalid Host header")]
    Host,
    #[error("invalid request target")]
    Target,
    #[error("invalid path")]
    Path,
    #[error("the path has an encoded slash, which its route does not allow")]
    EncodedSlash,
    #[error("unsupported Transfer-Encoding")]
    TransferEncoding,
    #[error("invalid Content-Length")]
    ContentLength,
    #[error("broken body")]
    Body,
    #[error("CONNECT is not served")]
    Connect,
    #[error("unsupported Expect header")]
    Expect,
}

impl Malformed {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expect => StatusCode::EXPECTATION_FAILED,
            Self::NoHost
            | Self::ManyHosts
            | Self::Host
            | Self::Target
            | Self::Path
            | Self::EncodedSlash
            | Self::TransferEncoding
            | Self::ContentLength
            | Self::Body => StatusCode::BAD_REQUEST,
        }
    }
}

/// Checks a request and brings it into one form: Host is the host, the URI is path and query.
///
/// `names` are those of its headers; `local` stands in for the Host that an HTTP/1.0 client may leave out.
pub(crate) fn sanitise(
    request: &mut Parts,
    names: Names,
    local: SocketAddr,
) -> Result<(), Malformed> {
    if request.method == Method::CONNECT {
        return Err(Malformed::Connect);
    }
    target(request, local)?;
    framing(&mut request.headers, names)?;
    if names.has(Names::EXPECT)
        && let Some(expect) = request.headers.remove(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Malformed::Expect);
    }
    if names.has(Names::CONFUSING) {
        strip(&mut request.headers, Names::CONFUSING);
    }
    Ok(())
}

/// Takes out all headers of a kind.
fn strip(headers: &mut HeaderMap, kind: Names) {
    let is_one = |name: &&HeaderName| Names::of_one(name).has(kind);
    let names: Vec<_> = headers.keys().filter(is_one).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// One Host, and a URI in origin form with a normalised path.
fn target(request: &mut Parts, local: SocketAddr) -> Result<(), Malformed> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::ManyHosts);
    }
    if host.is_none() && request.version == Version::HTTP_11 {
        return Err(Malformed::NoHost);
    }
    if host.is_some_and(|host| !host::is_valid(host)) {
        return Err(Malformed::Host);
    }
    let scheme = request.uri.scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Malformed::Target);
    }
    if let Some(authority) = request.uri.authority() {
        if scheme.is_none() {
            return Err(Malformed::Target);
        }
        let value =
            HeaderValue::from_str(authority.as_str()).map_err(|_invalid| Malformed::Host)?;
        if !host::is_valid(&value) {
            return Err(Malformed::Host);
        }
        request.headers.insert(header::HOST, value);
    } else if host.is_none() {
        if request.version == Version::HTTP_2 {
            return Err(Malformed::NoHost);
        }
        let value = HeaderValue::try_from(local.to_string()).map_err(|_invalid| Malformed::Host)?;
        request.headers.insert(header::HOST, value);
    }
    let path = request.uri.path();
    if !path.starts_with('/') {
        return Err(Malformed::Target);
    }
    match path::normalise(path).ok_or(Malformed::Path)? {
        Normalised::Same if request.uri.authority().is_none() => Ok(()),
        Normalised::Same => {
            let path_and_query = std::mem::take(&mut request.uri).into_parts().path_and_query;
            set_path_and_query(request, path_and_query.ok_or(Malformed::Target)?)
        }
        Normalised::Changed(mut path) => {
            if let Some(query) = request.uri.query() {
                path.push('?');
                path.push_str(query);
            }
            set_path_and_query(request, path.parse().map_err(|_invalid| Malformed::Path)?)
        }
    }
}

/// A path that was put together, perhaps with a query, in the form in which paths are forwarded.
pub(crate) fn normal(target: String) -> Result<String, Malformed> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*target, None),
    };
    match (path::normalise(path).ok_or(Malformed::Path)?, query) {
        (Normalised::Same, _) => Ok(target),
        (Normalised::Changed(path), None) => Ok(path),
        (Normalised::Changed(path), Some(query)) => Ok(format!("{path}?{query}")),
    }
}

fn set_path_and_query(request: &mut Parts, path: PathAndQuery) -> Result<(), Malformed> {
    let mut parts = uri::Parts::default();
    parts.path_and_query = Some(path);
    request.uri = Uri::from_parts(parts).map_err(|_invalid| Malformed::Target)?;
    Ok(())
}

/// One way to know where a request's body ends. The connection to the upstream frames it anew.
fn framing(headers: &mut HeaderMap, names: Names) -> Result<(), Malformed> {
    if !names.has(Names::TRANSFER_ENCODING) && !names.has(Names::CONTENT_LENGTH) {
        return Ok(());
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferEncoding);
        }
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Malformed::ContentLength);
    }
    if let Some(length) = length
        && (length.as_bytes().starts_with(b"0") && length.len() > 1)
    {
        let length = length
            .to_str()
            .ok()
            .and_then(|length| length.parse::<u64>().ok());
        let length = length.ok_or(Malformed::ContentLength)?;
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(())
}

/// Takes out what only concerns one connection. Headers that others rely on stay, even if Connection names them.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip_hop_by_hop_of(Names::of(headers), headers);
}

/// The same, where it is known already what there is.
pub(crate) fn strip_hop_by_hop_of(names: Names, headers: &mut HeaderMap) {
    if names.has(Names::CONNECTION) {
        strip_options(headers);
    }
    if names.has(Names::HOP_BY_HOP) {
        strip(headers, Names::HOP_BY_HOP);
    }
}

/// Takes out Connection, and what it names.
fn strip_options(headers: &mut HeaderMap) {
    let is_plain = |value: &HeaderValue| names_nothing(value.as_bytes());
    if !headers.get_all(header::CONNECTION).iter().all(is_plain) {
        let named: Vec<HeaderName> = (headers.get_all(header::CONNECTION).iter())
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
            .filter(|name| !is_protected(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    headers.remove(header::CONNECTION);
}

/// Headers that a client must not be able to take out of its own request.
fn is_protected(name: &HeaderName) -> bool {
    const PROTECTED: [HeaderName; 11] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::CACHE_CONTROL,
        header::FORWARDED,
        HeaderName::from_static("x-real-ip"),
    ];
    PROTECTED.contains(name)
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str().starts_with("x-request-id")
}
