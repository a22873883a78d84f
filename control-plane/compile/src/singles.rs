//! Objects that mean one resource each, whatever else there is: Nodes and Namespaces.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use meshlite_snapshot::{Name, Resource, ResourceType};

use crate::Delta;

/// The resources of one such kind.
#[derive(Debug)]
pub(crate) struct Singles<T> {
    meanings: BTreeMap<String, Arc<T>>,
    changed: BTreeSet<String>,
}

impl<T> Default for Singles<T> {
    fn default() -> Self {
        Self {
            meanings: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }
}

impl<T: PartialEq> Singles<T> {
    /// Puts in what an object means now, if anything. Says whether that differs.
    pub(crate) fn put(&mut self, name: &str, meaning: Option<T>) -> bool {
        if self.meanings.get(name).map(|held| &**held) == meaning.as_ref() {
            return false;
        }
        match meaning {
            Some(meaning) => self.meanings.insert(name.to_owned(), Arc::new(meaning)),
            None => self.meanings.remove(name),
        };
        self.changed.insert(name.to_owned());
        true
    }

    /// Hands out what changed.
    pub(crate) fn compile(
        &mut self,
        kind: ResourceType,
        resource: fn(Arc<T>) -> Resource,
        delta: &mut Delta,
    ) {
        for name in mem::take(&mut self.changed) {
            let meaning = self.meanings.get(&name).cloned();
            // What has no such name never meant a resource.
            if let Ok(name) = Name::new(name) {
                delta.resources.insert((kind, name), meaning.map(resource));
            }
        }
    }
}
