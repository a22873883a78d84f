//! Opens connections to endpoints.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use hyper::client::conn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

use super::RequestBody;
use crate::listen::{KEEPALIVE, LocalExecutor};

/// Why there is no connection to an endpoint. Another endpoint may be tried: nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect: {0}")]
    Io(#[source] io::Error),
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("no HTTP/2 connection: {0}")]
    Handshake(#[source] hyper::Error),
}

pub(super) async fn http1(
    address: SocketAddr,
    limit: Duration,
) -> Result<conn::http1::SendRequest<RequestBody>, ConnectError> {
    let stream = tcp(address, limit).await?;
    let handshake = conn::http1::Builder::new().handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(ConnectError::Handshake)?;
    drive(address, connection.with_upgrades());
    Ok(sender)
}

pub(super) async fn http2(
    address: SocketAddr,
    limit: Duration,
) -> Result<conn::http2::SendRequest<RequestBody>, ConnectError> {
    let stream = tcp(address, limit).await?;
    let handshake = conn::http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(ConnectError::Handshake)?;
    drive(address, connection);
    Ok(sender)
}

async fn tcp(address: SocketAddr, limit: Duration) -> Result<TcpStream, ConnectError> {
    let connected = timeout(limit, TcpStream::connect(address)).await;
    let stream = connected
        .map_err(|_elapsed| ConnectError::Timeout(limit))?
        .map_err(ConnectError::Io)?;
    stream.set_nodelay(true).map_err(ConnectError::Io)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(&stream)
        .set_tcp_keepalive(&keepalive)
        .map_err(ConnectError::Io)?;
    Ok(stream)
}

/// Runs a connection until it is closed. Whoever waits for a response is told of its errors.
fn drive(address: SocketAddr, connection: impl Future<Output = hyper::Result<()>> + 'static) {
    drop(tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            debug!(endpoint = %address, %error, "upstream connection ended");
        }
    }));
}
