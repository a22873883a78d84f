//! How far each source was read, and how stale that may be.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meshlite_kubernetes::Stream;
use meshlite_proto::v1;
use tokio::time::Instant;

/// How far a source was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// `manifests`, or a kind as URLs write it (`endpointslices`).
    pub(crate) resource: &'static str,
    /// Larger is later, where the origin is the same.
    pub(crate) version: u64,
    /// Who counts: the UID of the cluster's Namespace `kube-system`. Empty: versions cannot be compared.
    pub(crate) origin: Arc<str>,
}

/// How far each source was read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    watermarks: BTreeMap<&'static str, Watermark>,
    /// When each was last seen to be current, where nobody follows it.
    seen: BTreeMap<&'static str, Instant>,
    /// What is followed knows itself how current it is.
    streams: Arc<[Stream]>,
}

impl Sources {
    /// A source is current at `now`; `version` counts what this process read of it.
    pub(crate) fn seen(&self, resource: &'static str, version: u64, now: Instant) {
        self.read(resource, version, &Arc::default());
        self.lock().seen.insert(resource, now);
    }

    /// These are followed.
    pub(crate) fn follow(&self, streams: &Arc<[Stream]>) {
        self.lock().streams = Arc::clone(streams);
    }

    /// A source was read up to this version of this origin, and that is compiled.
    pub(crate) fn read(&self, resource: &'static str, version: u64, origin: &Arc<str>) {
        let watermark = Watermark {
            resource,
            version,
            origin: Arc::clone(origin),
        };
        self.lock().watermarks.insert(resource, watermark);
    }

    /// All of them, now.
    pub(crate) fn current(&self) -> Vec<Watermark> {
        self.lock().watermarks.values().cloned().collect()
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

    /// How old what is held of a source may be; none for one that was never seen.
    pub(crate) fn staleness(&self, resource: &str) -> Option<Duration> {
        let now = Instant::now();
        let inner = self.lock();
        if let Some(seen) = inner.seen.get(resource) {
            return Some(now.saturating_duration_since(*seen));
        }
        let streams = inner.streams.iter();
        let streams = streams.filter(|stream| stream.kind.plural() == resource);
        streams.filter_map(|stream| stream.staleness(now)).max()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
