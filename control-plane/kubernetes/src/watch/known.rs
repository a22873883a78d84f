//! Which objects a stream holds, by key: enough to tell what changed, and to name an object in an Event.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use meshlite_compile::ObjectKey;

/// Which object has a name, and in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.resourceVersion`.
    pub version: u64,
}

/// The objects of one stream. Clones share them; its reflector is the one writer.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<BTreeMap<ObjectKey, Identity>>>);

impl Known {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Identity> {
        self.lock().get(key).cloned()
    }

    pub(super) fn has(&self, key: &ObjectKey, identity: &Identity) -> bool {
        self.lock().get(key) == Some(identity)
    }

    pub(super) fn put(&self, key: ObjectKey, identity: Identity) {
        self.lock().insert(key, identity);
    }

    /// Says whether it was there.
    pub(super) fn remove(&self, key: &ObjectKey) -> bool {
        self.lock().remove(key).is_some()
    }

    /// Forgets what `stays` does not name, and says what that was.
    pub(super) fn retain(&self, stays: impl Fn(&ObjectKey) -> bool) -> Vec<ObjectKey> {
        let mut known = self.lock();
        let gone = known
            .extract_if(.., |key, _| !stays(key))
            .map(|(key, _)| key);
        gone.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
