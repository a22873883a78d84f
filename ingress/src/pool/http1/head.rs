//! The head of a response, and where its body ends by it (RFC 9112 section 6.3). Pure.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Method, Response, StatusCode, Version, header};

use crate::http1::{MAX_FIELDS, MAX_HEAD, Malformed, Reason, fields_of, number, stays_open};

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What a head says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) extent: Extent,
    /// The connection may serve another request afterwards.
    pub(super) may_reuse: bool,
}

/// Takes a head out of what has come; none where it is not all there.
pub(super) fn parse(buffer: &mut Bytes) -> Result<Option<Response<()>>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(None),
        Ok(_) => return Err(Malformed::HeadTooLarge),
        Err(error) => return Err(Malformed::Head(error)),
    };
    let code = parsed.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_invalid| Malformed::Value)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    if parsed.version == Some(0) {
        *response.version_mut() = Version::HTTP_10;
    }
    *response.headers_mut() = fields_of(buffer, parsed.headers).ok_or(Malformed::Value)?;
    // The client reads the endpoint's own words.
    if parsed.reason != status.canonical_reason()
        && let Some(reason) = parsed.reason
    {
        let reason = Reason(buffer.slice_ref(reason.as_bytes()));
        response.extensions_mut().insert(reason);
    }
    buffer.advance(length);
    Ok(Some(response))
}

/// Where the body ends of an answer to a request with this method. Leaves one length in the head at most.
pub(super) fn framing(method: &Method, response: &mut Response<()>) -> Result<Framing, Malformed> {
    let (status, version) = (response.status(), response.version());
    let headers = response.headers_mut();
    let mut may_reuse = leaves_open(version, headers);
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let said = if let Some(coding) = codings.next() {
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if codings.next().is_some() || !is_chunked || version == Version::HTTP_10 {
            return Err(Malformed::TransferEncoding);
        }
        // Somebody on the way may have believed the length.
        may_reuse &= headers.remove(header::CONTENT_LENGTH).is_none();
        Extent::Chunked
    } else if let Some(length) = only_length(headers)? {
        may_reuse &= length.is_plain;
        Extent::Length(length.bytes)
    } else {
        Extent::UntilClose
    };
    let has_body = *method != Method::HEAD
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && !status.is_informational();
    let extent = if has_body { said } else { Extent::Length(0) };
    Ok(Framing {
        extent,
        may_reuse: may_reuse
            && extent != Extent::UntilClose
            && status != StatusCode::SWITCHING_PROTOCOLS,
    })
}

/// Whether the endpoint leaves the connection open (RFC 9112 section 9.3). Where it says both, it does not.
fn leaves_open(version: Version, headers: &HeaderMap) -> bool {
    let mut is_left = version == Version::HTTP_11;
    for value in headers.get_all(header::CONNECTION) {
        match stays_open(value.as_bytes()) {
            Some(false) => return false,
            Some(true) => is_left = true,
            None => {}
        }
    }
    is_left
}

pub(in crate::pool) struct Said {
    bytes: u64,
    /// It was said once, and as a number.
    is_plain: bool,
}

/// What `Content-Length` says, which is left in the head once.
pub(in crate::pool) fn only_length(headers: &mut HeaderMap) -> Result<Option<Said>, Malformed> {
    let said = length(headers)?;
    if let Some(said) = said.as_ref().filter(|said| !said.is_plain) {
        headers.insert(header::CONTENT_LENGTH, said.bytes.into());
    }
    Ok(said)
}

/// What `Content-Length` says, perhaps several times.
fn length(headers: &HeaderMap) -> Result<Option<Said>, Malformed> {
    let mut said: Option<Said> = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for digits in value.as_bytes().split(|byte| *byte == b',') {
            let bytes = number(digits.trim_ascii()).ok_or(Malformed::ContentLength)?;
            if said.as_ref().is_some_and(|said| said.bytes != bytes) {
                return Err(Malformed::ContentLength);
            }
            said = Some(Said {
                bytes,
                is_plain: said.is_none(),
            });
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Response<()>>, Malformed> {
        parse(&mut Bytes::copy_from_slice(text.as_bytes()))
    }

    fn framed(method: &Method, text: &str) -> Result<(Extent, bool), Malformed> {
        let mut response = read(text)?.expect("a whole head");
        let framing = framing(method, &mut response)?;
        assert!(
            response
                .headers()
                .get_all(header::CONTENT_LENGTH)
                .iter()
                .count()
                <= 1
        );
        Ok((framing.extent, framing.may_reuse))
    }

    #[test]
    fn a_body_ends_where_rfc_9112_says() {
        let (none, five) = (Extent::Length(0), Extent::Length(5));
        for (method, status, fields, extent) in [
            ("GET", 200, "Content-Length: 5", five),
            ("GET", 200, "Content-Length: 05", five),
            ("GET", 200, "Transfer-Encoding: Chunked", Extent::Chunked),
            ("GET", 200, "X: y", Extent::UntilClose),
            ("HEAD", 200, "Content-Length: 5", none),
            ("HEAD", 200, "Transfer-Encoding: chunked", none),
            ("HEAD", 200, "X: y", none),
            ("GET", 204, "Content-Length: 5", none),
            ("GET", 304, "Content-Length: 5", none),
            ("GET", 101, "Content-Length: 5", none),
        ] {
            let text = format!("HTTP/1.1 {status} Reason\r\n{fields}\r\n\r\n");
            let method = method.parse().unwrap();
            let framed = framed(&method, &text);
            assert_eq!(
                framed,
                Ok((extent, extent != Extent::UntilClose && status != 101))
            );
        }
    }

    #[test]
    fn a_connection_whose_answer_said_two_lengths_or_that_it_closes_is_not_used_again() {
        for (fields, extent) in [
            ("Content-Length: 2, 2", Extent::Length(2)),
            ("Content-Length: 2\r\nContent-Length: 2", Extent::Length(2)),
            (
                "Content-Length: 2\r\nTransfer-Encoding: chunked",
                Extent::Chunked,
            ),
            ("Content-Length: 2\r\nConnection: close", Extent::Length(2)),
            (
                "Content-Length: 2\r\nConnection: x, Close, keep-alive",
                Extent::Length(2),
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert_eq!(framed(&Method::GET, &text), Ok((extent, false)), "{text}");
        }
    }

    #[test]
    fn an_endpoint_of_http_1_0_keeps_its_connection_only_where_it_says_so() {
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n";
        let read = |more: &str| framed(&Method::GET, &format!("{old}{more}\r\n"));
        assert_eq!(read(""), Ok((Extent::Length(2), false)));
        assert_eq!(
            read("Connection: Keep-Alive\r\n"),
            Ok((Extent::Length(2), true))
        );
        let chunked = read("Transfer-Encoding: chunked\r\n");
        assert_eq!(chunked, Err(Malformed::TransferEncoding));
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_malformed() {
        for fields in [
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            "Content-Length: 2, 3\r\n",
            "Content-Length: 2,\r\n",
            "Content-Length:\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: 0x2\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length : 2\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "X: a\r\n folded\r\n",
            "X: a\rY: b\r\n",
            "X: a\0b\r\n",
            "X\r\n",
            ": x\r\n",
            " X: a\r\n",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            for method in [Method::GET, Method::HEAD] {
                assert!(framed(&method, &text).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_fields() {
        let long = "x".repeat(MAX_HEAD);
        for text in [
            format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\nX: {long}"),
        ] {
            let result = read(&text).map(drop);
            assert_eq!(result, Err(Malformed::HeadTooLarge));
        }
        let many = "X: 1\r\n".repeat(MAX_FIELDS + 1);
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).is_err());
        assert!(read("HTTP/1.1 200 OK\r\nX: 1\r\n").unwrap().is_none());
    }
}
