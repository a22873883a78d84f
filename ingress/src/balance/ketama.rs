//! A consistent hash: a key has the same endpoint on every replica, and few keys move when endpoints come and go. Pure.

use twox_hash::XxHash3_64;

use super::endpoint::Endpoint;

/// Points of one endpoint on the ring.
const POINTS: usize = 160;
/// Points of all endpoints, so that a ring of many is no larger; each has at least [`FEWEST`].
const MOST: usize = 65_536;
const FEWEST: usize = 16;
/// How much more than its share an endpoint may have to do before its keys go to the next one, in percent.
const BOUND: usize = 125;

/// The points of all endpoints, by hash.
#[derive(Debug)]
pub(crate) struct Ring {
    points: Box<[(u64, usize)]>,
}

impl Ring {
    /// The points of a cluster's endpoints.
    pub(crate) fn of(endpoints: &[Endpoint]) -> Self {
        Self::new(endpoints.iter().map(|endpoint| endpoint.name.as_bytes()))
    }

    /// `names` are those of the endpoints, in an order that is the same everywhere.
    fn new(names: impl ExactSizeIterator<Item = impl AsRef<[u8]>>) -> Self {
        let each = MOST
            .checked_div(names.len())
            .unwrap_or(MOST)
            .clamp(FEWEST, POINTS);
        let mut points = Vec::with_capacity(each * names.len());
        for (index, name) in names.enumerate() {
            let seeds = (0_u64..).take(each);
            points.extend(
                seeds.map(|seed| (XxHash3_64::oneshot_with_seed(seed, name.as_ref()), index)),
            );
        }
        points.sort_unstable();
        Self {
            points: points.into(),
        }
    }

    /// The endpoints from the one that a key belongs to, in the order in which they stand in; the same may come again.
    pub(super) fn walk(&self, key: &[u8]) -> impl Iterator<Item = usize> {
        let hash = XxHash3_64::oneshot(key);
        let from = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(from);
        after.iter().chain(before).map(|(_, index)| *index)
    }
}

/// Whether an endpoint with `active` requests takes one more, where all of `endpoints` together have `total`.
pub(super) fn has_room(active: usize, total: usize, endpoints: usize) -> bool {
    let allowed = ((total + 1) * BOUND).div_ceil(endpoints.max(1) * 100);
    active < allowed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(names: &[String]) -> Ring {
        Ring::new(names.iter().map(String::as_bytes))
    }

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|index| format!("10.0.0.{index}:80"))
            .collect()
    }

    fn owner(ring: &Ring, names: &[String], key: usize) -> String {
        let first = ring.walk(key.to_string().as_bytes()).next().unwrap();
        names[first].clone()
    }

    #[test]
    fn keys_are_spread_evenly() {
        let names = names(10);
        let ring = ring(&names);
        for name in &names {
            let keys = (0..10_000).filter(|key| owner(&ring, &names, *key) == *name);
            let count = keys.count();
            assert!((600..1500).contains(&count), "{name} has {count} of 10,000");
        }
    }

    #[test]
    fn where_one_of_ten_goes_only_its_keys_move() {
        let all = names(10);
        let without: Vec<_> = all
            .iter()
            .filter(|name| **name != all[3])
            .cloned()
            .collect();
        let (before, after) = (ring(&all), ring(&without));
        for key in 0..2000 {
            let was = owner(&before, &all, key);
            if was != all[3] {
                assert_eq!(owner(&after, &without, key), was);
            }
        }
    }

    #[test]
    fn a_ring_of_nobody_has_nobody() {
        assert_eq!(ring(&[]).walk(b"key").next(), None);
    }

    proptest! {
        #[test]
        fn a_walk_meets_every_endpoint(count in 1_usize..300, key in any::<u64>()) {
            let names = names(count);
            let ring = ring(&names);
            let mut met: Vec<_> = ring.walk(&key.to_le_bytes()).collect();
            met.sort_unstable();
            met.dedup();
            prop_assert_eq!(met.len(), count);
        }

        #[test]
        fn somebody_always_has_room(active in proptest::collection::vec(0_usize..1000, 1..50)) {
            let total = active.iter().sum();
            prop_assert!(active.iter().any(|one| has_room(*one, total, active.len())));
        }
    }
}
