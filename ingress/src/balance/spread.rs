//! How a cluster's requests are spread, and what is counted of them over all workers.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use meshlite_snapshot::{Cluster, HashPart, LoadBalancing};
use tokio::time::Instant;

use super::budget::Budget;

/// How an endpoint is chosen where no cookie says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each in turn.
    RoundRobin,
    /// The one of two with fewer requests under way.
    LeastRequest,
    /// The one of two that costs less time.
    PeakEwma,
    /// Where these parts of the request belong on the ring; requests that have none of them take turns.
    Hash(Vec<HashPart>),
}

/// What is counted of a cluster. It outlives tables.
#[derive(Debug)]
pub(crate) struct Counts {
    epoch: Instant,
    requests: AtomicUsize,
    /// Requests under way; only where endpoints are chosen by a hash.
    active: AtomicUsize,
    /// Asked after failures only, so that a lock is cheap enough.
    budget: Mutex<Budget>,
}

impl Spread {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        match cluster.load_balancing {
            LoadBalancing::RoundRobin => Self::RoundRobin,
            LoadBalancing::LeastRequest => Self::LeastRequest,
            LoadBalancing::PeakEwma => Self::PeakEwma,
            LoadBalancing::Ketama => Self::Hash(cluster.hash_by.clone()),
        }
    }
}

impl Counts {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            requests: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            budget: Mutex::new(Budget::new(Duration::ZERO)),
        }
    }

    /// Counts a request, and says whose turn it is.
    pub(crate) fn next(&self) -> usize {
        self.requests.fetch_add(1, Relaxed)
    }

    pub(super) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    pub(super) fn began(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    pub(super) fn ended(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Takes a retry of the cluster's budget, if there is one left.
    pub(crate) fn take_retry(&self, now: Instant) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.saturating_duration_since(self.epoch);
        budget.take(now, self.requests.load(Relaxed))
    }
}
