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
mod writer;

use std::{sync::Arc, time::Duration};

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{Candidate, Client, Events, IngressApi, Leadership, ServiceApi};
use meshlite_proto::v1;
use meshlite_snapshot::ObjectRef;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    index::Index,
    members::Members,
    writer::{Apis, Halt, Wanted, Writer},
};
use crate::{
    config::{KubernetesConfig, PublishStatus},
    peers::{Everybody, Peers},
    publish::Views,
    watch::Facts,
};

/// How often what is there is compared with what should be.
const ROUND: Duration = Duration::from_secs(1);
/// How long nothing is written after the API server did not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// How long progress is left as it is while a replica does not answer: its data planes are still there.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a new leader waits for data planes before it says that there are none.
const ARRIVAL: Duration = Duration::from_mins(1);

/// Stands in the election, and writes while it leads.
#[derive(Debug)]
pub(crate) struct Reporter {
    candidate: Candidate,
    leadership: Leadership,
    apis: Apis,
    publish_status: PublishStatus,
    facts: watch::Receiver<Arc<Facts>>,
    views: Views,
    peers: Peers,
}

/// What a leader knows that a follower need not.
#[derive(Debug)]
struct Term {
    index: Index,
    members: Members,
    writer: Writer,
    since: Instant,
    /// Since when a replica does not answer.
    incomplete: Option<Instant>,
}

impl Reporter {
    /// A reporter, and whether it leads. `process` tells this process from others of the same name.
    pub(crate) fn new(
        config: &KubernetesConfig,
        client: Client,
        process: &str,
        facts: watch::Receiver<Arc<Facts>>,
        views: Views,
        peers: Peers,
    ) -> (Self, Leadership) {
        let replica = peers.replica();
        let (candidate, leadership) = Candidate::new(
            client.clone(),
            &config.namespace,
            &config.lease_name,
            replica,
            process,
        );
        let apis = Apis {
            ingresses: IngressApi::new(client.clone()),
            services: ServiceApi::new(client.clone()),
            events: Events::new(client, replica),
            namespaces: config.watch_namespaces.clone(),
        };
        let reporter = Self {
            candidate,
            leadership: leadership.clone(),
            apis,
            publish_status: config.publish_status.clone(),
            facts,
            views,
            peers,
        };
        (reporter, leadership)
    }

    /// Runs until `stop`. The Lease is given back after the last write has ended. Nobody stands who has nothing to say:
    /// election begins with the first publication.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            published = self.views.wait_for(Option::is_some) => if published.is_err() {
                return;
            },
            () = stop.cancelled() => return,
        }
        let Self {
            candidate,
            leadership,
            apis,
            publish_status,
            facts,
            views,
            peers,
        } = self;
        let writing = async {
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
                    let writer = Writer::new(apis.clone(), leadership.clone());
                    Term::new(writer, Instant::now())
                });
                let everybody = peers.everybody().await;
                let facts = Arc::clone(&facts.borrow());
                let outcome = term.round(&views, &facts, everybody, &publish_status).await;
                match outcome {
                    Ok(()) => is_halted = false,
                    Err(Halt(error)) => {
                        if !std::mem::replace(&mut is_halted, true) {
                            warn!(%error, "status and Events cannot be written; tried again");
                        }
                        sleep(PAUSE).await;
                    }
                }
            }
        };
        let stand_down = CancellationToken::new();
        let standing = candidate.run(stand_down.clone());
        let work = async {
            tokio::select! {
                () = writing => {}
                () = stop.cancelled() => {}
            }
            // Nothing is on its way any more that this process could still send.
            stand_down.cancel();
        };
        tokio::join!(standing, work);
    }
}

impl Term {
    fn new(writer: Writer, now: Instant) -> Self {
        Self {
            index: Index::default(),
            members: Members::default(),
            writer,
            since: now,
            incomplete: None,
        }
    }

    async fn round(
        &mut self,
        views: &Views,
        facts: &Facts,
        everybody: Everybody,
        publish_status: &PublishStatus,
    ) -> Result<(), Halt> {
        let now = Instant::now();
        let Some(view) = views.borrow().clone() else {
            return Ok(());
        };
        self.index.update(&view);
        self.members.update(&view, &everybody.clients, now);
        let service = self.writer.published(publish_status, facts, now).await?;
        let addresses = desired::addresses(
            publish_status,
            service.as_ref(),
            &self.index,
            &self.members,
            now,
        );
        let uid = |object: &ObjectRef| {
            let key = ObjectKey::new(&*object.namespace, &*object.name);
            let known = facts.object(&object.kind, &key)?;
            Some(known.uid.to_string())
        };
        let notices = desired::notices(&facts.findings, &self.index, &self.members, uid);
        let counts = self.can_count(&everybody, now).then(|| {
            let census = |role| self.members.census(role, &self.index, now);
            (census(v1::Role::Ingress), census(v1::Role::L4Node))
        });
        let settled = view.generation();
        let wanted = Wanted {
            facts,
            index: &self.index,
            addresses,
            notices,
            // Nobody is connected yet: that may be because nobody had the time.
            counts: counts.map(|(ingresses, nodes)| {
                let is_early = now < self.since + ARRIVAL;
                let known = |of: &members::Census| of.of > 0 || !is_early;
                (Some(ingresses).filter(known), Some(nodes).filter(known))
            }),
            is_settled: Box::new(move |changed| {
                let since = view.stamp_after(changed.saturating_sub(1).min(settled));
                since.is_none_or(|stamp| now >= stamp.at + writer::SETTLE)
            }),
        };
        self.writer.round(wanted, now).await
    }

    /// Whether all data planes are known, or have been missing for so long that the rest counts.
    fn can_count(&mut self, everybody: &Everybody, now: Instant) -> bool {
        if everybody.unreachable.is_empty() {
            self.incomplete = None;
            return true;
        }
        let since = *self.incomplete.get_or_insert(now);
        now >= since + PATIENCE
    }
}

#[cfg(test)]
mod tests;
