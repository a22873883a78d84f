//! Names that many endpoints share, each held once.

use std::sync::Arc;

/// How many names are held before those that nobody uses are looked for.
const FIRST_SWEEP: usize = 1024;

/// Names of nodes and zones, each held once however many endpoints have it.
#[derive(Debug, Default)]
pub struct Interner {
    #[expect(
        clippy::disallowed_types,
        reason = "two look-ups for each endpoint: with a BTreeSet, a sixth of all time; no order of it is seen"
    )]
    names: std::collections::HashSet<Arc<str>>,
    /// How many there are to be before they are swept again.
    sweep_at: usize,
}

impl Interner {
    /// The one copy of this name; none for one that says nothing.
    pub(super) fn shared(&mut self, name: Option<&str>) -> Option<Arc<str>> {
        let name = name.filter(|name| !name.is_empty())?;
        if let Some(known) = self.names.get(name) {
            return Some(Arc::clone(known));
        }
        if self.names.len() >= self.sweep_at.max(FIRST_SWEEP) {
            self.sweep();
        }
        let new: Arc<str> = Arc::from(name);
        self.names.insert(Arc::clone(&new));
        Some(new)
    }

    /// Forgets the names that nobody else holds. Done again only once there are twice as many.
    fn sweep(&mut self) {
        self.names.retain(|name| Arc::strong_count(name) > 1);
        self.sweep_at = self.names.len() * 2;
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
        assert!(names.names.len() <= FIRST_SWEEP);
        assert!(Arc::ptr_eq(&first, &names.shared(Some("node-1")).unwrap()));
    }
}
