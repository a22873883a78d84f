//! Connections to endpoints, kept for the next request. Each worker has its own, so nothing here is locked.

mod answer;
mod body;
mod connect;
mod http1;
mod outgoing;
mod proxy_header;
mod resolve;
mod streams;
mod tls;
mod transport;

use std::{cell::RefCell, future::poll_fn, net::SocketAddr, rc::Rc, time::Duration};

use http::{Request, StatusCode};
use tokio::time::Instant;

pub(crate) use self::{
    answer::{Answer, AnswerError, Upgraded},
    body::{Consent, Copy, RequestBody, Streamed, Upload},
    connect::{ConnectError, Destination},
    http1::replay,
    outgoing::Outgoing,
    proxy_header::Ends,
    resolve::Resolver,
    transport::Transport,
};
use self::{
    connect::Io,
    streams::{Stream, Streams},
    transport::TransportId,
};
use crate::{
    balance::InFlight,
    http1::{Heard, Kind, Malformed, Scratch, only_length},
    map::Map,
    reply::Reply,
};

/// Idle HTTP/1 connections that are kept for one endpoint. A worker whose clients ask in step has as many idle at once as
/// clients: fewer than those would be closed and opened again for each round of requests.
const MAX_IDLE: usize = 1024;
/// Copies of requests that are under way at once.
const MAX_MIRRORS: usize = 256;

/// The connections of one worker.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<Map<Key, Vec<Idle>>>,
    streams: Streams,
    scratch: Scratch,
    idle_timeout: Duration,
    /// Held by copies of requests that are under way.
    mirrors: Rc<()>,
}

/// Connections with the same key are as good as each other.
type Key = (SocketAddr, TransportId);

#[derive(Debug)]
struct Idle {
    connection: SharedConnection,
    until: Instant,
}

/// With whoever sends the rest of a request that was answered before its end.
type SharedConnection = Rc<RefCell<http1::Connection<Io>>>;

/// A connection that serves one request.
#[derive(Debug)]
pub(crate) struct Lease {
    /// It has served a request before, so the endpoint may be about to close it.
    pub(crate) is_reused: bool,
    connection: Connection,
    seat: Seat,
}

#[derive(Debug)]
enum Connection {
    Http1(SharedConnection),
    Http2(Stream),
}

/// Where a connection goes back to.
#[derive(Debug)]
struct Seat {
    pool: Rc<Pool>,
    key: Key,
    /// How long it may be idle there; zero for not at all.
    keep: Duration,
    /// The endpoint's count of requests under way.
    in_flight: Option<InFlight>,
}

/// Why there is no answer to a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Http1(#[from] http1::Error),
    #[error("{error}")]
    Http2 {
        #[source]
        error: hyper::Error,
        is_unsent: bool,
    },
    /// By HTTP/2: the connection lives on.
    #[error("the answer is not valid HTTP: {0}")]
    Malformed(#[from] Malformed),
    #[error("the request was made for another version of HTTP")]
    OtherVersion,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(idle_timeout: Duration, scratch: Scratch) -> Self {
        Self {
            idle: RefCell::new(Map::default()),
            streams: Streams::default(),
            scratch,
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
            let io = connect::open(to).await?;
            let connection = http1::Connection::new(io, Rc::clone(&self.scratch));
            Connection::Http1(Rc::new(RefCell::new(connection)))
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
            idle.retain(|idle| idle.is_usable(now));
            !idle.is_empty()
        });
        self.streams.prune(now, self.idle_timeout);
    }

    fn reuse_idle(&self, key: Key, now: Instant) -> Option<SharedConnection> {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.get_mut(&key)?;
        while let Some(candidate) = idle.pop() {
            if candidate.is_usable(now) {
                return Some(candidate.connection);
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
            is_reused,
            connection,
            seat: Seat {
                pool: Rc::clone(self),
                key,
                keep,
                in_flight: None,
            },
        }
    }
}

impl Idle {
    fn is_usable(&self, now: Instant) -> bool {
        self.until > now && self.connection.borrow_mut().is_silent()
    }
}

// === impl Lease ===

impl Lease {
    /// Counts the request among those of its endpoint until the connection is given back.
    pub(crate) fn count(&mut self, in_flight: Option<InFlight>) {
        self.seat.in_flight = in_flight;
    }

    /// Sends a request and waits for the head of its answer. Takes the request's body; a request without one that may be
    /// sent again is left as it is, and so is one that was not sent. `hint` is given heads that come before that of the answer.
    pub(crate) async fn send(
        self,
        request: &mut Outgoing,
        may_repeat: bool,
        hint: impl Fn(Heard),
    ) -> Result<Reply<Answer>, SendError> {
        match self.connection {
            Connection::Http1(connection) => {
                let Outgoing::Http1(request) = request else {
                    return Err(SendError::OtherVersion);
                };
                connection.borrow_mut().begin(request);
                let heard = poll_fn(|cx| connection.borrow_mut().poll_head(cx, &hint)).await?;
                let mut seat = self.seat;
                seat.hear(&heard);
                let is_upgrade = heard.status == StatusCode::SWITCHING_PROTOCOLS;
                let answer = Answer::http1(connection, seat, is_upgrade);
                Ok(Reply::as_came(heard, answer))
            }
            Connection::Http2(stream) => {
                let Outgoing::Http2(request) = request else {
                    return Err(SendError::OtherVersion);
                };
                // Not within this future, where it would take room in that of every request.
                Box::pin(send_http2(stream, self.seat, request, may_repeat)).await
            }
        }
    }
}

async fn send_http2(
    mut stream: Stream,
    seat: Seat,
    request: &mut Request<RequestBody>,
    may_repeat: bool,
) -> Result<Reply<Answer>, SendError> {
    let sent = if may_repeat {
        replica(request)
    } else {
        std::mem::take(request)
    };
    match stream.sender().try_send_request(sent).await {
        Ok(mut response) => {
            // The connection has checked that they are equal, and not that there is one.
            only_length(response.headers_mut())?;
            let answered = response.map(|incoming| Answer::http2(incoming, stream, seat));
            Ok(Reply::read(answered))
        }
        Err(mut failed) => {
            let unsent = failed.take_message();
            let is_unsent = unsent.is_some();
            if let Some(unsent) = unsent {
                *request = unsent;
            }
            let error = failed.into_error();
            Err(SendError::Http2 { error, is_unsent })
        }
    }
}

// === impl Seat ===

impl Seat {
    /// The endpoint may say how long it keeps a connection.
    fn hear(&mut self, head: &Heard) {
        let mut said = head.all(Kind::KeepAlive);
        if let Some(promised) = said.next().and_then(promised_timeout) {
            let promised = promised.saturating_sub(Duration::from_secs(1));
            self.keep = self.keep.min(promised);
        }
    }

    /// Gives a connection back whose answer has been read to its end.
    fn release(self, connection: SharedConnection) {
        let Self {
            pool,
            key,
            keep,
            in_flight: _,
        } = self;
        if keep.is_zero() || !connection.borrow().may_reuse() {
            return;
        }
        let mut idle = pool.idle.borrow_mut();
        let idle = idle.entry(key).or_default();
        if idle.len() < MAX_IDLE {
            let until = Instant::now() + keep;
            idle.push(Idle { connection, until });
        }
    }
}

// === impl SendError ===

impl SendError {
    /// Whether nothing of the request left, so that it may be sent again, whatever it is.
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Self::Http1(error) => matches!(error, http1::Error::Unsent(_)),
            Self::Http2 { is_unsent, .. } => *is_unsent,
            Self::Malformed(_) | Self::OtherVersion => false,
        }
    }

    /// Whether the endpoint answered something that is not HTTP.
    pub(crate) fn is_garbled(&self) -> bool {
        match self {
            Self::Http1(error) => matches!(error, http1::Error::Malformed(_)),
            Self::Http2 { error, .. } => error.is_parse(),
            Self::Malformed(_) => true,
            Self::OtherVersion => false,
        }
    }
}

/// The same head, without a body.
fn replica(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut replica = Request::new(RequestBody::Empty);
    replica.method_mut().clone_from(request.method());
    replica.uri_mut().clone_from(request.uri());
    *replica.version_mut() = request.version();
    replica.headers_mut().clone_from(request.headers());
    replica
}

/// The `timeout` of a `Keep-Alive` header.
fn promised_timeout(value: &[u8]) -> Option<Duration> {
    let mut parameters = str::from_utf8(value).ok()?.split(',');
    let seconds = parameters.find_map(|parameter| parameter.trim().strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promised_timeout_is_read() {
        let read = |value: &str| promised_timeout(value.as_bytes());
        assert_eq!(read("timeout=5, max=100"), Some(Duration::from_secs(5)));
        assert_eq!(read("max=100, timeout=2"), Some(Duration::from_secs(2)));
        assert_eq!(read("max=100"), None);
        assert_eq!(read("timeout=soon"), None);
    }
}
