//! A list while it comes: what of it differs from what is held, until its end shows that it may be obeyed.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_compile::ObjectKey;

use super::{Item, Outcome};
use crate::watch::known::{Identity, Known};

#[derive(Debug)]
pub(super) struct Listing<T> {
    /// Hands on what comes as it comes.
    is_direct: bool,
    seen: BTreeSet<ObjectKey>,
    /// Only what is not held already, so that listing everything again needs no second copy of it.
    differing: BTreeMap<ObjectKey, (Identity, T)>,
    token: Option<String>,
}

impl<T> Listing<T> {
    pub(super) fn new(is_direct: bool) -> Self {
        Self {
            is_direct,
            seen: BTreeSet::new(),
            differing: BTreeMap::new(),
            token: None,
        }
    }

    /// Where the next page begins.
    pub(super) fn next_page(&self) -> Option<String> {
        self.token.clone()
    }

    pub(super) fn continue_at(&mut self, token: String) {
        self.token = Some(token);
    }

    /// Whether more than one page was asked for.
    pub(super) fn is_paging(&self) -> bool {
        self.token.is_some()
    }

    pub(super) fn put(&mut self, item: Item<T>, known: &Known) -> Option<Outcome<T>> {
        let Item {
            key,
            identity,
            object,
        } = item;
        self.seen.insert(key.clone());
        if known.has(&key, &identity) {
            self.differing.remove(&key);
            return None;
        }
        let object = object?;
        if self.is_direct {
            known.put(key.clone(), identity);
            return Some(Outcome::Put(key, object));
        }
        self.differing.insert(key, (identity, object));
        None
    }

    /// It went away while the list was sent.
    pub(super) fn gone(&mut self, key: ObjectKey, known: &Known) -> Option<Outcome<T>> {
        self.seen.remove(&key);
        self.differing.remove(&key);
        (self.is_direct && known.remove(&key)).then_some(Outcome::Gone(key))
    }

    /// What became of the objects by the whole list.
    pub(super) fn complete(self, known: &Known) -> Vec<Outcome<T>> {
        let gone = known.retain(|key| self.seen.contains(key));
        let mut outcomes: Vec<_> = gone.into_iter().map(Outcome::Gone).collect();
        for (key, (identity, object)) in self.differing {
            known.put(key.clone(), identity);
            outcomes.push(Outcome::Put(key, object));
        }
        outcomes
    }
}
