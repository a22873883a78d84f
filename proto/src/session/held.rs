//! What a client holds: what it was offered, what it installed, and what is on its way from one to the other.

mod set;

use std::{collections::BTreeMap, time::SystemTime};

use meshlite_snapshot::{Name, Resource, Snapshot, Topic, Version};

use self::set::{Entry, Set, Sum};
use super::{
    Change, Delivery, Installed, RejectReason, Rejected, Rejection, TopicDigest,
    staging::{Damage, Staged, What},
};
use crate::{decode, encode, v1};

/// A position in one replica's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) epoch: String,
    pub(super) generation: u64,
}

/// Offered and installed are tracked apart: the first proves what the server sent, the second what this client serves.
#[derive(Debug)]
pub(super) struct Held {
    sets: BTreeMap<Topic, Set>,
    /// What is installed.
    snapshot: Snapshot,
    /// The last commit that was proved, and the last that was installed.
    offered_at: Option<Position>,
    installed_at: Option<Position>,
    /// Proved, and not yet handed over. It goes by key, so a busy plane gets one commit for many.
    pending: BTreeMap<Key, What>,
    /// When the oldest change of the commits in `pending` happened at its source.
    oldest_change: Option<SystemTime>,
    /// A commit was proved since the last one was handed over.
    ready: bool,
    in_flight: Option<InFlight>,
    /// What the plane could not program, to be tried again.
    refused: BTreeMap<Key, What>,
    rejections: BTreeMap<WireKey, Rejection>,
}

type Key = (Topic, Name);

/// Type, scope and name as the server calls them.
pub(super) type WireKey = (i32, String, String);

#[derive(Debug)]
struct InFlight {
    at: Option<Position>,
    changes: BTreeMap<Key, What>,
}

/// A commit that would take away most of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regression {
    pub(super) topic: Topic,
    pub(super) removed: u64,
    pub(super) of: u64,
}

/// What there is to do for the plane.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing until another commit is proved or the plane has finished.
    Wait,
    /// What was proved changes nothing here, so it is installed already.
    Done,
    /// The plane has work.
    Deliver(Delivery),
}

// === impl Held ===

impl Held {
    pub(super) fn new(topics: impl IntoIterator<Item = Topic>) -> Self {
        Self {
            sets: topics
                .into_iter()
                .map(|topic| (topic, Set::default()))
                .collect(),
            snapshot: Snapshot::default(),
            offered_at: None,
            installed_at: None,
            pending: BTreeMap::new(),
            oldest_change: None,
            ready: false,
            in_flight: None,
            refused: BTreeMap::new(),
            rejections: BTreeMap::new(),
        }
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = Topic> {
        self.sets.keys().copied()
    }

    pub(super) fn offered_at(&self) -> Option<&Position> {
        self.offered_at.as_ref()
    }

    pub(super) fn installed_at(&self) -> Option<&Position> {
        self.installed_at.as_ref()
    }

    pub(super) fn subscribes(&self, topic: Topic) -> bool {
        self.sets.contains_key(&topic)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Computed from what is installed.
    pub(super) fn digests(&self) -> Vec<TopicDigest> {
        self.sets
            .iter()
            .map(|(topic, set)| TopicDigest {
                topic: *topic,
                digest: set.installed.digest,
                count: set.installed.count,
            })
            .collect()
    }

    pub(super) fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        self.rejections.values()
    }

    /// A resource that need not be decoded again, because these bytes were decoded before.
    pub(super) fn decoded(&self, topic: Topic, name: &Name, version: Version) -> Option<Resource> {
        let entry = self.sets.get(&topic)?.entries.get(name)?;
        if entry.installed == Some(version) {
            return self.snapshot.get(topic.kind, name);
        }
        if entry.offered != Some(version) {
            return None;
        }
        match self.pending.get(&(topic, name.clone()))? {
            What::Put(known, resource) if *known == version => Some(resource.clone()),
            What::Put(..) | What::Bad(..) | What::Removed => None,
        }
    }

    /// Proves that what is held with this commit is what the server says it is.
    pub(super) fn verify(
        &self,
        staged: &Staged,
        expected: &[v1::TopicDigest],
    ) -> Result<(), Damage> {
        let mut said = BTreeMap::new();
        for digest in expected {
            let known = digest.topic.as_ref().map(decode::topic);
            let Some(Ok(topic)) = known else { continue };
            let (_, digest, count) = decode::topic_digest(digest).map_err(Damage::Expected)?;
            said.insert(topic, Sum { digest, count });
        }
        for (topic, computed) in self.sums_with(staged) {
            let said = match said.get(&topic) {
                Some(said) => *said,
                None if staged.covers(topic) => return Err(Damage::Unproved(topic)),
                None => continue,
            };
            if said != computed {
                return Err(Damage::Digest {
                    topic,
                    expected: said.digest,
                    computed: computed.digest,
                    expected_count: said.count,
                    computed_count: computed.count,
                });
            }
        }
        Ok(())
    }

    /// Takes in a commit that was proved.
    pub(super) fn offer(&mut self, staged: Staged, at: Position) {
        if staged.full {
            let sets = &self.sets;
            self.rejections
                .retain(|key, _| known_topic(key).is_some_and(|topic| sets.contains_key(&topic)));
        }
        for key in self.gone_with(&staged) {
            self.offer_one(key, What::Removed);
        }
        for (key, what) in staged.resources {
            self.offer_one(key, what);
        }
        for rejection in staged.unknown {
            let key = wire_key(&rejection);
            self.rejections.insert(key, rejection);
        }
        for key in staged.unknown_removed {
            self.rejections.remove(&key);
        }
        self.oldest_change = self
            .oldest_change
            .into_iter()
            .chain(staged.oldest_change)
            .min();
        self.offered_at = Some(at);
        self.ready = true;
    }

    /// Whether the plane would lose most of a set if it got what is offered.
    pub(super) fn regression(&self) -> Option<Regression> {
        self.sets.iter().find_map(|(topic, set)| {
            let gone = |entry: &&Entry| entry.installed.is_some() && entry.offered.is_none();
            let removed = set.entries.values().filter(gone).count() as u64;
            let of = set.installed.count;
            (removed > 10 && removed * 2 > of).then_some(Regression {
                topic: *topic,
                removed,
                of,
            })
        })
    }

    /// What the plane has to do next. All of what is pending goes with it.
    pub(super) fn hand_over(&mut self) -> Next {
        let at = match &self.offered_at {
            Some(at) if self.ready && !self.is_busy() => at.clone(),
            _ => return Next::Wait,
        };
        self.ready = false;
        let oldest_change = self.oldest_change.take();
        let mut snapshot = self.snapshot.clone();
        let mut changes = BTreeMap::new();
        for (key, what) in std::mem::take(&mut self.pending) {
            let (topic, name) = &key;
            let installed = self.installed(*topic, name);
            match &what {
                What::Bad(version, error) => {
                    let rejection = Rejection {
                        topic: encode::topic(*topic),
                        name: name.to_string(),
                        version: *version,
                        reason: error.reason(),
                        message: error.to_string(),
                        serving: installed,
                    };
                    self.rejections.insert(wire_key(&rejection), rejection);
                }
                What::Put(version, _) if installed == Some(*version) => self.accepted(&key),
                What::Removed if installed.is_none() => self.accepted(&key),
                What::Put(_, resource) => {
                    snapshot.insert(name.clone(), resource.clone());
                    changes.insert(key, what);
                }
                What::Removed => {
                    snapshot.remove(topic.kind, name);
                    changes.insert(key, what);
                }
            }
        }
        if changes.is_empty() && self.installed_at.is_some() {
            self.installed_at = Some(at);
            return Next::Done;
        }
        let delivery = Delivery {
            generation: at.generation,
            before: self.snapshot.clone(),
            snapshot,
            changes: changes
                .iter()
                .map(|((topic, name), what)| Change {
                    topic: *topic,
                    name: name.clone(),
                    removed: matches!(what, What::Removed),
                })
                .collect(),
            oldest_change,
            provisional: false,
        };
        self.in_flight = Some(InFlight {
            at: Some(at),
            changes,
        });
        Next::Deliver(delivery)
    }

    /// The plane has installed what it was given, except what it rejected.
    pub(super) fn install(&mut self, installed: Installed) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        self.snapshot = installed.snapshot;
        self.installed_at = in_flight.at;
        let mut rejected: BTreeMap<Key, Rejected> = installed
            .rejected
            .into_iter()
            .map(|rejected| ((rejected.topic, rejected.name.clone()), rejected))
            .collect();
        // A complaint about something that is served all the same lasts as long as the plane repeats it.
        self.rejections
            .retain(|_, old| old.serving != Some(old.version));
        for (key, what) in in_flight.changes {
            if let Some(rejected) = rejected.remove(&key) {
                self.reject(&rejected, what.version());
                // Where something newer was offered meanwhile, trying this again would put it back.
                let is_newest = self.offered(&key) == what.version();
                if rejected.reason == RejectReason::NotProgrammed && is_newest {
                    self.refused.insert(key, what);
                }
                continue;
            }
            if let Some(set) = self.sets.get_mut(&key.0) {
                set.install(&key.1, what.version());
            }
            self.accepted(&key);
        }
        for ((topic, name), rejected) in rejected {
            // It may be one that was rejected before and is not served.
            let wire = encode::topic(topic);
            let key = (wire.r#type, wire.scope, name.to_string());
            let before = self.rejections.get(&key).map(|rejection| rejection.version);
            let version = before.or_else(|| self.installed(topic, &name));
            self.reject(&rejected, version);
        }
    }

    /// The plane gave up on what it was given: it gets all of it again with the next commit that is proved.
    pub(super) fn abandon(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            for (key, what) in in_flight.changes {
                self.pending.entry(key).or_insert(what);
            }
        }
    }

    /// The plane wants to try again what it could not program. It changes nothing about what was proved.
    pub(super) fn retry(&mut self) {
        for (key, what) in std::mem::take(&mut self.refused) {
            self.pending.entry(key).or_insert(what);
            self.ready = true;
        }
    }

    fn offered(&self, (topic, name): &Key) -> Option<Version> {
        self.sets.get(topic)?.entries.get(name)?.offered
    }

    fn installed(&self, topic: Topic, name: &Name) -> Option<Version> {
        self.sets.get(&topic)?.entries.get(name)?.installed
    }

    /// This resource is served as it was last sent.
    fn accepted(&mut self, (topic, name): &Key) {
        let wire = encode::topic(*topic);
        self.rejections
            .remove(&(wire.r#type, wire.scope, name.to_string()));
        if let Some(set) = self.sets.get_mut(topic) {
            set.forget_if_empty(name);
        }
    }

    fn reject(&mut self, rejected: &Rejected, version: Option<Version>) {
        let rejection = Rejection {
            topic: encode::topic(rejected.topic),
            name: rejected.name.to_string(),
            version: version.unwrap_or(Version(0)),
            reason: rejected.reason,
            message: rejected.message.clone(),
            serving: self.installed(rejected.topic, &rejected.name),
        };
        self.rejections.insert(wire_key(&rejection), rejection);
    }

    fn offer_one(&mut self, key: Key, what: What) {
        if let Some(set) = self.sets.get_mut(&key.0) {
            set.offer(&key.1, what.version());
            self.refused.remove(&key);
            self.pending.insert(key, what);
        }
    }

    /// What a full commit does not name.
    fn gone_with(&self, staged: &Staged) -> Vec<Key> {
        let mut gone = Vec::new();
        for (topic, set) in self
            .sets
            .iter()
            .filter(|(topic, _)| staged.replaces(**topic))
        {
            let keys = set.entries.keys().map(|name| (*topic, name.clone()));
            gone.extend(keys.filter(|key| !staged.resources.contains_key(key)));
        }
        gone
    }

    /// What every set would be with this commit.
    fn sums_with(&self, staged: &Staged) -> BTreeMap<Topic, Sum> {
        let mut sums: BTreeMap<Topic, Sum> = self
            .sets
            .iter()
            .map(|(topic, set)| {
                let kept = !staged.replaces(*topic);
                (*topic, if kept { set.offered } else { Sum::default() })
            })
            .collect();
        for ((topic, name), what) in &staged.resources {
            let (Some(sum), Some(set)) = (sums.get_mut(topic), self.sets.get(topic)) else {
                continue;
            };
            let old = set.entries.get(name).and_then(|entry| entry.offered);
            let old = old.filter(|_| !staged.replaces(*topic));
            sum.change(name, old, what.version());
        }
        sums
    }
}

fn wire_key(rejection: &Rejection) -> WireKey {
    let topic = &rejection.topic;
    (topic.r#type, topic.scope.clone(), rejection.name.clone())
}

fn known_topic((kind, scope, _): &WireKey) -> Option<Topic> {
    decode::topic_of(*kind, scope).ok()
}
