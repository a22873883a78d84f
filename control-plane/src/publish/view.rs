//! What is published at one generation, and how it differs from any generation before.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::SystemTime};

use meshlite_snapshot::{Name, ResourceType, Scope, SetDigest, Topic};
use tokio::time::Instant;

use super::topic::{Content, Entry, TopicLog, TopicState};

/// Every set that can be subscribed to, in the order in which a commit sends them.
pub(crate) const TOPICS: [Topic; 10] = [
    Topic::all(ResourceType::Namespace),
    Topic::all(ResourceType::Node),
    Topic::all(ResourceType::Service),
    Topic::all(ResourceType::EndpointGroup),
    INGRESS_ENDPOINTS,
    Topic::all(ResourceType::Weights),
    Topic::all(ResourceType::TlsSecret),
    Topic::all(ResourceType::Cluster),
    Topic::all(ResourceType::RouteTable),
    Topic::all(ResourceType::Listener),
];

/// The groups that a route refers to.
pub(super) const INGRESS_ENDPOINTS: Topic = Topic {
    kind: ResourceType::EndpointGroup,
    scope: Scope::Ingress,
};

/// When a generation came to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// When it was published.
    pub(crate) at: Instant,
    /// When the change happened at its source.
    pub(crate) changed: SystemTime,
}

/// A resource that is not as it was at some cursor.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) topic: Topic,
    pub(crate) name: &'a Name,
    pub(crate) generation: u64,
    /// None: it was removed.
    pub(crate) content: Option<&'a Content>,
}

/// How a client that comes with what it holds is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// Everything is sent.
    Full,
    /// What changed since this generation is sent.
    Delta(u64),
    /// It holds exactly what is published, whoever told it: nothing is sent but the new position.
    Confirm,
}

/// What is published at one generation. Immutable for whoever holds it, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(super) epoch: Arc<str>,
    pub(super) generation: u64,
    /// Cursors before this have forgotten removals.
    pub(super) horizon: u64,
    pub(super) topics: BTreeMap<Topic, Arc<TopicLog>>,
    pub(super) stamps: Arc<BTreeMap<u64, Stamp>>,
}

// === impl View ===

impl View {
    /// Which replica, and which run of it, counts the generations.
    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Counts the publications that changed something, over all topics. 0: nothing was published yet.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The set of this topic now.
    pub(crate) fn state(&self, topic: Topic) -> TopicState {
        self.state_at(topic, self.generation).unwrap_or_default()
    }

    /// The set of this topic at an earlier generation, while it is remembered.
    pub(crate) fn state_at(&self, topic: Topic, generation: u64) -> Option<TopicState> {
        if generation < self.horizon || generation > self.generation {
            return None;
        }
        let log = self.topics.get(&topic)?;
        let (_, state) = log.states.range(..=generation).next_back()?;
        Some(*state)
    }

    /// When the first generation after `from` was published, while it is remembered.
    pub(crate) fn stamp_after(&self, from: u64) -> Option<Stamp> {
        let after = (Bound::Excluded(from), Bound::Unbounded);
        self.stamps.range(after).next().map(|(_, stamp)| *stamp)
    }

    /// The resources of a topic, by name.
    pub(crate) fn entries(&self, topic: Topic) -> impl Iterator<Item = (&Name, &Entry)> {
        self.topics
            .get(&topic)
            .into_iter()
            .flat_map(|log| &log.live)
    }

    /// Everything of these topics that is not as it was at `from`; all that there is for none.
    pub(crate) fn changes(&self, topics: &[Topic], from: Option<u64>) -> Vec<Change<'_>> {
        let mut changes = Vec::new();
        for topic in TOPICS.iter().filter(|topic| topics.contains(topic)) {
            let Some(log) = self.topics.get(topic) else {
                continue;
            };
            match from {
                None => changes.extend(log.live.iter().map(|(name, entry)| Change {
                    topic: *topic,
                    name,
                    generation: entry.generation,
                    content: Some(&entry.content),
                })),
                Some(from) => changes.extend(log.since(from).map(|(generation, name)| Change {
                    topic: *topic,
                    name,
                    generation,
                    content: log.live.get(name).map(|entry| &*entry.content),
                })),
            }
        }
        changes
    }

    /// Whether anything of these topics changed after `from`.
    pub(crate) fn has_changes(&self, topics: &[Topic], from: u64) -> bool {
        topics
            .iter()
            .filter_map(|topic| self.topics.get(topic))
            .any(|log| log.since(from).next().is_some())
    }

    /// How to serve a client that holds these sets and last installed the commit at `cursor` (epoch and generation).
    ///
    /// What it holds decides, not what it was sent: a cursor counts only where the digests are those of its generation.
    pub(crate) fn resume(
        &self,
        held: &BTreeMap<Topic, SetDigest>,
        cursor: Option<(&str, u64)>,
    ) -> Resume {
        let Some((epoch, generation)) = cursor else {
            return Resume::Full;
        };
        let holds = |generation| {
            held.iter().all(|(topic, digest)| {
                let state = self.state_at(*topic, generation);
                state.is_some_and(|state| state.digest == *digest)
            })
        };
        if holds(self.generation) {
            Resume::Confirm
        } else if epoch == self.epoch() && holds(generation) {
            Resume::Delta(generation)
        } else {
            Resume::Full
        }
    }

    /// Whether a client at this generation can be told the difference.
    pub(crate) fn reaches(&self, generation: u64) -> bool {
        (self.horizon..=self.generation).contains(&generation)
    }
}
