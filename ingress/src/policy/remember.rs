//! A map of bounded size that forgets what was not used for longest, in constant time.

#[expect(
    clippy::disallowed_types,
    reason = "looked up for every limited request; never iterated"
)]
use std::collections::HashMap;
use std::hash::Hash;

/// Two generations: what is used is in the young one, and when that is full, the old one is forgotten as a whole.
///
/// At most `capacity` entries are held. One that was used is kept while fewer than half of that many others are.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "as above")]
pub(crate) struct Remembered<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V: Copy> Remembered<K, V> {
    #[expect(clippy::disallowed_types, reason = "as above")]
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (capacity / 2).max(1),
        }
    }

    /// What is known of a key.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    /// Remembers a value, in place of the one before.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if let Some(known) = self.young.get_mut(&key) {
            *known = value;
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_size_is_bounded_and_what_was_used_lately_is_known(
            keys in prop::collection::vec(0_u8..40, 1..200),
            capacity in 2_usize..20,
        ) {
            let mut remembered = Remembered::new(capacity);
            for (value, key) in keys.iter().enumerate() {
                remembered.put(*key, value);
                prop_assert!(remembered.young.len() + remembered.old.len() <= capacity);
                let lately = keys[..=value].iter().rev().take(capacity / 2).copied();
                for recent in lately {
                    let last = keys[..=value].iter().rposition(|key| *key == recent);
                    prop_assert_eq!(remembered.get(&recent), last);
                }
            }
        }
    }
}
