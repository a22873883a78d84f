//! When a pass is made: on a commit, on the resync timer, and when the last pass asked for another.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use meshlite_proto::subscribe::{Commit, Subscription};
use meshlite_runtime::readiness::ReadyToken;
use meshlite_snapshot::{Finding, ResourceType, Snapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Program, View,
    ask::ask,
    leftovers::Leftovers,
    loads::{self, Balanced},
};
use crate::{
    clock, desired::Changed, facts, health::HealthState, health_checks::HealthChecks,
    host::watch::Watch, kernel::Kernel,
};

/// How often what other backends left is looked at, while it keeps connections.
const TEND: Duration = Duration::from_secs(5);

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
    /// None where the kernel does not carry the traffic.
    pub(crate) watch: Option<Watch>,
    /// What is wrong with the host.
    pub(crate) noticed: Vec<Finding>,
    /// What other backends left on this node.
    pub(crate) leftovers: Option<Leftovers>,
    pub(crate) sync_period: Duration,
    /// How long changes wait for others after one was programmed.
    pub(crate) min_sync_period: Duration,
    /// When this process started.
    pub(crate) started_at: SystemTime,
    /// Held until the first snapshot is programmed.
    pub(crate) ready: Option<ReadyToken>,
}

/// What the loop remembers from one turn to the next.
struct Course {
    resync: Interval,
    counts: Interval,
    balanced: Balanced,
    is_following: bool,
    /// A commit that is not programmed yet. The next one comes after it was acknowledged.
    pending: Option<Commit>,
    /// When it is to be programmed, until that is tried.
    pending_at: Option<Instant>,
    /// Commits wait for this, so that what comes soon after another is programmed with what follows it.
    rests_until: Instant,
    /// Endpoints that are being asked whether they answer.
    asking: JoinSet<(SocketAddr, Option<bool>)>,
    /// When what other backends left is looked at again; none until this one carries the traffic.
    tend_at: Option<Instant>,
}

/// Why the loop turns.
enum Event {
    Stop,
    /// None once the control plane is not followed any more.
    Commit(Option<Box<Commit>>),
    Resync,
    Pass,
    Tend,
    /// Endpoints are to be asked whether they answer.
    Check,
    /// One was asked.
    Checked(SocketAddr, Option<bool>),
    Count,
    Query(Query),
}

// === impl Runner ===

impl<K: Kernel> Runner<K> {
    /// Programs what the control plane says until `stop`. Losing the control plane changes nothing.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut course = Course::new(self.sync_period);
        loop {
            match self.event(&mut course, &stop).await {
                Event::Stop => return,
                Event::Commit(None) => {
                    course.is_following = false;
                    continue;
                }
                Event::Commit(Some(commit)) => {
                    course.balanced.take(&commit);
                    if course.balanced.is_empty() {
                        self.subscription.report(Vec::new());
                    }
                    self.take(&commit);
                    course.pending = Some(*commit);
                    course.pending_at = Some(course.rests_until);
                    continue;
                }
                Event::Resync => {
                    self.program.resync();
                    self.refresh();
                }
                Event::Pass => {}
                Event::Tend => {
                    course.tend_at = self.tend().await;
                    continue;
                }
                Event::Check => {
                    while let Some(endpoint) = self.program.next_check() {
                        course.asking.spawn(ask(endpoint));
                    }
                    continue;
                }
                Event::Checked(endpoint, is_alive) => {
                    if !self.program.checked(endpoint, is_alive) {
                        continue;
                    }
                }
                Event::Count => {
                    self.report(&course.balanced).await;
                    continue;
                }
                Event::Query(query) => {
                    self.answer(query).await;
                    continue;
                }
            }
            self.pass(&mut course).await;
        }
    }

    /// The next thing that happens. Cancel-safe.
    async fn event(&mut self, course: &mut Course, stop: &CancellationToken) -> Event {
        let pass_at = self
            .program
            .wake_at()
            .into_iter()
            .chain(course.pending_at)
            .min();
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            commit = self.subscription.next(), if course.takes_commits() => {
                Event::Commit(commit.map(Box::new))
            }
            _ = course.resync.tick() => Event::Resync,
            () = at(pass_at) => Event::Pass,
            () = at(course.tend_at) => Event::Tend,
            () = at(self.program.check_at()) => Event::Check,
            Some(Ok((endpoint, is_alive))) = course.asking.join_next() => {
                Event::Checked(endpoint, is_alive)
            }
            _ = course.counts.tick(), if !course.balanced.is_empty() => Event::Count,
            Some(query) = self.queries.recv() => Event::Query(query),
        }
    }

    async fn pass(&mut self, course: &mut Course) {
        let is_done = self.program.pass(self.others()).await;
        self.serve_health().await;
        self.program.note(self.others());
        course.pending_at = None;
        course.rests_until = Instant::now() + self.min_sync_period;
        if is_done {
            let is_first = course.pending.is_some() && self.ready.is_some();
            self.installed(course.pending.take());
            if is_first {
                course.tend_at = Some(Instant::now());
            }
            self.look_around().await;
        }
    }

    /// Looks at the host once what is asked for is programmed, so that nothing waits for it.
    async fn look_around(&mut self) {
        if let Some(watch) = &mut self.watch
            && let Some(look) = self.program.look()
        {
            self.noticed = watch.look(look).await;
            self.program.note(self.others());
        }
    }

    fn others(&self) -> Vec<Finding> {
        [&self.unbound[..], &self.noticed].concat()
    }

    /// Retires what other backends left, once this one carries the traffic. Says when to look again.
    async fn tend(&mut self) -> Option<Instant> {
        let leftovers = self.leftovers.as_mut()?;
        if !self.program.is_settled() {
            return Some(Instant::now() + TEND);
        }
        match leftovers.retire().await {
            Ok(true) => {
                info!("what other backends left on this node is retired");
                self.leftovers = None;
            }
            Ok(false) => {}
            Err(error) => debug!(%error, "what other backends left cannot be retired yet"),
        }
        self.leftovers.is_some().then(|| Instant::now() + TEND)
    }

    fn take(&mut self, commit: &Commit) {
        self.health.queued(Instant::now());
        let metrics = &self.program.metrics;
        metrics.last_queued.set(clock::seconds_since_epoch());
        for change in commit.changes() {
            match change.topic.kind {
                ResourceType::Service => metrics.service_changes.came(),
                ResourceType::EndpointGroup => metrics.endpoint_changes.came(),
                _ => {}
            }
        }
        let changed = || {
            let mut changed = Changed::default();
            for change in commit.changes() {
                changed.resource(change.topic.kind, &change.name);
            }
            changed
        };
        let (generation, snapshot) = (commit.generation(), commit.snapshot().clone());
        self.program.set_snapshot(generation, snapshot, changed);
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
        // What is older was programmed before, by another process.
        let changed = commit.oldest_change().filter(|at| *at >= self.started_at);
        if let Some(changed) = changed {
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

// === impl Course ===

impl Course {
    fn new(sync_period: Duration) -> Self {
        let every = |period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        Self {
            resync: every(sync_period),
            counts: every(loads::COUNT),
            balanced: Balanced::default(),
            is_following: true,
            pending: None,
            pending_at: None,
            rests_until: Instant::now(),
            asking: JoinSet::new(),
            tend_at: None,
        }
    }

    const fn takes_commits(&self) -> bool {
        self.is_following && self.pending.is_none()
    }
}

/// Never, if there is no such time.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
