//! The head of a response as it goes to a client, and how the client knows where its body ends. Pure.

use http::{HeaderMap, StatusCode, Version, header, response::Parts};
use http_body::SizeHint;

use super::head::Asked;
use crate::{
    http1::{Encoder, Heard, Kind, Length, Malformed, Reason, has_option, put_field, put_length},
    reply::Head,
    respond::SERVER,
};

/// How the rest of an answer goes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    /// None where there is no body, whatever the head says.
    pub(super) length: Option<Length>,
    /// The connection may bring another request afterwards.
    pub(super) keep_alive: bool,
}

/// What the fields of a response say of the message itself.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'h> {
    length: Option<&'h [u8]>,
    closes: bool,
    has_date: bool,
}

/// Writes the head of a response whose body is as long as `size` says. What says where that ends is decided here, whatever the
/// headers say, and so is whether the connection stays open: `closes` where this is its last answer anyway.
pub(super) fn encode(
    head: &Head,
    size: &SizeHint,
    asked: Asked,
    closes: bool,
    date: &[u8],
    out: &mut Vec<u8>,
) -> Framing {
    let status = head.status();
    let is_upgrade = status == StatusCode::SWITCHING_PROTOCOLS;
    let said = match head {
        Head::AsCame(heard) => {
            put_status(asked.version, status, heard.reason.as_ref(), out);
            pass_fields(heard, out)
        }
        Head::Read(parts) => {
            put_status(asked.version, status, parts.extensions.get(), out);
            put_fields(&parts.headers, is_upgrade, out)
        }
    };
    let length = length(status, size, asked);
    let framing = Framing {
        keep_alive: asked.keep_alive
            && !(closes || said.closes)
            && length != Some(Length::UntilClose),
        length,
    };
    match framing.length {
        Some(Length::Known(length)) => put_length(length, out),
        Some(Length::Chunked) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // What a GET would have been answered with, where that is known.
        None if asked.is_head || status == StatusCode::NOT_MODIFIED => {
            if let Some(length) = said.length {
                put_field(b"content-length", length, out);
            } else if let Some(length @ 1..) = size.exact() {
                put_length(length, out);
            }
        }
        Some(Length::UntilClose) | None => {}
    }
    if !is_upgrade {
        match (asked.version, framing.keep_alive) {
            (Version::HTTP_10, true) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            (Version::HTTP_10, false) | (_, true) => {}
            (_, false) => out.extend_from_slice(b"connection: close\r\n"),
        }
        if !said.has_date {
            put_field(b"date", date, out);
        }
    }
    out.extend_from_slice(b"\r\n");
    framing
}

/// Frames the body of a response.
pub(super) fn encoder(head: &Head, length: Length, asked: Asked) -> Encoder {
    match head {
        Head::Read(parts) if asked.takes_trailers => Encoder::new(length, &parts.headers),
        // One that stayed as it came announces none.
        Head::Read(_) | Head::AsCame(_) => Encoder::without_trailers(length),
    }
}

/// Writes a head that comes before that of the answer itself (RFC 9110 section 15.2).
pub(crate) fn encode_hint(parts: &Parts, out: &mut Vec<u8>) {
    put_status(Version::HTTP_11, parts.status, parts.extensions.get(), out);
    put_fields(&parts.headers, false, out);
    out.extend_from_slice(b"\r\n");
}

/// The answer to what is no request.
pub(super) fn encode_refusal(malformed: Malformed, date: &[u8], out: &mut Vec<u8>) {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = match malformed {
        Malformed::Head(httparse::Error::TooManyHeaders) | Malformed::HeadTooLarge => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Malformed::TargetTooLarge => StatusCode::URI_TOO_LONG,
        _ => StatusCode::BAD_REQUEST,
    };
    let asked = Asked {
        version: Version::HTTP_11,
        is_head: false,
        keep_alive: false,
        takes_trailers: false,
    };
    let head = Head::Read(parts);
    encode(&head, &SizeHint::with_exact(0), asked, true, date, out);
}

/// How the client knows where the body ends; none where there is none.
fn length(status: StatusCode, size: &SizeHint, asked: Asked) -> Option<Length> {
    let has_body = !asked.is_head
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && !status.is_informational();
    has_body.then(|| match size.exact() {
        Some(length) => Length::Known(length),
        None if asked.version == Version::HTTP_10 => Length::UntilClose,
        None => Length::Chunked,
    })
}

fn put_status(version: Version, status: StatusCode, reason: Option<&Reason>, out: &mut Vec<u8>) {
    let version: &[u8] = match version {
        Version::HTTP_10 => b"HTTP/1.0 ",
        _ => b"HTTP/1.1 ",
    };
    out.extend_from_slice(version);
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    let usual = || status.canonical_reason().unwrap_or_default();
    match reason {
        Some(Reason(reason)) => out.extend_from_slice(reason),
        None => out.extend_from_slice(usual().as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields that came from an endpoint for the client, and gives what the others say. Names are in lower case, as they are in a
/// head that was read: what a route does to an answer must not change how the rest of it looks.
fn pass_fields<'h>(heard: &'h Heard, out: &mut Vec<u8>) -> Said<'h> {
    let mut said = Said::default();
    let mut has_server = false;
    heard.pass(out, |kind, value| match kind {
        Kind::ContentLength => {
            said.length = Some(value);
            false
        }
        Kind::Connection | Kind::KeepAlive | Kind::TransferEncoding | Kind::HopByHop => false,
        Kind::Date => {
            said.has_date = true;
            true
        }
        Kind::Server => {
            has_server = true;
            true
        }
        Kind::Trailer | Kind::Other => true,
    });
    if !has_server {
        put_field(b"server", SERVER.as_bytes(), out);
    }
    said
}

/// Writes the fields that do not say where the message ends, and gives what the others say.
fn put_fields<'h>(headers: &'h HeaderMap, is_upgrade: bool, out: &mut Vec<u8>) -> Said<'h> {
    let mut said = Said::default();
    for (name, value) in headers {
        let value = value.as_bytes();
        if *name == header::CONTENT_LENGTH {
            said.length = Some(value);
            continue;
        }
        if *name == header::CONNECTION && !is_upgrade {
            said.closes |= has_option(value, "close");
            continue;
        }
        if *name == header::TRANSFER_ENCODING {
            continue;
        }
        said.has_date |= *name == header::DATE;
        put_field(name.as_str().as_bytes(), value, out);
    }
    said
}
