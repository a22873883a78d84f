//! What is known of a request, from its head to the end of its response.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request::Parts,
};
use tokio::time::Instant;

use super::AccessLog;
use crate::{
    client::{REQUEST_ID, Told},
    forward::Exchange,
    reply::Reply,
    respond::{Body, Refusal},
    table::Route,
};

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is known of a request.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) client: IpAddr,
    pub(crate) is_tls: bool,
    pub(crate) method: Method,
    /// As the client sent it.
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) referer: Option<HeaderValue>,
    pub(crate) request_id: Option<HeaderValue>,
    /// `traceparent`, as the client sent it.
    pub(crate) trace: Option<HeaderValue>,
    pub(crate) started: Instant,
    pub(crate) status: StatusCode,
    /// Why the ingress answered itself.
    pub(crate) reason: Option<&'static str>,
    /// The object that the route is from.
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) tries: usize,
    /// From the request's head to the head of the endpoint's response.
    pub(crate) upstream_time: Option<Duration>,
    /// Of the response's body.
    pub(crate) bytes: u64,
}

impl Exchange<'_> {
    /// Notes what the client sent.
    pub(crate) fn begin_record(&self, parts: &Parts) {
        let client = &self.connection.client;
        let trusted = &self.connection.worker.shared.config.trusted_proxies;
        let header = |headers: &HeaderMap, name| headers.get(name).cloned();
        let headers = &parts.headers;
        let authority = || HeaderValue::try_from(parts.uri.authority()?.as_str()).ok();
        self.notes.record.replace(Some(Box::new(Record {
            client: client.address(headers, trusted),
            is_tls: client.is_tls,
            method: parts.method.clone(),
            target: parts.uri.clone(),
            version: parts.version,
            host: header(headers, header::HOST).or_else(authority),
            user_agent: header(headers, header::USER_AGENT),
            referer: header(headers, header::REFERER),
            request_id: None,
            trace: header(headers, TRACE_PARENT),
            started: self.started,
            status: StatusCode::OK,
            reason: None,
            owner: None,
            endpoint: None,
            tries: 0,
            upstream_time: None,
            bytes: 0,
        })));
    }

    /// Notes which route a request has, or that its requests are not logged.
    pub(crate) fn note_route(&self, route: &Route) {
        let mut record = self.notes.record.borrow_mut();
        if route
            .policy
            .as_ref()
            .is_some_and(|policy| policy.no_access_log)
        {
            record.take();
        }
        if let Some(record) = &mut *record {
            record.owner = Some(Arc::clone(&route.owner));
        }
    }

    /// Notes what the endpoint is told.
    pub(crate) fn note_request(&self, parts: &Parts, told: Option<&Told<'_>>) {
        if let Some(record) = &mut *self.notes.record.borrow_mut() {
            let id = told.and_then(Told::id);
            record.request_id = id.or_else(|| parts.headers.get(&REQUEST_ID).cloned());
        }
    }

    /// Has the line written when the response has ended.
    pub(crate) fn end_record(
        &self,
        log: &Rc<AccessLog>,
        reason: Option<Refusal>,
        reply: Reply<Body>,
    ) -> Reply<Body> {
        let Some(mut record) = self.notes.record.take() else {
            return reply;
        };
        record.status = reply.status();
        record.reason = reason.map(Refusal::label);
        record.endpoint = self.notes.endpoint.get();
        record.tries = self.notes.tries.get();
        let answered = self.notes.answered.get();
        record.upstream_time = answered.map(|answered| answered.duration_since(self.started));
        reply.map(|body| body.logged(Rc::clone(log), record))
    }
}
