//! The compacted change log: what is published, and what changed since any cursor.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use meshlite_compile::Delta;
use meshlite_proto::{decode::MAX_FRAME_BYTES, encode};
use meshlite_snapshot::{Name, Resource, ResourceType, Topic, Version};
use rpds::RedBlackTreeMapSync;
use tokio::time::Instant;

use super::{
    body::Body,
    topic::{Entry, TopicLog},
    topics::{INGRESS_ENDPOINTS, TOPICS, TopicSet, place},
    view::{Stamp, View},
};
use crate::watch::Watermark;

/// How many removals are remembered, over all topics.
const MAX_TOMBSTONES: usize = 100_000;
/// How long a removal is remembered.
const MAX_TOMBSTONE_AGE: Duration = Duration::from_mins(10);
/// How many generations' digests are remembered. At one publication a second, an hour.
const MAX_STAMPS: usize = 4096;
/// The largest body that is published, in bytes: a client reads no larger frame, and the rest of it is small.
const MAX_BODY_BYTES: usize = MAX_FRAME_BYTES - 4096;

/// The one writer of [`View`]s. What it does for a change depends on the change, not on how much is published.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    view: View,
    /// The groups that a route refers to, whether they are published or not.
    routed: BTreeSet<Name>,
    too_large: BTreeMap<(ResourceType, Name), usize>,
    /// Oldest first. One of a name that came back is stale and recognised by its generation.
    tombstones: VecDeque<Tombstone>,
}

/// A resource that is too large for a client to read. What was published of it before stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) kind: ResourceType,
    pub(crate) name: Name,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Tombstone {
    topic: Topic,
    name: Name,
    generation: u64,
    at: Instant,
}

/// Changes that belong to one generation.
struct Turn {
    generation: u64,
    now: Instant,
    changed: usize,
    topics: TopicSet,
}

// === impl ChangeLog ===

impl ChangeLog {
    /// An empty log. The epoch must be new for every run of every replica.
    pub(crate) fn new(epoch: &str) -> Self {
        Self {
            view: View {
                epoch: epoch.into(),
                generation: 0,
                horizon: 0,
                topics: TOPICS.map(|_| TopicLog::new()),
                stamps: RedBlackTreeMapSync::new_sync(),
                sources: Arc::default(),
            },
            routed: BTreeSet::new(),
            too_large: BTreeMap::new(),
            tombstones: VecDeque::new(),
        }
    }

    /// What is published now.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Every resource that is too large now.
    pub(crate) fn too_large(&self) -> impl Iterator<Item = TooLarge> {
        let too_large = |((kind, name), bytes): (&(ResourceType, Name), &usize)| TooLarge {
            kind: *kind,
            name: name.clone(),
            bytes: *bytes,
        };
        self.too_large.iter().map(too_large)
    }

    /// Takes in what changed, read from these sources, and counts the changes by topic.
    ///
    /// The generation moves only where something did, and for the first publication, which may be empty.
    pub(crate) fn publish(
        &mut self,
        delta: &Delta,
        stamp: Stamp,
        sources: Vec<Watermark>,
    ) -> usize {
        let mut turn = Turn {
            generation: self.view.generation + 1,
            now: stamp.at,
            changed: 0,
            topics: TopicSet::default(),
        };
        for ((kind, name), resource) in &delta.resources {
            self.take(&mut turn, *kind, name, resource.as_ref());
        }
        for (name, is_routed) in &delta.ingress_endpoint_groups {
            let is_news = if *is_routed {
                self.routed.insert(name.clone())
            } else {
                self.routed.remove(name)
            };
            if is_news {
                self.follow(&mut turn, name);
            }
        }
        let Turn {
            generation,
            changed,
            topics,
            ..
        } = turn;
        for topic in topics.iter() {
            self.topic(topic).seal(generation);
        }
        if changed > 0 || self.view.generation == 0 {
            self.view.generation = generation;
            self.view.stamps.insert_mut(generation, stamp);
        }
        self.view.sources = sources.into();
        self.forget(stamp.at);
        changed
    }

    fn take(
        &mut self,
        turn: &mut Turn,
        kind: ResourceType,
        name: &Name,
        resource: Option<&Resource>,
    ) {
        let key = (kind, name.clone());
        let entry = match resource.map(encode::body) {
            Some(body) if body.len() > MAX_BODY_BYTES => {
                self.too_large.insert(key, body.len());
                return;
            }
            Some(body) => Some(Entry {
                version: Version::of(&body),
                body: Body::new(body),
                generation: turn.generation,
            }),
            None => None,
        };
        self.too_large.remove(&key);
        let changed = self.put(turn, Topic::all(kind), name, entry);
        if changed && kind == ResourceType::EndpointGroup {
            self.follow(turn, name);
        }
    }

    /// The scope `ingress` holds what the scope of all holds, where a route refers to it.
    fn follow(&mut self, turn: &mut Turn, name: &Name) {
        let all = Topic::all(ResourceType::EndpointGroup);
        let wanted = if self.routed.contains(name) {
            self.topic(all).get(name).cloned()
        } else {
            None
        };
        let entry = wanted.map(|entry| Entry {
            generation: turn.generation,
            ..entry
        });
        self.put(turn, INGRESS_ENDPOINTS, name, entry);
    }

    /// Says whether that changed anything.
    fn put(&mut self, turn: &mut Turn, topic: Topic, name: &Name, entry: Option<Entry>) -> bool {
        let log = self.topic(topic);
        let is_same = match (log.get(name), &entry) {
            (Some(before), Some(entry)) => before.body == entry.body,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_same {
            return false;
        }
        let is_removal = entry.is_none();
        log.change(name, entry, turn.generation);
        if is_removal {
            self.tombstones.push_back(Tombstone {
                topic,
                name: name.clone(),
                generation: turn.generation,
                at: turn.now,
            });
        }
        turn.changed += 1;
        turn.topics.insert(topic);
        true
    }

    /// Drops removals that are too old or too many, and moves the horizon past them.
    fn forget(&mut self, now: Instant) {
        let is_old = |tombstone: &Tombstone| now - tombstone.at > MAX_TOMBSTONE_AGE;
        let mut horizon = self.view.horizon;
        let stamps = &mut self.view.stamps;
        while stamps.size() > MAX_STAMPS
            && let Some(oldest) = stamps.first().map(|(generation, _)| *generation)
        {
            stamps.remove_mut(&oldest);
            horizon = horizon.max(oldest);
        }
        while let Some(oldest) = self.tombstones.front()
            && (self.tombstones.len() > MAX_TOMBSTONES
                || is_old(oldest)
                || oldest.generation <= horizon)
            && let Some(oldest) = self.tombstones.pop_front()
        {
            horizon = horizon.max(oldest.generation);
            self.topic(oldest.topic)
                .forget_removal(&oldest.name, oldest.generation);
        }
        if horizon > self.view.horizon {
            self.view.horizon = horizon;
            for log in &mut self.view.topics {
                log.forget_states(horizon);
            }
        }
    }

    fn topic(&mut self, topic: Topic) -> &mut TopicLog {
        // Every topic of this module is one of them.
        let place = place(topic).unwrap_or(0);
        &mut self.view.topics[place]
    }
}

#[cfg(test)]
mod tests;
