//! What is known of the objects that were published: for whoever writes something back about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{Identity, Stream};
use meshlite_snapshot::Finding;

use crate::balance::Balanced;

/// What is known, as of a publication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Everything that is wrong, sorted.
    pub(crate) findings: Arc<[Finding]>,
    /// The Ingresses of our class.
    pub(crate) served_ingresses: Arc<BTreeSet<ObjectKey>>,
    /// The names of the `IngressClass`es of our controller.
    pub(crate) served_classes: Arc<BTreeSet<String>>,
    pub(crate) followed: Followed,
    /// The Services that are balanced by load.
    pub(crate) balanced: Arc<Balanced>,
}

/// Which objects there are at the API server; none in file mode.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed(Arc<[Stream]>);

impl Facts {
    /// Which object has this key now, and in which version; the namespace is empty for what has none.
    pub(crate) fn object(&self, kind: &str, key: &ObjectKey) -> Option<Identity> {
        let mut streams = self.followed.0.iter();
        streams.find_map(|stream| {
            let has_kind = stream.kind.as_str() == kind;
            has_kind.then(|| stream.identity(key)).flatten()
        })
    }
}

impl Followed {
    pub(crate) fn new(streams: Arc<[Stream]>) -> Self {
        Self(streams)
    }

    /// How many objects there are of each kind.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u32> {
        let mut counts = BTreeMap::new();
        for stream in self.0.iter() {
            let count: &mut u32 = counts.entry(stream.kind.as_str()).or_default();
            *count = count.saturating_add(u32::try_from(stream.len()).unwrap_or(u32::MAX));
        }
        counts
    }
}
