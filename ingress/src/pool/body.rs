//! The body of a request on its way to an endpoint, and how far it has come.

mod consent;
mod copy;

use std::{
    cell::Cell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

pub(crate) use self::{consent::Consent, copy::Copy};
use crate::{
    http1::OtherLength,
    listen::{Incoming, IncomingError},
};

/// The body of a request on its way to an endpoint.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    #[default]
    Empty,
    /// What the client sends.
    Stream(Box<Streamed>),
    /// What a client sent before.
    Known(VecDeque<Bytes>),
}

/// A body that is sent as it comes.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) incoming: Incoming,
    pub(crate) upload: Rc<Upload>,
    /// Nothing is read of it before the endpoint wants it.
    pub(crate) consent: Option<Consent>,
    /// What passes is kept for somebody else too.
    pub(crate) copy: Option<Copy>,
}

/// What is known of a body that is being sent.
#[derive(Debug)]
pub(crate) struct Upload {
    /// When the client last sent some of it.
    pub(crate) last: Cell<Instant>,
    /// The endpoint would take more, and the client has not sent it.
    pub(crate) waits_for_client: Cell<bool>,
    /// The client broke off, or what it sends is not a body.
    pub(crate) is_broken: Cell<bool>,
    /// It is longer than it may be.
    pub(crate) is_too_large: Cell<bool>,
    /// Bytes that may still come.
    left: Cell<u64>,
}

/// Why a body cannot be sent to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Client(#[from] IncomingError),
    #[error("the body is longer than it may be")]
    TooLarge,
    #[error(transparent)]
    OtherLength(#[from] OtherLength),
}

impl Upload {
    /// Of a body that may have as many bytes as `limit`.
    pub(crate) fn new(started: Instant, limit: Option<u64>) -> Rc<Self> {
        Rc::new(Self {
            last: Cell::new(started),
            waits_for_client: Cell::new(false),
            is_broken: Cell::new(false),
            is_too_large: Cell::new(false),
            left: Cell::new(limit.unwrap_or(u64::MAX)),
        })
    }

    fn count(&self, frame: &Frame<Bytes>) -> Result<(), UploadError> {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let left = u64::try_from(length)
            .ok()
            .and_then(|length| self.left.get().checked_sub(length));
        let Some(left) = left else {
            self.is_too_large.set(true);
            return Err(UploadError::TooLarge);
        };
        self.left.set(left);
        Ok(())
    }
}

impl Streamed {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let upload = &self.upload;
        if let Some(consent) = &mut self.consent {
            if consent.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.consent = None;
            upload.last.set(Instant::now());
        }
        let Poll::Ready(frame) = self.incoming.poll_frame(cx) else {
            upload.waits_for_client.set(true);
            return Poll::Pending;
        };
        upload.waits_for_client.set(false);
        upload.last.set(Instant::now());
        let frame = match frame {
            Some(Ok(frame)) => upload.count(&frame).map(|()| frame),
            Some(Err(error)) => {
                upload.is_broken.set(true);
                Err(error.into())
            }
            None => {
                self.finish_copy();
                return Poll::Ready(None);
            }
        };
        match &frame {
            Ok(frame) => {
                if let Some(copy) = &mut self.copy {
                    copy.add(frame);
                }
                if self.incoming.is_end_stream() {
                    self.finish_copy();
                }
            }
            Err(_) => self.copy = None,
        }
        Poll::Ready(Some(frame))
    }

    fn finish_copy(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.finish();
        }
    }
}

impl RequestBody {
    /// The endpoint wants it.
    pub(super) fn consent(&mut self) {
        if let Self::Stream(streamed) = self
            && streamed.consent.take().is_some()
        {
            streamed.upload.last.set(Instant::now());
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Stream(streamed) => streamed.poll_frame(cx),
            Self::Known(chunks) => {
                Poll::Ready(chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(streamed) => streamed.incoming.is_end_stream(),
            Self::Known(chunks) => chunks.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(streamed) => streamed.incoming.size_hint(),
            Self::Known(chunks) => {
                SizeHint::with_exact(chunks.iter().map(|chunk| chunk.len() as u64).sum())
            }
        }
    }
}
