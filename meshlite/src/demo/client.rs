//! Real clients: HTTP/1.1, HTTP/2, TLS, WebSocket, UDP. Each request comes over a connection of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UdpSocket},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::Message;

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

// === impl Answer ===

impl Answer {
    /// The Pod that answered: the first line of a demo backend's answer.
    pub(crate) fn pod(&self) -> anyhow::Result<&str> {
        let first = self.body.lines().next().unwrap_or_default();
        ensure!(
            self.status == StatusCode::OK,
            "status {}: {first}",
            self.status
        );
        Ok(first)
    }
}

/// Asks for a path of a host, over a new connection to an address.
pub(crate) async fn get(addr: SocketAddr, host: &str, path: &str) -> anyhow::Result<Answer> {
    let ask = async {
        let stream = TcpStream::connect(addr).await.context("connect")?;
        http1(stream, host, path).await
    };
    within(ask)
        .await
        .with_context(|| format!("GET http://{host}{path} at {addr}"))
}

/// As [`get`], with HTTP/2 by prior knowledge.
pub(crate) async fn get_h2c(addr: SocketAddr, host: &str, path: &str) -> anyhow::Result<Answer> {
    let ask = async {
        let stream = TcpStream::connect(addr).await.context("connect")?;
        http2(stream, &format!("http://{host}{path}")).await
    };
    within(ask)
        .await
        .with_context(|| format!("GET http://{host}{path} over h2c at {addr}"))
}

/// Asks over TLS with `host` as server name; gives the server's certificate too.
///
/// The protocol is what the server chooses of `alpn`.
pub(crate) async fn get_tls(
    addr: SocketAddr,
    host: &str,
    authority: &CertificateDer<'static>,
    alpn: &[&str],
) -> anyhow::Result<(Answer, CertificateDer<'static>)> {
    let ask = async {
        let stream = tls(addr, host, authority, alpn).await?;
        let (_, session) = stream.get_ref();
        let certificates = session.peer_certificates().unwrap_or_default();
        let certificate = certificates
            .first()
            .context("no certificate")?
            .clone()
            .into_owned();
        let answer = match session.alpn_protocol() {
            Some(b"h2") => http2(stream, &format!("https://{host}/")).await?,
            _ => http1(stream, host, "/").await?,
        };
        Ok((answer, certificate))
    };
    within(Box::pin(ask))
        .await
        .with_context(|| format!("GET https://{host}/ at {addr}"))
}

/// Sends a text over a new WebSocket, and gives the answer.
pub(crate) async fn websocket(addr: SocketAddr, host: &str, text: &str) -> anyhow::Result<String> {
    let ask = async {
        let stream = TcpStream::connect(addr).await.context("connect")?;
        let url = format!("ws://{host}/socket");
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        socket.send(Message::text(text)).await?;
        let answer = socket.next().await.context("the connection ended")??;
        socket.close(None).await?;
        Ok(answer.into_text()?.to_string())
    };
    within(ask)
        .await
        .with_context(|| format!("WebSocket of {host} at {addr}"))
}

/// Sends a datagram from a new port, and gives the answer.
pub(crate) async fn udp(addr: SocketAddr, text: &str) -> anyhow::Result<String> {
    let ask = async {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(addr).await?;
        socket.send(text.as_bytes()).await?;
        let mut answer = vec![0; 2048];
        let length = socket.recv(&mut answer).await?;
        answer.truncate(length);
        Ok(String::from_utf8(answer)?)
    };
    within(ask)
        .await
        .with_context(|| format!("datagram to {addr}"))
}

/// A connection that is kept and used for one request after another.
#[derive(Debug)]
pub(crate) struct KeptConnection {
    sender: hyper::client::conn::http1::SendRequest<Empty<Bytes>>,
    host: String,
}

impl KeptConnection {
    pub(crate) async fn open(addr: SocketAddr, host: &str) -> anyhow::Result<Self> {
        let stream = within(async { Ok(TcpStream::connect(addr).await?) }).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: host.to_owned(),
        })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let request = request(&self.host, path)?;
        within(async {
            self.sender.ready().await?;
            answer(self.sender.send_request(request).await?).await
        })
        .await
    }
}

async fn within<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(result) => result,
        Err(_elapsed) => bail!("no answer within {} s", TIMEOUT.as_secs()),
    }
}

async fn tls(
    addr: SocketAddr,
    host: &str,
    authority: &CertificateDer<'static>,
    alpn: &[&str],
) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(addr).await.context("connect")?;
    let name = ServerName::try_from(host.to_owned())?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .context("TLS handshake")
}

async fn http1<S>(stream: S, host: &str, path: &str) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    answer(sender.send_request(request(host, path)?).await?).await
}

async fn http2<S>(stream: S, url: &str) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(url).body(Empty::<Bytes>::new())?;
    answer(sender.send_request(request).await?).await
}

fn request(host: &str, path: &str) -> anyhow::Result<Request<Empty<Bytes>>> {
    let request = Request::get(path)
        .header(http::header::HOST, host)
        .body(Empty::new());
    request.with_context(|| format!("a request for {path}"))
}

async fn answer(response: http::Response<Incoming>) -> anyhow::Result<Answer> {
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .context("the body ended early")?
        .to_bytes();
    Ok(Answer {
        status: parts.status,
        version: parts.version,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
