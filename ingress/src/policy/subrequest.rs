//! Requests that the ingress makes itself, for the sake of a client's: to authentication servers and for error pages.

use std::{future::poll_fn, pin::Pin};

use http::{Request, Response, response::Parts};
use http_body::Body as _;
use tokio::time::timeout;

use crate::{
    forward::{Exchange, Passage, respond},
    pool::{Answer, RequestBody},
    respond::{Body, Refusal},
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
        let (parts, body) = self.forward(cluster, request).await?.into_parts();
        drain(body).await;
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
        let response = answer.map_err(|_elapsed| Refusal::Timeout)??;
        Ok(respond(response.into(), route, Passage::default()).into_response())
    }
}

/// Reads what is left of a short answer, so that its connection can be used again.
async fn drain(mut body: Answer) {
    let mut read = 0;
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        read += frame.data_ref().map_or(0, bytes::Bytes::len);
        if read > MAX_BODY {
            return;
        }
    }
}
