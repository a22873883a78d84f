//! Sends a request: its head, and its body as it comes, in as few writes as there can be.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::Request;
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::{
    encoder::{Encoder, Length},
    request,
};
use crate::pool::{RequestBody, body::UploadError};

/// Pieces that are written at once.
const MAX_SLICES: usize = 16;
/// Pieces of a body that wait to be written before more of it is asked for.
const MAX_FRAMES: usize = 12;
/// A head's memory is kept for the next one unless it is larger.
const KEPT_HEAD: usize = 4096;

/// What is still to be sent of a request.
#[derive(Debug, Default)]
pub(super) struct Sender {
    head: Vec<u8>,
    /// Bytes of the head that were written.
    written: usize,
    /// Of the body, as on the wire.
    frames: VecDeque<Bytes>,
    body: Body,
    has_written: bool,
    needs_flush: bool,
}

#[derive(Debug, Default)]
enum Body {
    /// There is nothing more of it.
    #[default]
    Ended,
    More(RequestBody, Encoder),
    /// It cannot be sent to its end.
    Failed,
}

/// Why a request is not sent to its end.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nothing of it left, and nothing of it is lost.
    Unsent(io::Error),
    Io(io::Error),
    Upload(UploadError),
}

impl Sender {
    /// Begins with a request; its body is taken.
    pub(super) fn begin(&mut self, request: &mut Request<RequestBody>) {
        let body = std::mem::replace(request.body_mut(), RequestBody::Empty);
        let length = Length::of(&body);
        request::encode(request, length, &mut self.head);
        self.body = match body {
            RequestBody::Empty => Body::Ended,
            body => Body::More(body, Encoder::new(length, request.headers())),
        };
        self.has_written = false;
    }

    /// The endpoint wants the body.
    pub(super) fn consent(&mut self) {
        if let Body::More(body, _) = &mut self.body {
            body.consent();
        }
    }

    /// Whether all of the request was sent.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.body, Body::Ended) && self.is_written() && !self.needs_flush
    }

    /// Whether more of the request can be sent.
    pub(super) fn goes_on(&self) -> bool {
        !matches!(self.body, Body::Failed) && !self.has_ended()
    }

    /// Sends as much as there is and the endpoint takes. Ready once that is all.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let has_body = !matches!(self.body, Body::Ended);
        let polled = self.poll_steps(io, cx);
        if let Poll::Ready(Err(_)) = polled {
            self.body = Body::Failed;
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
    ) -> Poll<Result<(), SendError>> {
        loop {
            if let Body::Failed = self.body {
                return Poll::Pending;
            }
            self.gather(cx).map_err(SendError::Upload)?;
            if self.is_written() {
                if self.needs_flush {
                    ready!(Pin::new(&mut io).poll_flush(cx)).map_err(SendError::Io)?;
                    self.needs_flush = false;
                }
                return match self.body {
                    Body::Ended => Poll::Ready(Ok(())),
                    Body::More(..) | Body::Failed => Poll::Pending,
                };
            }
            let written = ready!(self.poll_write(io, cx)).map_err(SendError::Io)?;
            if written == 0 {
                let none = io::Error::from(io::ErrorKind::WriteZero);
                return Poll::Ready(Err(SendError::Io(none)));
            }
            self.advance(written);
        }
    }

    /// Takes what there is of the body, up to a bound.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), UploadError> {
        while let Body::More(body, encoder) = &mut self.body
            && self.frames.len() < MAX_FRAMES
        {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(frame)) => encoder.encode(frame?, &mut self.frames)?,
                Poll::Ready(None) => {
                    encoder.end(&mut self.frames)?;
                    self.body = Body::Ended;
                    break;
                }
            }
            if body.is_end_stream() {
                encoder.end(&mut self.frames)?;
                self.body = Body::Ended;
            }
        }
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.frames.is_empty()
    }

    fn poll_write(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let head = self.head.get(self.written..).unwrap_or_default();
        if self.frames.is_empty() {
            return Pin::new(io).poll_write(cx, head);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let pieces = [head].into_iter().filter(|head| !head.is_empty());
        let pieces = pieces.chain(self.frames.iter().map(|frame| &**frame));
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        Pin::new(io).poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
    }

    fn advance(&mut self, mut written: usize) {
        self.has_written = true;
        self.needs_flush = true;
        let of_head = written.min(self.head.len() - self.written);
        self.written += of_head;
        written -= of_head;
        if self.written == self.head.len() {
            self.written = 0;
            self.head.clear();
            if self.head.capacity() > KEPT_HEAD {
                self.head = Vec::new();
            }
        }
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
