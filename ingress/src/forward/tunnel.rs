//! Bytes that go both ways as they are.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::Instant,
};
use tracing::debug;

use super::attempt::within;
use crate::timers::Timers;

/// One side of a tunnel, that notes when it last said something.
struct Side {
    stream: TokioIo<Upgraded>,
    last: Rc<Cell<Instant>>,
}

/// Passes on what both sides say until both have finished, or neither has said anything for `idle`.
pub(super) async fn tunnel(client: OnUpgrade, upstream: OnUpgrade, idle: Option<Duration>) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => {
            debug!(%error, "upgrade failed");
            return;
        }
    };
    let last = Rc::new(Cell::new(Instant::now()));
    let side = |stream| Side {
        stream: TokioIo::new(stream),
        last: Rc::clone(&last),
    };
    let (mut client, mut upstream) = (side(client), side(upstream));
    let copied = copy_bidirectional(&mut client, &mut upstream);
    let copied = match idle {
        Some(idle) => within(&Timers::default(), idle, &last, copied).await,
        None => Some(copied.await),
    };
    match copied {
        Some(Ok((sent, received))) => debug!(sent, received, "tunnel closed"),
        Some(Err(error)) => debug!(%error, "tunnel broken"),
        None => debug!(?idle, "tunnel was silent for too long"),
    }
}

impl Side {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TokioIo<Upgraded>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.as_mut().stream().poll_read(cx, buffer);
        if read.is_ready() {
            self.last.set(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
