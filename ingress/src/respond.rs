//! The ingress's own answers, and the body that every answer has.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{
    forward::{BodyError, Upstream},
    sanitise::Malformed,
};

/// What a response says of its server where its endpoint says nothing.
pub(crate) const SERVER: HeaderValue = HeaderValue::from_static("meshlite");

/// Why the ingress answers itself. Each variant is a status; its text is what the client reads.
#[derive(Clone, Copy, Debug, thiserror::Error)]
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

// === impl Refusal ===

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
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

    pub(crate) fn response(self) -> Response<Body> {
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
            Self::Upstream(upstream) => upstream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream(upstream) => upstream.size_hint(),
        }
    }
}
