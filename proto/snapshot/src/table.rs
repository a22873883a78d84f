//! The resources of one type by name: a persistent map, whose clones share what they have alike.

use std::{
    borrow::Borrow,
    fmt,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use rpds::RedBlackTreeMapSync;
use serde::{Serialize, Serializer};

use crate::Name;

/// The resources of one type by name, in order. Cheap to clone, whatever it holds; a change of a clone copies the way to
/// what it changes, which is about as long as the number of resources has binary digits.
pub struct Table<T>(RedBlackTreeMapSync<Name, Arc<T>>);

// === impl Table ===

impl<T> Table<T> {
    /// Puts a resource in, in place of one of the same name.
    pub fn insert(&mut self, name: Name, resource: Arc<T>) {
        self.0.insert_mut(name, resource);
    }

    /// Takes a resource out, if it is there.
    pub fn remove(&mut self, name: &Name) {
        // Looking is cheaper than copying the way to something that is not there.
        if self.0.contains_key(name) {
            self.0.remove_mut(name);
        }
    }

    /// The resource of this name.
    pub fn get<N>(&self, name: &N) -> Option<&Arc<T>>
    where
        Name: Borrow<N>,
        N: Ord + ?Sized,
    {
        self.0.get(name)
    }

    /// Whether there is a resource of this name.
    pub fn contains_key<N>(&self, name: &N) -> bool
    where
        Name: Borrow<N>,
        N: Ord + ?Sized,
    {
        self.0.contains_key(name)
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every resource, by name.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Name, &Arc<T>)> {
        self.0.iter()
    }

    /// Every name, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Name> {
        self.0.keys()
    }

    /// Every resource, in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> {
        self.0.values()
    }

    /// The resources whose names begin like this, by name.
    pub(crate) fn beginning_with(
        &self,
        prefix: String,
    ) -> impl Iterator<Item = (&Name, &Arc<T>)> + use<'_, T> {
        self.0
            .range(AtLeast(prefix.clone()))
            .take_while(move |(name, _)| name.as_str().starts_with(&prefix))
    }

    /// Whether both are clones of the same table, and neither was changed since. Two that were made apart are not the
    /// same, though they may be equal.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<T: PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.len() == other.len() && self.iter().eq(other.iter()))
    }
}

impl<T: Eq> Eq for Table<T> {}

impl<T: fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<T> FromIterator<(Name, Arc<T>)> for Table<T> {
    fn from_iter<I: IntoIterator<Item = (Name, Arc<T>)>>(resources: I) -> Self {
        let mut table = Self::default();
        for (name, resource) in resources {
            table.insert(name, resource);
        }
        table
    }
}

/// Names from this one on.
struct AtLeast(String);

impl RangeBounds<str> for AtLeast {
    fn start_bound(&self) -> Bound<&str> {
        Bound::Included(&self.0)
    }

    fn end_bound(&self) -> Bound<&str> {
        Bound::Unbounded
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> Name {
        Name::new(format!("n{number:05}")).unwrap()
    }

    fn mk_table(resources: usize) -> Table<usize> {
        (0..resources).map(|n| (name(n), Arc::new(n))).collect()
    }

    /// How many places of a table hold a resource in a place of their own.
    fn copied(table: &Table<usize>) -> usize {
        table
            .values()
            .filter(|it| Arc::strong_count(it) > 1)
            .count()
    }

    #[test]
    fn a_change_of_a_clone_copies_no_resource_of_the_others() {
        for resources in [1_000, 20_000] {
            let read = mk_table(resources);
            let mut changed = read.clone();
            changed.insert(name(500), Arc::new(0));
            changed.remove(&name(700));
            assert_eq!((copied(&read), copied(&changed)), (0, 0), "of {resources}");
            assert_eq!((read.len(), changed.len()), (resources, resources - 1));
        }
    }

    #[test]
    fn a_table_is_the_same_until_it_is_changed() {
        let table = mk_table(3);
        let mut clone = table.clone();
        clone.remove(&name(9));
        assert!(clone.is_same(&table));
        clone.insert(name(1), Arc::new(1));
        assert!(!clone.is_same(&table));
        assert_eq!(clone, table);
        clone.insert(name(1), Arc::new(2));
        assert_ne!(clone, table);
    }

    proptest! {
        #[test]
        fn a_table_is_what_an_ordered_map_is(
            changes in proptest::collection::vec(("[ab]{1,3}", any::<Option<u8>>()), 0..60),
            prefix in "[ab]{0,2}",
        ) {
            let mut map = std::collections::BTreeMap::new();
            let mut table = Table::default();
            let mut clones = Vec::new();
            for (name, value) in changes {
                let name = Name::new(name).unwrap();
                clones.push((map.clone(), table.clone()));
                if let Some(value) = value.map(Arc::new) {
                    map.insert(name.clone(), Arc::clone(&value));
                    table.insert(name, value);
                } else {
                    map.remove(&name);
                    table.remove(&name);
                }
            }
            clones.push((map, table));
            for (map, table) in clones {
                prop_assert!(table.iter().eq(map.iter()));
                prop_assert_eq!(table.len(), map.len());
                let begin = map.iter().filter(|(name, _)| name.as_str().starts_with(&prefix));
                prop_assert!(table.beginning_with(prefix.clone()).eq(begin));
            }
        }
    }
}
