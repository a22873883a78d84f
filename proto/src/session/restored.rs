//! What a session keeps for the next start, and how the next start takes it up.

use std::collections::BTreeMap;

use bytes::Bytes;
use meshlite_snapshot::{Name, Topic, Version};
use tokio::time::Instant;

use super::{
    Action, Session,
    held::Position,
    staging::{Body, Staged, What},
};
use crate::{decode::Decoder, v1};

/// What is installed, as it was sent, with its position in one replica's log.
#[derive(Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "as in Hello")]
pub struct Kept {
    pub epoch: String,
    pub generation: u64,
    pub topics: Vec<Topic>,
    pub sources: Vec<v1::Watermark>,
    /// Each with its body. May hold private keys, which is why it is never printed.
    pub resources: Vec<(Topic, Name, Version, Bytes)>,
}

// === impl Session ===

impl Session {
    /// Keeps what is installed as it was sent, for [`Session::kept`].
    pub fn keep_bodies(&mut self) {
        self.held.keep_bodies();
    }

    /// What is installed, unless it came from disk and nothing newer was installed since.
    pub fn kept(&self) -> Option<Kept> {
        self.held.kept().filter(|_| !self.held.is_provisional())
    }

    /// Hands over what the last run kept, before the first stream. What this build cannot read, or did not subscribe to,
    /// is left out: a control plane will send it again.
    pub fn restore(&mut self, now: Instant, kept: Kept) -> Vec<Action> {
        let mut decoder = Decoder::default();
        let mut resources = BTreeMap::new();
        for (topic, name, version, body) in kept.resources {
            if !self.held.subscribes(topic) || Version::of(&body) != version {
                continue;
            }
            if let Ok(resource) = decoder.body(topic.kind, &body) {
                let what = What::Put(version, resource, Some(Body(body)));
                resources.insert((topic, name), what);
            }
        }
        let staged = Staged::from_disk(kept.topics, resources, kept.sources);
        let at = Position {
            epoch: kept.epoch,
            generation: kept.generation,
        };
        self.held.offer(staged, at);
        self.next(now)
    }
}

// === impl Kept ===

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept")
            .field("epoch", &self.epoch)
            .field("generation", &self.generation)
            .field("resources", &self.resources.len())
            .finish_non_exhaustive()
    }
}
