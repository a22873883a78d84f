//! Accepts connections: a bound on how many, a time limit for handshakes, and an answer for who speaks no TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, warn};

use super::server::Shown;
use crate::{
    auth::{Peer, certified},
    metrics::Metrics,
};

/// The most connections at the same time: every node of the largest cluster on one replica, three times.
const MOST_CONNECTIONS: usize = 16_384;
/// How many handshakes are computed at the same time, so that the streams that are there get their share of the CPU.
const HANDSHAKES: usize = 256;
/// How long a client may take to begin, and again to finish, a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// How long to wait where no connection can be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that may send requests.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What every connection needs. Clones share it.
#[derive(Clone)]
struct Door {
    /// None: everybody speaks plaintext.
    shown: Option<Shown>,
    handshakes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    ready: mpsc::Sender<Connection>,
}

/// Sends connections that are ready to `ready`, until nobody takes them. Without `shown` in plaintext.
pub(crate) async fn accept(
    listener: TcpListener,
    shown: Option<Shown>,
    metrics: Arc<Metrics>,
    ready: mpsc::Sender<Connection>,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let door = Door {
        shown,
        handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        metrics,
        ready,
    };
    let mut entering = JoinSet::new();
    let mut is_full = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = entering.join_next() => continue,
            () = door.ready.closed() => return,
        };
        let (stream, addr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            is_full = false;
            entering.spawn(door.clone().enter(stream, addr, place));
        } else {
            door.metrics.refused("too_many_connections");
            if !is_full {
                warn!(
                    limit = MOST_CONNECTIONS,
                    "too many connections; new ones are closed"
                );
            }
            is_full = true;
        }
    }
}

impl Door {
    async fn enter(self, stream: TcpStream, addr: SocketAddr, place: OwnedSemaphorePermit) {
        match self.connect(stream, addr).await {
            Ok((stream, peer)) => {
                let connection = Connection {
                    stream,
                    peer,
                    _place: place,
                };
                // Nobody takes it where the server stops.
                drop(self.ready.send(connection).await);
            }
            Err(error) => {
                self.metrics.refused("handshake");
                debug!(peer = %addr, %error, "handshake failed");
            }
        }
    }

    async fn connect(&self, stream: TcpStream, addr: SocketAddr) -> io::Result<(Stream, Peer)> {
        stream.set_nodelay(true)?;
        let mut peer = Peer {
            addr,
            is_plaintext: false,
            certificate: None,
        };
        let Some(shown) = &self.shown else {
            return Ok((Stream::Plain(stream), peer));
        };
        let mut first = [0];
        if timeout(HANDSHAKE, stream.peek(&mut first)).await?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first != [TLS_HANDSHAKE] {
            info!(peer = %addr, "a client speaks plaintext on a port that speaks TLS; its calls are refused");
            peer.is_plaintext = true;
            return Ok((Stream::Plain(stream), peer));
        }
        let config = shown.borrow().clone();
        let config = config.ok_or_else(|| io::Error::other("there is no certificate yet"))?;
        let turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
        let tls = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await??;
        drop(turn);
        let chain = tls.get_ref().1.peer_certificates();
        peer.certificate = chain
            .and_then(<[_]>::first)
            .map(|leaf| Arc::new(certified(leaf)));
        Ok((Stream::Tls(Box::new(tls)), peer))
    }
}

impl Connection {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, data),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
