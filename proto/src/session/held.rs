//! What a client holds: what it was offered, what it installed, and what is on its way from one to the other.

mod plane;
mod proof;
mod set;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use bytes::Bytes;
use meshlite_snapshot::{Name, Resource, Snapshot, Topic, Version};

use self::set::{Entry, Set, Sum};
use super::{
    Delivery, Rejection, TopicDigest,
    restored::Kept,
    sources::{self, StepBack},
    staging::{Base, Body, MOST_SOURCES, Staged, What},
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
    offered_from: Origin,
    installed_from: Origin,
    /// Bodies of what is installed are kept, to be written to disk.
    keep_bodies: bool,
}

type Key = (Topic, Name);

/// Type, scope and name as the server calls them.
pub(super) type WireKey = (i32, String, String);

/// Where a state comes from.
#[derive(Clone, Debug, Default)]
struct Origin {
    /// How far its sources were read.
    sources: Vec<v1::Watermark>,
    /// From disk.
    provisional: bool,
}

#[derive(Debug)]
struct InFlight {
    at: Option<Position>,
    changes: BTreeMap<Key, What>,
    from: Origin,
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
    Deliver(Box<Delivery>),
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
            offered_from: Origin::default(),
            installed_from: Origin::default(),
            keep_bodies: false,
        }
    }

    /// Keeps the bodies of what is installed from now on, for [`Held::kept`].
    pub(super) fn keep_bodies(&mut self) {
        self.keep_bodies = true;
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

    pub(super) fn sources(&self) -> &[v1::Watermark] {
        &self.installed_from.sources
    }

    pub(super) fn is_provisional(&self) -> bool {
        self.installed_from.provisional
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

    /// A copy of a body, where bodies are kept.
    pub(super) fn body(&self, body: &[u8]) -> Option<Body> {
        self.keep_bodies.then(|| Body(Bytes::copy_from_slice(body)))
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
            What::Put(known, resource, _) if *known == version => Some(resource.clone()),
            What::Put(..) | What::Bad(..) | What::Removed => None,
        }
    }

    /// Takes in a commit that was proved and is complete.
    pub(super) fn offer(&mut self, staged: Staged, at: Position) {
        if staged.is_full() {
            let sets = &self.sets;
            self.rejections
                .retain(|key, _| known_topic(key).is_some_and(|topic| sets.contains_key(&topic)));
        }
        let mut resources = staged.resources;
        resources.retain(|key, what| self.offer_one(key, what));
        self.pending.append(&mut resources);
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
        self.offered_from = Origin {
            sources: staged.sources,
            provisional: staged.base == Base::Disk,
        };
        self.offered_at = Some(at);
        self.ready = true;
    }

    /// Forgets what was offered and not handed over, so that another replica is asked for it.
    pub(super) fn rewind(&mut self) {
        for (key, _) in std::mem::take(&mut self.pending) {
            let version = self.handed_over(&key);
            if let Some(set) = self.sets.get_mut(&key.0) {
                set.offer(&key.1, version);
                set.forget_if_empty(&key.1);
            }
        }
        self.oldest_change = None;
        self.offered_at = self.installed_at.clone();
        self.ready = false;
    }

    /// The sources of what was offered last were read further, and nothing came of it.
    pub(super) fn read_on(&mut self, mut read: Vec<v1::Watermark>) {
        read.truncate(MOST_SOURCES);
        let offered = sources::newest(&self.offered_from.sources, read);
        if !self.is_busy() && !self.ready {
            self.installed_from.sources = sources::newest(self.sources(), offered.clone());
        }
        self.offered_from.sources = offered;
    }

    /// Goes back in time because it was decided: from now on, what is offered is the newest.
    pub(super) fn forget_sources(&mut self) {
        self.installed_from.sources = Vec::new();
    }

    /// What would change was compiled from older objects than what is installed.
    pub(super) fn step_back(&self) -> Option<StepBack> {
        let differs = |((topic, name), what): &(&Key, &What)| match what {
            // What was rejected before and is offered again is not older than that.
            What::Put(version, ..) => self.handed_over(&(*topic, name.clone())) != Some(*version),
            What::Removed => self.installed(*topic, name).is_some(),
            What::Bad(..) => false,
        };
        let changed = self.pending.iter().filter(differs);
        let topics: BTreeSet<Topic> = changed.map(|((topic, _), _)| *topic).collect();
        let (installed, offered) = (&self.installed_from, &self.offered_from);
        sources::step_back(topics, &installed.sources, &offered.sources)
    }

    /// What is installed, as it was sent.
    pub(super) fn kept(&self) -> Option<Kept> {
        let at = self.installed_at.as_ref()?;
        let mut resources = Vec::new();
        for (topic, set) in &self.sets {
            for (name, entry) in &set.entries {
                if let (Some(version), Some(Body(body))) = (entry.installed, &entry.body) {
                    resources.push((*topic, name.clone(), version, body.clone()));
                }
            }
        }
        Some(Kept {
            epoch: at.epoch.clone(),
            generation: at.generation,
            topics: self.topics().collect(),
            sources: self.sources().to_vec(),
            resources,
        })
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

    fn offered(&self, (topic, name): &Key) -> Option<Version> {
        self.sets.get(topic)?.entries.get(name)?.offered
    }

    fn installed(&self, topic: Topic, name: &Name) -> Option<Version> {
        self.sets.get(&topic)?.entries.get(name)?.installed
    }

    /// The version that the plane was last given, whatever it made of it.
    fn handed_over(&self, key: &Key) -> Option<Version> {
        let in_flight = self
            .in_flight
            .as_ref()
            .and_then(|sent| sent.changes.get(key));
        if let Some(what) = in_flight {
            return what.version();
        }
        let wire = encode::topic(key.0);
        let rejected = (wire.r#type, wire.scope, key.1.to_string());
        let rejected = self.rejections.get(&rejected);
        rejected.map_or_else(|| self.installed(key.0, &key.1), |r| Some(r.version))
    }

    /// What makes a resource what it is now.
    fn as_installed(&self, topic: Topic, name: &Name) -> What {
        let entry = self.sets.get(&topic).and_then(|set| set.entries.get(name));
        let version = entry.and_then(|entry| entry.installed);
        match (version, self.snapshot.get(topic.kind, name)) {
            (Some(version), Some(resource)) => What::Put(
                version,
                resource,
                entry.and_then(|entry| entry.body.clone()),
            ),
            _ => What::Removed,
        }
    }

    /// Says whether it is of a set that is held.
    fn offer_one(&mut self, key: &Key, what: &What) -> bool {
        let Some(set) = self.sets.get_mut(&key.0) else {
            return false;
        };
        set.offer(&key.1, what.version());
        self.refused.remove(key);
        true
    }
}

fn wire_key(rejection: &Rejection) -> WireKey {
    let topic = &rejection.topic;
    (topic.r#type, topic.scope.clone(), rejection.name.clone())
}

fn known_topic((kind, scope, _): &WireKey) -> Option<Topic> {
    decode::topic_of(*kind, scope).ok()
}
