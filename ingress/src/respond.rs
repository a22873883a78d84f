//! The ingress's own answers, and the body that every answer has.

mod watched;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use self::watched::Watched;
use crate::{
    forward::{BodyError, Upstream},
    policy::Gzip,
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
    #[error("the body of the request is too large")]
    TooLarge,
    #[error("the endpoint did not answer in time")]
    Timeout,
    #[error("the endpoint switched to a protocol that nobody asked for")]
    UnexpectedUpgrade,
    #[error("this address may not come here")]
    Forbidden,
    #[error("a user and a password are needed")]
    NoPassword,
    #[error("too many passwords are being checked")]
    Busy,
    #[error("the route asks for passwords that are not known here")]
    NoCredentials,
    #[error("the authentication server refuses this request")]
    AuthRefused(StatusCode),
    #[error("the authentication server asks to sign in")]
    SignIn,
    #[error("the authentication server does not answer")]
    AuthUnavailable,
    #[error("the authentication server's answer means nothing here")]
    AuthUnclear,
    #[error("too many requests")]
    TooManyRequests { status: StatusCode, wait: Duration },
    #[error("too many requests at once")]
    TooManyAtOnce(StatusCode),
    #[error("this host is not served on this TLS connection")]
    Misdirected,
    #[error("a client certificate is needed")]
    NoCertificate,
    #[error("the client certificate is not accepted")]
    BadCertificate,
    #[error("the client certificate is another client's")]
    OtherSubject,
    #[error("the authorities of client certificates are not known here")]
    NoAuthorities,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Body {
    Text(Bytes),
    /// In a box, because a response is moved from hand to hand.
    Upstream(Box<Upstream>),
    Gzip(Box<Gzip>),
    Watched(Box<Watched>),
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(malformed) => malformed.status(),
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoBackend
            | Self::NoEndpoints
            | Self::Busy
            | Self::NoCredentials
            | Self::AuthUnavailable
            | Self::NoAuthorities => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Forbidden | Self::OtherSubject => StatusCode::FORBIDDEN,
            Self::NoPassword => StatusCode::UNAUTHORIZED,
            Self::SignIn => StatusCode::FOUND,
            Self::AuthUnclear => StatusCode::INTERNAL_SERVER_ERROR,
            Self::AuthRefused(status)
            | Self::TooManyRequests { status, wait: _ }
            | Self::TooManyAtOnce(status) => status,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoCertificate | Self::BadCertificate => StatusCode::BAD_REQUEST,
            Self::NoAddress
            | Self::Unreachable
            | Self::Reset
            | Self::Garbled
            | Self::UnexpectedUpgrade => StatusCode::BAD_GATEWAY,
            Self::SlowClient => StatusCode::REQUEST_TIMEOUT,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What the access log and metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NoRoute => "no_route",
            Self::NoBackend => "no_backend",
            Self::NoEndpoints => "no_endpoints",
            Self::NoAddress => "no_address",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Garbled => "garbled",
            Self::SlowClient => "slow_client",
            Self::Timeout => "timeout",
            Self::UnexpectedUpgrade => "unexpected_upgrade",
            Self::TooLarge => "too_large",
            Self::Forbidden => "forbidden",
            Self::NoPassword => "no_password",
            Self::Busy => "busy",
            Self::NoCredentials => "no_credentials",
            Self::AuthRefused(_) => "auth_refused",
            Self::SignIn => "sign_in",
            Self::AuthUnavailable => "auth_unavailable",
            Self::AuthUnclear => "auth_unclear",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::TooManyAtOnce(_) => "too_many_at_once",
            Self::Misdirected => "misdirected",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::OtherSubject => "other_subject",
            Self::NoAuthorities => "no_authorities",
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
        if let Self::TooManyRequests { wait, .. } = self {
            let seconds = wait.as_secs().saturating_add(1);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if let Self::Malformed(_) | Self::SlowClient | Self::TooLarge = self {
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
            Self::Gzip(gzip) => gzip.poll_frame(cx),
            Self::Watched(watched) => watched.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Upstream(upstream) => upstream.is_end_stream(),
            Self::Gzip(gzip) => gzip.is_end_stream(),
            Self::Watched(watched) => watched.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream(upstream) => upstream.size_hint(),
            Self::Gzip(_) => SizeHint::default(),
            Self::Watched(watched) => watched.inner.size_hint(),
        }
    }
}
