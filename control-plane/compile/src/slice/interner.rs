//! Names that many endpoints share, each held once.

use std::{hash::Hash, sync::Arc};

/// How many values are held before those that nobody uses are looked for.
const FIRST_SWEEP: usize = 1024;

/// Names of nodes and zones, and where endpoints are, each held once however many endpoints have it.
#[derive(Debug, Default)]
pub struct Interner {
    places: Shared<Place>,
    names: Shared<str>,
}

/// Where an endpoint is. A node is in one zone, so there are as many of these as nodes, and an endpoint needs one pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) node: Option<Arc<str>>,
    pub(super) zone: Option<Arc<str>>,
}

/// Values of one type.
#[derive(Debug)]
struct Shared<T: ?Sized> {
    values: Set<T>,
    /// How many there are to be before they are swept again.
    sweep_at: usize,
}

#[expect(
    clippy::disallowed_types,
    reason = "three look-ups for each endpoint: with a BTreeSet, a sixth of all time; no order of it is seen"
)]
type Set<T> = std::collections::HashSet<Arc<T>>;

impl Interner {
    /// The one copy of this name; none for one that says nothing.
    pub(super) fn shared(&mut self, name: Option<&str>) -> Option<Arc<str>> {
        let name = name.filter(|name| !name.is_empty())?;
        Some(self.names.get(name, || Arc::from(name)))
    }

    /// The one copy of this place; none where nothing is known of it.
    pub(super) fn place(&mut self, node: Option<&str>, zone: Option<&str>) -> Option<Arc<Place>> {
        let (node, zone) = (self.shared(node), self.shared(zone));
        if node.is_none() && zone.is_none() {
            return None;
        }
        let place = Place { node, zone };
        Some(self.places.get(&place, || Arc::new(place.clone())))
    }
}

impl<T: Hash + Eq + ?Sized> Shared<T> {
    fn get(&mut self, value: &T, new: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.values.get(value) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.sweep_at.max(FIRST_SWEEP) {
            self.sweep();
        }
        let new = new();
        self.values.insert(Arc::clone(&new));
        new
    }

    /// Forgets the values that nobody else holds. Done again only once there are twice as many.
    fn sweep(&mut self) {
        self.values.retain(|value| Arc::strong_count(value) > 1);
        self.sweep_at = self.values.len() * 2;
    }
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Self {
            values: Set::default(),
            sweep_at: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_and_unused_ones_are_forgotten() {
        let mut names = Interner::default();
        let first = names.shared(Some("node-1")).unwrap();
        assert!(Arc::ptr_eq(&first, &names.shared(Some("node-1")).unwrap()));
        assert_eq!(names.shared(Some("")), None);
        for i in 0..10 * FIRST_SWEEP {
            names.shared(Some(&format!("gone-{i}")));
        }
        assert!(names.names.values.len() <= FIRST_SWEEP);
        assert!(Arc::ptr_eq(&first, &names.shared(Some("node-1")).unwrap()));
    }

    #[test]
    fn equal_places_are_one_and_nowhere_is_none() {
        let mut names = Interner::default();
        let first = names.place(Some("node-1"), Some("zone-a")).unwrap();
        let same = names.place(Some("node-1"), Some("zone-a")).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let other = names.place(Some("node-1"), None).unwrap();
        assert_eq!(other.node, first.node);
        assert_eq!(other.zone, None);
        assert_eq!(names.place(Some(""), None), None);
    }
}
