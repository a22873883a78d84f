//! What is known of the objects that were published: for whoever writes something back about them.

use std::{collections::BTreeSet, sync::Arc};

pub(crate) use meshlite_kubernetes::Identity as ObjectVersion;

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::Stream;
use meshlite_snapshot::Finding;

/// What is known, as of a publication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Everything that is wrong, sorted.
    pub(crate) findings: Arc<[Finding]>,
    /// The Ingresses of our class.
    pub(crate) served_ingresses: Arc<BTreeSet<ObjectKey>>,
    pub(crate) followed: Followed,
}

/// Which objects there are at the API server; none in file mode.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed(Arc<[Stream]>);

impl Facts {
    /// Which object has this key now, and in which version; the namespace is empty for what has none.
    pub(crate) fn object(&self, kind: &str, key: &ObjectKey) -> Option<ObjectVersion> {
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
}
