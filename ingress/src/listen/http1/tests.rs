//! What clients send and are sent, without a connection: however bytes are cut, and whatever they are.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use http_body::{Frame, SizeHint};
use proptest::prelude::*;

use super::{head::Asked, replay::replay, *};
use crate::{
    http1::{Encoder, Heard, MAX_FIELDS, MAX_HEAD},
    pool,
    reply::Head as Said,
};

/// What becomes of bytes that come on a connection: the paths of the requests that they are, and what is wrong after those.
fn read(bytes: &[u8], cut: usize) -> (Vec<String>, Option<Malformed>) {
    let mut reader = reader::Reader::new();
    let mut paths = Vec::new();
    for piece in bytes.chunks(cut) {
        reader.buffer.push(Bytes::copy_from_slice(piece));
        loop {
            match reader.next_head() {
                Ok(Some(head)) => paths.push(head.parts.uri.to_string()),
                Ok(None) | Err(Stop::Http2 | Stop::End) => break,
                Err(Stop::Malformed(malformed)) => return (paths, Some(malformed)),
            }
        }
    }
    (paths, None)
}

#[test]
fn heads_with_two_readings_are_malformed_however_they_are_cut() {
    use Malformed::{ContentLength, TransferEncoding};
    for (fields, malformed) in [
        (
            "Content-Length: 1\r\nContent-Length: 2",
            Some(ContentLength),
        ),
        ("Content-Length: 1, 1", Some(ContentLength)),
        ("Content-Length: +1", Some(ContentLength)),
        ("Content-Length: 0x1", Some(ContentLength)),
        ("Content-Length: -1", Some(ContentLength)),
        ("Content-Length:", Some(ContentLength)),
        ("Content-Length: 18446744073709551616", Some(ContentLength)),
        (
            "Content-Length: x\r\nTransfer-Encoding: chunked",
            Some(ContentLength),
        ),
        ("Transfer-Encoding: identity", Some(TransferEncoding)),
        (
            "Transfer-Encoding: chunked, identity",
            Some(TransferEncoding),
        ),
        ("Transfer-Encoding: xchunked", Some(TransferEncoding)),
        ("Transfer-Encoding:", Some(TransferEncoding)),
        ("X : a", None),
        ("X: a\r\n folded", None),
        ("X: a\rY: b", None),
        ("X: a\0b", None),
        ("X", None),
        (": x", None),
        (" X: a", None),
        ("X(: a", None),
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        for cut in [1, 7, 1000] {
            let (paths, wrong) = read(text.as_bytes(), cut);
            assert_eq!(paths.len(), 0, "{text:?}");
            assert!(wrong.is_some(), "{text:?}");
            assert!(
                malformed.is_none() || wrong == malformed,
                "{text:?}: {wrong:?}"
            );
        }
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(read(old, 1000).1, Some(TransferEncoding));
}

#[test]
fn heads_are_bounded_in_bytes_and_fields_however_they_are_cut() {
    let long = "x".repeat(MAX_HEAD);
    let many = "X: 1\r\n".repeat(MAX_FIELDS + 1);
    for (text, status) in [
        (format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nX: {long}"), "431"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "414"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "431"),
        ("GET / HTTP/1.1\r\nX y\r\n\r\n".to_owned(), "400"),
    ] {
        for cut in [500, 1 << 20] {
            let (_, wrong) = read(text.as_bytes(), cut);
            let mut out = Vec::new();
            response::encode_refusal(wrong.unwrap(), b"now", &mut out);
            let out = String::from_utf8(out).unwrap();
            assert!(out.starts_with(&format!("HTTP/1.1 {status} ")), "{out}");
            assert!(
                out.contains("content-length: 0\r\nconnection: close\r\n"),
                "{out}"
            );
        }
    }
}

#[test]
fn empty_lines_before_a_request_cost_nothing_however_many_there_are() {
    let text = [&b"\r\n".repeat(100_000)[..], b"\nGET /x HTTP/1.1\r\n\r\n"].concat();
    assert_eq!(read(&text, 1), (vec!["/x".to_owned()], None));
}

#[test]
fn a_connection_stays_open_where_its_version_and_fields_say_so() {
    for (version, fields, keeps) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        (
            "1.1",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            false,
        ),
    ] {
        let text = format!("GET / HTTP/{version}\r\n{fields}\r\n0\r\n\r\n");
        let all = replay(text.as_bytes(), 1000);
        assert_eq!(all[0].keep_alive, keeps, "{text:?}");
        assert!(!(all[0].headers.contains_key("content-length") && fields.contains("chunked")));
    }
}

#[test]
fn http_2_is_known_by_its_preface_and_nothing_else_is_taken_for_it() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for cut in [1, 5, 24] {
        let mut reader = reader::Reader::new();
        let mut is_known = false;
        for piece in preface.chunks(cut) {
            assert!(!is_known);
            reader.buffer.push(Bytes::copy_from_slice(piece));
            is_known = matches!(reader.next_head(), Err(Stop::Http2));
        }
        assert!(is_known && reader.take_rest() == preface[..]);
    }
    assert!(read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", 3).1.is_some());
    assert_eq!(read(b"PRINT /x HTTP/1.1\r\n\r\n", 2).0, ["/x"]);
    // Only at the beginning.
    let later = [&b"GET /x HTTP/1.1\r\n\r\n"[..], preface].concat();
    assert!(read(&later, 1000).1.is_some());
}

/// A request, and its bytes.
fn any_request() -> impl Strategy<Value = (replay::Whole, Vec<u8>)> {
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::PUT]);
    let target = "/[a-z0-9/%.]{0,20}(\\?[a-z=&]{0,10})?";
    let header = ("x-[a-z0-9]{1,9}", "[!-~]([ -~]{0,20}[!-~])?");
    let headers = prop::collection::vec(header, 0..6);
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..4);
    let parts = (method, target, headers, chunks, any::<bool>());
    parts.prop_map(|(method, target, headers, chunks, is_chunked)| {
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse::<HeaderValue>().unwrap());
        }
        let data = chunks.concat();
        let (length, name, value) = if is_chunked {
            (Length::Chunked, "transfer-encoding", "chunked".to_owned())
        } else {
            let length = data.len();
            (
                Length::Known(length as u64),
                "content-length",
                length.to_string(),
            )
        };
        bytes.extend_from_slice(format!("{name}: {value}\r\n\r\n").as_bytes());
        map.insert(name, value.parse().unwrap());
        bytes.extend_from_slice(&body(length, chunks, None));
        let whole = replay::Whole {
            method,
            uri: target.parse().unwrap(),
            headers: map,
            data,
            trailers: None,
            keep_alive: true,
        };
        (whole, bytes)
    })
}

/// A body as our encoder writes it.
fn body(length: Length, chunks: Vec<Vec<u8>>, trailers: Option<HeaderMap>) -> Vec<u8> {
    let announces: HeaderMap = [(
        HeaderName::from_static("trailer"),
        HeaderValue::from_static("x-sum"),
    )]
    .into_iter()
    .collect();
    let (mut encoder, mut out) = (Encoder::new(length, &announces), VecDeque::new());
    for chunk in chunks {
        encoder.encode(Frame::data(chunk.into()), &mut out).unwrap();
    }
    if let Some(trailers) = trailers {
        encoder.encode(Frame::trailers(trailers), &mut out).unwrap();
    }
    encoder.end(&mut out).unwrap();
    Vec::from(out).concat()
}

/// Pieces of requests, in an order that often makes sense.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.0\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\n",
        "X: y\r\n",
        "X y\r\n",
        "\r\n",
        "\n",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
    ]);
    let pieces = prop::collection::vec(piece, 0..20);
    pieces.prop_map(|pieces| pieces.concat().into_bytes())
}

/// Fields of endpoints' answers …
const FIELDS: [&str; 21] = [
    "Connection: keep-alive\r\n",
    "connection: Close\r\n",
    "Keep-Alive: timeout=5\r\n",
    "Content-Length: 5\r\n",
    "content-length: 05\r\n",
    "Transfer-Encoding: chunked\r\n",
    "TE: trailers\r\n",
    "Upgrade: h2c\r\n",
    "Proxy-Connection: close\r\n",
    "Date: then\r\n",
    "server:nginx\r\n",
    "Set-Cookie: a=1\r\n",
    "set-cookie: b=2\r\n",
    "X-A:  1 \n",
    "x-a: 2\r\n",
    "X_Y: z\r\n",
    "ETag: \"\"\r\n",
    ODD[0],
    ODD[1],
    ODD[2],
    ODD[3],
];

/// … and those with which one has to be read.
const ODD: [&str; 4] = [
    "Connection: x-a\r\n",
    "Connection: close, X_Y\r\n",
    "Content-Length: 5, 5\r\n",
    "Trailer: x-sum\r\n",
];

fn heard(text: &str) -> Heard {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut found = httparse::Response::new(&mut fields);
    assert!(found.parse(&bytes).unwrap().is_complete());
    Heard::new(&bytes, bytes.len(), &found).unwrap()
}

proptest! {
    #[test]
    fn pipelined_requests_are_the_same_however_their_bytes_come(
        requests in prop::collection::vec(any_request(), 0..5),
        cut in 1_usize..600,
    ) {
        let (whole, bytes): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        prop_assert_eq!(replay(&bytes.concat(), cut), whole);
    }

    #[test]
    fn any_bytes_are_the_same_requests_however_they_come(
        bytes in any_bytes(),
        cut in 1_usize..60,
    ) {
        prop_assert_eq!(replay(&bytes, cut), replay(&bytes, usize::MAX));
    }

    #[test]
    fn a_head_that_goes_on_as_it_came_says_what_one_that_was_read_says(
        first in prop::sample::select(vec![
            "HTTP/1.1 200 OK", "HTTP/1.0 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 404 Lost", "HTTP/1.1 599 ",
        ]),
        fields in prop::collection::vec(prop::sample::select(FIELDS.to_vec()), 0..9),
        is_known in any::<bool>(),
        is_head in any::<bool>(),
        is_old in any::<bool>(),
    ) {
        let text = [first, "\r\n", &fields.concat(), "\r\n"].concat();
        let (came, read) = (heard(&text), Said::Read(Said::AsCame(heard(&text)).into_parts()));
        let is_odd = fields.iter().any(|field| ODD.contains(field));
        let lengths = fields.iter().filter(|field| field.to_lowercase().starts_with("content-length")).count();
        let is_chunked = fields.contains(&"Transfer-Encoding: chunked\r\n");
        prop_assert_eq!(came.is_plain(), !is_odd && lengths <= usize::from(!is_chunked));
        if came.is_plain() {
            let size = if is_known { SizeHint::with_exact(5) } else { SizeHint::default() };
            let version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
            let asked = Asked { version, is_head, keep_alive: true, takes_trailers: true };
            let written = |head: &Said| {
                let mut out = Vec::new();
                let framing = response::encode(head, &size, asked, false, b"now", &mut out);
                let out = String::from_utf8(out).unwrap();
                let (first, fields) = out.split_once("\r\n").unwrap();
                let named = |field: &str| {
                    let (name, value) = field.split_once(": ").unwrap();
                    (name.to_owned(), value.to_owned())
                };
                let mut fields: Vec<_> = fields.trim_end().split("\r\n").map(named).collect();
                // Those of one name have an order among themselves.
                fields.sort_by(|one, other| one.0.cmp(&other.0));
                (first.to_owned(), fields, framing)
            };
            prop_assert_eq!(written(&Said::AsCame(came)), written(&read));
        }
    }

    #[test]
    fn an_answer_that_is_written_reads_as_the_same_answer(
        status in prop::sample::select(vec![200_u16, 204, 304, 404, 599]),
        headers in prop::collection::vec(("x-[a-z0-9]{1,9}", "[!-~]([ -~]{0,20}[!-~])?"), 0..6),
        said in prop::sample::select(vec!["content-length", "transfer-encoding", "connection", "x"]),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..4),
        is_known in any::<bool>(),
        is_head in any::<bool>(),
        is_old in any::<bool>(),
        cut in 1_usize..600,
    ) {
        let mut response = Response::builder().status(status).header(said, "7");
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let asked = Asked {
            version: if is_old { Version::HTTP_10 } else { Version::HTTP_11 },
            is_head,
            keep_alive: true,
            takes_trailers: true,
        };
        let data = chunks.concat();
        let size = if is_known { SizeHint::with_exact(data.len() as u64) } else { SizeHint::default() };
        let mut bytes = Vec::new();
        let head = Said::Read(parts);
        let framing = response::encode(&head, &size, asked, false, b"now", &mut bytes);
        let parts = head.into_parts();
        let trailers: HeaderMap = [(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))]
            .into_iter()
            .collect();
        let sum = (framing.length == Some(Length::Chunked)).then(|| trailers.clone());
        if let Some(length) = framing.length {
            bytes.extend_from_slice(&body(length, chunks, sum.clone()));
        }
        let method = if is_head { Method::HEAD } else { Method::GET };
        let whole = pool::replay(&method, &bytes, cut).unwrap();
        prop_assert_eq!(whole.status, parts.status);
        prop_assert_eq!(whole.data, if framing.length.is_some() { data } else { Vec::new() });
        prop_assert_eq!(whole.trailers, sum);
        prop_assert_eq!(whole.may_reuse, framing.keep_alive);
        for name in parts.headers.keys().filter(|name| name.as_str().starts_with('x')) {
            let all = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            prop_assert_eq!(all(&whole.headers), all(&parts.headers));
        }
    }
}
