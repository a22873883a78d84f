//! What an endpoint answers, read from its connection, which serves another request once the answer has ended.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::{JoinHandle, spawn_local},
    time::timeout,
};

use super::{Seat, SharedConnection, connect::Io, http1, streams::Stream};
use crate::{balance::InFlight, http1::Rewound};

/// How long a request may go on being sent whose answer has ended.
const REST: Duration = Duration::from_mins(1);

/// The body of a response. Its connection is given back once it has been read to its end, and closed if it is dropped before.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Until the end.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    source: Source,
    seat: Seat,
}

#[derive(Debug)]
enum Source {
    Http1 {
        connection: SharedConnection,
        /// Sends the rest of a request that was answered before its end: each direction goes on while the other waits.
        rest: Option<JoinHandle<()>>,
    },
    /// In a box, because a response is moved from hand to hand.
    Http2(Box<(Incoming, Stream)>),
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error(transparent)]
    Http1(#[from] http1::Error),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// A connection on which something else is spoken from now on.
#[derive(Debug)]
pub(crate) struct Upgraded {
    io: Rewound<Io>,
    _in_flight: Option<InFlight>,
}

// === impl Answer ===

impl Answer {
    pub(super) fn http1(connection: SharedConnection, seat: Seat, is_upgrade: bool) -> Self {
        let rest = (connection.borrow().goes_on_sending()).then(|| {
            let connection = Rc::clone(&connection);
            spawn_local(poll_fn(move |cx| connection.borrow_mut().poll_rest(cx)))
        });
        let has_ended = !is_upgrade && connection.borrow().has_ended();
        Self::new(Source::Http1 { connection, rest }, seat, has_ended)
    }

    pub(super) fn http2(incoming: Incoming, stream: Stream, seat: Seat) -> Self {
        let has_ended = incoming.is_end_stream();
        Self::new(Source::Http2(Box::new((incoming, stream))), seat, has_ended)
    }

    fn new(source: Source, seat: Seat, has_ended: bool) -> Self {
        let mut answer = Self {
            open: Some(Open { source, seat }),
        };
        if has_ended {
            answer.end();
        }
        answer
    }

    /// The connection itself, once the endpoint has agreed to speak something else on it. None where others use it too, or
    /// where the request is still being sent.
    pub(crate) fn into_upgraded(mut self) -> Option<Upgraded> {
        let Open { source, seat } = self.open.take()?;
        let Source::Http1 {
            connection,
            rest: None,
        } = source
        else {
            return None;
        };
        Some(Upgraded {
            io: Rc::into_inner(connection)?.into_inner().into_inner(),
            _in_flight: seat.in_flight,
        })
    }

    fn end(&mut self) {
        let Some(Open { source, seat }) = self.open.take() else {
            return;
        };
        match source {
            Source::Http1 {
                connection: _,
                rest: Some(mut rest),
            } if !rest.is_finished() => {
                // Nobody waits for this.
                drop(spawn_local(async move {
                    if timeout(REST, &mut rest).await.is_err() {
                        rest.abort();
                    }
                }));
            }
            Source::Http1 { connection, .. } => seat.release(connection),
            Source::Http2(_) => {}
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(Open {
            source: Source::Http1 {
                rest: Some(rest), ..
            },
            ..
        }) = &self.open
        {
            rest.abort();
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = self.get_mut();
        let Some(open) = &mut this.open else {
            return Poll::Ready(None);
        };
        let (frame, has_ended) = match &mut open.source {
            Source::Http1 { connection, .. } => {
                let mut connection = connection.borrow_mut();
                let frame = ready!(connection.poll_frame(cx));
                (
                    frame.map(|frame| frame.map_err(Into::into)),
                    connection.has_ended(),
                )
            }
            Source::Http2(both) => {
                let (incoming, _) = &mut **both;
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                (
                    frame.map(|frame| frame.map_err(Into::into)),
                    incoming.is_end_stream(),
                )
            }
        };
        let is_last = match &frame {
            Some(Ok(frame)) => has_ended || frame.is_trailers(),
            Some(Err(_)) => false,
            None => true,
        };
        if is_last {
            this.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.open {
            None => SizeHint::with_exact(0),
            Some(open) => match &open.source {
                Source::Http1 { connection, .. } => connection.borrow().size_hint(),
                Source::Http2(both) => both.0.size_hint(),
            },
        }
    }
}

// === impl Upgraded ===

impl AsyncRead for Upgraded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
