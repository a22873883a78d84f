//! Shares of real servers as slots, one of which is chosen at random. Pure.

use std::net::SocketAddr;

use crate::table::{RealServers, Scheduler};

/// Most slots that weights are spread over, unless there are more real servers: within half a percent of what was asked
/// for where there are a few.
const WEIGHTED: u64 = 1024;

/// How many slots real servers have, those with weight 0 left out: one each with rr, by weight with wrr, and no more than
/// this many in all. Sorted by address.
pub(super) fn shares(
    scheduler: Scheduler,
    real_servers: &RealServers,
    most: usize,
) -> Vec<(SocketAddr, u64)> {
    let usable = real_servers.iter().filter(|(_, real)| real.weight > 0);
    let mut shares = Vec::with_capacity(real_servers.len());
    shares.extend(usable.take(most).map(|(address, real)| match scheduler {
        Scheduler::Wrr => (*address, u64::from(real.weight)),
        _ => (*address, 1),
    }));
    reduce(&mut shares, most);
    shares
}

/// Slots with these shares. Who had a slot before keeps it where that is possible, so that a change of one real server
/// is a change of its slots, and not of all that come after them.
pub(super) fn arrange(
    before: &[SocketAddr],
    mut shares: Vec<(SocketAddr, u64)>,
) -> Vec<SocketAddr> {
    let total: u64 = shares.iter().map(|(_, share)| share).sum();
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let mut keep = |address: &SocketAddr| {
        let place = shares.binary_search_by_key(address, |(is, _)| *is).ok()?;
        let (_, left) = shares.get_mut(place).filter(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(*address)
    };
    let mut slots: Vec<_> = before.iter().take(total).map(&mut keep).collect();
    slots.resize(total, None);
    let others = |(address, left): (SocketAddr, u64)| (0..left).map(move |_| address);
    let mut others = shares.into_iter().flat_map(others);
    let mut filled = Vec::with_capacity(total);
    filled.extend(
        slots
            .into_iter()
            .filter_map(|slot| slot.or_else(|| others.next())),
    );
    filled
}

/// Makes shares as small as they can be, and small enough: at least 1 each.
fn reduce(shares: &mut [(SocketAddr, u64)], most: usize) {
    let divisor = shares.iter().fold(0, |all, (_, share)| gcd(all, *share));
    for (_, share) in &mut *shares {
        *share /= divisor.max(1);
    }
    let total: u64 = shares.iter().map(|(_, share)| share).sum();
    let count = u64::try_from(shares.len()).unwrap_or(u64::MAX);
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let most = most.min(WEIGHTED.max(count));
    if total <= most {
        return;
    }
    // Each has one, and what is left is shared out by weight.
    for (_, share) in shares {
        *share = 1 + (most - count) * (*share - 1) / total;
    }
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::table::RealServer;

    fn servers(weights: &[u16]) -> RealServers {
        let real = |(number, weight): (u8, &u16)| {
            let real = RealServer {
                weight: *weight,
                is_local: false,
            };
            (SocketAddr::from(([10, 0, 0, number], 80)), real)
        };
        (1..).zip(weights).map(real).collect()
    }

    fn shares(scheduler: Scheduler, weights: &[u16]) -> Vec<usize> {
        let servers = servers(weights);
        let slots = arrange(&[], super::shares(scheduler, &servers, 10_000));
        let of = |address| slots.iter().filter(|slot| **slot == address).count();
        servers.addresses().map(of).collect()
    }

    #[test]
    fn rr_gives_equal_shares_and_wrr_the_smallest_that_are_in_proportion() {
        assert_eq!(shares(Scheduler::Rr, &[1, 7, 0]), [1, 1, 0]);
        assert_eq!(shares(Scheduler::Wrr, &[100, 300, 0]), [1, 3, 0]);
        assert_eq!(shares(Scheduler::Wrr, &[100, 100]), [1, 1]);
    }

    #[test]
    fn a_changed_real_server_takes_the_slots_of_the_one_before_and_moves_nobody() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| SocketAddr::from(([10, 0, 0, n], 80)));
        let one_each = |all: &[SocketAddr]| all.iter().map(|it| (*it, 1)).collect();
        let first = arrange(&[], one_each(&[a, b, c]));
        assert_eq!(first, [a, b, c]);
        assert_eq!(arrange(&first, one_each(&[b, c, d])), [d, b, c]);
        assert_eq!(arrange(&first, one_each(&[b, c])), [c, b]);
        assert_eq!(arrange(&[d, b, c], one_each(&[a, b, c, d])), [d, b, c, a]);
    }

    proptest! {
        #[test]
        fn whatever_was_before_everybody_has_the_own_share(
            before in prop::collection::vec(0u8..9, 0..30),
            weights in prop::collection::vec(0u16..5, 0..9),
        ) {
            let servers = servers(&weights);
            let wanted = super::shares(Scheduler::Wrr, &servers, 10_000);
            let before: Vec<_> = before
                .iter()
                .map(|n| SocketAddr::from(([10, 0, 0, *n], 80)))
                .collect();
            let slots = arrange(&before, wanted.clone());
            let mut counts = BTreeMap::new();
            for slot in &slots {
                *counts.entry(*slot).or_insert(0) += 1;
            }
            prop_assert_eq!(Vec::from_iter(counts), wanted.clone());
            prop_assert_eq!(arrange(&slots, wanted), slots);
        }

        #[test]
        fn shares_are_few_near_their_weights_and_nobody_goes_without(
            weights in prop::collection::vec(1u16.., 1..20),
        ) {
            let shares = shares(Scheduler::Wrr, &weights);
            let total: usize = shares.iter().sum();
            prop_assert!(total <= 1024);
            let part = |of: usize, all: usize| of * 1_000 / all;
            let sum: usize = weights.iter().copied().map(usize::from).sum();
            for (share, weight) in shares.into_iter().zip(weights) {
                prop_assert!(share > 0);
                let (is, should) = (part(share, total), part(weight.into(), sum));
                prop_assert!(is.abs_diff(should) < 40, "{is} and {should} of 1,000");
            }
        }
    }
}
