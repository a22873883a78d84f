//! The HTTP side of a demo backend: the Pod's name, the request on demand, and a WebSocket echo.

use std::{fmt::Write, net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};
use tracing::debug;

const POD_NAME: HeaderName = HeaderName::from_static("x-pod-name");
const POD_ADDRESS: HeaderName = HeaderName::from_static("x-pod-address");

/// Answers with the Pod's name, and in headers with its address; with the query `verbose` also with the request as it
/// arrived.
pub(super) fn answer(
    name: &Arc<str>,
    addr: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let mut response = if is_websocket(request.headers()) {
        upgrade(name, &mut request)
    } else {
        let mut body = format!("{name}\n");
        if request.uri().query() == Some("verbose") {
            describe(&request, &mut body);
        }
        let mut response = Response::new(Full::from(body));
        let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, text);
        response
    };
    for (header, value) in [
        (POD_NAME, name.parse()),
        (POD_ADDRESS, addr.to_string().parse()),
    ] {
        if let Ok(value) = value {
            response.headers_mut().insert(header, value);
        }
    }
    response
}

fn describe(request: &Request<Incoming>, body: &mut String) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(
        body,
        "{} {} {:?}",
        request.method(),
        request.uri(),
        request.version()
    );
    for (name, value) in request.headers() {
        let _infallible = writeln!(
            body,
            "{name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let says = |name, wanted: &str| {
        let value = headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        value
            .split(',')
            .any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    says(header::CONNECTION, "upgrade") && says(header::UPGRADE, "websocket")
}

/// Takes the connection over as a WebSocket (RFC 6455, section 4.2.2).
fn upgrade(name: &Arc<str>, request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let Ok(accept) = derive_accept_key(key.as_bytes()).parse() else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("upgrade"),
    );
    headers.insert(
        header::UPGRADE,
        header::HeaderValue::from_static("websocket"),
    );
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    let (upgraded, name) = (hyper::upgrade::on(request), Arc::clone(name));
    tokio::spawn(async move {
        match upgraded.await {
            Ok(connection) => echo(TokioIo::new(connection), &name).await,
            Err(error) => debug!(backend = %name, %error, "upgrade failed"),
        }
    });
    response
}

async fn echo(connection: TokioIo<hyper::upgrade::Upgraded>, name: &str) {
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let answer = match message {
            Message::Text(text) => Message::text(format!("{name}: {text}")),
            Message::Binary(bytes) => Message::Binary(bytes),
            Message::Close(_) => break,
            // Pings are answered by the library.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if let Err(error) = socket.send(answer).await {
            debug!(backend = name, %error, "WebSocket ended early");
            return;
        }
    }
    // The close handshake is answered by flushing; the other side may be gone already.
    if let Err(error) = socket.close(None).await {
        debug!(backend = name, %error, "WebSocket not closed cleanly");
    }
}
