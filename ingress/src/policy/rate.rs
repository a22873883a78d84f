//! How often a client may ask: one token bucket for each client and limit, shared by all workers, in bounded memory.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::remember::Remembered;

/// Parts of the book, so that workers seldom wait for each other.
const SHARDS: usize = 64;
/// Buckets that are remembered in all; one that is forgotten is full again.
const MAX_BUCKETS: usize = 128 * 1024;

/// A rate with its bursts, as the generic cell rate algorithm has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Time that one request takes, in nanoseconds.
    interval: u64,
    /// Time that may have been taken in advance.
    tolerance: u64,
}

/// Whose requests are counted together: an IPv4 address, or the 64 bits of an IPv6 address that one customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientKey(u64);

/// A limit and one of its clients.
pub(super) type LimitKey = (u64, ClientKey);
/// Buckets, with the time at which each will be full.
type Shard = Mutex<Remembered<LimitKey, u64>>;

/// The buckets that are not full.
#[derive(Debug)]
pub(crate) struct Buckets {
    shards: Box<[Shard]>,
    hasher: RandomState,
    epoch: Instant,
}

// === impl Rate ===

impl Rate {
    /// `requests` in `per`, and at most `burst` at once. None for no requests at all.
    pub(crate) fn new(requests: u32, per: Duration, burst: u32) -> Option<Self> {
        let interval = per.as_nanos().checked_div(requests.into())?;
        let interval = u64::try_from(interval).unwrap_or(u64::MAX).max(1);
        Some(Self {
            interval,
            tolerance: interval.saturating_mul(burst.saturating_sub(1).into()),
        })
    }

    /// When the bucket will be full if one more request is taken now; the time to wait, if it may not be.
    fn take(self, full_at: u64, now: u64) -> Result<u64, Duration> {
        let full_at = full_at.max(now);
        let taken = full_at - now;
        if taken > self.tolerance {
            return Err(Duration::from_nanos(taken - self.tolerance));
        }
        Ok(full_at.saturating_add(self.interval))
    }
}

// === impl ClientKey ===

impl ClientKey {
    pub(crate) fn new(client: IpAddr) -> Self {
        Self(match client.to_canonical() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            // Global unicast has bits set here that no IPv4 address has.
            IpAddr::V6(ip) if ip != Ipv6Addr::LOCALHOST => {
                let [a, b, c, d, ..] = ip.segments();
                [a, b, c, d]
                    .into_iter()
                    .fold(0, |bits, segment| bits << 16 | u64::from(segment))
            }
            IpAddr::V6(_) => u64::MAX,
        })
    }
}

// === impl Buckets ===

impl Buckets {
    pub(crate) fn new(now: Instant) -> Self {
        let shard = |_| Mutex::new(Remembered::new(MAX_BUCKETS / SHARDS));
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            hasher: RandomState::new(),
            epoch: now,
        }
    }

    /// Takes a request of a client from its bucket of this limit; the time to wait, if there is none.
    pub(crate) fn take(
        &self,
        limit: u64,
        rate: Rate,
        client: ClientKey,
        now: Instant,
    ) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.epoch).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let key = (limit, client);
        let Some(shard) = self.shard(&key) else {
            return Ok(());
        };
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = rate.take(buckets.get(&key).unwrap_or_default(), now)?;
        buckets.put(key, full_at);
        Ok(())
    }

    fn shard<K: Hash>(&self, key: &K) -> Option<&Shard> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        self.shards.get(hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: ClientKey = ClientKey(1);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let buckets = Buckets::new(start);
        let rate = Rate::new(10, Duration::from_secs(1), 6).unwrap();
        let at = |millis| start + Duration::from_millis(millis);
        for _ in 0..6 {
            assert_eq!(buckets.take(1, rate, CLIENT, at(0)), Ok(()));
        }
        assert_eq!(
            buckets.take(1, rate, CLIENT, at(0)),
            Err(Duration::from_millis(100))
        );
        assert_eq!(buckets.take(1, rate, CLIENT, at(100)), Ok(()));
        assert!(buckets.take(1, rate, CLIENT, at(100)).is_err());
        let other = ClientKey::new([10, 0, 0, 9].into());
        assert_eq!(buckets.take(1, rate, other, at(100)), Ok(()));
        assert_eq!(buckets.take(2, rate, CLIENT, at(100)), Ok(()));
    }

    #[test]
    fn a_rate_of_nothing_is_not_a_rate() {
        assert_eq!(Rate::new(0, Duration::from_secs(1), 5), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let key = |ip: &str| ClientKey::new(ip.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_ne!(key("::1"), key("0.0.0.0"));
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_its_rate_and_one_burst(
            requests in 1_u32..50,
            burst in 1_u32..20,
            gaps in prop::collection::vec(0_u64..200, 1..200),
        ) {
            let rate = Rate::new(requests, Duration::from_secs(1), burst).unwrap();
            let (mut full_at, mut now) = (0, 0);
            let mut taken = vec![];
            for gap in gaps {
                now += gap * 1_000_000;
                if let Ok(next) = rate.take(full_at, now) {
                    full_at = next;
                    taken.push(now);
                }
            }
            for (index, start) in taken.iter().enumerate() {
                for (count, end) in taken.iter().skip(index).enumerate() {
                    let earned = (end - start) / rate.interval;
                    prop_assert!((count as u64) < earned + u64::from(burst) + 1);
                }
            }
        }

        #[test]
        fn who_asks_at_the_rate_is_never_refused(requests in 1_u32..1000, count in 1_u64..200) {
            let rate = Rate::new(requests, Duration::from_secs(1), 1).unwrap();
            let mut full_at = 0;
            for index in 0..count {
                full_at = rate.take(full_at, index * rate.interval).unwrap();
            }
        }
    }
}
