//! What happens to a request and its response on the way.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    mesh::{Mesh, eventually},
    origin::{Answer, Client, Origin, OriginBody, exchange_bytes, full, get, read_until, request},
};

/// A body whose chunks are sent by the test.
fn channel_body() -> (mpsc::Sender<&'static str>, OriginBody) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = ReceiverStream::new(receiver).map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

#[tokio::test]
async fn one_upstream_connection_serves_many_requests() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..50 {
        assert_eq!(client.get("h", "/").await.body, "web");
    }
    assert_eq!((origin.requests(), origin.connections()), (50, 1));
}

#[tokio::test]
async fn a_response_without_a_body_gives_its_connection_back() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |request| {
        let mut response = Response::new(full(""));
        match request.uri().path() {
            "/204" => *response.status_mut() = http::StatusCode::NO_CONTENT,
            "/304" => *response.status_mut() = http::StatusCode::NOT_MODIFIED,
            _ => *response.body_mut() = full("five!"),
        }
        response
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    assert_eq!(client.get("h", "/204").await.status, 204);
    assert_eq!(client.get("h", "/304").await.status, 304);
    let head = Answer::read(client.send(request("HEAD", "h", "/")).await.unwrap()).await;
    assert_eq!(
        (head.header("content-length"), head.body.as_str()),
        ("5", "")
    );
    assert_eq!(client.get("h", "/").await.body, "five!");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn both_directions_are_streamed() {
    let mut mesh = Mesh::start().await;
    // Sends each chunk back as it comes.
    let origin = Origin::answering(async |request| {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                sender.send(Ok(frame)).await.unwrap();
            }
        });
        Response::new(BodyExt::boxed(StreamBody::new(ReceiverStream::new(
            receiver,
        ))))
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    let (upload, body) = channel_body();
    let sent = Request::post("/").header("host", "h").body(body).unwrap();
    let mut response = client.send(sent).await.unwrap();
    for chunk in ["one", "two", "three"] {
        upload.send(chunk).await.unwrap();
        let frame = tokio::time::timeout(Duration::from_secs(10), response.frame()).await;
        let data = frame
            .expect("a chunk before the request ends")
            .unwrap()
            .unwrap();
        assert_eq!(data.into_data().unwrap(), chunk);
    }
    drop(upload);
    assert!(response.frame().await.is_none());
}

#[tokio::test]
async fn the_origin_is_told_who_the_client_is() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut spoofed = request("GET", "example.com:8080", "/");
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "6.6.6.6"),
        ("x-request-id", "mine"),
        ("forwarded", "for=6.6.6.6"),
        ("proxy", "evil:80"),
        ("content_length", "5"),
        ("ssl-client-verify", "SUCCESS"),
    ] {
        spoofed.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut client = Client::connect(mesh.http()).await;
    client.send(spoofed).await.unwrap();
    let seen = origin.last();
    for (name, value) in [
        ("host", "example.com:8080"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "example.com:8080"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "80"),
        ("x-real-ip", "127.0.0.1"),
        ("x-request-id", "mine"),
    ] {
        assert_eq!(seen.headers()[name], value, "{name}");
    }
    for gone in ["proxy", "content_length", "forwarded", "ssl-client-verify"] {
        assert!(!seen.headers().contains_key(gone), "{gone}");
    }
    get(mesh.http(), "h", "/").await;
    assert_eq!(origin.last().headers()["x-request-id"].len(), 32);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_added_to_the_chain() {
    let trusted = "127.0.0.0/8".parse().unwrap();
    let mut mesh = Mesh::with(|config| config.trusted_proxies = vec![trusted]).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut proxied = request("GET", "h", "/");
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
    ] {
        proxied.headers_mut().insert(name, value.parse().unwrap());
    }
    Client::connect(mesh.http())
        .await
        .send(proxied)
        .await
        .unwrap();
    let seen = origin.last();
    assert_eq!(seen.headers()["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
    assert_eq!(seen.headers()["x-real-ip"], "192.0.2.1");
    assert_eq!(seen.headers()["x-forwarded-proto"], "https");
    assert_eq!(seen.headers()["x-forwarded-host"], "h");
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |_| {
        let mut response = Response::new(full("web"));
        for (name, value) in [
            ("connection", "x-hop, set-cookie"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("set-cookie", "a=b"),
            ("server", "origin"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut sent = request("GET", "h", "/");
    for (name, value) in [
        (
            "connection",
            "x-secret, host, authorization, x-forwarded-for, cookie",
        ),
        ("x-secret", "1"),
        ("authorization", "Basic x"),
        ("cookie", "c=d"),
        ("keep-alive", "5"),
        ("te", "gzip, trailers"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic x"),
    ] {
        sent.headers_mut().append(name, value.parse().unwrap());
    }
    let mut client = Client::connect(mesh.http()).await;
    let answer = Answer::read(client.send(sent).await.unwrap()).await;
    let seen = origin.last();
    for gone in [
        "connection",
        "x-secret",
        "keep-alive",
        "upgrade",
        "proxy-authorization",
    ] {
        assert!(!seen.headers().contains_key(gone), "{gone} came through");
    }
    assert_eq!(seen.headers()["te"], "trailers");
    assert_eq!(seen.headers()["host"], "h");
    assert_eq!(seen.headers()["authorization"], "Basic x");
    assert_eq!(seen.headers()["cookie"], "c=d");
    assert_eq!(seen.headers()["x-forwarded-for"], "127.0.0.1");
    for gone in ["x-hop", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.header(gone), "", "{gone} came through");
    }
    assert_eq!(answer.header("set-cookie"), "a=b");
    assert_eq!(answer.header("server"), "origin");
}

#[tokio::test]
async fn http_1_0_clients_are_served_and_origins_see_1_1() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let answer = exchange_bytes(mesh.http(), b"GET /old HTTP/1.0\r\n\r\n", "").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nweb"), "{answer}");
    let seen = origin.last();
    assert_eq!(seen.version(), http::Version::HTTP_11);
    assert_eq!(seen.headers()["host"], mesh.http().to_string());
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let go_on = read_until(&mut stream, "\r\n\r\n").await;
    assert!(go_on.starts_with("HTTP/1.1 100 Continue\r\n"), "{go_on}");
    stream.write_all(b"body").await.unwrap();
    let answer = read_until(&mut stream, "web").await;
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("seen-body: 4\r\n"), "{answer}");
    assert_eq!(origin.last().headers()["expect"], "100-continue");
}

#[tokio::test]
async fn lengths_and_trailers_pass() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |request| {
        let mut body = request.into_body();
        let mut trailers = None;
        while let Some(Ok(frame)) = body.frame().await {
            trailers = frame.into_trailers().ok().or(trailers);
        }
        let frames = [
            Frame::data(Bytes::from("web")),
            Frame::trailers(trailers.unwrap()),
        ];
        let frames = stream::iter(frames.map(Ok));
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
        response
            .headers_mut()
            .insert("trailer", "x-sum".parse().unwrap());
        response
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let chunked =
        b"POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: te\r\nTrailer: x-sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), chunked, "0\r\nx-sum: 7\r\n\r\n").await;
    assert!(answer.contains("3\r\nweb\r\n"), "{answer}");
    let plain = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    exchange_bytes(mesh.http(), plain, "").await;
    assert_eq!(origin.last().headers()["content-length"], "0");
}

#[tokio::test]
async fn a_large_upload_and_download_arrive_whole() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |request| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body))
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let sent: Vec<u8> = (0..3_000_000_u32)
        .map(|at| b'a' + u8::try_from(at % 26).unwrap())
        .collect();
    let mut request = request("POST", "h", "/");
    *request.body_mut() = full(sent.clone());
    let mut client = Client::connect(mesh.http()).await;
    let answer = Answer::read(client.send(request).await.unwrap()).await;
    assert_eq!(answer.header("content-length"), "3000000");
    assert!(answer.body.as_bytes() == sent);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_upstream_request() {
    let mut mesh = Mesh::start().await;
    let (ended, mut has_ended) = mpsc::channel(1);
    let origin = Origin::raw(move |mut stream| {
        let ended = ended.clone();
        async move {
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            ended.send(()).await.unwrap();
        }
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    eventually("the request", async || match origin.connections() {
        1 => Ok(()),
        other => Err(format!("{other} connections")),
    })
    .await;
    drop(stream);
    let ended = tokio::time::timeout(Duration::from_secs(10), has_ended.recv()).await;
    ended.expect("the upstream connection closes").unwrap();
}
