//! One topic's resources: which versions were offered and which are installed, with a digest of each.

use std::collections::BTreeMap;

use meshlite_snapshot::{Name, SetDigest, Version};

use crate::session::staging::Body;

#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) entries: BTreeMap<Name, Entry>,
    pub(super) offered: Sum,
    pub(super) installed: Sum,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) offered: Option<Version>,
    pub(super) installed: Option<Version>,
    /// What is installed, where that is written to disk.
    pub(super) body: Option<Body>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) digest: SetDigest,
    pub(super) count: u64,
}

// === impl Set ===

impl Set {
    pub(super) fn offer(&mut self, name: &Name, version: Option<Version>) {
        let entry = self.entries.entry(name.clone()).or_default();
        let old = std::mem::replace(&mut entry.offered, version);
        self.offered.change(name, old, version);
    }

    pub(super) fn install(&mut self, name: &Name, version: Option<Version>, body: Option<Body>) {
        let entry = self.entries.entry(name.clone()).or_default();
        entry.body = body;
        let old = std::mem::replace(&mut entry.installed, version);
        self.installed.change(name, old, version);
    }

    pub(super) fn forget_if_empty(&mut self, name: &Name) {
        let empty = |entry: &Entry| entry.offered.is_none() && entry.installed.is_none();
        if self.entries.get(name).is_some_and(empty) {
            self.entries.remove(name);
        }
    }
}

// === impl Sum ===

impl Sum {
    pub(super) fn change(&mut self, name: &Name, old: Option<Version>, new: Option<Version>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.digest.remove(name, old);
            self.count -= 1;
        }
        if let Some(new) = new {
            self.digest.add(name, new);
            self.count += 1;
        }
    }
}
