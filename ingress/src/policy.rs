//! What a route asks of a request before a backend is chosen, and of its response on the way back.

use http::{Response, request::Parts};

use crate::{
    forward::Exchange,
    respond::Body,
    table::{ClusterId, Route},
};

/// What was decided about a request that may pass.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    cluster: Option<ClusterId>,
}

/// An answer that ends the request.
#[derive(Debug)]
pub(crate) struct Answered(pub(crate) Box<Response<Body>>);

impl Admitted {
    /// The cluster that the request goes to instead of one of its route.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }
}

/// Before a backend is chosen. A refusal or a ready answer ends the request.
#[expect(clippy::unused_async, reason = "what it asks may have to be fetched")]
pub(crate) async fn admit(
    _exchange: &Exchange<'_>,
    _route: &Route,
    _head: &mut Parts,
) -> Result<Admitted, Answered> {
    Ok(Admitted::default())
}

/// On the way back, for every response of this route, ours too.
pub(crate) fn finish(
    _exchange: &Exchange<'_>,
    _route: &Route,
    _admitted: Admitted,
    response: Response<Body>,
) -> Response<Body> {
    response
}
