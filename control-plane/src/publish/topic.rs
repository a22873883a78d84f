//! One topic of the change log: what it holds, what it held, and which names changed when.

use std::sync::Arc;

use meshlite_snapshot::{Bucket, BucketDigests, Name, SetDigest, Version};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use super::body::Body;

/// A resource of a topic as it is sent, and when it last changed there. The body is shared by the topics that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) body: Body,
    pub(crate) version: Version,
    pub(crate) generation: u64,
}

/// What proves that a set is the same set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicState {
    pub(crate) digest: SetDigest,
    pub(crate) count: u64,
}

/// A clone shares everything with the original; a change copies the way to what it changes, whatever the topic's size.
#[derive(Clone, Debug)]
pub(super) struct TopicLog {
    live: RedBlackTreeMapSync<Name, Entry>,
    /// Names that are gone, by the generation that removed them.
    removed: RedBlackTreeMapSync<Name, u64>,
    /// One item for each live or removed name: the generation of its last change.
    index: RedBlackTreeSetSync<(u64, Name)>,
    /// The live names of each bucket that has any.
    buckets: RedBlackTreeMapSync<u16, RedBlackTreeSetSync<Name>>,
    /// 16 KiB, copied once for each publication that changes the topic.
    digests: Arc<BucketDigests>,
    /// The set after each generation that changed it.
    states: RedBlackTreeMapSync<u64, TopicState>,
    state: TopicState,
    bytes: u64,
}

// === impl TopicLog ===

impl TopicLog {
    /// A topic that is empty since generation 0.
    pub(super) fn new() -> Self {
        let mut states = RedBlackTreeMapSync::new_sync();
        states.insert_mut(0, TopicState::default());
        Self {
            live: RedBlackTreeMapSync::new_sync(),
            removed: RedBlackTreeMapSync::new_sync(),
            index: RedBlackTreeSetSync::new_sync(),
            buckets: RedBlackTreeMapSync::new_sync(),
            digests: Arc::default(),
            states,
            state: TopicState::default(),
            bytes: 0,
        }
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Entry> {
        self.live.get(name)
    }

    /// What it holds, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.live.iter()
    }

    /// Bytes of all bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last generation that changed it.
    pub(super) fn generation(&self) -> u64 {
        self.states.last().map_or(0, |(generation, _)| *generation)
    }

    pub(super) fn state(&self) -> TopicState {
        self.state
    }

    /// The set as it was at a generation that is not forgotten.
    pub(super) fn state_at(&self, generation: u64) -> Option<TopicState> {
        let (_, state) = self.states.range(..=generation).next_back()?;
        Some(*state)
    }

    pub(super) fn digest_of(&self, bucket: Bucket) -> SetDigest {
        self.digests.get(bucket)
    }

    /// What a bucket holds, by name.
    pub(super) fn bucket(&self, bucket: Bucket) -> impl Iterator<Item = (&Name, &Entry)> {
        let names = self.buckets.get(&bucket.number());
        let entry = |name| Some((name, self.live.get(name)?));
        names
            .into_iter()
            .flat_map(|names| names.iter())
            .filter_map(entry)
    }

    /// The names that changed after `from`, those that changed last first.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &Name)> {
        self.index
            .iter()
            .rev()
            .take_while(move |(generation, _)| *generation > from)
            .map(|(generation, name)| (*generation, name))
    }

    /// Replaces what it holds of a name; no entry for a removal. [`TopicLog::seal`] ends the generation.
    pub(super) fn change(&mut self, name: &Name, entry: Option<Entry>, generation: u64) {
        let before = self.live.get(name).cloned();
        let digests = Arc::make_mut(&mut self.digests);
        if let Some(before) = &before {
            self.state.digest.remove(name, before.version);
            self.state.count -= 1;
            self.bytes -= before.body.len() as u64;
            digests.remove(name, before.version);
        }
        let changed_before = match &before {
            Some(before) => Some(before.generation),
            None => self.removed.get(name).copied(),
        };
        if let Some(changed_before) = changed_before {
            self.index.remove_mut(&(changed_before, name.clone()));
        }
        self.index.insert_mut((generation, name.clone()));
        let was_live = before.is_some();
        let Some(entry) = entry else {
            self.live.remove_mut(name);
            self.removed.insert_mut(name.clone(), generation);
            if was_live {
                self.change_bucket(name, |names| {
                    names.remove_mut(name);
                });
            }
            return;
        };
        self.state.digest.add(name, entry.version);
        self.state.count += 1;
        self.bytes += entry.body.len() as u64;
        digests.add(name, entry.version);
        self.live.insert_mut(name.clone(), entry);
        self.removed.remove_mut(name);
        if !was_live {
            self.change_bucket(name, |names| names.insert_mut(name.clone()));
        }
    }

    /// The changes of this generation are complete.
    pub(super) fn seal(&mut self, generation: u64) {
        self.states.insert_mut(generation, self.state);
    }

    /// Forgets that a name was removed at this generation, unless it came back since.
    pub(super) fn forget_removal(&mut self, name: &Name, generation: u64) {
        if self.removed.get(name) == Some(&generation) {
            self.removed.remove_mut(name);
            self.index.remove_mut(&(generation, name.clone()));
        }
    }

    /// Keeps the state at the horizon and those after it.
    pub(super) fn forget_states(&mut self, horizon: u64) {
        loop {
            let mut oldest = self.states.keys().copied();
            match (oldest.next(), oldest.next()) {
                (Some(first), Some(second)) if second <= horizon => {
                    drop(oldest);
                    self.states.remove_mut(&first);
                }
                _ => return,
            }
        }
    }

    fn change_bucket(&mut self, name: &Name, change: impl FnOnce(&mut RedBlackTreeSetSync<Name>)) {
        let number = Bucket::of(name).number();
        let mut names = match self.buckets.get(&number) {
            Some(names) => names.clone(),
            None => RedBlackTreeSetSync::new_sync(),
        };
        change(&mut names);
        if names.is_empty() {
            self.buckets.remove_mut(&number);
        } else {
            self.buckets.insert_mut(number, names);
        }
    }
}
