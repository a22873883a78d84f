//! Endpoints that break the rules: a client never gets half a response as a whole one, or one of another request.

use http::{Request, Response};
use http_body_util::BodyExt as _;
use meshlite_snapshot::UpstreamProtocol;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    http2,
    mesh::{Mesh, cluster},
    origin::{Client, Origin, exchange_bytes, full, get, read_until, request},
};

/// An endpoint that answers each request with these bytes, and then closes if told.
async fn answering(bytes: &'static str, closes: bool) -> (Mesh, Origin) {
    let origin = Origin::raw(move |mut stream| async move {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            if stream.write_all(bytes.as_bytes()).await.is_err() || closes {
                return;
            }
        }
    })
    .await;
    let mut mesh = Mesh::start().await;
    mesh.serve(&[origin.address]).await;
    (mesh, origin)
}

#[tokio::test]
async fn a_response_that_can_be_read_in_two_ways_is_502() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokx",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nokx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        "HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (mesh, _origin) = answering(bytes, false).await;
        let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let answer = exchange_bytes(mesh.http(), request, "HTTP\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{bytes:?}: {answer}");
        assert!(
            answer.ends_with("502 the endpoint's answer is not valid HTTP\n"),
            "{bytes:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_length_said_twice_reaches_the_client_once() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (mesh, _origin) = answering(bytes, false).await;
        let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let answer = exchange_bytes(mesh.http(), request, "\r\n\r\nok").await;
        assert_eq!(
            answer.matches("content-length: 2\r\n").count(),
            1,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_follows_a_response_never_answers_another_request() {
    let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
        HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let (mesh, origin) = answering(bytes, false).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..50 {
        assert_eq!(client.get("h", "/").await.body, "ok");
    }
    assert_eq!(origin.connections(), 50);
}

const CUT: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
];

#[tokio::test]
async fn a_response_cut_short_breaks_off_over_http_1_1_and_http_2() {
    for bytes in CUT {
        let (mesh, origin) = answering(bytes, true).await;
        for _ in 0..2 {
            let mut client = Client::connect(mesh.http()).await;
            let response = client.send(request("GET", "h", "/")).await.unwrap();
            assert!(response.into_body().collect().await.is_err(), "{bytes:?}");

            let stream = TcpStream::connect(mesh.http()).await.unwrap();
            let mut client = http2::connect(stream).await;
            let response = client.send_request(request("GET", "h", "http://h/")).await;
            let body = response.unwrap().into_body().collect().await;
            assert!(body.is_err(), "{bytes:?} over HTTP/2");
        }
        assert_eq!(origin.connections(), 4);
    }
}

#[tokio::test]
async fn a_response_cut_short_is_reset_for_a_client_of_http_1_0() {
    for bytes in CUT.into_iter().skip(1) {
        let (mesh, _origin) = answering(bytes, true).await;
        let mut client = TcpStream::connect(mesh.http()).await.unwrap();
        let request = b"GET / HTTP/1.0\r\nHost: h\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut read = Vec::new();
        let error = client.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    // A response that ends with its connection is whole.
    let (mesh, _origin) = answering("HTTP/1.1 200 OK\r\n\r\nwhole", true).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    let request = b"GET / HTTP/1.0\r\nHost: h\r\n\r\n";
    client.write_all(request).await.unwrap();
    let answer = read_until(&mut client, "").await;
    assert!(answer.ends_with("\r\n\r\nwhole"), "{answer}");
}

#[tokio::test]
async fn hints_before_a_response_are_not_it() {
    let bytes = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 102 Processing\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (mesh, _origin) = answering(bytes, false).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..3 {
        let answer = client.get("h", "/").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ok"));
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_502() {
    let origin = Origin::raw(|mut stream| async move {
        let endless = "X: y\r\n".repeat(50);
        let mut said = "HTTP/1.1 200 OK\r\n".to_owned();
        for _ in 0..10_000 {
            if stream.write_all(said.as_bytes()).await.is_err() {
                return;
            }
            said.clone_from(&endless);
        }
    })
    .await;
    let mut mesh = Mesh::start().await;
    mesh.serve(&[origin.address]).await;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), request, "HTTP\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    let (mesh, _origin) = answering(hints.leak(), false).await;
    let answer = exchange_bytes(mesh.http(), request, "HTTP\n").await;
    let (_hints, last) = answer.rsplit_once("HTTP/1.1 ").unwrap();
    assert!(last.starts_with("502 "), "{answer}");
}

/// An endpoint of HTTP/2 that says these lengths of each answer, which has two bytes.
async fn saying(lengths: &'static [&'static str]) -> (Mesh, Origin) {
    let origin = Origin::answering(move |_request| async move {
        let mut response = Response::new(full("ok"));
        for length in lengths {
            let length = length.parse().unwrap();
            response.headers_mut().append("content-length", length);
        }
        response
    })
    .await;
    let mut mesh = Mesh::start().await;
    mesh.serve(&[origin.address]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    (mesh, origin)
}

#[tokio::test]
async fn an_endpoint_of_http_2_that_says_two_lengths_is_502() {
    for lengths in [
        &["2", "3"][..],
        &["3", "2"],
        &["2", "2", "3"],
        &["2, 2"],
        &["+2"],
        &[""],
        &["2", ""],
    ] {
        let (mesh, _origin) = saying(lengths).await;
        let answer = get(mesh.http(), "h", "/").await;
        assert_eq!(answer.status, 502, "{lengths:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_length_that_an_endpoint_of_http_2_says_twice_reaches_the_client_once() {
    for lengths in [&["2", "2"][..], &["2", "02"], &["2"]] {
        let (mesh, _origin) = saying(lengths).await;
        let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let answer = exchange_bytes(mesh.http(), request, "\r\n\r\nok").await;
        let said: Vec<_> = (answer.lines())
            .filter(|line| line.starts_with("content-length"))
            .collect();
        assert_eq!(said, ["content-length: 2"], "{lengths:?}: {answer}");

        let stream = TcpStream::connect(mesh.http()).await.unwrap();
        let mut client = http2::connect(stream).await;
        let response = client
            .send_request(self::request("GET", "h", "http://h/"))
            .await;
        let response = response.unwrap();
        let said: Vec<_> = response
            .headers()
            .get_all("content-length")
            .iter()
            .collect();
        assert_eq!(said, ["2"], "{lengths:?} over HTTP/2");
    }
}

#[tokio::test]
async fn a_request_over_http_2_that_says_its_length_twice_reaches_nobody() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    for lengths in [["2", "2"], ["2", "3"], ["3", "2"], ["2", ""]] {
        let stream = TcpStream::connect(mesh.http()).await.unwrap();
        let mut client = http2::connect(stream).await;
        let mut request = Request::post("http://h/").body(full("ok")).unwrap();
        for length in lengths {
            let length = length.parse().unwrap();
            request.headers_mut().append("content-length", length);
        }
        // Reset by the connection, or refused by the sanitiser.
        if let Ok(response) = client.send_request(request).await {
            assert_eq!(response.status(), 400, "{lengths:?}");
        }
    }
    assert_eq!(origin.requests(), 0);
}
