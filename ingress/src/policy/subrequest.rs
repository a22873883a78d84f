//! Requests that the ingress makes itself, for the sake of a client's: to authentication servers and for error pages.

use std::{future::poll_fn, pin::Pin};

use http::{Request, Response, response::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::{
    forward::{Exchange, Passage, respond},
    pool::RequestBody,
    respond::{Body, Refusal},
    sanitise,
    table::{Cluster, Route},
};

/// How much of an answer's body is read only so that its connection can be used again.
const MAX_BODY: usize = 16 * 1024;

impl Exchange<'_> {
    /// The head of a cluster's answer, whose body nobody needs.
    pub(super) async fn ask(
        &self,
        cluster: &Cluster,
        request: Request<RequestBody>,
    ) -> Result<Parts, Refusal> {
        let (mut response, lease) = self.forward(cluster, request).await?;
        let is_clear = sanitise::response_framing(response.headers_mut());
        let (parts, body) = response.into_parts();
        if is_clear == Some(true) && drain(body).await {
            lease.release();
        }
        Ok(parts)
    }

    /// A cluster's answer, as a client of this route gets it.
    pub(super) async fn fetch(
        &self,
        cluster: &Cluster,
        route: &Route,
        request: Request<RequestBody>,
    ) -> Result<Response<Body>, Refusal> {
        let limit = self.connection.worker.shared.config.response_timeout;
        let answer = timeout(limit, self.forward(cluster, request)).await;
        let (mut response, lease) = answer.map_err(|_elapsed| Refusal::Timeout)??;
        sanitise::response_framing(response.headers_mut()).ok_or(Refusal::Garbled)?;
        Ok(respond(response, lease, route, Passage::default()))
    }
}

/// Reads what is left of a short answer. False where it is long, or breaks off.
async fn drain(mut body: Incoming) -> bool {
    let mut read = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) => read += frame.data_ref().map_or(0, bytes::Bytes::len),
            Err(_) => return false,
        }
        if read > MAX_BODY {
            return false;
        }
    }
    true
}
