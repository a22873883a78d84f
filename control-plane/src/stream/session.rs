//! The server's side of one stream, without I/O: what to send next, and what the client's messages mean.

mod standing;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use meshlite_proto::{
    decode,
    session::{HEARTBEAT, MOST_REJECTIONS, SILENCE},
    v1,
};
use meshlite_snapshot::{BucketDigests, ResourceType};
use tokio::time::Instant;
use tonic::Status;

use super::hello::Accepted;
use crate::publish::{Commit, Held, Range, Resume, TopicSet, TopicState, View};

pub(super) use standing::Standing;

/// The longest name or message of a rejection that is kept, in characters.
const LONGEST_TEXT: usize = 1024;
/// How long a client may take to say what its buckets hold.
const COMPARING: Duration = HEARTBEAT;

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    topics: TopicSet,
    position: Position,
    /// Counts the commits of the stream.
    nonce: u64,
    /// The commit that was sent and is not acknowledged.
    in_flight: Option<InFlight>,
    standing: Standing,
    heard: Instant,
    beat: Instant,
}

#[derive(Debug)]
enum Position {
    /// What it brings decides.
    Hello(Box<Held>),
    /// It was asked for the digests of its buckets, and has until then.
    Asked(Instant),
    /// It says that its buckets hold this.
    Compared(BucketDigests),
    /// The client holds what was published at this generation.
    At(u64),
    /// The client holds something else than it should, and nobody knows what.
    Lost,
}

/// What is to be remembered of a commit until it is acknowledged.
#[derive(Clone, Debug)]
struct InFlight {
    nonce: u64,
    is_full: bool,
    generation: u64,
    expected: Arc<[TopicState]>,
    /// When the oldest change in it was published; none where it carries no change.
    published: Option<Instant>,
}

/// What the client is to be sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Commit(Range),
    /// The question what its buckets hold.
    Compare,
}

/// What differs by client in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) nonce: u64,
    pub(super) from_generation: u64,
}

/// What a client's message means for others than the session.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// Nothing.
    Alive,
    /// What is installed and what is not: a change, so long after it was published; these rejections are new.
    Reported {
        convergence: Option<Duration>,
        rejections: Vec<v1::Rejection>,
    },
    /// The client holds something else than it should; it is sent everything.
    Mismatch,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Say that this side is there.
    Heartbeat,
    /// The client is gone.
    Silence,
}

impl Session {
    /// A stream whose Hello was accepted. The first heartbeat is due `early` before a whole interval has passed: at
    /// another time for each client.
    pub(super) fn new(accepted: &Accepted, now: Instant, early: Duration) -> Self {
        let held = accepted.held.clone();
        let installed = held
            .cursor
            .as_ref()
            .map_or(0, |(_, generation)| *generation);
        Self {
            topics: accepted.topics,
            position: Position::Hello(Box::new(held)),
            nonce: 0,
            in_flight: None,
            standing: Standing::new(installed),
            heard: now,
            beat: now.checked_sub(early.min(HEARTBEAT)).unwrap_or(now),
        }
    }

    /// What is to be sent now; nothing while a commit is not acknowledged or an answer is awaited, or where nothing
    /// changed for this client.
    pub(super) fn next(&mut self, view: &View, now: Instant) -> Option<Next> {
        if self.in_flight.is_some() {
            return None;
        }
        let range = match &self.position {
            Position::Hello(held) => match view.resume(held) {
                Resume::With(range) => range,
                Resume::Compare => return Some(Next::Compare),
            },
            Position::Asked(until) if now < *until => return None,
            Position::Asked(_) | Position::Lost => Range::Full,
            Position::Compared(digests) => view.compare(self.topics, digests),
            Position::At(from) if !view.reaches(*from) => Range::Full,
            Position::At(from) if view.has_changes(self.topics, *from) => Range::Since(*from),
            Position::At(_) => {
                // Nothing changed for these topics: whatever is forgotten before now does not matter to them.
                self.at(view.generation());
                return None;
            }
        };
        Some(Next::Commit(range))
    }

    /// The client was asked what its buckets hold.
    pub(super) fn asked(&mut self, now: Instant) {
        self.position = Position::Asked(now + COMPARING);
    }

    /// Starts this commit, whose range [`Session::next`] named.
    pub(super) fn begin(&mut self, commit: &Commit) -> Opening {
        self.nonce += 1;
        self.standing.sent_generation = commit.generation;
        self.in_flight = Some(InFlight {
            nonce: self.nonce,
            is_full: commit.range == Range::Full,
            generation: commit.generation,
            expected: Arc::clone(&commit.expected),
            published: commit.published,
        });
        Opening {
            nonce: self.nonce,
            from_generation: match commit.range {
                Range::Full | Range::Buckets(_) => 0,
                Range::Since(_) | Range::Nothing => self.standing.installed_generation,
            },
        }
    }

    /// Takes in a message. An error ends the stream.
    pub(super) fn hear(
        &mut self,
        request: v1::DiscoveryRequest,
        now: Instant,
    ) -> Result<Heard, Status> {
        use v1::discovery_request::Kind;
        self.heard = now;
        match request.kind {
            Some(Kind::Ack(ack)) => self.acknowledged(ack, now),
            Some(Kind::Heartbeat(heartbeat)) => Ok(self.heartbeat(heartbeat)),
            Some(Kind::Held(held)) => {
                if matches!(self.position, Position::Asked(_)) {
                    let digests = BucketDigests::from_bytes(&held.bucket_digests);
                    self.position = digests.map_or(Position::Lost, Position::Compared);
                }
                Ok(Heard::Alive)
            }
            Some(Kind::Hello(_)) => Err(Status::invalid_argument(
                "Hello is the first message of a stream, and only that",
            )),
            // A message of a newer protocol.
            None => Ok(Heard::Alive),
        }
    }

    /// What is due by now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if now >= self.heard + SILENCE {
            Some(Due::Silence)
        } else if now >= self.beat + HEARTBEAT {
            self.beat = now;
            Some(Due::Heartbeat)
        } else {
            None
        }
    }

    /// When [`Session::due`] or [`Session::next`] has something to say, at the earliest.
    pub(super) fn deadline(&self) -> Instant {
        let due = (self.beat + HEARTBEAT).min(self.heard + SILENCE);
        match self.position {
            Position::Asked(until) if self.in_flight.is_none() => due.min(until),
            _ => due,
        }
    }

    /// A commit was sent and is not acknowledged: nothing else is sent before.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Where the client stands.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    fn acknowledged(&mut self, ack: v1::Ack, now: Instant) -> Result<Heard, Status> {
        let Some(sent) = self.in_flight.take_if(|sent| sent.nonce == ack.nonce) else {
            // An acknowledgement of a commit that was given up.
            return Ok(Heard::Alive);
        };
        if ack.digest_mismatch {
            if sent.is_full {
                return Err(Status::data_loss(
                    "a full snapshot did not match its digest; connect again",
                ));
            }
            self.lose();
            return Ok(Heard::Mismatch);
        }
        self.at(sent.generation);
        self.standing.installed_generation = sent.generation;
        self.standing.expected = Some(sent.expected);
        Ok(Heard::Reported {
            convergence: sent.published.map(|at| now - at),
            rejections: self.report(&ack.installed, ack.rejections),
        })
    }

    fn at(&mut self, generation: u64) {
        self.position = Position::At(generation);
        self.standing.position = Some(generation);
    }

    fn lose(&mut self) {
        self.position = Position::Lost;
        self.standing.position = None;
    }

    fn heartbeat(&mut self, heartbeat: v1::Heartbeat) -> Heard {
        let says_what_it_holds = !heartbeat.digests.is_empty()
            && self.in_flight.is_none()
            && heartbeat.generation == self.standing.installed_generation;
        if !says_what_it_holds {
            return Heard::Alive;
        }
        let rejections = self.report(&heartbeat.digests, heartbeat.rejections);
        let is_other = self.standing.expected.is_some() && !self.standing.is_converged();
        if is_other && self.standing.rejections.is_empty() {
            self.lose();
            return Heard::Mismatch;
        }
        Heard::Reported {
            convergence: None,
            rejections,
        }
    }

    /// Takes over what the client says, and gives back the rejections that are new.
    fn report(
        &mut self,
        installed: &[v1::TopicDigest],
        mut rejections: Vec<v1::Rejection>,
    ) -> Vec<v1::Rejection> {
        self.standing.report(self.topics, installed);
        rejections.truncate(MOST_REJECTIONS);
        for rejection in &mut rejections {
            shorten(&mut rejection.name);
            shorten(&mut rejection.message);
        }
        if *self.standing.rejections == *rejections {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.standing.rejections, rejections.into());
        let known: BTreeSet<_> = before.iter().map(identity).collect();
        let is_new = |rejection: &&v1::Rejection| !known.contains(&identity(rejection));
        self.standing
            .rejections
            .iter()
            .filter(is_new)
            .cloned()
            .collect()
    }
}

/// What makes a rejection the same one as before.
fn identity(rejection: &v1::Rejection) -> (Option<(i32, &str)>, &str, &str) {
    let topic = rejection.topic.as_ref();
    (
        topic.map(|topic| (topic.r#type, topic.scope.as_str())),
        &rejection.name,
        &rejection.version,
    )
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
    }
}

/// The type of what was rejected, where it is known.
pub(super) fn rejected_kind(rejection: &v1::Rejection) -> Option<ResourceType> {
    let topic = decode::topic(rejection.topic.as_ref()?).ok()?;
    Some(topic.kind)
}

#[cfg(test)]
mod tests;
