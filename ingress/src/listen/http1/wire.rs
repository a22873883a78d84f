//! A client's connection as its task and the body of a request share it.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Frame, SizeHint};
use tokio::{io::AsyncWrite as _, sync::oneshot, task::unconstrained};

use super::{
    head::Head,
    reader::{Reader, Stop},
};
use crate::{
    http1::{self, Malformed, Piece, READ, Rewound, Scratch},
    listen::io::ClientIo,
};

/// A client's connection. Who reads the body of a request reads from it, and otherwise its task does.
#[derive(Debug)]
pub(super) struct Shared {
    wire: RefCell<Wire>,
    /// Waits until the body is given up, which may be where the wire is in use.
    waiting: RefCell<Option<Waker>>,
}

/// A connection, and what it brings.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) io: ClientIo,
    pub(super) reader: Reader,
    scratch: Scratch,
    /// The client sends its body once it is told to.
    pub(super) expects: bool,
    /// That is to be told now.
    pub(super) owes_continue: bool,
    /// Reads a body.
    reading: Option<Waker>,
    /// Goes on with the connection once there is another protocol on it.
    upgrade: Option<oneshot::Sender<Rewound<ClientIo>>>,
}

/// The body of a request, read as it is asked for.
#[derive(Debug)]
pub(crate) struct Received(Rc<Shared>);

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the client closed the connection before the end of the body")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    #[error("the body is not valid HTTP: {0}")]
    Malformed(#[from] Malformed),
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(io: ClientIo, scratch: Scratch) -> Rc<Self> {
        Rc::new(Self {
            wire: RefCell::new(Wire {
                io,
                reader: Reader::new(),
                scratch,
                expects: false,
                owes_continue: false,
                reading: None,
                upgrade: None,
            }),
            waiting: RefCell::default(),
        })
    }

    pub(super) fn with<T>(&self, use_it: impl FnOnce(&mut Wire) -> T) -> T {
        use_it(&mut self.wire.borrow_mut())
    }

    /// Waits until the body of the request was read or given up.
    pub(super) fn poll_given_up(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Rc::strong_count(self) == 1 || self.wire.borrow().reader.has_ended() {
            return Poll::Ready(());
        }
        self.waiting.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

// === impl Wire ===

impl Wire {
    /// The client's next request.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Stop>> {
        loop {
            if let Some(head) = self.reader.next_head()? {
                return Poll::Ready(Ok(head));
            }
            if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                return Poll::Ready(Err(Stop::End));
            }
        }
    }

    /// Whether the task is told when the client goes.
    pub(super) fn is_watched(&self) -> bool {
        self.io.is_watched()
    }

    /// Whether the client has sent nothing but its request.
    pub(super) fn is_over(&self) -> bool {
        self.reader.has_ended() && self.reader.is_empty() && !self.io.has_more()
    }

    /// Whether the client has gone while it is answered. What else it says is kept, and then it is not seen to go.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.reader.has_ended() && self.reader.is_empty() {
            if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Writes as much as the client takes of this, which is then gone.
    pub(super) fn poll_write(
        &mut self,
        bytes: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => drop(bytes.drain(..written)),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// Reads over what has come of a body that nobody wants, up to a bound. False if that is not all.
    pub(super) fn skip_body(&mut self) -> bool {
        let mut skipped = 0;
        while skipped < READ {
            match self.reader.next_piece() {
                Ok(Piece::Data(data)) => skipped += data.len(),
                Ok(Piece::Trailers(_)) => {}
                Ok(Piece::End) => return true,
                Err(_) => return false,
                Ok(Piece::Missing) => {
                    let filled = std::future::poll_fn(|cx| self.poll_fill(cx));
                    let filled = unconstrained(filled).now_or_never();
                    if !matches!(filled, Some(Ok(1..))) {
                        return false;
                    }
                }
            }
        }
        self.reader.has_ended()
    }

    /// Says that nothing follows.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.io).poll_shutdown(cx).map(drop)
    }

    /// Says that nothing follows, and then reads on until the client says so too, for who is reset may not read the last answer.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        while let Ok(1..) = ready!(self.poll_fill(cx)) {
            drop(self.reader.take_rest());
        }
        Poll::Ready(())
    }

    /// The connection, with what was read of it and not used. Nothing more comes here.
    pub(super) fn take(&mut self) -> Rewound<ClientIo> {
        let io = std::mem::replace(&mut self.io, ClientIo::Closed);
        if let Some(reading) = self.reading.take() {
            reading.wake();
        }
        Rewound::new(io, self.reader.take_rest())
    }

    /// Hands the connection to who waits for it since the request.
    pub(super) fn switch(&mut self) {
        let wire = self.take();
        if let Some(upgrade) = self.upgrade.take() {
            // If nobody waits any more, it is closed.
            drop(upgrade.send(wire));
        }
    }

    /// Reads more: the number of bytes, which is 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        http1::poll_fill(&mut self.io, &self.scratch, &mut self.reader.buffer, cx)
    }
}

// === impl Received ===

impl Received {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        Self(Rc::clone(shared))
    }

    /// The connection, once the client was told that another protocol begins.
    pub(crate) fn upgrade(&self) -> oneshot::Receiver<Rewound<ClientIo>> {
        let (give, take) = oneshot::channel();
        self.0.with(|wire| wire.upgrade = Some(give));
        take
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.with(|wire| {
            loop {
                match wire.reader.next_piece() {
                    Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(Piece::Trailers(fields)) => {
                        return Poll::Ready(Some(Ok(Frame::trailers(fields))));
                    }
                    Ok(Piece::End) => return Poll::Ready(None),
                    Ok(Piece::Missing) => {}
                    Err(malformed) => return Poll::Ready(Some(Err(malformed.into()))),
                }
                wire.owes_continue |= std::mem::take(&mut wire.expects);
                match wire.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Some(Err(Broken::Closed))),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(Broken::Io(error)))),
                    Poll::Pending => {
                        wire.reading = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                }
            }
        })
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.0.with(|wire| wire.reader.has_ended())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.0.with(|wire| wire.reader.size_hint())
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.waiting.take() {
            waiting.wake();
        }
    }
}
