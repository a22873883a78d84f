//! Answers: those of endpoints on their way to the client, and the ingress's own.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{
    listen::Reset,
    pool::Lease,
    sanitise::{self, Malformed},
    table::Route,
};

const SERVER: HeaderValue = HeaderValue::from_static("meshlite");

/// Why the ingress answers itself. Each variant is a status; its text is what the client reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("no route for this host and path")]
    NoRoute,
    #[error("the route has no backend")]
    NoBackend,
    #[error("the backend has no ready endpoints")]
    NoEndpoints,
    #[error("the backend's name cannot be resolved")]
    NoAddress,
    #[error("no endpoint of the backend accepts connections")]
    Unreachable,
    #[error("the endpoint closed the connection before it answered")]
    Reset,
    #[error("the endpoint's answer is not valid HTTP")]
    Garbled,
    #[error("the client did not send the body of its request in time")]
    SlowClient,
    #[error("the endpoint did not answer in time")]
    Timeout,
    #[error("the endpoint switched to a protocol that nobody asked for")]
    UnexpectedUpgrade,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Body {
    Text(Bytes),
    Upstream(Upstream),
}

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
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(malformed) => malformed.status(),
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoBackend | Self::NoEndpoints => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoAddress
            | Self::Unreachable
            | Self::Reset
            | Self::Garbled
            | Self::UnexpectedUpgrade => StatusCode::BAD_GATEWAY,
            Self::SlowClient => StatusCode::REQUEST_TIMEOUT,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = text(
            self.status(),
            format!("{} {self}\n", self.status().as_u16()),
        );
        if let Self::Malformed(Malformed::Connect) = self {
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        if let Self::Malformed(_) | Self::SlowClient = self {
            // What follows on this connection may be read as something else than was meant.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// An answer of the ingress itself.
pub(crate) fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::SERVER, SERVER);
    response
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

// === impl Body ===

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Upstream(upstream) => upstream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Upstream(upstream) => upstream.has_ended || upstream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream(upstream) => upstream.body.size_hint(),
        }
    }
}

// === impl Upstream ===

impl Upstream {
    fn poll_frame(
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
        if self.has_ended || self.body.is_end_stream() {
            self.end();
        }
    }
}
