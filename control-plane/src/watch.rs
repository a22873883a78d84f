//! Where objects come from, and how far each source was read.

pub(crate) mod files;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use meshlite_proto::v1;
use tokio::time::Instant;

/// How far each source was read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Arc<Mutex<BTreeMap<&'static str, Source>>>);

#[derive(Clone, Copy, Debug)]
struct Source {
    /// Counts what was read.
    version: u64,
    /// When it was last seen to be current.
    seen: Instant,
}

impl Sources {
    /// A source is current at `now`; `version` counts what was read of it.
    pub(crate) fn seen(&self, name: &'static str, version: u64, now: Instant) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.insert(name, Source { version, seen: now });
    }

    /// All of them, as clients are told.
    pub(crate) fn watermarks(&self) -> Vec<v1::Watermark> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watermark = |(name, source): (&&str, &Source)| v1::Watermark {
            resource: (*name).to_owned(),
            resource_version: source.version.to_string(),
            staleness: source.seen.elapsed().try_into().ok(),
            // Counts of this process.
            origin: String::new(),
        };
        sources.iter().map(watermark).collect()
    }
}
