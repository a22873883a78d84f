//! The task behind a subscription: one connection at a time, driven by a [`Session`].
//!
//! It never waits for one thing only: a busy plane does not stop heartbeats, a dead server does not stop the plane.

use std::{pin::Pin, sync::Arc};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{ClientConfig, Commit, backoff::Backoff};
use crate::{
    cache::Keeper,
    connect::{Security, causes, connect, refusal},
    session::{Action, Installed, Reconnect, Session, SessionStatus},
    v1::{
        DiscoveryRequest, DiscoveryResponse, EndpointLoad, discovery_response::Kind,
        snapshot_discovery_client::SnapshotDiscoveryClient,
    },
};

/// Requests that wait for the server to read them. There are few: a heartbeat in ten seconds, an ACK for each commit.
const UNREAD_REQUESTS: usize = 64;

#[derive(Debug)]
pub(super) struct Follower {
    session: Session,
    endpoints: Vec<String>,
    security: Security,
    /// The endpoint that is tried next.
    turn: usize,
    backoff: Backoff,
    link: Link,
    keeper: Option<Keeper>,
    commits: mpsc::Sender<Commit>,
    /// The plane has a commit and will say what became of it.
    at_plane: Option<oneshot::Receiver<Installed>>,
    status: watch::Sender<SessionStatus>,
    retry: Arc<Notify>,
    /// What the plane's endpoints carry.
    loads: watch::Receiver<Arc<[EndpointLoad]>>,
}

type Opening = Pin<Box<dyn Future<Output = Result<Streaming<DiscoveryResponse>, String>> + Send>>;

enum Link {
    Down {
        until: Instant,
    },
    Opening {
        requests: mpsc::Sender<DiscoveryRequest>,
        opening: Opening,
    },
    Up {
        requests: mpsc::Sender<DiscoveryRequest>,
        responses: Box<Streaming<DiscoveryResponse>>,
    },
}

enum Event {
    Stop,
    Plane(Option<Installed>),
    Connect,
    Opened(Result<Streaming<DiscoveryResponse>, String>),
    Message(DiscoveryResponse),
    Lost(String),
    Retry,
    Tick,
    /// What is installed may have to be written to disk, or was.
    Keep,
}

// === impl Follower ===

impl Follower {
    pub(super) fn new(
        config: ClientConfig,
        commits: mpsc::Sender<Commit>,
        status: watch::Sender<SessionStatus>,
        retry: Arc<Notify>,
        loads: watch::Receiver<Arc<[EndpointLoad]>>,
    ) -> Self {
        let ClientConfig {
            endpoints,
            mut identity,
            role,
            topics,
            security,
            cache,
        } = config;
        if identity.id.is_empty() {
            identity.id = format!("{:016x}", fastrand::u64(..));
        }
        let mut session = Session::new(identity, role, &topics, endpoints.len());
        if cache.is_some() {
            session.keep_bodies();
        }
        Self {
            session,
            keeper: cache.map(|cache| Keeper::new(cache, role)),
            // Clients spread over the replicas.
            turn: fastrand::usize(..endpoints.len().max(1)),
            endpoints,
            security,
            backoff: Backoff::default(),
            link: Link::Down {
                until: Instant::now(),
            },
            commits,
            at_plane: None,
            status,
            retry,
            loads,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        if let Err(error) = self.start(&stop).await {
            tracing::error!(%error, "the control plane is not followed");
            self.session.disconnected(error);
            self.report();
            stop.cancelled().await;
            return;
        }
        self.follow(&stop).await;
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(&self.session).await;
        }
    }

    /// Hands over what the last run kept. The first stream waits for it, so that it says what is held.
    async fn start(&mut self, stop: &CancellationToken) -> Result<(), String> {
        if self.endpoints.is_empty() {
            return Err("no control plane is configured".to_owned());
        }
        let Some(keeper) = &mut self.keeper else {
            return Ok(());
        };
        let loaded = keeper.load().await.map_err(|error| error.to_string())?;
        let Some(kept) = loaded else { return Ok(()) };
        let (epoch, generation) = (kept.epoch.clone(), kept.generation);
        let resources = kept.resources.len();
        tracing::info!(
            epoch,
            generation,
            resources,
            "starting from the last good snapshot"
        );
        let now = Instant::now();
        let actions = self.session.restore(now, kept);
        self.perform(now, actions);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = self.commits.closed() => return Ok(()),
            installed = answer(&mut self.at_plane) => {
                self.handle(Instant::now(), Event::Plane(installed));
            }
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.loaded(&self.session);
        }
        self.report();
        Ok(())
    }

    async fn follow(&mut self, stop: &CancellationToken) {
        loop {
            let event = self.event(stop).await;
            let now = Instant::now();
            let settled = !matches!(
                &event,
                Event::Message(DiscoveryResponse {
                    kind: Some(Kind::Chunk(_))
                })
            );
            match event {
                Event::Stop => return,
                event => self.handle(now, event),
            }
            if settled {
                self.report();
                if let Some(keeper) = &mut self.keeper {
                    keeper.look(now, &self.session);
                }
            }
        }
    }

    /// The next thing that happens. Cancel-safe.
    async fn event(&mut self, stop: &CancellationToken) -> Event {
        let deadline = self.session.next_deadline();
        let write = self.keeper.as_ref().and_then(Keeper::next_deadline);
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            () = self.commits.closed() => Event::Stop,
            installed = answer(&mut self.at_plane) => Event::Plane(installed),
            () = at(deadline) => Event::Tick,
            () = self.retry.notified() => Event::Retry,
            () = at(write) => Event::Keep,
            () = written(&mut self.keeper) => Event::Keep,
            event = self.link.event() => event,
        }
    }

    fn handle(&mut self, now: Instant, event: Event) {
        self.session.report(Arc::clone(&self.loads.borrow()));
        let actions = match event {
            Event::Stop | Event::Keep => return,
            Event::Plane(Some(installed)) => {
                self.at_plane = None;
                self.session.installed(now, installed)
            }
            Event::Plane(None) => {
                self.at_plane = None;
                self.session.abandoned()
            }
            Event::Connect => return self.connect(now),
            Event::Opened(Ok(responses)) => return self.opened(responses),
            Event::Message(response) => self.session.received(now, response),
            Event::Opened(Err(error)) | Event::Lost(error) => {
                tracing::warn!(
                    server = self.server(), %error,
                    "no connection to the control plane, what is installed stays"
                );
                self.session.disconnected(error);
                return self.wait(now);
            }
            Event::Retry => self.session.retry(now),
            Event::Tick => self.session.tick(now),
        };
        if self.session.is_healthy(now) {
            self.backoff.reset();
        }
        self.perform(now, actions);
    }

    fn perform(&mut self, now: Instant, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(request) => self.send(now, request),
                Action::Deliver(delivery) => {
                    let (installed, answer) = oneshot::channel();
                    self.at_plane = Some(answer);
                    // If nobody takes it the answer says so: the commit is dropped, and with it the sender.
                    drop(self.commits.try_send(Commit::new(delivery, installed)));
                }
                Action::Reconnect(reason) => {
                    match &reason {
                        Reconnect::Drained(_) | Reconnect::Confirm => {
                            tracing::info!(%reason, "connecting again");
                        }
                        Reconnect::Fault(_)
                        | Reconnect::Silent
                        | Reconnect::NoFull
                        | Reconnect::NotInstalled => tracing::warn!(%reason, "connecting again"),
                    }
                    self.wait(now);
                }
            }
        }
    }

    fn send(&mut self, now: Instant, request: DiscoveryRequest) {
        let (Link::Opening { requests, .. } | Link::Up { requests, .. }) = &self.link else {
            return;
        };
        if requests.try_send(request).is_err() {
            let error = "the control plane does not read what it is sent".to_owned();
            tracing::warn!(server = self.server(), %error, "connecting again");
            self.session.disconnected(error);
            self.wait(now);
        }
    }

    fn connect(&mut self, now: Instant) {
        let server = self.server().to_owned();
        let (requests, outgoing) = mpsc::channel(UNREAD_REQUESTS);
        self.link = Link::Opening {
            requests,
            opening: Box::pin(open(server.clone(), self.security.clone(), outgoing)),
        };
        let actions = self.session.connected(now, &server);
        self.perform(now, actions);
    }

    fn opened(&mut self, responses: Streaming<DiscoveryResponse>) {
        tracing::info!(server = self.server(), "connected to the control plane");
        let down = Link::Down {
            until: Instant::now(),
        };
        if let Link::Opening { requests, .. } = std::mem::replace(&mut self.link, down) {
            self.link = Link::Up {
                requests,
                responses: Box::new(responses),
            };
        }
    }

    /// Closes the connection and tries the next endpoint after a while.
    fn wait(&mut self, now: Instant) {
        self.turn = (self.turn + 1) % self.endpoints.len().max(1);
        self.link = Link::Down {
            until: now + self.backoff.next(),
        };
    }

    fn server(&self) -> &str {
        self.endpoints.get(self.turn).map_or("", String::as_str)
    }

    fn report(&self) {
        let now = self.session.status();
        self.status.send_if_modified(|reported| {
            let changed = *reported != now;
            *reported = now;
            changed
        });
    }
}

// === impl Link ===

impl Link {
    /// What happens on the connection. Cancel-safe.
    async fn event(&mut self) -> Event {
        match self {
            Self::Down { until } => {
                sleep_until(*until).await;
                Event::Connect
            }
            Self::Opening { opening, .. } => Event::Opened(opening.await),
            Self::Up { responses, .. } => match responses.message().await {
                Ok(Some(response)) => Event::Message(response),
                Ok(None) => Event::Lost("the control plane closed the stream".to_owned()),
                Err(status) => Event::Lost(causes(&status)),
            },
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Down { .. } => "Down",
            Self::Opening { .. } => "Opening",
            Self::Up { .. } => "Up",
        })
    }
}

async fn open(
    server: String,
    security: Security,
    outgoing: mpsc::Receiver<DiscoveryRequest>,
) -> Result<Streaming<DiscoveryResponse>, String> {
    let connected = connect(&server, &security)
        .await
        .map_err(|error| error.to_string())?;
    let stream = SnapshotDiscoveryClient::new(connected)
        .stream_snapshots(ReceiverStream::new(outgoing))
        .await;
    match stream {
        Ok(responses) => Ok(responses.into_inner()),
        Err(status) => Err(refusal(&server, &security, &status)),
    }
}

/// What became of the commit that the plane has; never, if it has none.
async fn answer(at_plane: &mut Option<oneshot::Receiver<Installed>>) -> Option<Installed> {
    match at_plane {
        Some(answer) => answer.await.ok(),
        None => std::future::pending().await,
    }
}

/// The disk has what it was given; never, if it has nothing to do.
async fn written(keeper: &mut Option<Keeper>) {
    match keeper {
        Some(keeper) => keeper.ended().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
