//! WebSockets, and upgrades that do not happen.

use futures_util::{SinkExt, StreamExt};
use http::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{
    mesh::Mesh,
    origin::{Answer, Client, Origin, exchange_bytes, full, request},
};

/// Says everything back.
pub(super) async fn websocket_origin() -> Origin {
    Origin::raw(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await
}

pub(super) async fn open(mesh: &Mesh) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(mesh.http()).await.unwrap();
    let request = "ws://h/chat".into_client_request().unwrap();
    client_async(request, stream).await.unwrap().0
}

pub(super) async fn echo(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), socket.next()).await;
    assert_eq!(
        answer.expect("an echo").unwrap().unwrap(),
        Message::text(text)
    );
}

#[tokio::test]
async fn a_websocket_speaks_both_ways_until_it_is_closed() {
    let mut mesh = Mesh::start().await;
    let origin = websocket_origin().await;
    mesh.serve(&[origin.address]).await;
    let mut socket = open(&mesh).await;
    for text in ["one", "two", &"x".repeat(200_000)] {
        echo(&mut socket, text).await;
    }
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
}

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn an_upgrade_that_the_origin_refuses_stays_http() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |request| {
        let mut response = Response::new(full("no"));
        if request.headers().contains_key("upgrade") {
            *response.status_mut() = http::StatusCode::FORBIDDEN;
        }
        response
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    let mut upgrade = request("GET", "h", "/");
    for (name, value) in UPGRADE {
        upgrade.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = Answer::read(client.send(upgrade).await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, "no"));
    assert_eq!(origin.last().headers()["upgrade"], "websocket");
    assert_eq!(origin.last().headers()["connection"], "upgrade");
    assert_eq!(client.get("h", "/").await.status, 200);
}

#[tokio::test]
async fn bytes_after_an_upgrade_request_do_not_reach_the_origin_before_its_consent() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        let mut buffer = vec![0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        let early = String::from_utf8_lossy(&buffer[..count]).contains("smuggled");
        let body = if early { "early" } else { "clean" };
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
        GET /smuggled HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), bytes, "clean").await;
    assert!(answer.contains("clean"), "{answer}");
}

#[tokio::test]
async fn an_upgrade_with_a_body_or_to_another_protocol_is_an_ordinary_request() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    for bytes in [
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let answer = exchange_bytes(mesh.http(), bytes.as_bytes(), "web").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(!origin.last().headers().contains_key("upgrade"), "{bytes}");
        assert!(
            !origin.last().headers().contains_key("connection"),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_502() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        let mut buffer = vec![0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        let answer =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    mesh.serve(&[origin.address]).await;
    assert_eq!(super::origin::get(mesh.http(), "h", "/").await.status, 502);
}

/// Asks for a WebSocket over HTTP/2 (RFC 8441).
async fn extended(mesh: &Mesh, protocol: &'static str) -> Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(mesh.http()).await.unwrap();
    let mut client = super::http2::connect(stream).await;
    let mut asked = http::Request::connect("http://h/chat?x=1")
        .header("sec-websocket-version", "13")
        .body(full(""))
        .unwrap();
    let protocol = hyper::ext::Protocol::from_static(protocol);
    asked.extensions_mut().insert(protocol);
    // Before its settings have come, a server is not known to take it.
    tokio::time::timeout(std::time::Duration::from_secs(30), client.ready())
        .await
        .unwrap()
        .unwrap();
    client.send_request(asked).await.unwrap()
}

#[tokio::test]
async fn a_websocket_over_http_2_reaches_an_http_1_origin() {
    let mut mesh = Mesh::start().await;
    let origin = websocket_origin().await;
    mesh.serve(&[origin.address]).await;
    let response = extended(&mesh, "websocket").await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let stream = hyper_util::rt::TokioIo::new(upgraded);
    let client = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = WebSocketStream::from_raw_socket(stream, client, None).await;
    for text in ["one", "two", &"x".repeat(200_000)] {
        socket.send(Message::text(text)).await.unwrap();
        let answer = tokio::time::timeout(std::time::Duration::from_secs(30), socket.next()).await;
        assert_eq!(answer.unwrap().unwrap().unwrap(), Message::text(text));
    }
}

#[tokio::test]
async fn an_extended_connect_that_an_origin_does_not_agree_to_is_no_tunnel() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    assert_eq!(extended(&mesh, "websocket").await.status(), 502);
    assert_eq!(origin.last().method(), "GET");
    assert_eq!(origin.last().headers()["upgrade"], "websocket");
    assert_eq!(extended(&mesh, "connect-udp").await.status(), 405);
}

#[tokio::test]
async fn a_websocket_that_is_silent_for_too_long_is_closed_where_its_route_says_so() {
    use meshlite_snapshot::{HostMatch, PathMatch};
    let mut mesh = Mesh::start().await;
    let origin = websocket_origin().await;
    mesh.serve(&[origin.address]).await;
    let mut impatient = super::mesh::route(PathMatch::Prefix, "/", "web");
    impatient.timeouts.idle_ms = Some(500);
    mesh.put_table(HostMatch::Any, vec![impatient]);
    mesh.apply().await;
    let mut socket = open(&mesh).await;
    echo(&mut socket, "hello").await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), socket.next()).await;
    assert!(!matches!(ended.expect("an end"), Some(Ok(_))));
}
