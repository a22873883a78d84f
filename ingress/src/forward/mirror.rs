//! Copies of requests for another cluster, whose answers nobody reads. They neither delay nor fail the request itself.

use std::{collections::VecDeque, future::poll_fn, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{header, request::Parts};
use http_body::Body as _;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::{Exchange, headers::speak};
use crate::{
    balance::{Target, Turn, addresses},
    listen::Worker,
    pool::{Answer, ConnectError, Copy, Destination, Ends, Lease, Outgoing, RequestBody},
    table::{Cluster, Route},
};

/// How long a copy may take, with its answer.
const LIMIT: Duration = Duration::from_secs(30);

impl Exchange<'_> {
    /// What makes a copy of a request, if its route wants one and not too many are under way.
    pub(super) fn mirror(&self, route: &Route, parts: &Parts) -> Option<Copy> {
        let to = route.forwarding.as_ref()?.mirror?;
        let cluster = Arc::clone(self.table.cluster(to)?);
        let worker = Rc::clone(&self.connection.worker);
        let permit = worker.pool.mirror_permit()?;
        let mut head = parts.clone();
        // The copy's length is known, and it asks for nothing to come before it.
        head.headers.remove(header::TRANSFER_ENCODING);
        for upgrade in [header::UPGRADE, header::CONNECTION] {
            head.headers.remove(upgrade);
        }
        speak(&mut head, cluster.transport.is_http2);
        let ends = Ends {
            client: self.connection.peer,
            local: self.connection.local,
        };
        Some(Copy::new(move |body| {
            drop(tokio::task::spawn_local(async move {
                let sent = timeout(LIMIT, send(&worker, &cluster, ends, head, body)).await;
                if sent.is_err() {
                    debug!(cluster = %cluster.name, "copy took too long");
                }
                drop(permit);
            }));
        }))
    }
}

async fn send(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    ends: Ends,
    mut head: Parts,
    body: VecDeque<Bytes>,
) {
    let now = Instant::now();
    let addresses = addresses(cluster, &worker.resolver).await;
    let target = addresses.map(|addresses| {
        let mut turn = Turn::new(cluster, addresses, &head, ends.client, now);
        turn.next().map(|target| (turn, target))
    });
    let Ok(Some((turn, target))) = target else {
        debug!(cluster = %cluster.name, "nobody takes the copy");
        return;
    };
    let lease = match lease(worker, cluster, &turn, target, ends).await {
        Ok(lease) => lease,
        Err(error) => {
            debug!(cluster = %cluster.name, endpoint = %target.address, %error, "copy not sent");
            return;
        }
    };
    let body = if body.is_empty() {
        RequestBody::Empty
    } else {
        RequestBody::Known(body)
    };
    let is_http2 = cluster.transport.is_http2;
    let mut request = Outgoing::new(&mut head, None, body, is_http2, &worker.head_memory);
    match lease.send(&mut request, false, drop).await {
        Ok(reply) => throw_away(reply.body).await,
        Err(error) => {
            debug!(cluster = %cluster.name, endpoint = %target.address, %error, "copy failed");
        }
    }
}

async fn lease(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    turn: &Turn<'_>,
    target: Target<'_>,
    ends: Ends,
) -> Result<Lease, ConnectError> {
    let transport = &cluster.transport;
    let counted = turn.begin(target);
    let reused = (worker.pool).reuse(target.address, transport, Instant::now());
    let mut lease = if let Some(lease) = reused {
        lease
    } else {
        let limit = cluster.connect_timeout;
        let connected = worker.pool.connect(Destination {
            address: target.address,
            transport,
            ends,
            limit: limit.unwrap_or(worker.shared.config.connect_timeout),
        });
        connected.await?
    };
    lease.count(counted);
    Ok(lease)
}

/// Reads an answer to its end, so that its connection can be used again.
async fn throw_away(mut body: Answer) {
    while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
}
