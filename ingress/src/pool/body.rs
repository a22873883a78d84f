//! The body of a request on its way to an endpoint, and how far it has come.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

/// The body of a request on its way to an endpoint.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    /// What the client sends.
    Stream(Incoming, Rc<Upload>),
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
}

impl Upload {
    pub(crate) fn new(started: Instant) -> Rc<Self> {
        Rc::new(Self {
            last: Cell::new(started),
            waits_for_client: Cell::new(false),
            is_broken: Cell::new(false),
        })
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Stream(body, upload) => {
                let frame = Pin::new(body).poll_frame(cx);
                upload.waits_for_client.set(frame.is_pending());
                if let Poll::Ready(frame) = &frame {
                    upload.last.set(Instant::now());
                    upload.is_broken.set(matches!(frame, Some(Err(_))));
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}
