//! Shares of real servers as slots, one of which is chosen at random. Pure.

use std::{collections::BTreeMap, net::SocketAddr};

use crate::table::{RealServer, Scheduler};

/// Most slots that weights are spread over, unless there are more real servers: within half a percent of what was asked
/// for where there are a few.
const WEIGHTED: u64 = 1024;

/// The slots of real servers, those with weight 0 left out: one each with rr, by weight with wrr, and no more than this
/// many.
pub(super) fn slots(
    scheduler: Scheduler,
    real_servers: &BTreeMap<SocketAddr, RealServer>,
    most: usize,
) -> Vec<SocketAddr> {
    let usable = real_servers.iter().filter(|(_, real)| real.weight > 0);
    let mut shares: Vec<(SocketAddr, u64)> = usable
        .map(|(address, real)| match scheduler {
            Scheduler::Wrr => (*address, u64::from(real.weight)),
            _ => (*address, 1),
        })
        .take(most)
        .collect();
    reduce(&mut shares, most);
    let repeated = shares
        .into_iter()
        .flat_map(|(address, share)| (0..share).map(move |_| address));
    repeated.collect()
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
    use proptest::prelude::*;

    use super::*;

    fn servers(weights: &[u16]) -> BTreeMap<SocketAddr, RealServer> {
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
        let slots = slots(scheduler, &servers, 10_000);
        let of = |address| slots.iter().filter(|slot| *slot == address).count();
        servers.keys().map(of).collect()
    }

    #[test]
    fn rr_gives_equal_shares_and_wrr_the_smallest_that_are_in_proportion() {
        assert_eq!(shares(Scheduler::Rr, &[1, 7, 0]), [1, 1, 0]);
        assert_eq!(shares(Scheduler::Wrr, &[100, 300, 0]), [1, 3, 0]);
        assert_eq!(shares(Scheduler::Wrr, &[100, 100]), [1, 1]);
    }

    proptest! {
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
