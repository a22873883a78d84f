//! Commits as bytes: encoded once for all clients that go from one generation to another.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::{Bytes, BytesMut};
use meshlite_proto::encode;
use meshlite_snapshot::{Topic, Version};

use super::View;

/// How many encoded commits to the newest generation are kept. Healthy clients of both roles share two; a few more are
/// for those that lag.
const KEPT: usize = 8;

/// At most what a frame holds beside name and body: type, scope, version, lengths.
const FRAME_OVERHEAD: usize = 40;

/// What a removal has in place of a version.
const NO_VERSION: Version = Version(0);

/// The byte stream of a commit, without what differs by client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// How many frames there are.
    pub(crate) frames: u64,
    /// The frames.
    pub(crate) data: Bytes,
}

/// The commits that were encoded last.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// The one used last is at the back.
    kept: Mutex<VecDeque<(Key, Slot)>>,
}

/// Filled by whoever comes first.
type Slot = Arc<OnceLock<Encoded>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    topics: Arc<[Topic]>,
    from: Option<u64>,
    to: u64,
}

impl Commits {
    /// What brings these topics from one generation (none: from nothing) to that of the view.
    ///
    /// Whoever comes second waits for the first to finish encoding and shares the bytes.
    pub(crate) fn encoded(&self, view: &View, topics: &Arc<[Topic]>, from: Option<u64>) -> Encoded {
        let key = Key {
            topics: Arc::clone(topics),
            from,
            to: view.generation(),
        };
        let slot = self.slot(key);
        slot.get_or_init(|| encode(view, topics, from)).clone()
    }

    fn slot(&self, key: Key) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody will ask for what leads to an older generation, and a full commit is large.
        kept.retain(|(held, _)| held.to >= key.to);
        let found = kept.iter().position(|(held, _)| *held == key);
        let item = match found.and_then(|position| kept.remove(position)) {
            Some(item) => item,
            None => (key, Arc::default()),
        };
        let slot = Arc::clone(&item.1);
        kept.push_back(item);
        if kept.len() > KEPT {
            kept.pop_front();
        }
        slot
    }
}

fn encode(view: &View, topics: &[Topic], from: Option<u64>) -> Encoded {
    let changes = view.changes(topics, from);
    let size = changes.iter().map(|change| {
        let body = change.content.map_or(0, |content| content.body.len());
        body + change.name.as_str().len() + FRAME_OVERHEAD
    });
    let mut data = BytesMut::with_capacity(size.sum());
    for change in &changes {
        let (version, body) = match change.content {
            Some(content) => (content.version, Some(&content.body)),
            None => (NO_VERSION, None),
        };
        encode::frame(change.topic, change.name, version, body, &mut data);
    }
    Encoded {
        frames: changes.len() as u64,
        data: data.freeze(),
    }
}
