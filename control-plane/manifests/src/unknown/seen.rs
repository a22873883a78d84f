//! The keys of one mapping, as hashes: enough to notice a second one without keeping any text.

use std::collections::BTreeSet;

/// Mappings of objects are small; these many keys need no allocation.
const FEW: usize = 16;

/// The keys that one mapping has had so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    few: [u64; FEW],
    len: usize,
    more: BTreeSet<u64>,
}

impl Seen {
    /// Adds a key; false where it was there already.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        let known = self.len.min(FEW);
        if self.few.iter().take(known).any(|seen| *seen == hash) {
            return false;
        }
        match self.few.get_mut(self.len) {
            Some(free) => *free = hash,
            None => return self.more.insert(hash),
        }
        self.len += 1;
        true
    }
}

/// FNV-1a: keys are short.
pub(crate) fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_key_is_noticed_in_small_and_in_large_mappings() {
        let mut seen = Seen::default();
        for n in 0..100 {
            assert!(seen.insert(hash(&format!("key-{n}"))), "{n}");
        }
        for n in [0, 15, 16, 99] {
            assert!(!seen.insert(hash(&format!("key-{n}"))), "{n}");
        }
    }
}
