//! A map by name in shards: a clone shares them, and a change of it copies the one that it is in.

use std::{borrow::Borrow as _, hash::BuildHasher as _, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// How many shards there are. Of 10,000 names a change copies some 160.
const SHARDS: usize = 64;

/// Values by name. Names come from snapshots only: see [`crate::map::Map`].
#[derive(Clone, Debug)]
pub(super) struct Sharded<T> {
    hasher: RandomState,
    shards: Box<[Shard<T>; SHARDS]>,
    len: usize,
}

type Shard<T> = Arc<HashTable<(Box<str>, T)>>;

impl<T> Default for Sharded<T> {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        Self {
            hasher: RandomState::default(),
            shards: Box::new(std::array::from_fn(|_| Arc::clone(&empty))),
            len: 0,
        }
    }
}

impl<T> Sharded<T> {
    /// The value of this name. Costs the same for one name and for many.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let hash = self.hasher.hash_one(name);
        let found = self.shards[shard(hash)].find(hash, |(known, _)| **known == *name);
        found.map(|(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T: Clone> Sharded<T> {
    /// Puts a value in, unless there is one of this name: then it is given back.
    pub(super) fn insert(&mut self, name: &str, value: T) -> Result<(), T> {
        if self.get(name).is_some() {
            return Err(value);
        }
        let hash = self.hasher.hash_one(name);
        let shard = Arc::make_mut(&mut self.shards[shard(hash)]);
        let rehash = |(name, _): &(Box<str>, T)| self.hasher.hash_one(name.borrow() as &str);
        shard.insert_unique(hash, (name.into(), value), rehash);
        self.len += 1;
        Ok(())
    }

    /// Takes the value of this name out.
    pub(super) fn remove(&mut self, name: &str) {
        let hash = self.hasher.hash_one(name);
        let shard = Arc::make_mut(&mut self.shards[shard(hash)]);
        if let Ok(entry) = shard.find_entry(hash, |(known, _)| **known == *name) {
            drop(entry.remove());
            self.len -= 1;
        }
    }
}

/// Bits that the table of a shard does not use: it has the lowest and the highest.
fn shard(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<String, u8>;

    fn holds(map: &Sharded<u8>, model: &Model) -> bool {
        map.is_empty() == model.is_empty()
            && (0..200).all(|name| {
                let name = name.to_string();
                map.get(&name) == model.get(&name)
            })
    }

    proptest! {
        #[test]
        fn it_is_a_map_whose_clones_change_apart(
            steps in proptest::collection::vec((0..200_u8, proptest::option::of(any::<u8>()), any::<bool>()), 0..400),
        ) {
            let (mut map, mut model) = (Sharded::default(), Model::new());
            let mut clones = vec![];
            for (name, value, clones_it) in steps {
                let name = name.to_string();
                if let Some(value) = value {
                    let is_new = !model.contains_key(&name);
                    let expected = if is_new { Ok(()) } else { Err(value) };
                    prop_assert_eq!(map.insert(&name, value), expected);
                    model.entry(name).or_insert(value);
                } else {
                    map.remove(&name);
                    model.remove(&name);
                }
                if clones_it {
                    clones.push((map.clone(), model.clone()));
                }
            }
            clones.push((map, model));
            for (map, model) in clones {
                prop_assert!(holds(&map, &model), "{:?}", model);
            }
        }
    }

    #[test]
    fn a_change_copies_one_shard() {
        let mut map = Sharded::default();
        for name in 0..1000 {
            map.insert(&name.to_string(), ()).unwrap();
        }
        let before = map.clone();
        map.insert("new", ()).unwrap();
        let shards = before.shards.iter().zip(map.shards.iter());
        let copied = shards.filter(|(old, new)| !Arc::ptr_eq(old, new)).count();
        assert_eq!(copied, 1);
    }
}
