//! Where objects come from, and how far each source was read.

mod facts;
pub(crate) mod files;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meshlite_proto::v1;
use tokio::time::Instant;

pub(crate) use self::facts::Facts;

/// How far a source was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) resource: &'static str,
    /// Larger is later, where the origin is the same.
    pub(crate) version: u64,
    /// Who counts: the UID of the cluster's Namespace `kube-system`. Empty: versions cannot be compared.
    pub(crate) origin: Arc<str>,
}

/// How far each source was read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Arc<Mutex<BTreeMap<&'static str, Source>>>);

#[derive(Clone, Debug)]
struct Source {
    watermark: Watermark,
    /// When it was last seen to be current.
    seen: Instant,
}

impl Sources {
    /// A source is current at `now`; `version` counts what this process read of it.
    pub(crate) fn seen(&self, resource: &'static str, version: u64, now: Instant) {
        let watermark = Watermark {
            resource,
            version,
            origin: Arc::default(),
        };
        let source = Source {
            watermark,
            seen: now,
        };
        self.lock().insert(resource, source);
    }

    /// All of them, now.
    pub(crate) fn current(&self) -> Vec<Watermark> {
        let sources = self.lock();
        sources.values().map(|s| s.watermark.clone()).collect()
    }

    /// All of them, as clients are told.
    pub(crate) fn watermarks(&self) -> Vec<v1::Watermark> {
        self.tell(&self.current())
    }

    /// These, with how stale their sources are now.
    pub(crate) fn tell(&self, watermarks: &[Watermark]) -> Vec<v1::Watermark> {
        let told = |watermark: &Watermark| v1::Watermark {
            resource: watermark.resource.to_owned(),
            resource_version: watermark.version.to_string(),
            staleness: self
                .staleness(watermark.resource)
                .and_then(|stale| stale.try_into().ok()),
            origin: watermark.origin.as_ref().to_owned(),
        };
        watermarks.iter().map(told).collect()
    }

    /// How long ago a source was last seen to be current; none for one that was never seen.
    pub(crate) fn staleness(&self, resource: &str) -> Option<Duration> {
        let sources = self.lock();
        Some(sources.get(resource)?.seen.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
