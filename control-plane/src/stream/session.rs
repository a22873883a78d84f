//! The server's side of one stream, without I/O: what to send next, and what the client's messages mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use meshlite_proto::{
    decode, encode,
    session::{HEARTBEAT, MOST_REJECTIONS, SILENCE},
    v1,
};
use meshlite_snapshot::{ResourceType, Topic};
use tokio::time::Instant;
use tonic::Status;

use super::hello::Accepted;
use crate::publish::{Resume, TopicState, View};

/// The longest name or message of a rejection that is kept, in characters.
const LONGEST_TEXT: usize = 1024;

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Accepted,
    position: Position,
    /// Counts the commits of the stream.
    nonce: u64,
    /// The commit that was sent and is not acknowledged.
    in_flight: Option<InFlight>,
    sent_generation: u64,
    /// As the client counts: the generation of the last commit that it installed, on this stream or before.
    client_generation: u64,
    /// What that commit says the client holds.
    expected: Option<Expected>,
    /// What the client says it holds.
    reported: Expected,
    /// Everything that the client does not serve as it was sent, as it last said.
    rejections: Vec<v1::Rejection>,
    heard: Instant,
    beat: Instant,
}

/// The sets of a stream's topics.
type Expected = BTreeMap<Topic, TopicState>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// The Hello decides.
    Hello,
    /// The client holds what was published at this generation.
    At(u64),
    /// The client holds something else than it should.
    Lost,
}

#[derive(Clone, Debug)]
struct InFlight {
    plan: Plan,
    /// When the oldest change in it was published; none where it carries no change.
    published: Option<Instant>,
}

/// What the next commit brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Everything.
    Full,
    /// What changed after this generation.
    Since(u64),
    /// Only the position: the client holds the rest.
    Nothing,
}

/// A commit to be sent.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nonce: u64,
    pub(super) range: Range,
    pub(super) from_generation: u64,
    pub(super) generation: u64,
    pub(super) expected: Expected,
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
    /// A stream whose Hello was accepted.
    pub(super) fn new(client: Accepted, now: Instant) -> Self {
        let cursor = client.cursor.as_ref();
        Self {
            position: Position::Hello,
            nonce: 0,
            in_flight: None,
            sent_generation: 0,
            client_generation: cursor.map_or(0, |(_, generation)| *generation),
            expected: None,
            reported: Expected::new(),
            rejections: Vec::new(),
            heard: now,
            beat: now,
            client,
        }
    }

    /// What the next commit would bring; none while one is not acknowledged, or where nothing changed for this client.
    pub(super) fn wants(&mut self, view: &View) -> Option<Range> {
        if self.in_flight.is_some() {
            return None;
        }
        match self.position {
            Position::Lost => Some(Range::Full),
            Position::Hello => {
                let cursor = self.client.cursor.as_ref();
                let cursor = cursor.map(|(epoch, generation)| (epoch.as_str(), *generation));
                Some(match view.resume(&self.client.held, cursor) {
                    Resume::Full => Range::Full,
                    Resume::Delta(from) => Range::Since(from),
                    Resume::Confirm => Range::Nothing,
                })
            }
            Position::At(from) if !view.reaches(from) => Some(Range::Full),
            Position::At(from) if view.has_changes(&self.client.topics, from) => {
                Some(Range::Since(from))
            }
            Position::At(_) => {
                // Nothing changed for these topics: whatever is forgotten before now does not matter to them.
                self.position = Position::At(view.generation());
                None
            }
        }
    }

    /// Starts the commit that [`Session::wants`] named.
    pub(super) fn begin(&mut self, view: &View, range: Range) -> Plan {
        self.nonce += 1;
        self.sent_generation = view.generation();
        let state = |topic: &Topic| (*topic, view.state(*topic));
        let plan = Plan {
            nonce: self.nonce,
            range,
            from_generation: match range {
                Range::Full => 0,
                Range::Since(_) | Range::Nothing => self.client_generation,
            },
            generation: view.generation(),
            expected: self.client.topics.iter().map(state).collect(),
        };
        let published = match range {
            Range::Since(from) => view.stamp_after(from).map(|stamp| stamp.at),
            Range::Full | Range::Nothing => None,
        };
        self.in_flight = Some(InFlight {
            plan: plan.clone(),
            published,
        });
        plan
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

    /// When [`Session::due`] has something to say, at the earliest.
    pub(super) fn deadline(&self) -> Instant {
        (self.beat + HEARTBEAT).min(self.heard + SILENCE)
    }

    /// The client as tools see it. Times are left to the caller.
    pub(super) fn describe(&self) -> v1::Client {
        let topics = self.client.topics.iter().copied();
        let installed = topics.clone().filter_map(|topic| {
            let state = self.reported.get(&topic)?;
            Some(encode::topic_digest(topic, state.digest, state.count))
        });
        v1::Client {
            identity: Some(self.client.identity.clone()),
            role: self.client.role.into(),
            installed: installed.collect(),
            topics: topics.map(encode::topic).collect(),
            connected_at: None,
            sent_generation: self.sent_generation,
            installed_generation: self.client_generation,
            converged: self.is_converged(),
            rejections: self.rejections.clone(),
            last_heard: None,
            ..v1::Client::default()
        }
    }

    /// Whether the client has proved that it holds exactly what it was last sent.
    fn is_converged(&self) -> bool {
        self.expected.as_ref() == Some(&self.reported)
    }

    fn acknowledged(&mut self, ack: v1::Ack, now: Instant) -> Result<Heard, Status> {
        let Some(InFlight { plan, published }) =
            self.in_flight.take_if(|sent| sent.plan.nonce == ack.nonce)
        else {
            // An acknowledgement of a commit that was given up.
            return Ok(Heard::Alive);
        };
        if ack.digest_mismatch {
            if plan.range == Range::Full {
                return Err(Status::data_loss(
                    "a full snapshot did not match its digest; connect again",
                ));
            }
            self.position = Position::Lost;
            return Ok(Heard::Mismatch);
        }
        self.position = Position::At(plan.generation);
        self.client_generation = plan.generation;
        self.expected = Some(plan.expected);
        Ok(Heard::Reported {
            convergence: published.map(|at| now - at),
            rejections: self.report(&ack.installed, ack.rejections),
        })
    }

    fn heartbeat(&mut self, heartbeat: v1::Heartbeat) -> Heard {
        let says_what_it_holds = !heartbeat.digests.is_empty()
            && self.in_flight.is_none()
            && heartbeat.generation == self.client_generation;
        if !says_what_it_holds {
            return Heard::Alive;
        }
        let rejections = self.report(&heartbeat.digests, heartbeat.rejections);
        if self.expected.is_some() && !self.is_converged() && self.rejections.is_empty() {
            self.position = Position::Lost;
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
        self.reported = states(installed);
        rejections.truncate(MOST_REJECTIONS);
        for rejection in &mut rejections {
            shorten(&mut rejection.name);
            shorten(&mut rejection.message);
        }
        let before = std::mem::replace(&mut self.rejections, rejections);
        let known: BTreeSet<_> = before.iter().map(identity).collect();
        let is_new = |rejection: &&v1::Rejection| !known.contains(&identity(rejection));
        self.rejections.iter().filter(is_new).cloned().collect()
    }
}

fn states(digests: &[v1::TopicDigest]) -> Expected {
    let state = |said: &v1::TopicDigest| {
        let (topic, digest, count) = decode::topic_digest(said).ok()?;
        Some((topic, TopicState { digest, count }))
    };
    digests.iter().filter_map(state).collect()
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
