//! One stream: asks the API server what the reflector wants, and hands on what comes.

use std::{
    mem::{Discriminant, discriminant},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::Response;
use http_body_util::BodyExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use meshlite_compile::{Change, Interner, ObjectKey};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    Objects, Update,
    api::{self, Api},
    kind::Kind,
    known::{Identity, Known},
    lines::Lines,
    reflector::{Ask, Failure, Outcome, Reflector},
    wire::{self, Text},
};
use crate::causes;

/// A watch that is silent for so long is asked for again: bookmarks come every minute. Asking again is cheap.
const SILENCE: Duration = Duration::from_secs(70);
/// Heard of within this time, a source is current.
const CURRENT: Duration = Duration::from_secs(75);
/// How long a watch is asked to last, in seconds: replicas do not ask again together.
const LIFE: std::ops::Range<u64> = 300..600;

/// What one stream follows, and how it fares. Clones share it.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The kind of its objects.
    pub kind: Kind,
    /// The namespace of its objects; all where there is none.
    pub namespace: Option<Arc<str>>,
    known: Known,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    is_connected: bool,
    last: Option<Instant>,
}

impl Stream {
    pub(super) fn new(kind: Kind, namespace: Option<Arc<str>>) -> Self {
        Self {
            kind,
            namespace,
            known: Known::default(),
            heard: Arc::default(),
        }
    }

    /// How old what is held may be at `now`: nothing while the API server is heard; none before it ever was.
    pub fn staleness(&self, now: Instant) -> Option<Duration> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = now.saturating_duration_since(heard.last?);
        let is_current = heard.is_connected && silent < CURRENT;
        Some(if is_current { Duration::ZERO } else { silent })
    }

    /// Which object has this key; none where there is none.
    pub fn identity(&self, key: &ObjectKey) -> Option<Identity> {
        self.known.get(key)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn hear(&self, is_connected: bool) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_connected = is_connected;
        if is_connected {
            heard.last = Some(Instant::now());
        }
    }
}

/// Follows one stream.
pub(super) struct Follower {
    pub(super) api: Api,
    /// Its place among all.
    pub(super) index: usize,
    pub(super) stream: Stream,
    pub(super) updates: mpsc::Sender<Update>,
    /// Who fetches Secrets when they change.
    pub(super) touched: Option<mpsc::Sender<ObjectKey>>,
}

/// An object as it is kept.
struct Read {
    change: Change,
    triggered: Option<SystemTime>,
}

struct Turn {
    reflector: Reflector<Read>,
    names: Interner,
    /// What was said about the last failure.
    trouble: Option<Discriminant<Failure>>,
}

/// Why a turn did not end well.
enum End {
    Failed(Failure),
    /// Nobody takes updates any more.
    Closed,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Follower {
    /// Follows until nobody takes updates any more.
    pub(super) async fn run(self) {
        let mut turn = Turn {
            reflector: Reflector::new(self.stream.known.clone()),
            names: Interner::default(),
            trouble: None,
        };
        loop {
            let started = Instant::now();
            let ended = self.turn(&mut turn).await;
            self.stream.hear(false);
            let (now, chance) = (Instant::now(), fastrand::f64());
            let wait = match ended {
                Ok(()) => turn.reflector.ended(now - started, now, chance),
                Err(End::Failed(failure)) => {
                    self.complain(&failure, &mut turn);
                    turn.reflector.failed(&failure, now, chance)
                }
                Err(End::Closed) => return,
            };
            sleep(wait).await;
        }
    }

    /// Asks for a list, to its end, or for a watch, to its end.
    async fn turn(&self, turn: &mut Turn) -> Result<(), End> {
        let origin = self.api.origin().await?;
        loop {
            let ask = turn.reflector.ask(&origin);
            let namespace = self.stream.namespace.as_deref();
            let life = Duration::from_secs(fastrand::u64(LIFE));
            debug!(
                kind = self.stream.kind.as_str(),
                namespace,
                ?ask,
                "API server is asked"
            );
            let response = self
                .api
                .ask(self.stream.kind, namespace, &ask, life)
                .await?;
            match ask {
                Ask::List { .. } => self.page(turn, response).await?,
                Ask::Stream | Ask::Watch { .. } => return self.events(turn, response).await,
            }
        }
    }

    async fn page(&self, turn: &mut Turn, response: Response<Body>) -> Result<(), End> {
        let text = api::text(response).await?;
        let names = &mut turn.names;
        let page = wire::page(&text, |text| self.read(&text, names))?;
        drop(text);
        let outcomes = turn.reflector.page(page)?;
        self.stream.hear(true);
        self.hand_on(turn, outcomes, true).await
    }

    async fn events(&self, turn: &mut Turn, response: Response<Body>) -> Result<(), End> {
        let mut body = response.into_body();
        let mut lines = Lines::default();
        self.stream.hear(true);
        loop {
            let frame = match timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Failure::Broken(causes(&error)).into()),
                Ok(None) => return Ok(()),
                Err(_) if turn.reflector.is_watching() => return Ok(()),
                Err(_) => {
                    let text = format!("nothing came for {SILENCE:?}");
                    return Err(Failure::Unsupported(text).into());
                }
            };
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            self.stream.hear(true);
            let was_list = !turn.reflector.is_watching();
            let mut outcomes = Vec::new();
            let taken = lines.take(&bytes, |line| {
                let names = &mut turn.names;
                let event = wire::event(line, |text| self.read(&text, names))?;
                outcomes.extend(turn.reflector.event(event)?);
                Ok(())
            });
            // What came before a line that is wrong has happened.
            self.hand_on(turn, outcomes, was_list).await?;
            taken?;
        }
    }

    /// What is kept of an object; nothing where it cannot be read.
    fn read(&self, text: &Text<'_>, names: &mut Interner) -> Option<Read> {
        let kind = self.stream.kind;
        match kind.read(text.key, text.json, names) {
            Ok(change) => Some(Read {
                change,
                triggered: text
                    .triggered
                    .and_then(|time| time.parse::<Timestamp>().ok())
                    .map(SystemTime::from),
            }),
            Err(error) => {
                let (kind, key) = (kind.as_str(), text.key);
                warn!(kind, %key, line = error.line(), column = error.column(),
                    "object cannot be read; what was read of it before stays");
                None
            }
        }
    }

    async fn hand_on(
        &self,
        turn: &mut Turn,
        outcomes: Vec<Outcome<Read>>,
        is_list: bool,
    ) -> Result<(), End> {
        let kind = self.stream.kind;
        let mut changes = Vec::with_capacity(outcomes.len());
        let mut triggered = None;
        for outcome in outcomes {
            if let Some(touched) = &self.touched {
                let (Outcome::Put(key, _) | Outcome::Gone(key)) = outcome;
                touched.send(key).await.map_err(|_closed| End::Closed)?;
                continue;
            }
            changes.push(match outcome {
                Outcome::Put(_, read) => {
                    // When things happened that are listed says nothing about how long they took to get here.
                    let times = [triggered, read.triggered.filter(|_| !is_list)];
                    triggered = times.into_iter().flatten().min();
                    read.change
                }
                Outcome::Gone(key) => kind.gone(key),
            });
        }
        let watermark = turn.reflector.watermark();
        if watermark.is_some() && turn.trouble.take().is_some() {
            let namespace = self.stream.namespace.as_deref();
            info!(
                kind = kind.as_str(),
                namespace, "API server is followed again"
            );
        }
        let update = Update::Objects(Objects {
            stream: self.index,
            changes,
            watermark: watermark.map(|(version, origin)| (version, Arc::clone(origin))),
            triggered,
        });
        self.updates
            .send(update)
            .await
            .map_err(|_closed| End::Closed)
    }

    /// Says what is wrong, once.
    fn complain(&self, failure: &Failure, turn: &mut Turn) {
        let kind = self.stream.kind.as_str();
        let namespace = self.stream.namespace.as_deref();
        let is_expected = match failure {
            Failure::Expired => true,
            Failure::Unsupported(_) => turn.reflector.may_stream(),
            _ => false,
        };
        if is_expected {
            debug!(kind, namespace, %failure, "objects are listed again");
            return;
        }
        if turn.trouble.replace(discriminant(failure)) == Some(discriminant(failure)) {
            debug!(kind, namespace, %failure, "API server is still not followed");
            return;
        }
        if let Failure::Forbidden(_) = failure {
            let (resource, group) = (self.stream.kind.plural(), self.stream.kind.group());
            warn!(kind, namespace, %failure, resource, group,
                "API server refuses; grant the verbs get, list and watch on the resource");
        } else {
            warn!(kind, namespace, %failure,
                "API server is not followed; what is held stays, and it is tried again");
        }
    }
}
