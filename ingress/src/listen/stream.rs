//! A client's socket, which can be closed so that the client cannot take it for the end of a response.

use std::{
    cell::Cell,
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::watch::Socket;

/// Whether a socket is reset when it is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reset(Rc<Cell<bool>>);

/// A socket that is reset, instead of closed, once its [`Reset`] is set.
#[derive(Debug)]
pub(crate) struct ClientStream {
    socket: Socket,
    reset: Reset,
    /// How long the client may take nothing.
    send_timeout: Duration,
    /// Since it took nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written waits for the end of the connection.
    holds: bool,
}

impl Reset {
    pub(crate) fn set(&self) {
        self.0.set(true);
    }
}

impl ClientStream {
    pub(super) fn new(socket: Socket, reset: Reset, send_timeout: Duration) -> Self {
        Self {
            socket,
            reset,
            send_timeout,
            stalled: None,
            holds: false,
        }
    }

    /// What a write came to, unless the client has taken nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = self.send_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.reset.set();
        let message = format!("the client took nothing for {limit:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }

    /// What is written from now on may wait for the end of the connection, and leave in one packet with that.
    pub(super) fn hold(&mut self) {
        self.holds = true;
    }

    /// Whether it is told when something comes.
    pub(super) fn is_watched(&self) -> bool {
        self.socket.is_watched()
    }

    /// Whether something has come that nobody was told of.
    pub(super) fn has_more(&self) -> bool {
        self.socket.has_more()
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut Socket> {
        Pin::new(&mut self.get_mut().socket)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.reset.0.get()
            && let Some(socket) = self.socket.as_fd()
        {
            // Without it the socket is closed as usual: there is nothing else to do.
            drop(SockRef::from(&socket).set_linger(Some(Duration::ZERO)));
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket().poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let holds = self.holds;
        let mut socket = self.as_mut().socket();
        let written = if holds {
            socket.poll_write_held(cx, bytes)
        } else {
            socket.poll_write(cx, bytes)
        };
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.holds
            && let [bytes] = slices
        {
            return self.poll_write(cx, bytes);
        }
        let written = self.as_mut().socket().poll_write_vectored(cx, slices);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}
