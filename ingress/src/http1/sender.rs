//! Sends a message: its head, and its body as it comes, in as few writes as there can be.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::{Encoder, OtherLength};

/// Pieces that are written at once.
const MAX_SLICES: usize = 16;
/// Pieces of a body that wait to be written before more of it is asked for.
const MAX_FRAMES: usize = 12;
/// Bytes of a body that wait to be written before more of it is asked for.
const MAX_WAITING: usize = 64 * 1024;
/// A head's memory is kept for the next one unless it is larger; what is small enough of a body goes there too.
const KEPT_HEAD: usize = 4096;

/// A head on its way: memory that is used for one after another, or something that is kept in case it has to be sent again.
pub(crate) trait Head: AsRef<[u8]> {
    /// Takes all of these pieces of the body along, if it can: one piece is cheaper to write than several, by more than to copy a little.
    fn take_along(&mut self, _frames: &mut VecDeque<Bytes>) {}
    /// All of it was written.
    fn release(&mut self);
}

/// What is still to be sent of a message.
#[derive(Debug)]
pub(crate) struct Sender<H, B: Body> {
    head: H,
    /// Bytes of the head that were written.
    written: usize,
    /// Of the body, as on the wire.
    frames: VecDeque<Bytes>,
    /// Bytes of those.
    waiting: usize,
    body: Rest<B, B::Error>,
    has_written: bool,
    needs_flush: bool,
}

#[derive(Debug)]
enum Rest<B, E> {
    /// There is nothing more of it.
    Ended,
    More(B, Encoder),
    /// It breaks off after what waits, for this reason.
    Broken(E),
    /// It cannot be sent to its end.
    Failed,
}

/// Why a message is not sent to its end.
#[derive(Debug)]
pub(crate) enum SendError<E> {
    /// Nothing of it left, and nothing of it is lost.
    Unsent(io::Error),
    Io(io::Error),
    Body(E),
}

impl Head for Vec<u8> {
    fn take_along(&mut self, frames: &mut VecDeque<Bytes>) {
        let length = self.len() + frames.iter().map(Bytes::len).sum::<usize>();
        if self.is_empty() || length > KEPT_HEAD {
            return;
        }
        self.reserve_exact(KEPT_HEAD - self.len());
        for frame in frames.drain(..) {
            self.extend_from_slice(&frame);
        }
    }

    fn release(&mut self) {
        self.clear();
        if self.capacity() > KEPT_HEAD {
            *self = Self::new();
        }
    }
}

impl<H: Head + Default, B: Body> Default for Sender<H, B> {
    fn default() -> Self {
        Self {
            head: H::default(),
            written: 0,
            frames: VecDeque::new(),
            waiting: 0,
            body: Rest::Ended,
            has_written: false,
            needs_flush: false,
        }
    }
}

impl<H: Head, B: Body> Sender<H, B> {
    /// The memory of the head, for the next one.
    pub(crate) fn into_head(self) -> H {
        self.head
    }

    /// Begins with a message.
    pub(crate) fn begin(&mut self, head: H, body: Option<(B, Encoder)>) {
        self.head = head;
        self.written = 0;
        self.body = match body {
            None => Rest::Ended,
            Some((body, encoder)) => Rest::More(body, encoder),
        };
        self.has_written = false;
    }

    /// The body, if there is more of it.
    pub(crate) fn body_mut(&mut self) -> Option<&mut B> {
        match &mut self.body {
            Rest::More(body, _) => Some(body),
            _ => None,
        }
    }

    /// Whether all of the message was sent.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.body, Rest::Ended) && self.is_written() && !self.needs_flush
    }

    /// Whether more of the message can be sent.
    pub(crate) fn goes_on(&self) -> bool {
        !matches!(self.body, Rest::Failed) && !self.has_ended()
    }

    fn is_written(&self) -> bool {
        self.head.as_ref().is_empty() && self.frames.is_empty()
    }

    fn poll_write(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let head = self.head.as_ref().get(self.written..).unwrap_or_default();
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let pieces = [head].into_iter().filter(|head| !head.is_empty());
        let pieces = pieces.chain(self.frames.iter().map(|frame| &**frame));
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        match slices.get(..count).unwrap_or_default() {
            [piece] => Pin::new(io).poll_write(cx, piece),
            pieces => Pin::new(io).poll_write_vectored(cx, pieces),
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.has_written = true;
        self.needs_flush = true;
        let head = self.head.as_ref().len();
        let of_head = written.min(head - self.written);
        self.written += of_head;
        written -= of_head;
        if self.written == head {
            self.written = 0;
            self.head.release();
        }
        self.waiting -= written;
        while written > 0
            && let Some(frame) = self.frames.front_mut()
        {
            let of_frame = written.min(frame.len());
            frame.advance(of_frame);
            written -= of_frame;
            if frame.is_empty() {
                self.frames.pop_front();
            }
        }
    }
}

impl<H, B> Sender<H, B>
where
    H: Head,
    B: Body<Data = Bytes> + Unpin,
    B::Error: From<OtherLength>,
{
    /// Sends as much as there is and the other side takes. Ready once that is all.
    pub(crate) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<B::Error>>> {
        let has_body = !matches!(self.body, Rest::Ended);
        let polled = self.poll_steps(io, cx);
        if let Poll::Ready(Err(_)) = polled {
            self.body = Rest::Failed;
        }
        polled.map_err(|error| match error {
            SendError::Io(error) if !self.has_written && !has_body => SendError::Unsent(error),
            error => error,
        })
    }

    fn poll_steps(
        &mut self,
        mut io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<B::Error>>> {
        loop {
            if let Rest::Failed = self.body {
                return Poll::Pending;
            }
            self.gather(cx);
            if self.is_written() {
                if self.needs_flush {
                    ready!(Pin::new(&mut io).poll_flush(cx)).map_err(SendError::Io)?;
                    self.needs_flush = false;
                }
                if let Rest::Ended = self.body {
                    return Poll::Ready(Ok(()));
                }
                if let Rest::More(..) = self.body {
                    return Poll::Pending;
                }
                if let Rest::Broken(error) = std::mem::replace(&mut self.body, Rest::Failed) {
                    return Poll::Ready(Err(SendError::Body(error)));
                }
                continue;
            }
            let written = ready!(self.poll_write(io, cx)).map_err(SendError::Io)?;
            if written == 0 {
                let none = io::Error::from(io::ErrorKind::WriteZero);
                return Poll::Ready(Err(SendError::Io(none)));
            }
            self.advance(written);
        }
    }

    /// Takes what there is of the body, up to a bound. Whether that is all there will be.
    pub(crate) fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        if let Err(error) = self.take_frames(cx) {
            self.body = Rest::Broken(error);
        }
        self.head.take_along(&mut self.frames);
        if self.frames.is_empty() {
            self.waiting = 0;
        }
        matches!(self.body, Rest::Ended)
    }

    fn take_frames(&mut self, cx: &mut Context<'_>) -> Result<(), B::Error> {
        while let Rest::More(body, encoder) = &mut self.body
            && self.frames.len() < MAX_FRAMES
            && self.waiting < MAX_WAITING
        {
            let added = self.frames.len();
            let frame = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(frame) => frame,
            };
            let mut has_ended = frame.is_none();
            if let Some(frame) = frame {
                encoder.encode(frame?, &mut self.frames)?;
                has_ended = body.is_end_stream();
            }
            if has_ended {
                encoder.end(&mut self.frames)?;
                self.body = Rest::Ended;
            }
            let added = self.frames.range(added..).map(Bytes::len);
            self.waiting += added.sum::<usize>();
        }
        Ok(())
    }
}
