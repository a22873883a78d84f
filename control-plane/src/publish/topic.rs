//! One topic of the change log: what it holds, what it held, and which names changed when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use meshlite_proto::{decode::MAX_FRAME_BYTES, encode};
use meshlite_snapshot::{Name, Resource, ResourceType, SetDigest, Version};

/// The largest body that is published, in bytes: a client reads no larger frame, and the rest of it is small.
const MAX_BODY_BYTES: usize = MAX_FRAME_BYTES - 4096;

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

#[derive(Clone, Debug, Default)]
pub(super) struct TopicLog {
    pub(super) live: BTreeMap<Name, Entry>,
    /// Names that are gone, by the generation that removed them.
    pub(super) removed: BTreeMap<Name, u64>,
    /// One item for each live or removed name: the generation of its last change.
    pub(super) index: BTreeSet<(u64, Name)>,
    /// The set after each generation that changed it.
    pub(super) states: BTreeMap<u64, TopicState>,
}

/// A resource that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) kind: ResourceType,
    pub(crate) name: Name,
    pub(crate) bytes: usize,
}

/// What has to change in a topic; no content for a removal.
pub(super) type Differences = Vec<(Name, Option<Arc<Content>>)>;

// === impl TopicLog ===

impl TopicLog {
    /// What has to change for this log to hold exactly `wanted`, which is sorted. Encodes only what may have changed.
    #[expect(
        single_use_lifetimes,
        reason = "it cannot be left out in an impl Trait yet"
    )]
    pub(super) fn differences<'a>(
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

    pub(super) fn change(&mut self, name: Name, content: Option<Arc<Content>>, generation: u64) {
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
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = (u64, &Name)> {
        self.index
            .iter()
            .rev()
            .take_while(move |(generation, _)| *generation > from)
            .map(|(generation, name)| (*generation, name))
    }

    /// Keeps the state at the horizon and those after it.
    pub(super) fn forget_states(&mut self, horizon: u64) {
        let at_horizon = self.states.range(..=horizon).next_back();
        if let Some(keep) = at_horizon.map(|(generation, _)| *generation) {
            self.states = self.states.split_off(&keep);
        }
    }
}
