//! Opens connections to endpoints.

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, rc::Rc, time::Duration};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use tracing::debug;

use super::{
    RequestBody, Transport,
    proxy_header::{Ends, proxy_header},
    streams::Allowed,
    tls::Tls,
};
use crate::listen::{KEEPALIVE, LocalExecutor};

/// A connection before HTTP is spoken on it: plain, or with TLS.
pub(super) type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Why there is no connection to an endpoint. Another endpoint may be tried: nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect: {0}")]
    Io(#[source] io::Error),
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("no TLS connection: {0}")]
    Tls(#[source] io::Error),
    #[error("TLS is not possible: {0}")]
    NoTls(String),
    #[error("the endpoint does not speak HTTP/2 over TLS")]
    NoHttp2,
    #[error("no HTTP connection: {0}")]
    Handshake(#[source] hyper::Error),
    #[error("an attempt that this request waited for has failed")]
    SameAsBefore,
}

/// How many requests are sent before an endpoint has said how many it takes. It would refuse those that are too many;
/// held back until then, they are only a little later. Nobody who speaks HTTP/2 takes so few.
const UNKNOWN_STREAMS: usize = 1;

/// Where a connection goes, for whom, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) transport: &'a Transport,
    /// The client's connection, for endpoints that are told of it.
    pub(crate) ends: Ends,
    pub(crate) limit: Duration,
}

/// `allowed` follows how many requests the endpoint takes at once.
pub(super) async fn http2(
    to: Destination<'_>,
    allowed: Rc<Allowed>,
) -> Result<http2::SendRequest<RequestBody>, ConnectError> {
    match open(to).await? {
        Either::Left(stream) => http2_over(to.address, stream, allowed).await,
        Either::Right(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            http2_over(to.address, stream, allowed).await
        }
        Either::Right(_) => Err(ConnectError::NoHttp2),
    }
}

/// A connection on which HTTP can be spoken.
pub(super) async fn open(to: Destination<'_>) -> Result<Io, ConnectError> {
    let tls = match &to.transport.tls {
        None => None,
        Some(Ok(tls)) => Some(tls),
        Some(Err(reason)) => return Err(ConnectError::NoTls(reason.clone())),
    };
    let opened = timeout(to.limit, open_without_limit(to, tls)).await;
    opened.unwrap_or(Err(ConnectError::Timeout(to.limit)))
}

async fn open_without_limit(to: Destination<'_>, tls: Option<&Tls>) -> Result<Io, ConnectError> {
    let mut stream = TcpStream::connect(to.address)
        .await
        .map_err(ConnectError::Io)?;
    stream.set_nodelay(true).map_err(ConnectError::Io)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(&stream)
        .set_tcp_keepalive(&keepalive)
        .map_err(ConnectError::Io)?;
    if let Some(version) = to.transport.proxy {
        let header = proxy_header(version, to.ends);
        stream.write_all(&header).await.map_err(ConnectError::Io)?;
    }
    let Some(tls) = tls else {
        return Ok(Either::Left(stream));
    };
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    let stream = connector.connect(tls.name(to.address), stream).await;
    Ok(Either::Right(Box::new(stream.map_err(ConnectError::Tls)?)))
}

async fn http2_over<S>(
    address: SocketAddr,
    stream: S,
    allowed: Rc<Allowed>,
) -> Result<http2::SendRequest<RequestBody>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let handshake = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .initial_max_send_streams(UNKNOWN_STREAMS)
        .handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(ConnectError::Handshake)?;
    drop(tokio::task::spawn_local(async move {
        let mut connection = pin!(connection);
        let driven = poll_fn(|cx| {
            let polled = Future::poll(connection.as_mut(), cx);
            let streams = connection.current_max_send_streams();
            allowed.follow((streams != UNKNOWN_STREAMS).then_some(streams), cx.waker());
            polled
        });
        ended(address, driven.await);
    }));
    Ok(sender)
}

/// Whoever waits for a response is told of a connection's errors too.
fn ended(address: SocketAddr, result: hyper::Result<()>) {
    if let Err(error) = result {
        debug!(endpoint = %address, %error, "upstream connection ended");
    }
}
