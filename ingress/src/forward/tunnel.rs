//! Bytes that go both ways as they are.

use std::{
    cell::Cell,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::Instant,
};
use tracing::debug;

use super::attempt::within;
use crate::{
    listen::{Switched, Upgrading},
    pool::Upgraded,
    timers::Timers,
};

/// One side of a tunnel, that notes when it last said something.
struct Side<S> {
    stream: S,
    last: Rc<Cell<Instant>>,
}

/// Passes on what both sides say until both have finished, or neither has said anything for `idle`.
pub(super) async fn tunnel(client: Upgrading, upstream: Upgraded, idle: Option<Duration>) {
    match client.switched().await {
        Ok(Switched::Http1(client)) => pass(client, upstream, idle).await,
        Ok(Switched::Http2(client)) => pass(client, upstream, idle).await,
        Err(error) => debug!(%error, "upgrade failed"),
    }
}

async fn pass<C>(client: C, upstream: Upgraded, idle: Option<Duration>)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let last = Rc::new(Cell::new(Instant::now()));
    let mut client = Side::new(client, &last);
    let mut upstream = Side::new(upstream, &last);
    let copied = copy_bidirectional(&mut client, &mut upstream);
    let copied = match idle {
        Some(idle) => within(&Timers::default(), idle, &last, pin!(copied)).await,
        None => Some(copied.await),
    };
    match copied {
        Some(Ok((sent, received))) => debug!(sent, received, "tunnel closed"),
        Some(Err(error)) => debug!(%error, "tunnel broken"),
        None => debug!(?idle, "tunnel was silent for too long"),
    }
}

impl<S: Unpin> Side<S> {
    fn new(stream: S, last: &Rc<Cell<Instant>>) -> Self {
        Self {
            stream,
            last: Rc::clone(last),
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<S> {
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
