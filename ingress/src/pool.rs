//! Connections to endpoints, kept for the next request. Each worker has its own, so nothing here is locked.

mod body;
mod connect;
mod proxy_header;
mod resolve;
mod streams;
mod tls;
mod transport;

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use tokio::time::Instant;

pub(crate) use self::{
    body::{Consent, Copy, RequestBody, Streamed, Upload},
    connect::{ConnectError, Destination},
    proxy_header::Ends,
    resolve::Resolver,
    transport::Transport,
};
use self::{
    streams::{Stream, Streams},
    transport::TransportId,
};
use crate::{balance::InFlight, map::Map};

/// Idle HTTP/1 connections that are kept for one endpoint. A worker whose clients ask in step has as many idle at once as
/// clients: fewer than those would be closed and opened again for each round of requests.
const MAX_IDLE: usize = 1024;
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Copies of requests that are under way at once.
const MAX_MIRRORS: usize = 256;

/// The connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<Map<Key, Vec<Idle>>>,
    streams: Streams,
    idle_timeout: Duration,
    /// Held by copies of requests that are under way.
    mirrors: Rc<()>,
}

/// Connections with the same key are as good as each other.
type Key = (SocketAddr, TransportId);

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<RequestBody>,
    until: Instant,
}

/// A connection that serves one request.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Rc<Pool>,
    key: Key,
    /// It has served a request before, so the endpoint may be about to close it.
    pub(crate) is_reused: bool,
    /// How long it may be idle afterwards; zero for not at all.
    keep: Duration,
    connection: Connection,
    /// The endpoint's count of requests under way.
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Connection {
    Http1(http1::SendRequest<RequestBody>),
    Http2(Stream),
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(idle_timeout: Duration) -> Self {
        Self {
            idle: RefCell::new(Map::default()),
            streams: Streams::default(),
            idle_timeout,
            mirrors: Rc::default(),
        }
    }

    /// Held while a copy of a request is under way; none where there are too many.
    pub(crate) fn mirror_permit(&self) -> Option<Rc<()>> {
        (Rc::strong_count(&self.mirrors) <= MAX_MIRRORS).then(|| Rc::clone(&self.mirrors))
    }

    /// A connection that is open already.
    pub(crate) fn reuse(
        self: &Rc<Self>,
        address: SocketAddr,
        transport: &Transport,
        now: Instant,
    ) -> Option<Lease> {
        if !transport.is_shared() {
            return None;
        }
        let key = (address, transport.id);
        let connection = if transport.is_http2 {
            Connection::Http2(self.streams.reuse(key)?)
        } else {
            Connection::Http1(self.reuse_idle(key, now)?)
        };
        Some(self.lease(key, connection, true, self.idle_timeout))
    }

    /// A new connection.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        to: Destination<'_>,
    ) -> Result<Lease, ConnectError> {
        let key = (to.address, to.transport.id);
        let connection = if to.transport.is_http2 {
            Connection::Http2(self.streams.connect(key, to).await?)
        } else {
            Connection::Http1(connect::http1(to).await?)
        };
        let keep = if to.transport.is_shared() {
            self.idle_timeout
        } else {
            Duration::ZERO
        };
        Ok(self.lease(key, connection, false, keep))
    }

    /// Closes what has been idle for too long.
    pub(crate) fn prune(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, idle| {
            idle.retain(|idle| idle.until > now && !idle.sender.is_closed());
            !idle.is_empty()
        });
        self.streams.prune(now, self.idle_timeout);
    }

    fn reuse_idle(&self, key: Key, now: Instant) -> Option<http1::SendRequest<RequestBody>> {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.get_mut(&key)?;
        let mut at = idle.len();
        while let Some(next) = at.checked_sub(1) {
            at = next;
            let candidate = idle.get(at)?;
            if candidate.until <= now || candidate.sender.is_closed() {
                idle.swap_remove(at);
            } else if candidate.sender.is_ready() {
                return Some(idle.swap_remove(at).sender);
            }
        }
        None
    }

    fn lease(
        self: &Rc<Self>,
        key: Key,
        connection: Connection,
        is_reused: bool,
        keep: Duration,
    ) -> Lease {
        Lease {
            pool: Rc::clone(self),
            key,
            is_reused,
            keep,
            connection,
            in_flight: None,
        }
    }
}

// === impl Lease ===

impl Lease {
    /// Counts the request among those of its endpoint until the connection is given back.
    pub(crate) fn count(&mut self, in_flight: Option<InFlight>) {
        self.in_flight = in_flight;
    }

    /// Sends a request and waits for the head of its response. A request that was not sent comes back with the error.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let response = match &mut self.connection {
            Connection::Http1(sender) => sender.try_send_request(request).await?,
            Connection::Http2(stream) => stream.sender().try_send_request(request).await?,
        };
        let promised = response.headers().get(KEEP_ALIVE);
        if let Some(promised) = promised.and_then(promised_timeout) {
            self.keep = self
                .keep
                .min(promised.saturating_sub(Duration::from_secs(1)));
        }
        Ok(response)
    }

    /// The connection serves no request after this one.
    pub(crate) fn keep_no_longer(&mut self) {
        self.keep = Duration::ZERO;
    }

    /// The count of a connection that goes on as something else than HTTP.
    pub(crate) fn into_count(self) -> Option<InFlight> {
        self.in_flight
    }

    /// Gives the connection back once the response has been read to its end.
    pub(crate) fn release(self) {
        let Self {
            pool,
            key,
            is_reused: _,
            keep,
            connection,
            in_flight: _,
        } = self;
        if let Connection::Http1(sender) = connection
            && !sender.is_closed()
            && !keep.is_zero()
        {
            let mut idle = pool.idle.borrow_mut();
            let idle = idle.entry(key).or_default();
            if idle.len() < MAX_IDLE {
                let until = Instant::now() + keep;
                idle.push(Idle { sender, until });
            }
        }
    }
}

/// The `timeout` of a `Keep-Alive` header.
fn promised_timeout(value: &HeaderValue) -> Option<Duration> {
    let mut parameters = value.to_str().ok()?.split(',');
    let seconds = parameters.find_map(|parameter| parameter.trim().strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promised_timeout_is_read() {
        let read = |value| promised_timeout(&HeaderValue::from_static(value));
        assert_eq!(read("timeout=5, max=100"), Some(Duration::from_secs(5)));
        assert_eq!(read("max=100, timeout=2"), Some(Duration::from_secs(2)));
        assert_eq!(read("max=100"), None);
        assert_eq!(read("timeout=soon"), None);
    }
}
