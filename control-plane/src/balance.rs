//! Weights by load: what nodes report of Services that ask for it becomes an input of the compiler.
//!
//! ```text
//! heartbeats of nodes ─> Reports ─┬─> sum ─> Smoothing ─> factors ─> Change::Factors ─> compile ─> Weights
//! sums of the other replicas ─────┘             ^ now
//! ```

mod loads;
mod reports;
mod smoothing;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use meshlite_compile::{Bases, Factors, ObjectKey};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) use self::{
    loads::Loads,
    reports::{Reporter, Reports},
};

use self::smoothing::Smoothing;
use crate::{metrics::Metrics, peers::Peers, watch::Facts};

/// The Services that are balanced by load, with their endpoints' weights as they are written.
pub(crate) type Balanced = BTreeMap<ObjectKey, Arc<Bases>>;
/// What load asks for, by Service.
pub(crate) type AllFactors = BTreeMap<ObjectKey, Arc<Factors>>;

/// How often it is looked at what endpoints carry.
const TURN: Duration = Duration::from_secs(5);
/// How long what another replica said counts where it does not answer: as long as it takes to notice that a node is silent.
const BELIEVED: Duration = Duration::from_secs(30);

/// Turns reports into factors.
#[derive(Debug)]
pub(crate) struct Balancer {
    facts: watch::Receiver<Arc<Facts>>,
    reports: Reports,
    peers: Peers,
    metrics: Arc<Metrics>,
    factors: watch::Sender<Arc<AllFactors>>,
    smoothing: Smoothing,
    /// What other replicas said last, and when.
    others: BTreeMap<SocketAddr, (Instant, Loads)>,
}

impl Balancer {
    /// A balancer that has heard nothing, and where its factors are found.
    pub(crate) fn new(
        facts: watch::Receiver<Arc<Facts>>,
        reports: Reports,
        peers: Peers,
        metrics: Arc<Metrics>,
    ) -> (Self, watch::Receiver<Arc<AllFactors>>) {
        let (factors, found) = watch::channel(Arc::default());
        let balancer = Self {
            facts,
            reports,
            peers,
            metrics,
            factors,
            smoothing: Smoothing::default(),
            others: BTreeMap::new(),
        };
        (balancer, found)
    }

    /// Derives factors until `stop`, or until nothing is published any more.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.facts.changed() => match changed {
                    Ok(()) => self.expect(),
                    Err(_closed) => return,
                },
                _ = turns.tick() => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.turn() => {}
                },
            }
        }
    }

    /// Other Services may ask for it, or have other endpoints.
    fn expect(&mut self) {
        let balanced = Arc::clone(&self.facts.borrow_and_update().balanced);
        self.metrics.balanced(balanced.len());
        self.reports.expect(balanced);
    }

    async fn turn(&mut self) {
        let balanced = self.reports.expected();
        if balanced.is_empty() {
            self.others.clear();
        } else {
            self.ask_others(&balanced).await;
        }
        let mut loads = self.reports.sum();
        for (_, of_other) in self.others.values() {
            loads.add(of_other);
        }
        let factors = self.smoothing.turn(&balanced, &loads, Instant::now());
        self.factors.send_if_modified(|before| {
            let differs = **before != factors;
            if differs {
                debug!(services = factors.len(), "load asks for other weights");
                *before = Arc::new(factors);
            }
            differs
        });
    }

    async fn ask_others(&mut self, balanced: &Balanced) {
        let said = self.peers.loads_of_others().await;
        let now = Instant::now();
        for (address, told) in said.answers {
            let (loads, _) = Loads::read(&told, balanced);
            self.others.insert(address, (now, loads));
        }
        self.others.retain(|_, (at, _)| now - *at < BELIEVED);
    }
}
