//! The compacted change log: what is published, and what changed since any cursor.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use meshlite_compile::Compiled;
use meshlite_snapshot::{Name, ResourceType, Topic};
use tokio::time::Instant;

use super::{
    topic::{Differences, TooLarge, TopicLog, TopicState},
    view::{INGRESS_ENDPOINTS, Stamp, TOPICS, View},
};

/// How many removals are remembered, over all topics.
const MAX_TOMBSTONES: usize = 100_000;
/// How long a removal is remembered.
const MAX_TOMBSTONE_AGE: Duration = Duration::from_mins(10);
/// How many generations' digests are remembered. At one publication a second, an hour.
const MAX_STAMPS: usize = 4096;

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

#[derive(Debug)]
struct Tombstone {
    topic: Topic,
    name: Name,
    generation: u64,
    at: Instant,
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

#[cfg(test)]
mod tests;
