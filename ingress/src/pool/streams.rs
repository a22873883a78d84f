//! HTTP/2 connections to endpoints, each of which many requests share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::Waker,
    time::Duration,
};

use hyper::client::conn::http2;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Key, RequestBody,
    connect::{self, ConnectError, Destination},
};
use crate::map::Map;

/// Requests that share one connection, even if the endpoint takes more, before another one is made.
const MAX_STREAMS: usize = 100;

/// The HTTP/2 connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: RefCell<Map<Key, Vec<Shared>>>,
    gates: RefCell<Map<Key, Rc<Gate>>>,
}

/// One request's place on a shared connection.
#[derive(Debug)]
pub(super) struct Stream(Shared);

#[derive(Clone, Debug)]
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    used: Rc<Cell<usize>>,
    allowed: Rc<Allowed>,
    idle_since: Rc<Cell<Instant>>,
}

/// How many requests an endpoint takes at once on one connection, as far as it has said.
#[derive(Debug)]
pub(super) struct Allowed {
    streams: Cell<usize>,
    is_followed: Cell<bool>,
    /// Drives the connection; woken once, to look again after the first response.
    driver: RefCell<Option<Waker>>,
}

/// Where those wait who need a connection that another one is making.
#[derive(Debug, Default)]
struct Gate {
    turn: Mutex<()>,
    failed: Cell<Option<Instant>>,
}

impl Streams {
    /// A place on a connection that is open already.
    pub(super) fn reuse(&self, key: Key) -> Option<Stream> {
        let mut open = self.open.borrow_mut();
        let shared = open.get_mut(&key)?;
        shared.retain(|shared| !shared.sender.is_closed());
        let free = shared.iter().find(|shared| shared.has_room())?;
        Some(Stream::of(free.clone()))
    }

    /// A place on a new connection. Of many who ask at once one makes it, and the others share it as far as it goes.
    pub(super) async fn connect(
        &self,
        key: Key,
        to: Destination<'_>,
    ) -> Result<Stream, ConnectError> {
        if !to.transport.is_shared() {
            return Ok(Stream::of(Shared::connect(to).await?));
        }
        let asked = Instant::now();
        let gate = Rc::clone(self.gates.borrow_mut().entry(key).or_default());
        let _turn = gate.turn.lock().await;
        if let Some(stream) = self.reuse(key) {
            return Ok(stream);
        }
        if gate.failed.get().is_some_and(|failed| failed >= asked) {
            return Err(ConnectError::SameAsBefore);
        }
        match Shared::connect(to).await {
            Ok(shared) => {
                let stream = Stream::of(shared.clone());
                self.open.borrow_mut().entry(key).or_default().push(shared);
                Ok(stream)
            }
            Err(error) => {
                gate.failed.set(Some(Instant::now()));
                Err(error)
            }
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn prune(&self, now: Instant, idle_timeout: Duration) {
        self.open.borrow_mut().retain(|_, shared| {
            shared.retain(|shared| {
                let is_idle = shared.used.get() == 0
                    && now.duration_since(shared.idle_since.get()) >= idle_timeout;
                !is_idle && !shared.sender.is_closed()
            });
            !shared.is_empty()
        });
        self.gates
            .borrow_mut()
            .retain(|_, gate| Rc::strong_count(gate) > 1);
    }
}

impl Allowed {
    /// Follows what a connection says, once it does, while it is driven; `waker` is its driver's.
    pub(super) fn follow(&self, streams: Option<usize>, waker: &Waker) {
        if let Some(streams) = streams {
            self.streams.set(streams);
        }
        if !self.is_followed.replace(true) {
            *self.driver.borrow_mut() = Some(waker.clone());
        }
    }
}

impl Shared {
    async fn connect(to: Destination<'_>) -> Result<Self, ConnectError> {
        let allowed = Rc::new(Allowed {
            streams: Cell::new(MAX_STREAMS),
            is_followed: Cell::new(false),
            driver: RefCell::new(None),
        });
        Ok(Self {
            sender: connect::http2(to, Rc::clone(&allowed)).await?,
            used: Rc::default(),
            allowed,
            idle_since: Rc::new(Cell::new(Instant::now())),
        })
    }

    fn has_room(&self) -> bool {
        self.used.get() < self.allowed.streams.get().clamp(1, MAX_STREAMS)
    }
}

impl Stream {
    fn of(connection: Shared) -> Self {
        connection.used.set(connection.used.get() + 1);
        Self(connection)
    }

    pub(super) fn sender(&mut self) -> &mut http2::SendRequest<RequestBody> {
        &mut self.0.sender
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Shared {
            used,
            idle_since,
            allowed,
            sender: _,
        } = &self.0;
        // An endpoint that has answered has said before how many requests it takes.
        let driver = allowed.driver.borrow_mut().take();
        if let Some(driver) = driver {
            driver.wake();
        }
        used.set(used.get().saturating_sub(1));
        idle_since.set(Instant::now());
    }
}
