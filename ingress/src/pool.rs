//! Connections to endpoints, kept for the next request. Each worker has its own, so nothing here is locked.

mod body;
mod connect;
mod resolve;

#[expect(
    clippy::disallowed_types,
    reason = "looked up for every request; never iterated in an order that matters"
)]
use std::collections::HashMap;
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use tokio::time::Instant;

pub(crate) use self::{
    body::{RequestBody, Upload},
    connect::ConnectError,
    resolve::Resolver,
};

/// Idle HTTP/1 connections that are kept for one endpoint.
const MAX_IDLE: usize = 256;
/// Requests that share one HTTP/2 connection before another one is made.
const MAX_STREAMS: usize = 100;

/// The connections of one worker.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "as above")]
pub(crate) struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    shared: RefCell<HashMap<SocketAddr, Vec<Shared>>>,
    idle_timeout: Duration,
    connect_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<RequestBody>,
    until: Instant,
}

#[derive(Clone, Debug)]
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    streams: Rc<Cell<usize>>,
    idle_since: Rc<Cell<Instant>>,
}

/// A connection that serves one request.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Rc<Pool>,
    address: SocketAddr,
    /// It has served a request before, so the endpoint may be about to close it.
    pub(crate) is_reused: bool,
    /// How long it may be idle afterwards; zero for not at all.
    keep: Duration,
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Http1(http1::SendRequest<RequestBody>),
    Http2(Stream),
}

/// One request's place on a shared connection.
#[derive(Debug)]
struct Stream(Shared);

// === impl Pool ===

impl Pool {
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub(crate) fn new(idle_timeout: Duration, connect_timeout: Duration) -> Self {
        Self {
            idle: RefCell::new(HashMap::new()),
            shared: RefCell::new(HashMap::new()),
            idle_timeout,
            connect_timeout,
        }
    }

    /// A connection that is open already.
    pub(crate) fn reuse(
        self: &Rc<Self>,
        address: SocketAddr,
        is_h2c: bool,
        now: Instant,
    ) -> Option<Lease> {
        let connection = if is_h2c {
            Connection::Http2(self.reuse_shared(address)?)
        } else {
            Connection::Http1(self.reuse_idle(address, now)?)
        };
        Some(self.lease(address, connection, true))
    }

    /// A new connection.
    pub(crate) async fn connect(
        self: &Rc<Self>,
        address: SocketAddr,
        is_h2c: bool,
    ) -> Result<Lease, ConnectError> {
        let connection = if is_h2c {
            let shared = Shared {
                sender: connect::http2(address, self.connect_timeout).await?,
                streams: Rc::default(),
                idle_since: Rc::new(Cell::new(Instant::now())),
            };
            self.shared
                .borrow_mut()
                .entry(address)
                .or_default()
                .push(shared.clone());
            Connection::Http2(Stream::of(shared))
        } else {
            Connection::Http1(connect::http1(address, self.connect_timeout).await?)
        };
        Ok(self.lease(address, connection, false))
    }

    /// Closes what has been idle for too long.
    pub(crate) fn prune(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, idle| {
            idle.retain(|idle| idle.until > now && !idle.sender.is_closed());
            !idle.is_empty()
        });
        self.shared.borrow_mut().retain(|_, shared| {
            shared.retain(|shared| {
                let is_idle = shared.streams.get() == 0
                    && now.duration_since(shared.idle_since.get()) >= self.idle_timeout;
                !is_idle && !shared.sender.is_closed()
            });
            !shared.is_empty()
        });
    }

    fn reuse_idle(
        &self,
        address: SocketAddr,
        now: Instant,
    ) -> Option<http1::SendRequest<RequestBody>> {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.get_mut(&address)?;
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

    fn reuse_shared(&self, address: SocketAddr) -> Option<Stream> {
        let mut shared = self.shared.borrow_mut();
        let shared = shared.get_mut(&address)?;
        shared.retain(|shared| !shared.sender.is_closed());
        let free = shared
            .iter()
            .find(|shared| shared.streams.get() < MAX_STREAMS)?;
        Some(Stream::of(free.clone()))
    }

    fn lease(
        self: &Rc<Self>,
        address: SocketAddr,
        connection: Connection,
        is_reused: bool,
    ) -> Lease {
        Lease {
            pool: Rc::clone(self),
            address,
            is_reused,
            keep: self.idle_timeout,
            connection,
        }
    }
}

// === impl Stream ===

impl Stream {
    fn of(connection: Shared) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self(connection)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Shared {
            streams,
            idle_since,
            sender: _,
        } = &self.0;
        streams.set(streams.get().saturating_sub(1));
        idle_since.set(Instant::now());
    }
}

// === impl Lease ===

impl Lease {
    /// Sends a request and waits for the head of its response. A request that was not sent comes back with the error.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let response = match &mut self.connection {
            Connection::Http1(sender) => sender.try_send_request(request).await?,
            Connection::Http2(stream) => stream.0.sender.try_send_request(request).await?,
        };
        let promised = response.headers().get("keep-alive");
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

    /// Gives the connection back once the response has been read to its end.
    pub(crate) fn release(self) {
        let Self {
            pool,
            address,
            is_reused: _,
            keep,
            connection,
        } = self;
        if let Connection::Http1(sender) = connection
            && !sender.is_closed()
            && !keep.is_zero()
        {
            let mut idle = pool.idle.borrow_mut();
            let idle = idle.entry(address).or_default();
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
