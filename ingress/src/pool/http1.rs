//! HTTP/1.1 as it is spoken to endpoints: by the task of the request itself, without one of the connection's own.

mod head;
mod reader;
mod request;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Method;
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
};

pub(crate) use self::reader::replay;
pub(super) use self::request::Request;
use self::{
    reader::{Reader, Said},
    request::Head,
};
use super::{RequestBody, body::UploadError};
use crate::http1::{self, Heard, Malformed, Piece, Rewound, Scratch, SendError, Sender};

/// A connection to an endpoint, and the one request that is under way on it.
#[derive(Debug)]
pub(crate) struct Connection<Io> {
    io: Io,
    scratch: Scratch,
    sender: Sender<Head, RequestBody>,
    reader: Reader,
    /// Of the request that is under way.
    method: Method,
    /// Why the rest of the request could not be sent, until the reader of the answer is told.
    failed: Option<UploadError>,
    /// Reads the answer while somebody else sends the rest of the request.
    waiting: Option<Waker>,
}

/// Why there is no response, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It may be sent again, whatever it is.
    #[error("nothing of the request could be sent: {0}")]
    Unsent(#[source] io::Error),
    #[error("the request could not be sent to its end: {0}")]
    Upload(#[source] UploadError),
    #[error("the endpoint closed the connection before the end of its answer")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    #[error("the answer is not valid HTTP: {0}")]
    Malformed(#[from] Malformed),
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Connection<Io> {
    pub(super) fn new(io: Io, scratch: Scratch) -> Self {
        Self {
            io,
            scratch,
            sender: Sender::default(),
            reader: Reader::default(),
            method: Method::GET,
            failed: None,
            waiting: None,
        }
    }

    /// Whether the endpoint has neither closed an idle connection nor said anything on it. Asks the runtime, which asks the
    /// system only after an event.
    pub(super) fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        let mut unasked = ReadBuf::new(&mut byte);
        let read = poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut unasked));
        unconstrained(read).now_or_never().is_none()
    }

    /// Begins with a request, whose body is taken.
    pub(super) fn begin(&mut self, request: &mut Request) {
        self.method.clone_from(&request.method);
        self.sender.begin(request.head.clone(), request.body.take());
    }

    /// Sends the request, and reads the head of its answer, which may come before all of the request is sent.
    ///
    /// `hint` is given the heads that come before it (RFC 9110 section 15.2).
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        hint: impl Fn(Heard),
    ) -> Poll<Result<Heard, Error>> {
        loop {
            match self.sender.poll(&mut self.io, cx) {
                // An endpoint that takes no more may have said why.
                Poll::Pending | Poll::Ready(Ok(()) | Err(SendError::Io(_))) => {}
                Poll::Ready(Err(SendError::Unsent(error))) => {
                    return Poll::Ready(Err(Error::Unsent(error)));
                }
                Poll::Ready(Err(SendError::Body(error))) => {
                    return Poll::Ready(Err(Error::Upload(error)));
                }
            }
            match self.reader.next_head(&self.method)? {
                Some(Said::Answer(head)) => return Poll::Ready(Ok(head)),
                Some(Said::Continue) => {
                    if let Some(body) = self.sender.body_mut() {
                        body.consent();
                    }
                }
                Some(Said::Hint(head)) => hint(head),
                None => {
                    if ready!(self.poll_fill(cx)).map_err(Error::Io)? == 0 {
                        return Poll::Ready(Err(Error::Closed));
                    }
                }
            }
        }
    }

    /// Reads more of the answer's body.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(Error::Upload(error))));
        }
        loop {
            match self.reader.next_piece() {
                Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Piece::Trailers(fields)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(fields))));
                }
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::Missing) => {}
                Err(malformed) => return Poll::Ready(Some(Err(malformed.into()))),
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) if self.reader.close() => {}
                Poll::Ready(Ok(0)) => return Poll::Ready(Some(Err(Error::Closed))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(Error::Io(error)))),
                Poll::Pending => {
                    if !self.sender.has_ended() {
                        self.waiting = Some(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Sends the rest of a request whose answer has begun. Ready when there is nothing more to do.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(SendError::Body(error)) = ready!(self.sender.poll(&mut self.io, cx)) {
            self.failed = Some(error);
            if let Some(waiting) = self.waiting.take() {
                waiting.wake();
            }
        }
        Poll::Ready(())
    }

    /// Whether some of the request is still to be sent, and can be.
    pub(super) fn goes_on_sending(&self) -> bool {
        self.sender.goes_on()
    }

    /// Whether all of the answer was read.
    pub(super) fn has_ended(&self) -> bool {
        self.reader.has_ended()
    }

    /// Bytes of the answer that are still to come, where that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.reader.size_hint()
    }

    /// Whether another request may be sent.
    pub(super) fn may_reuse(&self) -> bool {
        self.sender.has_ended() && self.reader.may_reuse()
    }

    /// The connection itself, with what has come after the last head.
    pub(super) fn into_inner(self) -> Rewound<Io> {
        Rewound::new(self.io, self.reader.into_rest())
    }

    /// Reads more: the number of bytes, which is 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        http1::poll_fill(&mut self.io, &self.scratch, self.reader.buffer(), cx)
    }
}

#[cfg(test)]
mod tests;
