//! How a real server is chosen for a client.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;
use tokio::time::Instant;

use super::{
    affinity::Affinity,
    backend::{Backend, Lease},
};
use crate::table::Scheduler;

/// The most turns in one round of weighted round robin; weights beyond that are scaled down.
const MAX_TURNS: u64 = 4096;

/// What the sockets of a place see of the table. Swapped whole.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// For clients for whom there is no other pool.
    pub(super) everyone: Option<Pool>,
    /// For this node and Pods.
    pub(super) inside: Option<Pool>,
    /// Who is inside.
    pub(super) networks: Arc<BTreeSet<IpNet>>,
}

/// The real servers of one virtual server.
#[derive(Debug)]
pub(super) struct Pool {
    scheduler: Scheduler,
    source_ranges: Arc<BTreeSet<IpNet>>,
    persistence: Option<Persistence>,
    /// Those with a weight above 0.
    backends: Vec<(Arc<Backend>, u16)>,
    /// Whose turn it is, round after round: indices of `backends`.
    turns: Vec<usize>,
    next: Arc<AtomicUsize>,
}

/// Clients stay with their endpoint.
#[derive(Clone, Debug)]
pub(super) struct Persistence {
    pub(super) timeout: Duration,
    pub(super) affinity: Arc<Affinity>,
}

/// What a pool is made of.
#[derive(Debug)]
pub(super) struct PoolParts {
    pub(super) scheduler: Scheduler,
    pub(super) source_ranges: Arc<BTreeSet<IpNet>>,
    pub(super) persistence: Option<Persistence>,
    pub(super) backends: Vec<(Arc<Backend>, u16)>,
    /// Where the last pool of the same virtual server got to.
    pub(super) next: Arc<AtomicUsize>,
}

/// What a pool has for a client.
#[derive(Debug)]
pub(super) enum Choice {
    /// This real server, and what to remember when the client leaves it.
    Use(Lease, Option<Persistence>),
    /// No real server is left to try.
    Nobody,
    /// The client is outside the source ranges.
    Forbidden,
}

// === impl Routes ===

impl Routes {
    /// Chooses for a client, leaving out what was tried before.
    pub(super) fn choose(&self, client: IpAddr, tried: &[SocketAddr], now: Instant) -> Choice {
        let is_inside = || {
            self.networks
                .iter()
                .any(|network| network.contains(&client))
        };
        let pool = match &self.inside {
            Some(inside) if self.everyone.is_none() || is_inside() => Some(inside),
            _ => self.everyone.as_ref(),
        };
        pool.map_or(Choice::Nobody, |pool| pool.choose(client, tried, now))
    }

    /// Whether any client can be served.
    pub(super) fn is_usable(&self) -> bool {
        let pools = [&self.everyone, &self.inside];
        pools
            .into_iter()
            .flatten()
            .any(|pool| !pool.backends.is_empty())
    }
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(parts: PoolParts) -> Self {
        let PoolParts {
            scheduler,
            source_ranges,
            persistence,
            mut backends,
            next,
        } = parts;
        backends.retain(|(_, weight)| *weight > 0);
        let turns = match scheduler {
            Scheduler::Wrr => weighted_turns(&backends.iter().map(|(_, w)| *w).collect::<Vec<_>>()),
            _ => (0..backends.len()).collect(),
        };
        Self {
            scheduler,
            source_ranges,
            persistence,
            backends,
            turns,
            next,
        }
    }

    fn choose(&self, client: IpAddr, tried: &[SocketAddr], now: Instant) -> Choice {
        let ranges = &self.source_ranges;
        if !ranges.is_empty() && !ranges.iter().any(|range| range.contains(&client)) {
            return Choice::Forbidden;
        }
        let usable = |backend: &Backend| !tried.contains(&backend.address);
        let sticky = self
            .persistence
            .as_ref()
            .and_then(|p| p.affinity.endpoint_of(client, p.timeout, now));
        let stuck = sticky.and_then(|address| {
            let mut backends = self.backends.iter().map(|(backend, _)| backend);
            backends.find(|backend| backend.address == address && usable(backend))
        });
        let Some(backend) = stuck.or_else(|| self.schedule(&usable)) else {
            return Choice::Nobody;
        };
        if let Some(persistence) = &self.persistence {
            persistence.affinity.remember(client, backend.address, now);
        }
        Choice::Use(Lease::new(backend), self.persistence.clone())
    }

    fn schedule(&self, usable: &dyn Fn(&Backend) -> bool) -> Option<&Arc<Backend>> {
        if self.turns.is_empty() {
            return None;
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed) % self.turns.len();
        let (tail, head) = self.turns.split_at(start);
        let mut in_turn = head
            .iter()
            .chain(tail)
            .map(|turn| &self.backends[*turn])
            .filter(|(backend, _)| usable(backend));
        let chosen = match self.scheduler {
            Scheduler::Lc => in_turn.min_by_key(|(backend, _)| backend.active()),
            // The least (connections + 1) / weight, compared without a division.
            Scheduler::Wlc => in_turn.reduce(|best, other| {
                let load = |of: &(Arc<Backend>, u16), by: &(Arc<Backend>, u16)| {
                    u128::from(of.0.active() + 1) * u128::from(by.1)
                };
                if load(other, best) < load(best, other) {
                    other
                } else {
                    best
                }
            }),
            _ => in_turn.next(),
        };
        chosen.map(|(backend, _)| backend)
    }
}

/// Smooth weighted round robin: each index as often as its weight, spread as evenly as can be.
fn weighted_turns(weights: &[u16]) -> Vec<usize> {
    let divisor = weights
        .iter()
        .copied()
        .fold(0, greatest_common_divisor)
        .max(1);
    let sum: u64 = weights.iter().map(|w| u64::from(w / divisor)).sum();
    let scale = sum.div_ceil(MAX_TURNS).max(1);
    let shares: Vec<i64> = weights
        .iter()
        .map(|w| {
            i64::from(w / divisor)
                .div_euclid(scale.cast_signed())
                .max(1)
        })
        .collect();
    let total: i64 = shares.iter().sum();
    let mut credit = vec![0_i64; shares.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        for (credit, share) in credit.iter_mut().zip(&shares) {
            *credit += share;
        }
        let richest = (0..credit.len()).max_by_key(|i| (credit[*i], std::cmp::Reverse(*i)));
        if let Some(index) = richest {
            credit[index] -= total;
            turns.push(index);
        }
    }
    turns
}

fn greatest_common_divisor(a: u16, b: u16) -> u16 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests;
