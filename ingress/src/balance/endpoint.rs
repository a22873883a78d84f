//! One endpoint of a cluster, and what all workers together know of it. Nothing here is locked.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Counts,
    ewma::PeakEwma,
    outlier::{Health, Outcome},
};

/// An endpoint that requests may be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// What it is called on every replica: by the object behind it, else by its address.
    pub(crate) name: Box<str>,
    pub(super) load: Arc<Load>,
}

/// What is measured of an endpoint. It outlives tables.
#[derive(Debug)]
pub(super) struct Load {
    /// What times are counted from.
    epoch: Instant,
    /// Requests under way.
    active: AtomicUsize,
    /// A [`Health`].
    health: AtomicU64,
    /// A [`PeakEwma`]: bits of its seconds, and nanoseconds. Two workers may mix theirs, which is as good as either.
    average: AtomicU64,
    averaged_at: AtomicU64,
}

/// A request that is under way to an endpoint.
#[derive(Debug)]
pub(crate) struct InFlight {
    load: Arc<Load>,
    all: Option<Arc<Counts>>,
}

// === impl Endpoint ===

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.name == other.name
    }
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, name: Box<str>, now: Instant) -> Self {
        Self {
            address,
            name,
            load: Arc::new(Load {
                epoch: now,
                active: AtomicUsize::new(0),
                health: AtomicU64::new(0),
                average: AtomicU64::new(0),
                averaged_at: AtomicU64::new(0),
            }),
        }
    }

    /// Goes on with what was known of it before.
    pub(crate) fn carry_on(&mut self, before: &Self) {
        self.load = Arc::clone(&before.load);
    }

    /// A request goes to it; counted among `all` of the cluster's, where somebody wants to know them.
    pub(super) fn begin(&self, all: Option<&Arc<Counts>>) -> InFlight {
        self.load.active.fetch_add(1, Relaxed);
        if let Some(all) = all {
            all.began();
        }
        InFlight {
            load: Arc::clone(&self.load),
            all: all.cloned(),
        }
    }
}

// === impl Load ===

impl Load {
    pub(super) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        let health = self.health.load(Relaxed);
        health != 0 && Health::unpack(health).is_ejected(self.since_epoch(now))
    }

    /// What one more request costs, by time.
    pub(super) fn cost(&self, now: Instant) -> f64 {
        self.average().cost(self.active(), self.since_epoch(now))
    }

    /// Notes how a request went. True if the endpoint is left out from now on.
    pub(super) fn note(
        &self,
        outcome: Outcome,
        now: Instant,
        may_eject: impl Fn() -> bool,
    ) -> bool {
        let now = self.since_epoch(now);
        let mut word = self.health.load(Relaxed);
        loop {
            let before = Health::unpack(word);
            let after = before.after(outcome, now, &may_eject);
            if after == before {
                return false;
            }
            let written = self
                .health
                .compare_exchange_weak(word, after.pack(), Relaxed, Relaxed);
            match written {
                Ok(_) => return !before.is_ejected(now) && after.is_ejected(now),
                Err(other) => word = other,
            }
        }
    }

    /// Notes how long an answer took to begin.
    pub(super) fn observe(&self, took: Duration, now: Instant) {
        let average = self.average().observe(took, self.since_epoch(now));
        let at = u64::try_from(average.at.as_nanos()).unwrap_or(u64::MAX);
        self.average.store(average.seconds.to_bits(), Relaxed);
        self.averaged_at.store(at, Relaxed);
    }

    fn average(&self) -> PeakEwma {
        PeakEwma {
            seconds: f64::from_bits(self.average.load(Relaxed)),
            at: Duration::from_nanos(self.averaged_at.load(Relaxed)),
        }
    }

    fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.load.active.fetch_sub(1, Relaxed);
        if let Some(all) = &self.all {
            all.ended();
        }
    }
}
