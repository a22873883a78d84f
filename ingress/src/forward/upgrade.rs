//! Protocol upgrades: after the endpoint's 101, and not before, bytes go both ways as they are.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use crate::{listen::Worker, respond::Body};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// A client's wish to go on with WebSocket frames.
#[derive(Debug)]
pub(super) struct Upgrade(OnUpgrade);

impl Upgrade {
    /// The wish in a request, if it has one that can be met: a GET without a body for a WebSocket.
    pub(super) fn take(request: &mut Request<Incoming>) -> Option<Self> {
        let wanted = request.headers().get(header::UPGRADE)?;
        if !wanted.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
            || request.version() != Version::HTTP_11
            || request.method() != Method::GET
            || !request.body().is_end_stream()
            || request.headers().contains_key(header::TRANSFER_ENCODING)
            || !names(request.headers(), header::UPGRADE.as_str())
        {
            return None;
        }
        Some(Self(hyper::upgrade::on(request)))
    }

    /// Asks the endpoint.
    pub(super) fn ask(headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
    }

    /// Passes the endpoint's consent on, and then what both sides say until one has finished and the other too.
    pub(super) fn switch(
        self,
        mut response: Response<Incoming>,
        worker: &Worker,
    ) -> Response<Body> {
        let upstream = hyper::upgrade::on(&mut response);
        let client = self.0;
        drop(worker.tasks.spawn_local(async move {
            let (client, upstream) = match tokio::try_join!(client, upstream) {
                Ok(both) => both,
                Err(error) => {
                    debug!(%error, "upgrade failed");
                    return;
                }
            };
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            match copy_bidirectional(&mut client, &mut upstream).await {
                Ok((sent, received)) => debug!(sent, received, "tunnel closed"),
                Err(error) => debug!(%error, "tunnel broken"),
            }
        }));
        let mut switched = Response::new(Body::Text(bytes::Bytes::new()));
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        std::mem::swap(switched.headers_mut(), response.headers_mut());
        crate::sanitise::strip_hop_by_hop(switched.headers_mut());
        switched.headers_mut().insert(header::CONNECTION, UPGRADE);
        switched.headers_mut().insert(header::UPGRADE, WEBSOCKET);
        switched
    }
}

/// Whether a Connection header names this option.
fn names(headers: &HeaderMap, option: &str) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|named| named.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    })
}
