//! When a pass is made: on a commit, on the resync timer, and when the last pass asked for another.

use std::time::Duration;

use meshlite_proto::subscribe::{Commit, Subscription};
use meshlite_runtime::readiness::ReadyToken;
use meshlite_snapshot::{Finding, ResourceType, Snapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Program, View,
    loads::{self, Balanced},
};
use crate::{
    clock, desired::Changed, facts, health::HealthState, health_checks::HealthChecks,
    kernel::Kernel,
};

/// A request for what is programmed now.
pub(crate) type Query = oneshot::Sender<View>;

/// The loop with all that it talks to.
pub(crate) struct Runner<K> {
    pub(crate) program: Program<K>,
    pub(crate) subscription: Subscription,
    pub(crate) queries: mpsc::Receiver<Query>,
    /// Told what is programmed.
    pub(crate) snapshot: watch::Sender<Snapshot>,
    pub(crate) health: HealthState,
    /// None where nothing is served.
    pub(crate) health_checks: Option<HealthChecks>,
    /// Health checks that could not be bound.
    pub(crate) unbound: Vec<Finding>,
    pub(crate) sync_period: Duration,
    /// Held until the first snapshot is programmed.
    pub(crate) ready: Option<ReadyToken>,
}

// === impl Runner ===

impl<K: Kernel> Runner<K> {
    /// Programs what the control plane says until `stop`. Losing the control plane changes nothing.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut resync = interval(self.sync_period);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A commit that is not programmed yet. The next one comes after it was acknowledged.
        let mut pending: Option<Commit> = None;
        let mut is_following = true;
        let mut counts = interval(loads::COUNT);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut balanced = Balanced::default();
        loop {
            let wake_at = self.program.wake_at();
            let wake = async {
                match wake_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                commit = self.subscription.next(), if is_following && pending.is_none() => {
                    match commit {
                        Some(commit) => {
                            balanced.take(&commit);
                            if balanced.is_empty() {
                                self.subscription.report(Vec::new());
                            }
                            self.take(&commit);
                            pending = Some(commit);
                        }
                        None => is_following = false,
                    }
                }
                _ = resync.tick() => {
                    self.program.resync();
                    self.refresh();
                }
                () = wake => {}
                _ = counts.tick(), if !balanced.is_empty() => {
                    self.report(&balanced).await;
                    continue;
                }
                Some(query) = self.queries.recv() => {
                    self.answer(query).await;
                    continue;
                }
            }
            self.serve_health().await;
            let is_done = self.program.pass(self.unbound.clone()).await;
            if is_done {
                self.installed(pending.take());
            }
        }
    }

    fn take(&mut self, commit: &Commit) {
        self.health.queued(Instant::now());
        let metrics = &self.program.metrics;
        metrics.last_queued.set(clock::seconds_since_epoch());
        let mut changed = Changed::default();
        for change in commit.changes() {
            changed.resource(change.topic.kind, &change.name);
            match change.topic.kind {
                ResourceType::Service => metrics.service_changes.came(),
                ResourceType::EndpointGroup => metrics.endpoint_changes.came(),
                _ => {}
            }
        }
        let (generation, snapshot) = (commit.generation(), commit.snapshot().clone());
        self.program.set_snapshot(generation, snapshot, &changed);
    }

    fn installed(&mut self, commit: Option<Commit>) {
        self.health.applied();
        let metrics = &self.program.metrics;
        metrics.last_sync.set(clock::seconds_since_epoch());
        metrics.service_changes.done();
        metrics.endpoint_changes.done();
        let Some(commit) = commit else {
            return;
        };
        if let Some(changed) = commit.oldest_change() {
            let took = clock::seconds_since(changed);
            metrics.network_programming_duration.observe(took);
        }
        let table = self.program.desired().table();
        info!(
            generation = commit.generation(),
            virtual_servers = table.virtual_servers.len(),
            findings = self.program.findings.len(),
            provisional = commit.provisional(),
            "snapshot is programmed"
        );
        if commit.provisional() {
            warn!("what is programmed comes from disk, until a control plane confirms it");
        }
        self.snapshot.send_replace(commit.snapshot().clone());
        commit.acknowledge();
        drop(self.ready.take());
    }

    fn refresh(&mut self) {
        match facts::local_addresses() {
            Ok(addresses) => self.program.set_local_addresses(addresses),
            Err(error) => warn!(%error, "local addresses cannot be read"),
        }
    }

    /// Answers load balancers as the table now says. What could not be bound is tried again each time.
    async fn serve_health(&mut self) {
        let is_due = self.program.take_health_checks_due();
        let desired = self.program.desired();
        self.health.set_eligible(!desired.node_leaving());
        let Some(servers) = &mut self.health_checks else {
            return;
        };
        if is_due || !self.unbound.is_empty() {
            let wanted = desired.health_checks();
            self.unbound = servers.serve(wanted, self.program.facts()).await;
        }
    }

    async fn report(&mut self, balanced: &Balanced) {
        match self.program.loads(balanced).await {
            Ok(loads) => self.subscription.report(loads),
            Err(error) => debug!(%error, "connections cannot be counted"),
        }
    }

    async fn answer(&mut self, query: Query) {
        match self.program.view().await {
            // Who asked may have gone.
            Ok(view) => drop(query.send(view)),
            Err(error) => warn!(%error, "table cannot be read"),
        }
    }
}
