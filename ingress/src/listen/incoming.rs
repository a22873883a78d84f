//! What a client sends as the body of its request, whichever version it speaks, and the connection that an upgrade leaves.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http_body::{Body as _, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::{
    http1::{Broken, Received},
    io::ClientIo,
};
use crate::http1::Rewound;

/// The body of a client's request.
#[derive(Debug)]
pub(crate) enum Incoming {
    Http1(Received),
    Http2(hyper::body::Incoming),
}

/// Why a client's body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncomingError {
    #[error(transparent)]
    Http1(#[from] Broken),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// A client's connection, or stream, that will speak another protocol.
#[derive(Debug)]
pub(crate) enum Upgrading {
    Http1(oneshot::Receiver<Rewound<ClientIo>>),
    Http2(OnUpgrade),
}

/// A client's connection, or stream, that speaks another protocol.
#[derive(Debug)]
pub(crate) enum Switched {
    Http1(Rewound<ClientIo>),
    Http2(TokioIo<hyper::upgrade::Upgraded>),
}

/// The client went away before the other protocol began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client closed the connection before the protocols were switched")]
pub(crate) struct NotSwitched;

impl Incoming {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncomingError>>> {
        match self {
            Self::Http1(received) => {
                let frame = received.poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Http2(incoming) => {
                let frame = std::pin::Pin::new(incoming).poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(received) => received.is_end_stream(),
            Self::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(received) => received.size_hint(),
            Self::Http2(incoming) => incoming.size_hint(),
        }
    }
}

impl Upgrading {
    /// Asks for what a request's upgrade will leave; none where the request has none.
    pub(crate) fn on(parts: &mut Parts, body: &Incoming) -> Option<Self> {
        match body {
            Incoming::Http1(received) => Some(Self::Http1(received.upgrade())),
            Incoming::Http2(_) => parts.extensions.remove().map(Self::Http2),
        }
    }

    /// Waits until the client has been told.
    pub(crate) async fn switched(self) -> Result<Switched, NotSwitched> {
        match self {
            Self::Http1(given) => given
                .await
                .map(Switched::Http1)
                .map_err(|_gone| NotSwitched),
            Self::Http2(upgrade) => {
                let upgraded = upgrade.await.map_err(|_gone| NotSwitched)?;
                Ok(Switched::Http2(TokioIo::new(upgraded)))
            }
        }
    }
}
