//! How often each address was refused lately: who only makes mistakes is not worth a signature check.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// What a mistake costs: a hundred in a second are paid off as they come.
const COST: Duration = Duration::from_millis(10);
/// How much may be owed: two hundred mistakes at once.
const CREDIT: Duration = Duration::from_secs(2);
/// The most addresses that are remembered.
const MOST: usize = 4096;

/// The addresses that were refused lately, and until when they have to pay for it.
#[derive(Debug, Default)]
pub(super) struct Failures {
    debts: BTreeMap<IpAddr, Instant>,
}

impl Failures {
    /// Whether this address made too many mistakes.
    pub(super) fn is_over(&self, peer: IpAddr, now: Instant) -> bool {
        let debt = self.debts.get(&network(peer));
        debt.is_some_and(|until| until.saturating_duration_since(now) > CREDIT)
    }

    /// This address made a mistake. Says whether it was the first in a while.
    pub(super) fn add(&mut self, peer: IpAddr, now: Instant) -> bool {
        let peer = network(peer);
        if self.debts.len() >= MOST && !self.debts.contains_key(&peer) {
            self.debts.retain(|_, until| *until > now);
            if self.debts.len() >= MOST {
                return false;
            }
        }
        let debt = self.debts.entry(peer).or_insert(now);
        let is_first = *debt <= now;
        *debt = (*debt).max(now) + COST;
        is_first
    }
}

/// One host can have any address of its IPv6 network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_hundred_mistakes_are_too_many_until_some_are_paid_off() {
        let mut failures = Failures::default();
        let peer: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let now = Instant::now();
        for _ in 0..=200 {
            assert!(!failures.is_over(peer, now));
            failures.add(peer, now);
        }
        assert!(failures.is_over(peer, now));
        assert!(failures.is_over(neighbour, now), "of the same network");
        assert!(!failures.is_over(other, now));
        assert!(!failures.is_over(peer, now + COST));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_addresses_is_bounded() {
        let mut failures = Failures::default();
        let now = Instant::now();
        for bits in 0..10_000 {
            failures.add(std::net::Ipv4Addr::from_bits(bits).into(), now);
        }
        assert_eq!(failures.debts.len(), MOST);
        failures.add("192.0.2.1".parse().unwrap(), now + CREDIT);
        assert_eq!(failures.debts.len(), 1);
    }
}
