//! Bytes that two parsers may read in two ways: each is refused, or reaches the origin as one clear request.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    mesh::Mesh,
    origin::{Origin, exchange_bytes, get},
};

/// An origin that answers every request head with 200 and records the bytes that it got.
async fn recording() -> (Origin, Arc<Mutex<Vec<u8>>>) {
    let record: Arc<Mutex<Vec<u8>>> = Arc::default();
    let recorded = Arc::clone(&record);
    let origin = Origin::raw(move |mut stream| {
        let record = Arc::clone(&record);
        async move {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                record.lock().unwrap().extend_from_slice(&buffer[..count]);
                let heads = buffer[..count]
                    .windows(4)
                    .filter(|bytes| bytes == b"\r\n\r\n")
                    .count();
                for _ in 0..heads.min(1) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
            }
        }
    })
    .await;
    (origin, recorded)
}

async fn status_of(mesh: &Mesh, bytes: &[u8]) -> u16 {
    let answer = exchange_bytes(mesh.http(), bytes, "\r\n\r\n").await;
    let status = answer.get(9..12).unwrap_or("000");
    status
        .parse()
        .unwrap_or_else(|_| panic!("no status in {answer:?}"))
}

/// Status, request.
const AMBIGUOUS: [(u16, &str); 36] = [
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a:port\r\n\r\n"),
    (400, "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET foo HTTP/1.1\r\nHost: a\r\n\r\n"),
    (405, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na",
    ),
    (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na",
    ),
    (
        417,
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: something\r\nContent-Length: 1\r\n\r\na",
    ),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nno-colon\r\n\r\n"),
    (400, "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /x/..%2fadmin HTTP/1.1\r\nHost: a\r\n\r\n"),
];

#[tokio::test]
async fn ambiguous_requests_are_refused_and_never_reach_an_origin() {
    let mut mesh = Mesh::start().await;
    let (origin, recorded) = recording().await;
    mesh.serve(&[origin.address]).await;
    for (status, bytes) in AMBIGUOUS {
        assert_eq!(
            status_of(&mesh, bytes.as_bytes()).await,
            status,
            "{bytes:?}"
        );
    }
    let seen = recorded.lock().unwrap().clone();
    assert_eq!(String::from_utf8_lossy(&seen), "");
}

#[tokio::test]
async fn what_is_left_is_one_request_with_one_reading() {
    for (bytes, has, has_not) in [
        (
            "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost: b\r\n",
            "host: a",
        ),
        (
            "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n",
            "http://",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\nx",
            "content-length: 1\r\n",
            "length: 01",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n1;ext=1\r\nx\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n",
            "ext",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\n",
            "content-length",
        ),
        (
            "GET /a/../b/./c HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /b/c HTTP/1.1\r\n",
            "..",
        ),
        (
            "GET /%61%2e%2e/%2E%2e/x?a=/../ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x?a=/../ HTTP/1.1\r\n",
            "%2",
        ),
        (
            "GET /a%2cb#frag HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a%2Cb HTTP/1.1\r\n",
            "frag",
        ),
        (
            "GET //double HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET //double HTTP/1.1\r\n",
            "host: double",
        ),
        (
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nhost: a\r\n",
            "\n\n",
        ),
    ] {
        let mut mesh = Mesh::start().await;
        let (origin, recorded) = recording().await;
        mesh.serve(&[origin.address]).await;
        assert_eq!(status_of(&mesh, bytes.as_bytes()).await, 200, "{bytes:?}");
        let seen = String::from_utf8(recorded.lock().unwrap().clone()).unwrap();
        assert!(seen.contains(has), "{bytes:?} became {seen:?}");
        assert!(!seen.contains(has_not), "{bytes:?} became {seen:?}");
        assert_eq!(seen.matches("HTTP/1.1\r\n").count(), 1, "{seen:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let mut mesh = Mesh::start().await;
    let (origin, _) = recording().await;
    mesh.serve(&[origin.address]).await;
    let value = "x".repeat(70_000);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
    assert_eq!(status_of(&mesh, large.as_bytes()).await, 431);
    let many: String = ["X: 1\r\n"; 200].concat();
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    assert_eq!(status_of(&mesh, many.as_bytes()).await, 431);
}

#[tokio::test]
async fn a_slow_head_is_given_up() {
    let timeout = std::time::Duration::from_millis(100);
    let mesh = Mesh::with(|config| config.header_timeout = timeout).await;
    for part in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
    ] {
        let answer = exchange_bytes(mesh.http(), part.as_bytes(), "").await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{part:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn nothing_after_a_refused_request_is_read_as_another_one() {
    let mut mesh = Mesh::start().await;
    let (origin, recorded) = recording().await;
    mesh.serve(&[origin.address]).await;
    let smuggled =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n\
        GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), smuggled, "").await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(recorded.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_closes_the_upstream_connection() {
    let mut mesh = Mesh::start().await;
    let (origin, _) = recording().await;
    mesh.serve(&[origin.address]).await;
    let broken =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\nzz\r\n";
    exchange_bytes(mesh.http(), broken, "").await;
    assert_eq!(get(mesh.http(), "h", "/").await.status, 200);
    assert_eq!(origin.connections(), 2);
}
