//! The compacted change log: what is published, and what changed since any cursor.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use meshlite_compile::Compiled;
use meshlite_proto::{decode::MAX_FRAME_BYTES, encode};
use meshlite_snapshot::{Name, Resource, ResourceType, Scope, SetDigest, Topic, Version};
use tokio::time::Instant;

/// How many removals are remembered, over all topics.
const MAX_TOMBSTONES: usize = 100_000;
/// How long a removal is remembered.
const MAX_TOMBSTONE_AGE: Duration = Duration::from_mins(10);
/// How many generations' digests are remembered. At one publication a second, an hour.
const MAX_STAMPS: usize = 4096;

/// The largest body that is published, in bytes: a client reads no larger frame, and the rest of it is small.
const MAX_BODY_BYTES: usize = MAX_FRAME_BYTES - 4096;

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

const INGRESS_ENDPOINTS: Topic = Topic {
    kind: ResourceType::EndpointGroup,
    scope: Scope::Ingress,
};

/// A resource and the bytes that stand for it. Shared by the topics that hold it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) resource: Resource,
    pub(crate) body: Bytes,
    pub(crate) version: Version,
}

/// A resource of a topic, and when it last changed there.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) content: Arc<Content>,
    pub(crate) generation: u64,
}

/// What proves that a set is the same set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicState {
    pub(crate) digest: SetDigest,
    pub(crate) count: u64,
}

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

#[derive(Clone, Debug, Default)]
struct TopicLog {
    live: BTreeMap<Name, Entry>,
    /// Names that are gone, by the generation that removed them.
    removed: BTreeMap<Name, u64>,
    /// One item for each live or removed name: the generation of its last change.
    index: BTreeSet<(u64, Name)>,
    /// The set after each generation that changed it.
    states: BTreeMap<u64, TopicState>,
}

/// What is published at one generation. Immutable for whoever holds it, cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct View {
    epoch: Arc<str>,
    generation: u64,
    /// Cursors before this have forgotten removals.
    horizon: u64,
    topics: BTreeMap<Topic, Arc<TopicLog>>,
    stamps: Arc<BTreeMap<u64, Stamp>>,
}

/// The one writer of [`View`]s.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    view: View,
    /// Oldest first. One of a name that came back is stale and recognised by its generation.
    tombstones: VecDeque<Tombstone>,
}

/// What became of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many resources changed, counted by topic.
    pub(crate) changed: usize,
    /// Resources that are too large for a client to read. What was published of them before stays.
    pub(crate) too_large: Vec<TooLarge>,
}

/// A resource that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) kind: ResourceType,
    pub(crate) name: Name,
    pub(crate) bytes: usize,
}

/// What has to change in a topic; no content for a removal.
type Differences = Vec<(Name, Option<Arc<Content>>)>;

#[derive(Debug)]
struct Tombstone {
    topic: Topic,
    name: Name,
    generation: u64,
    at: Instant,
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

// === impl ChangeLog ===

impl ChangeLog {
    /// An empty log. The epoch must be new for every run of every replica.
    pub(crate) fn new(epoch: &str) -> Self {
        let topics = TOPICS.map(|topic| {
            let mut log = TopicLog::default();
            log.states.insert(0, TopicState::default());
            (topic, Arc::new(log))
        });
        Self {
            view: View {
                epoch: epoch.into(),
                generation: 0,
                horizon: 0,
                topics: topics.into(),
                stamps: Arc::default(),
            },
            tombstones: VecDeque::new(),
        }
    }

    /// What is published now.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Takes in a snapshot.
    ///
    /// The generation moves only where something did, and for the first snapshot, which may be empty.
    pub(crate) fn publish(&mut self, compiled: &Compiled, stamp: Stamp) -> Outcome {
        let generation = self.view.generation + 1;
        let mut outcome = Outcome::default();
        for topic in TOPICS {
            outcome.changed += if topic == INGRESS_ENDPOINTS {
                self.publish_ingress_endpoints(compiled, generation, stamp.at)
            } else {
                let wanted = compiled.snapshot.of_type(topic.kind);
                let too_large = &mut outcome.too_large;
                let differences = self.log(topic).differences(wanted, too_large);
                self.apply(topic, differences, generation, stamp.at)
            };
        }
        if outcome.changed > 0 || self.view.generation == 0 {
            self.view.generation = generation;
            Arc::make_mut(&mut self.view.stamps).insert(generation, stamp);
        }
        self.forget(stamp.at);
        outcome
    }

    /// The scope `ingress` shares the contents of the scope that holds all: call this after that one.
    fn publish_ingress_endpoints(
        &mut self,
        compiled: &Compiled,
        generation: u64,
        now: Instant,
    ) -> usize {
        let all = &self.log(Topic::all(ResourceType::EndpointGroup)).live;
        let scoped = &self.log(INGRESS_ENDPOINTS).live;
        let wanted = &compiled.ingress_endpoint_groups;
        let mut differences = Differences::new();
        for (name, entry) in wanted.iter().filter_map(|name| all.get_key_value(name)) {
            let before = scoped.get(name);
            if before.is_none_or(|before| !Arc::ptr_eq(&before.content, &entry.content)) {
                differences.push((name.clone(), Some(Arc::clone(&entry.content))));
            }
        }
        let gone = scoped
            .keys()
            .filter(|name| !wanted.contains(*name) || !all.contains_key(*name));
        differences.extend(gone.map(|name| (name.clone(), None)));
        self.apply(INGRESS_ENDPOINTS, differences, generation, now)
    }

    fn apply(
        &mut self,
        topic: Topic,
        differences: Differences,
        generation: u64,
        now: Instant,
    ) -> usize {
        let Some(log) = self.view.topics.get_mut(&topic) else {
            return 0;
        };
        let count = differences.len();
        if count > 0 {
            let log = Arc::make_mut(log);
            for (name, content) in differences {
                if content.is_none() {
                    self.tombstones.push_back(Tombstone {
                        topic,
                        name: name.clone(),
                        generation,
                        at: now,
                    });
                }
                log.change(name, content, generation);
            }
        }
        count
    }

    /// Drops removals that are too old or too many, and moves the horizon past them.
    fn forget(&mut self, now: Instant) {
        let is_old = |tombstone: &Tombstone| now - tombstone.at > MAX_TOMBSTONE_AGE;
        let mut horizon = self.view.horizon;
        let stamps = &mut self.view.stamps;
        if stamps.len() > MAX_STAMPS {
            let stamps = Arc::make_mut(stamps);
            while stamps.len() > MAX_STAMPS
                && let Some((generation, _)) = stamps.pop_first()
            {
                horizon = horizon.max(generation);
            }
        }
        while let Some(oldest) = self.tombstones.front()
            && (self.tombstones.len() > MAX_TOMBSTONES
                || is_old(oldest)
                || oldest.generation <= horizon)
            && let Some(oldest) = self.tombstones.pop_front()
        {
            horizon = horizon.max(oldest.generation);
            if let Some(log) = self.view.topics.get_mut(&oldest.topic)
                && log.removed.get(&oldest.name) == Some(&oldest.generation)
            {
                let log = Arc::make_mut(log);
                log.removed.remove(&oldest.name);
                log.index.remove(&(oldest.generation, oldest.name));
            }
        }
        if horizon > self.view.horizon {
            self.view.horizon = horizon;
            for log in self.view.topics.values_mut() {
                if log.states.range(..=horizon).nth(1).is_some() {
                    Arc::make_mut(log).forget_states(horizon);
                }
            }
        }
    }

    fn log(&self, topic: Topic) -> &TopicLog {
        &self.view.topics[&topic]
    }
}

// === impl TopicLog ===

impl TopicLog {
    /// What has to change for this log to hold exactly `wanted`, which is sorted. Encodes only what may have changed.
    #[expect(
        single_use_lifetimes,
        reason = "it cannot be left out in an impl Trait yet"
    )]
    fn differences<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a Name, Resource)>,
        too_large: &mut Vec<TooLarge>,
    ) -> Differences {
        let mut differences = Differences::new();
        let mut live = self.live.iter().peekable();
        for (name, resource) in wanted {
            while let Some((gone, _)) = live.next_if(|(held, _)| *held < name) {
                differences.push((gone.clone(), None));
            }
            let before = live.next_if(|(held, _)| *held == name);
            // Resources are Arcs of Eq types: where both are the same allocation, this compares pointers only.
            if before.is_some_and(|(_, entry)| entry.content.resource == resource) {
                continue;
            }
            let body = encode::body(&resource);
            if before.is_some_and(|(_, entry)| entry.content.body == body) {
                continue;
            }
            if body.len() > MAX_BODY_BYTES {
                too_large.push(TooLarge {
                    kind: resource.kind(),
                    name: name.clone(),
                    bytes: body.len(),
                });
                continue;
            }
            let version = Version::of(&body);
            let content = Content {
                resource,
                body,
                version,
            };
            differences.push((name.clone(), Some(Arc::new(content))));
        }
        differences.extend(live.map(|(gone, _)| (gone.clone(), None)));
        differences
    }

    fn change(&mut self, name: Name, content: Option<Arc<Content>>, generation: u64) {
        let mut state = self.last_state();
        let before = match self.live.remove(&name) {
            Some(entry) => {
                state.digest.remove(&name, entry.content.version);
                state.count -= 1;
                Some(entry.generation)
            }
            None => self.removed.remove(&name),
        };
        if let Some(before) = before {
            self.index.remove(&(before, name.clone()));
        }
        self.index.insert((generation, name.clone()));
        match content {
            Some(content) => {
                state.digest.add(&name, content.version);
                state.count += 1;
                let entry = Entry {
                    content,
                    generation,
                };
                self.live.insert(name, entry);
            }
            None => {
                self.removed.insert(name, generation);
            }
        }
        self.states.insert(generation, state);
    }

    fn last_state(&self) -> TopicState {
        let last = self.states.last_key_value();
        last.map(|(_, state)| *state).unwrap_or_default()
    }

    /// The names that changed after `from`, those that changed last first.
    fn since(&self, from: u64) -> impl Iterator<Item = (u64, &Name)> {
        self.index
            .iter()
            .rev()
            .take_while(move |(generation, _)| *generation > from)
            .map(|(generation, name)| (*generation, name))
    }

    /// Keeps the state at the horizon and those after it.
    fn forget_states(&mut self, horizon: u64) {
        let at_horizon = self.states.range(..=horizon).next_back();
        if let Some(keep) = at_horizon.map(|(generation, _)| *generation) {
            self.states = self.states.split_off(&keep);
        }
    }
}

#[cfg(test)]
mod tests;
