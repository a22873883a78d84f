//! Clients that mean harm, or are too slow: what they hold is taken back.

use std::time::Duration;

use http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    http2,
    mesh::{Mesh, eventually},
    origin::{Origin, full, get, read_until},
};

#[tokio::test]
async fn a_client_that_takes_back_too_many_requests_loses_its_connection() {
    let mut mesh = Mesh::start().await;
    let silent = Origin::raw(|mut stream| async move {
        read_until(&mut stream, "never").await;
    })
    .await;
    mesh.serve(&[silent.address]).await;
    let mut client = http2::connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let mut ended = None;
    for _ in 0..2000 {
        let request = Request::get("http://h/").body(full("")).unwrap();
        if let Err(error) = client.ready().await {
            ended = Some(error);
            break;
        }
        let answer = client.send_request(request);
        // Long enough for the request to be under way.
        let answer = tokio::time::timeout(Duration::from_millis(5), answer).await;
        if let Ok(Err(error)) = answer {
            ended = Some(error);
            break;
        }
    }
    let ended = ended.expect("the connection ends");
    let calmed = &mesh.parts.shared.metrics.connections_calmed;
    assert_eq!(calmed.get(), 1, "{ended:?}");
    // Others are served.
    let origin = Origin::echo("web").await;
    mesh.put_endpoints("web", &[origin.address]);
    mesh.apply().await;
    assert_eq!(get(mesh.http(), "h", "/").await.body, "web");
}

#[tokio::test]
async fn an_idle_connection_over_http_2_is_ended_politely() {
    let mut mesh = Mesh::with(|config| config.header_timeout = Duration::from_millis(200)).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut client = http2::connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let request = || Request::get("http://h/").body(full("")).unwrap();
    assert_eq!(client.send_request(request()).await.unwrap().status(), 200);
    eventually("the end", async || {
        let is_closed = client.is_closed();
        is_closed.then_some(()).ok_or_else(|| "open".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let mut mesh = Mesh::with(|config| config.send_timeout = Duration::from_millis(200)).await;
    let endless = Origin::raw(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await;
    mesh.serve(&[endless.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let connections = &mesh.parts.shared.metrics.connections;
    eventually("the request", async || match endless.connections() {
        1 => Ok(()),
        other => Err(format!("{other} connections")),
    })
    .await;
    eventually("the end", async || match connections.get() {
        0 => Ok(()),
        other => Err(format!("{other} connections")),
    })
    .await;
    // What was cut short cannot be taken for whole.
    let mut read = Vec::new();
    assert!(client.read_to_end(&mut read).await.is_err());
}

#[tokio::test]
async fn a_tls_handshake_that_takes_too_long_is_given_up() {
    let limit = Duration::from_millis(200);
    let mesh = Mesh::with(|config| config.handshake_timeout = limit).await;
    // Nothing, and the first bytes of a handshake message that is said to go on.
    for part in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(mesh.https()).await.unwrap();
        stream.write_all(part).await.unwrap();
        assert_eq!(read_until(&mut stream, "").await, "", "{part:?}");
    }
    eventually("no connection", async || {
        match mesh.parts.shared.metrics.connections.get() {
            0 => Ok(()),
            other => Err(format!("{other} connections")),
        }
    })
    .await;
}
