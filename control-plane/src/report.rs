//! Writes back what users of the API should see: addresses and progress in status, and Events. Only the leader does.
//!
//! ```text
//! facts, views, clients of all replicas ─> index, members ─> desired ─> writer ─token checked─> API server
//!                                          Lease ─> election ────────────────────┘
//! ```
//!
//! Rights it needs: what [`Candidate`], [`Events`], [`IngressApi`] and [`ServiceApi`] say; nothing else.

mod desired;
mod index;
mod members;
mod term;
mod writer;

use std::{sync::Arc, time::Duration};

use meshlite_kubernetes::{
    Candidate, Client, Events, IngressApi, Leadership, ServiceApi, WriteError,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    term::Term,
    writer::{Apis, Halt, Writer},
};
use crate::{
    config::{KubernetesConfig, PublishStatus},
    metrics::Metrics,
    peers::Peers,
    publish::Views,
    watch::Facts,
};

/// How often what is there is compared with what should be.
const ROUND: Duration = Duration::from_secs(1);
/// How long nothing is written after the API server did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Stands in the election, and writes while it leads.
#[derive(Debug)]
pub(crate) struct Reporter {
    candidate: Candidate,
    leadership: Leadership,
    lease: String,
    work: Work,
}

/// What is compared, and where the difference is written.
#[derive(Debug)]
struct Work {
    apis: Apis,
    publish_status: PublishStatus,
    facts: watch::Receiver<Arc<Facts>>,
    views: Views,
    peers: Peers,
    metrics: Arc<Metrics>,
}

impl Reporter {
    /// A reporter, and whether it leads.
    pub(crate) fn new(
        config: &KubernetesConfig,
        client: Client,
        facts: watch::Receiver<Arc<Facts>>,
        views: Views,
        peers: Peers,
        metrics: Arc<Metrics>,
    ) -> (Self, Leadership) {
        let replica = peers.replica();
        // One that was started again under the same name is another.
        let process = format!("{:016x}", fastrand::u64(..));
        let (candidate, leadership) = Candidate::new(
            client.clone(),
            &config.namespace,
            &config.lease_name,
            replica,
            &process,
        );
        let apis = Apis {
            ingresses: IngressApi::new(client.clone(), leadership.clone()),
            services: ServiceApi::new(client.clone(), leadership.clone()),
            events: Events::new(client, leadership.clone(), replica),
            namespaces: config.watch_namespaces.clone(),
        };
        let reporter = Self {
            candidate,
            leadership: leadership.clone(),
            lease: config.lease_name.clone(),
            work: Work {
                apis,
                publish_status: config.publish_status.clone(),
                facts,
                views,
                peers,
                metrics,
            },
        };
        (reporter, leadership)
    }

    /// Runs until `stop`. The Lease is given back after the last write has ended, and what was written stays: an address
    /// that went away with its writer would go away with every rollout. Nobody stands who has nothing to say: election
    /// begins with the first publication.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self {
            candidate,
            leadership,
            lease,
            mut work,
        } = self;
        tokio::select! {
            published = work.views.wait_for(Option::is_some) => if published.is_err() {
                return;
            },
            () = stop.cancelled() => return,
        }
        let metrics = Arc::clone(&work.metrics);
        let showing = async {
            let mut rounds = interval(ROUND);
            loop {
                rounds.tick().await;
                metrics.leads(&lease, leadership.holds());
            }
        };
        let stand_down = CancellationToken::new();
        let standing = candidate.run(stand_down.clone());
        let working = async {
            tokio::select! {
                never = work.write(&leadership) => never,
                never = showing => never,
                () = stop.cancelled() => {}
            }
            // Nothing is on its way any more that this process could still send.
            stand_down.cancel();
        };
        tokio::join!(standing, working);
        metrics.leads(&lease, false);
    }
}

impl Work {
    /// Writes in every term of leadership.
    async fn write(&self, leadership: &Leadership) -> ! {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut term: Option<Term> = None;
        let mut is_halted = false;
        loop {
            rounds.tick().await;
            if !leadership.holds() {
                if term.take().is_some() {
                    info!("status and Events are left to another replica");
                }
                continue;
            }
            let term = term.get_or_insert_with(|| {
                info!("this replica writes status and Events");
                Term::new(Writer::new(self.apis.clone(), Arc::clone(&self.metrics)))
            });
            let everybody = self.peers.everybody().await;
            let facts = Arc::clone(&self.facts.borrow());
            let publish = &self.publish_status;
            match term.round(&self.views, &facts, everybody, publish).await {
                Ok(()) => is_halted = false,
                Err(Halt(WriteError::Deposed)) => {}
                Err(Halt(error)) => {
                    if !std::mem::replace(&mut is_halted, true) {
                        warn!(%error, "status and Events cannot be written; tried again");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
