//! The client's side of a stream, without I/O: messages and the time in, actions out.
//!
//! ```text
//! connected ─> Hello ─> CommitBegin, ResourceChunk…, CommitEnd ─> proved? ─> Deliver ─> installed ─> Ack
//!               └─ DigestsWanted ─> Held ─> CommitBegin…             └─ no ─> Ack{digest_mismatch} ─> a full commit
//! ```
//!
//! What a client may count on a server for, and the other way round:
//! - Nonces count the commits of a stream from 1. A generation never goes down within an epoch.
//! - A delta starts at the generation of the commit before it on the stream; the first one, at the cursor in `Hello`.
//!   Its epoch may be another than the cursor's if the server found every digest in `Hello` equal to its own.
//! - An acknowledgement also covers the commits before it. Like a heartbeat it carries everything that is rejected then.
//! - `Hello` and heartbeats tell what is installed; `CommitEnd.expected` is compared with what was offered.

mod action;
mod guard;
mod held;
mod restored;
mod sources;
mod staging;
mod status;
mod stream;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use meshlite_snapshot::{ResourceType, Topic};
use tokio::time::Instant;

use self::{
    guard::{Guard, Suspicion, Verdict},
    held::{Held, Next},
    stream::{AfterDamage, Stream},
};
use crate::{encode, v1};

pub use crate::inflate::InflateError;
pub use action::{Action, Delivery, Installed, Reconnect, Rejected};
pub use guard::GUARD;
pub use restored::Kept;
pub use staging::Damage;
pub use status::{Change, RejectReason, Rejection, SessionStatus, TopicDigest};
pub use stream::Fault;

/// How often a client says what it holds.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// A server that says nothing for this long is given up: three missed heartbeats.
pub const SILENCE: Duration = Duration::from_secs(30);
/// The most rejections that one message carries.
pub const MOST_REJECTIONS: usize = 1000;

/// A client that follows one control plane over any number of streams.
#[derive(Debug)]
pub struct Session {
    identity: v1::ClientIdentity,
    role: v1::Role,
    /// Servers to choose from.
    replicas: usize,
    held: Held,
    /// The next `Hello` may say what is held.
    resume: bool,
    stream: Option<Stream>,
    guard: Guard,
    server: Option<String>,
    last_commit: Option<Instant>,
    last_error: Option<String>,
    /// What heartbeats report.
    loads: Arc<[v1::EndpointLoad]>,
}

// === impl Session ===

impl Session {
    /// A client that holds nothing yet. Of topics of the same type only the widest counts.
    pub fn new(
        identity: v1::ClientIdentity,
        role: v1::Role,
        topics: &[Topic],
        replicas: usize,
    ) -> Self {
        let wanted = |kind: ResourceType| {
            let of_kind = topics.iter().filter(|topic| topic.kind == kind);
            of_kind.min_by_key(|topic| topic.scope).copied()
        };
        Self {
            identity,
            role,
            replicas,
            held: Held::new(ResourceType::ALL.into_iter().filter_map(wanted)),
            resume: true,
            stream: None,
            guard: Guard::default(),
            server: None,
            last_commit: None,
            last_error: None,
            loads: Arc::default(),
        }
    }

    /// A stream was opened.
    pub fn connected(&mut self, now: Instant, server: &str) -> Vec<Action> {
        if self.guard.until().is_some() {
            self.held.rewind();
        }
        let cursor = self.held.installed_at().filter(|_| self.resume).cloned();
        self.stream = Some(Stream::new(now, cursor));
        self.server = Some(server.to_owned());
        vec![send(v1::discovery_request::Kind::Hello(self.hello()))]
    }

    /// The stream ended, or could not be opened.
    pub fn disconnected(&mut self, error: String) {
        self.stream = None;
        self.last_error = Some(error);
    }

    /// The server said something.
    pub fn received(&mut self, now: Instant, response: v1::DiscoveryResponse) -> Vec<Action> {
        use v1::discovery_response::Kind;
        let Some(stream) = &mut self.stream else {
            return Vec::new();
        };
        stream.heard(now);
        let result = match response.kind {
            Some(Kind::Begin(begin)) => stream.begin(begin, &self.held),
            Some(Kind::Chunk(chunk)) => stream.chunk(&chunk.data, &self.held),
            Some(Kind::End(end)) => return self.end(now, &end),
            Some(Kind::Drain(drain)) => {
                stream.drain(now, drain);
                Ok(())
            }
            Some(Kind::DigestsWanted(_)) => match stream.asked() {
                Ok(()) => {
                    let bucket_digests = self.held.bucket_digests().to_bytes().into();
                    let held = v1::Held { bucket_digests };
                    return vec![send(v1::discovery_request::Kind::Held(held))];
                }
                Err(fault) => Err(fault),
            },
            Some(Kind::Heartbeat(beat)) => {
                if stream.is_about_offer(&beat, &self.held) {
                    self.held.read_on(beat.sources);
                }
                Ok(())
            }
            // A newer server may say more than this client understands.
            None => Ok(()),
        };
        match result {
            Ok(()) => self.tick(now),
            Err(fault) => self.fault(fault),
        }
    }

    /// The plane has installed what it was given.
    pub fn installed(&mut self, now: Instant, installed: Installed) -> Vec<Action> {
        if !self.held.is_busy() {
            return Vec::new();
        }
        self.held.install(installed);
        let acknowledged = self
            .stream
            .as_mut()
            .and_then(|stream| stream.installed(now));
        let mut actions = self.acknowledge(now, acknowledged);
        actions.extend(self.next(now));
        actions
    }

    /// The plane dropped what it was given.
    pub fn abandoned(&mut self) -> Vec<Action> {
        if !self.held.is_busy() {
            return Vec::new();
        }
        self.held.abandon();
        self.resume = false;
        self.reconnect(Reconnect::NotInstalled)
    }

    /// The plane can try again what it rejected as not programmed: it gets those resources in another delivery.
    pub fn retry(&mut self, now: Instant) -> Vec<Action> {
        self.held.retry();
        self.next(now)
    }

    /// Time has passed. Call it at [`Session::next_deadline`].
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        let Some(stream) = &mut self.stream else {
            return Vec::new();
        };
        if let Some(reason) = stream.overdue(now) {
            if reason == Reconnect::NoFull {
                self.resume = false;
            }
            return self.reconnect(reason);
        }
        let mut actions = Vec::new();
        if stream.heartbeat_due(now) {
            actions.push(self.heartbeat());
        }
        actions.extend(self.next(now));
        actions
    }

    /// What endpoints carry for this client from now on, for the next heartbeats to say.
    pub fn report(&mut self, loads: Arc<[v1::EndpointLoad]>) {
        self.loads = loads;
    }

    /// When [`Session::tick`] has something to do, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let stream = self.stream.as_ref()?.next_deadline();
        let guard = self.guard.until().filter(|_| !self.held.is_busy());
        Some(guard.map_or(stream, |until| stream.min(until)))
    }

    /// The open stream is good for something: a backoff may start from the beginning after it.
    pub fn is_healthy(&self, now: Instant) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| stream.is_healthy(now))
    }

    /// Where the client stands.
    pub fn status(&self) -> SessionStatus {
        let connected = self.stream.as_ref().is_some_and(Stream::is_answered);
        let installed_at = self.held.installed_at();
        SessionStatus {
            connected,
            server: self.server.clone(),
            epoch: installed_at.map_or_else(String::new, |at| at.epoch.clone()),
            generation: self.generation(),
            digests: self.held.digests(),
            rejections: self.held.rejections().cloned().collect(),
            last_commit: self.last_commit,
            last_error: self.last_error.clone(),
            provisional: self.held.is_provisional(),
            held_back: self.guard.held_back(),
            sources: self.held.sources().to_vec(),
        }
    }

    /// What is installed, in a few bytes.
    pub fn installed_digests(&self) -> Vec<TopicDigest> {
        self.held.digests()
    }

    fn end(&mut self, now: Instant, end: &v1::CommitEnd) -> Vec<Action> {
        let Some(stream) = &mut self.stream else {
            return Vec::new();
        };
        match stream.end(now, end, &self.held) {
            Ok(Some((staged, at))) => {
                self.held.offer(staged, at);
                self.resume = true;
                self.next(now)
            }
            Ok(None) => self.tick(now),
            Err(AfterDamage::AskForFull(nonce, damage)) => {
                tracing::error!(%damage, "a commit is damaged, asking for a full one");
                self.last_error = Some(format!("a commit is damaged: {damage}"));
                let mut ack = self.ack(nonce);
                ack.digest_mismatch = true;
                vec![send(v1::discovery_request::Kind::Ack(ack))]
            }
            Err(AfterDamage::GiveUp(fault)) => self.fault(fault),
        }
    }

    /// Hands over what is ready, unless the guard holds it.
    fn next(&mut self, now: Instant) -> Vec<Action> {
        if self.held.is_busy() || !self.held.is_ready() {
            return Vec::new();
        }
        if let Some(actions) = self.guarded(now) {
            return actions;
        }
        match self.held.hand_over() {
            Next::Wait => Vec::new(),
            Next::Done => {
                let acknowledged = self.stream.as_mut().and_then(Stream::done);
                self.acknowledge(now, acknowledged)
            }
            Next::Deliver(delivery) => {
                if let Some(stream) = &mut self.stream {
                    stream.delivered(now);
                }
                vec![Action::Deliver(delivery)]
            }
        }
    }

    /// What to do instead of handing over, if that would be a step back.
    fn guarded(&mut self, now: Instant) -> Option<Vec<Action>> {
        let (offered, installed) = (self.held.offered_at()?, self.held.installed_at()?);
        let is_new = offered.epoch != installed.epoch;
        let regression = || is_new.then(|| self.held.regression()).flatten();
        let step_back = self.held.step_back().map(Suspicion::StepBack);
        let suspicion = step_back.or_else(|| regression().map(Suspicion::Regression));
        let is_connected = self.stream.is_some();
        match self
            .guard
            .decide(now, suspicion, &offered.epoch, is_connected)
        {
            Verdict::Pass => None,
            Verdict::Obey => {
                self.held.forget_sources();
                None
            }
            Verdict::Hold | Verdict::StartToHold => {
                self.last_error = self.guard.held_back();
                Some(self.ask_another())
            }
        }
    }

    /// As long as something is held back, every replica in turn is asked for something better.
    fn ask_another(&mut self) -> Vec<Action> {
        if self.replicas < 2 || self.stream.take().is_none() {
            return Vec::new();
        }
        vec![Action::Reconnect(Reconnect::Confirm)]
    }

    fn acknowledge(&mut self, now: Instant, nonce: Option<(u64, Duration)>) -> Vec<Action> {
        self.last_commit = Some(now);
        self.last_error = None;
        let Some((nonce, took)) = nonce else {
            // Not a commit of this stream, yet something else is installed now.
            return self.stream.iter().map(|_| self.heartbeat()).collect();
        };
        let mut ack = self.ack(nonce);
        ack.install_time = took.try_into().ok();
        vec![send(v1::discovery_request::Kind::Ack(ack))]
    }

    fn ack(&self, nonce: u64) -> v1::Ack {
        v1::Ack {
            nonce,
            generation: self.generation(),
            installed: self.digests(),
            rejections: self.rejections(),
            ..v1::Ack::default()
        }
    }

    fn heartbeat(&self) -> Action {
        send(v1::discovery_request::Kind::Heartbeat(v1::Heartbeat {
            generation: self.generation(),
            digests: self.digests(),
            rejections: self.rejections(),
            loads: self.loads.to_vec(),
            ..v1::Heartbeat::default()
        }))
    }

    fn rejections(&self) -> Vec<v1::Rejection> {
        let rejections = self.held.rejections().take(MOST_REJECTIONS);
        rejections.map(Into::into).collect()
    }

    fn hello(&self) -> v1::Hello {
        let cursor = self.held.installed_at().filter(|_| self.resume);
        let subscriptions = self
            .held
            .digests()
            .into_iter()
            .map(|held| v1::Subscription {
                topic: Some(encode::topic(held.topic)),
                set_digest: match cursor {
                    Some(_) => held.digest.to_string(),
                    None => String::new(),
                },
                provisional: self.held.is_provisional(),
            });
        v1::Hello {
            client: Some(self.identity.clone()),
            role: self.role.into(),
            subscriptions: subscriptions.collect(),
            accept: vec![v1::Encoding::Zstd.into(), v1::Encoding::Identity.into()],
            max_chunk_bytes: u32::try_from(encode::MAX_CHUNK_BYTES).unwrap_or(0),
            cursor: cursor.map(|at| v1::Cursor {
                epoch: at.epoch.clone(),
                generation: at.generation,
            }),
            ..v1::Hello::default()
        }
    }

    fn fault(&mut self, fault: Fault) -> Vec<Action> {
        if fault.forget_cursor() {
            self.resume = false;
        }
        self.reconnect(fault.into())
    }

    fn reconnect(&mut self, reason: Reconnect) -> Vec<Action> {
        self.stream = None;
        if !matches!(reason, Reconnect::Drained(_)) {
            self.last_error = Some(reason.to_string());
        }
        vec![Action::Reconnect(reason)]
    }

    fn generation(&self) -> u64 {
        self.held.installed_at().map_or(0, |at| at.generation)
    }

    fn digests(&self) -> Vec<v1::TopicDigest> {
        let held = self.held.digests().into_iter();
        held.map(|held| encode::topic_digest(held.topic, held.digest, held.count))
            .collect()
    }
}

fn send(kind: v1::discovery_request::Kind) -> Action {
    Action::Send(v1::DiscoveryRequest { kind: Some(kind) })
}
