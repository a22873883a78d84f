//! How many requests a client may have under way at once. Nothing is remembered of one that has none.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use super::rate::{ClientKey, LimitKey};

/// The requests that are under way, by limit and client. In a tree, to which clients can add nothing that makes it slow.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Arc<Mutex<BTreeMap<LimitKey, u32>>>);

/// A place among a client's requests, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    under_way: UnderWay,
    key: LimitKey,
}

impl UnderWay {
    /// A place for one more request; none where the client has `max` already.
    pub(crate) fn enter(&self, limit: u64, client: ClientKey, max: u32) -> Option<Place> {
        let key = (limit, client);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= max {
            if *count == 0 {
                counts.remove(&key);
            }
            return None;
        }
        *count += 1;
        Some(Place {
            under_way: self.clone(),
            key,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .under_way
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_as_many_places_as_it_gives_back() {
        let under_way = UnderWay::default();
        let (one, other) = (
            ClientKey::new([10, 0, 0, 1].into()),
            ClientKey::new([10, 0, 0, 2].into()),
        );
        let first = under_way.enter(1, one, 2).unwrap();
        let second = under_way.enter(1, one, 2).unwrap();
        assert!(under_way.enter(1, one, 2).is_none());
        assert!(under_way.enter(1, other, 2).is_some());
        assert!(under_way.enter(2, one, 2).is_some());
        drop(first);
        let third = under_way.enter(1, one, 2);
        assert!(third.is_some());
        drop((second, third));
        assert!(under_way.enter(1, one, 0).is_none());
        assert!(under_way.0.lock().unwrap().is_empty());
    }
}
