//! The head of a response, and where its body ends by it (RFC 9112 section 6.3). Pure.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::{Method, StatusCode, Version};

use crate::http1::{Heard, Kind, MAX_FIELDS, MAX_HEAD, Malformed, length, stays_open};

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
pub(super) fn parse(buffer: &mut Bytes) -> Result<Option<Heard>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(None),
        Ok(_) => return Err(Malformed::HeadTooLarge),
        Err(error) => return Err(Malformed::Head(error)),
    };
    let heard = Heard::new(buffer, length, &parsed).ok_or(Malformed::Value)?;
    buffer.advance(length);
    Ok(Some(heard))
}

/// Where the body ends of an answer to a request with this method.
pub(super) fn framing(method: &Method, head: &Heard) -> Result<Framing, Malformed> {
    let (status, version) = (head.status, head.version);
    let mut may_reuse = leaves_open(head);
    let mut codings = head.all(Kind::TransferEncoding);
    let said = if let Some(coding) = codings.next() {
        let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        if codings.next().is_some() || !is_chunked || version == Version::HTTP_10 {
            return Err(Malformed::TransferEncoding);
        }
        // Somebody on the way may have believed the length.
        may_reuse &= head.all(Kind::ContentLength).next().is_none();
        Extent::Chunked
    } else if let Some(length) = length(head.all(Kind::ContentLength))? {
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
fn leaves_open(head: &Heard) -> bool {
    let mut is_left = head.version == Version::HTTP_11;
    for value in head.all(Kind::Connection) {
        match stays_open(value) {
            Some(false) => return false,
            Some(true) => is_left = true,
            None => {}
        }
    }
    is_left
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn read(text: &str) -> Result<Option<Heard>, Malformed> {
        parse(&mut Bytes::copy_from_slice(text.as_bytes()))
    }

    fn framed(method: &Method, text: &str) -> Result<(Extent, bool), Malformed> {
        let head = read(text)?.expect("a whole head");
        let framing = framing(method, &head)?;
        let headers = head.into_parts().headers;
        let lengths = headers.get_all(header::CONTENT_LENGTH).iter();
        assert!(lengths.count() <= 1);
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
