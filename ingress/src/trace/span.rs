//! The spans of a request: the ingress's as a server, and below it as the endpoint's client.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts,
};
use tokio::time::Instant;

use super::{Context, Spans, context};
use crate::{forward::Exchange, respond::Refusal};

pub(super) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
/// Longer values of attributes are cut off.
const MAX_TEXT: usize = 1024;

/// What is known of a traced request. Both spans are made of it once it has ended.
#[derive(Debug)]
pub(crate) struct Traced {
    spans: Spans,
    pub(super) trace: [u8; 16],
    /// The client's span; none where the trace begins here.
    pub(super) parent: Option<[u8; 8]>,
    pub(super) server: [u8; 8],
    pub(super) client: [u8; 8],
    pub(super) state: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) host: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) version: Version,
    pub(super) is_tls: bool,
    pub(super) peer: IpAddr,
    pub(super) began: SystemTime,
    started: Instant,
    pub(super) status: StatusCode,
    pub(super) reason: Option<&'static str>,
    /// Where it was sent, how long after it began the answer's head came, and how often it was sent.
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) answered: Option<Duration>,
    pub(super) tries: usize,
    pub(super) took: Duration,
}

impl Traced {
    /// Begins the spans of a request, if it is sampled.
    pub(crate) fn begin(
        spans: &Spans,
        exchange: &Exchange<'_>,
        parts: &Parts,
    ) -> Option<Box<Self>> {
        let headers = &parts.headers;
        let parent = headers.get(TRACE_PARENT).and_then(Context::read);
        let trace = parent.map_or_else(context::new_trace, |parent| parent.trace);
        if !spans.sampler.samples(parent.as_ref(), &trace) {
            return None;
        }
        let client = &exchange.connection.client;
        let trusted = &exchange.connection.worker.shared.config.trusted_proxies;
        let uri = &parts.uri;
        let text = |name| headers.get(name).map(|value| cut(value.as_bytes()));
        let authority = || uri.authority().map(|host| cut(host.as_str().as_bytes()));
        Some(Box::new(Self {
            spans: spans.clone(),
            trace,
            parent: parent.map(|parent| parent.span),
            server: context::new_span(),
            client: context::new_span(),
            state: text(&TRACE_STATE)
                .filter(|_| parent.is_some())
                .unwrap_or_default(),
            method: parts.method.clone(),
            path: cut(uri.path().as_bytes()),
            query: uri.query().map(|query| cut(query.as_bytes())),
            host: text(&header::HOST).or_else(authority),
            user_agent: text(&header::USER_AGENT),
            version: parts.version,
            is_tls: client.is_tls,
            peer: client.address(headers, trusted),
            began: wall_clock(),
            started: exchange.started,
            status: StatusCode::OK,
            reason: None,
            endpoint: None,
            answered: None,
            tries: 0,
            took: Duration::ZERO,
        }))
    }

    /// Tells the endpoint whose child it is.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let parent = context::write(self.trace, self.client);
        if let Ok(parent) = HeaderValue::try_from(parent) {
            headers.insert(TRACE_PARENT, parent);
        }
    }

    /// Notes what became of the request.
    pub(crate) fn note(
        &mut self,
        exchange: &Exchange<'_>,
        status: StatusCode,
        reason: Option<Refusal>,
    ) {
        let notes = exchange.notes;
        self.status = status;
        self.reason = reason.map(Refusal::label);
        self.endpoint = notes.endpoint.get();
        self.tries = notes.tries.get();
        let answered = notes.answered.get();
        self.answered = answered.map(|answered| answered.duration_since(self.started));
    }

    /// Exports the spans: the response has ended.
    pub(crate) fn end(mut self: Box<Self>) {
        self.took = self.started.elapsed();
        let spans = self.spans.clone();
        spans.export(self);
    }
}

/// As text, and not too long.
fn cut(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

/// The time of day: collectors put the spans of many programs in order by it.
#[expect(
    clippy::disallowed_methods,
    reason = "what a span says of when it began is all that it is for"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
