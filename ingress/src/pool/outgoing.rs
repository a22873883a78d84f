//! A request on its way to endpoints, in the form in which one after another may get it.

use std::cell::RefCell;

use http::{Method, Request, request::Parts};

use super::{RequestBody, http1};
use crate::client::Told;

/// A request on its way to the endpoints of one cluster, which all speak the same version of HTTP.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// As it is on the wire: while an endpoint is waited for, nothing is kept of what it was made of.
    Http1(http1::Request),
    Http2(Box<Request<RequestBody>>),
}

impl Outgoing {
    /// Takes the head, of which nothing stays that is of use, and says what else there is to be `told`. `memory` is what heads are written in.
    pub(crate) fn new(
        parts: &mut Parts,
        told: Option<&Told<'_>>,
        body: RequestBody,
        is_http2: bool,
        memory: &RefCell<Vec<u8>>,
    ) -> Self {
        if is_http2 {
            if let Some(told) = told {
                told.put_in(&mut parts.headers);
            }
            return Self::Http2(Box::new(compose(parts, body)));
        }
        let request = http1::Request::new(parts, told, body, &mut memory.borrow_mut());
        // Now, while it is in the processor's cache.
        drop(compose(parts, RequestBody::Empty));
        Self::Http1(request)
    }

    pub(crate) fn method(&self) -> &Method {
        match self {
            Self::Http1(request) => request.method(),
            Self::Http2(request) => request.method(),
        }
    }

    /// Whether there is a body that was not sent.
    pub(crate) fn has_body(&self) -> bool {
        match self {
            Self::Http1(request) => request.has_body(),
            Self::Http2(request) => !matches!(request.body(), RequestBody::Empty),
        }
    }
}

/// A request whose head is taken.
fn compose(parts: &mut Parts, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = std::mem::take(&mut parts.method);
    *request.uri_mut() = std::mem::take(&mut parts.uri);
    *request.version_mut() = parts.version;
    *request.headers_mut() = std::mem::take(&mut parts.headers);
    *request.extensions_mut() = std::mem::take(&mut parts.extensions);
    request
}
