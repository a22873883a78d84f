//! An endpoint's answer on its way to the client.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{
    listen::Reset,
    pool::Lease,
    respond::{Body, SERVER},
    sanitise,
    table::Route,
};

/// A body that is read from an endpoint as the client takes it.
#[derive(Debug)]
pub(crate) struct Upstream {
    body: Incoming,
    has_ended: bool,
    /// Released when the body has been read to its end; closed when it is dropped before.
    lease: Option<Lease>,
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Set when the body breaks off, for a client that would not notice.
    reset: Option<Reset>,
}

/// Why a response's body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Upstream(#[from] hyper::Error),
    #[error("the endpoint sent nothing for {0:?}")]
    Idle(Duration),
    #[error("the body cannot be compressed: {0}")]
    Coding(#[source] std::io::Error),
}

/// An endpoint's answer, as the client gets it. If its body breaks off, `reset` is set.
pub(crate) fn respond(
    response: Response<Incoming>,
    lease: Lease,
    route: &Route,
    reset: Option<Reset>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    // Each connection says its own version.
    parts.version = Version::HTTP_11;
    sanitise::strip_hop_by_hop(&mut parts.headers);
    parts.headers.entry(header::SERVER).or_insert(SERVER);
    for edits in &route.filters.response {
        edits.apply(&mut parts.headers);
    }
    let idle = route.timeouts.idle;
    let upstream = Upstream {
        has_ended: body.is_end_stream(),
        body,
        lease: Some(lease),
        idle: idle.map(|idle| (idle, Box::pin(tokio::time::sleep(idle)))),
        reset,
    };
    Response::from_parts(parts, Body::Upstream(upstream))
}

// === impl Upstream ===

impl Upstream {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            if let Some((limit, sleep)) = &mut self.idle
                && sleep.as_mut().poll(cx).is_ready()
            {
                let error = BodyError::Idle(*limit);
                return Poll::Ready(Some(Err(self.break_off(error))));
            }
            return Poll::Pending;
        };
        if let Some((limit, sleep)) = &mut self.idle {
            sleep.as_mut().reset(Instant::now() + *limit);
        }
        match frame {
            Some(Ok(frame)) => {
                if frame.is_trailers() || self.body.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(self.break_off(error.into())))),
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn break_off(&self, error: BodyError) -> BodyError {
        if let Some(reset) = &self.reset {
            reset.set();
        }
        error
    }

    fn end(&mut self) {
        self.has_ended = true;
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.end();
        }
    }
}
