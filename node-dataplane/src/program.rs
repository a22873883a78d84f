//! The loop: what was asked for and what is there become a plan, and the plan is carried out.
//!
//! Level triggered: every pass reads the kernel anew, so a commit, a timer, a failed step and a change behind our back
//! are healed by the same code. Nothing is decided here but when to come back.
//!
//! No Service is ever rejected to the control plane. What this node cannot do with it (a protocol that the kernel
//! lacks, an address that cannot be bound, a place that another Service has) is a finding: the rest of the Service is
//! served as asked, which a rejection, putting the last good version back as a whole, would prevent.

mod findings;
pub(crate) mod run;
mod view;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use meshlite_runtime::backoff::Backoff;
use meshlite_snapshot::{Finding, Snapshot};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    desired::Desired,
    facts::Facts,
    kernel::{Capabilities, Kernel, KernelError, print},
    metrics::{Metrics, OutcomeLabel, PolicyLabel},
    plan::{Drains, Plan, Step, plan},
    table::{Key, Observed},
};

pub(crate) use self::view::View;

/// Waits until drained real servers are looked at again: the first, and the longest.
const DRAIN_POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Waits between attempts after a failure: the first is at most this, later ones at most the sync period.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Passes in a row that start with the kernel having changed under the plan, before the retry timer takes over.
const MAX_RESYNCS: usize = 3;

/// Programs one kernel.
pub(crate) struct Program<K> {
    kernel: K,
    capabilities: Capabilities,
    facts: Facts,
    drain_timeout: Duration,
    metrics: Metrics,
    /// Where a dry run prints to.
    printer: Option<Box<dyn Write + Send>>,
    /// None before the first commit: then nothing is touched.
    snapshot: Option<(u64, Snapshot)>,
    desired: Arc<Desired>,
    /// The time that it took, until a pass counts it.
    derived_in: Duration,
    drains: Drains,
    findings: Vec<Finding>,
    /// The kernel was as desired after the last pass, with nothing left to do.
    is_settled: bool,
    backoff: Backoff,
    wake_at: Option<Instant>,
}

/// What a program is made of.
pub(crate) struct Parts<K> {
    pub(crate) kernel: K,
    pub(crate) facts: Facts,
    pub(crate) drain_timeout: Duration,
    pub(crate) sync_period: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) printer: Option<Box<dyn Write + Send>>,
}

/// What came of one attempt to carry out a plan.
#[derive(Debug, Default)]
struct Outcome {
    failures: BTreeMap<Key, KernelError>,
    /// A failure that is about no virtual server.
    global: Option<KernelError>,
}

/// How a pass left the kernel.
#[derive(Debug, Default)]
struct Settled {
    outcome: Outcome,
    /// Wanted virtual servers that are somebody else's.
    conflicts: Vec<Key>,
    observed: Observed,
    steps: u64,
}

// === impl Program ===

impl<K: Kernel> Program<K> {
    /// Asks the kernel what it can do. Nothing is programmed yet.
    pub(crate) async fn new(parts: Parts<K>) -> Result<Self, KernelError> {
        let Parts {
            mut kernel,
            facts,
            drain_timeout,
            sync_period,
            metrics,
            printer,
        } = parts;
        let capabilities = kernel.probe().await?;
        Ok(Self {
            kernel,
            capabilities,
            facts,
            drain_timeout,
            metrics,
            printer,
            snapshot: None,
            desired: Arc::default(),
            derived_in: Duration::ZERO,
            drains: Drains::new(),
            findings: Vec::new(),
            is_settled: false,
            backoff: Backoff::new(FIRST_RETRY, sync_period),
            wake_at: None,
        })
    }

    /// What should be programmed from now on.
    pub(crate) fn set_snapshot(&mut self, generation: u64, snapshot: Snapshot) {
        self.snapshot = Some((generation, snapshot));
        self.derive();
    }

    /// This host's addresses, which node ports follow.
    pub(crate) fn set_local_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        if self.facts.local_addresses != addresses {
            info!(?addresses, "local addresses changed");
            self.facts.local_addresses = addresses;
            self.derive();
        }
    }

    /// What is to be programmed now.
    pub(crate) fn desired(&self) -> &Arc<Desired> {
        &self.desired
    }

    /// The name by which users know the kernel.
    pub(crate) fn name(&self) -> &'static str {
        self.capabilities.name
    }

    /// The facts that it was derived from.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// When another pass is due, whatever happens until then.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// What is programmed, for people.
    pub(crate) async fn view(&mut self) -> Result<View, KernelError> {
        let observed = self.kernel.read().await?;
        let generation = self.snapshot.as_ref().map_or(0, |(number, _)| *number);
        Ok(View::new(
            self.capabilities.name,
            generation,
            &self.desired,
            &observed,
            &self.findings,
        ))
    }

    /// Makes the kernel what it should be, as far as it can be. Says whether everything was read and tried; where not,
    /// or where a step failed, another pass is due at [`Self::wake_at`].
    ///
    /// `others` is what else is wrong with Services on this node.
    pub(crate) async fn pass(&mut self, others: Vec<Finding>) -> bool {
        let Some((generation, _)) = &self.snapshot else {
            return true;
        };
        self.metrics
            .generation
            .set(i64::try_from(*generation).unwrap_or(i64::MAX));
        let started = Instant::now();
        let was_settled = self.is_settled;
        let settled = self.settle().await;
        let took = started.elapsed() + std::mem::take(&mut self.derived_in);
        self.metrics.sync_duration.observe(took.as_secs_f64());
        let outcome = &settled.outcome;
        let has_failed =
            outcome.global.is_some() || outcome.failures.values().any(KernelError::may_pass);
        let retry_at = if has_failed {
            Some(Instant::now() + self.backoff.next())
        } else {
            self.backoff.reset();
            None
        };
        let look_at = next_look(&self.drains, self.drain_timeout, Instant::now());
        self.wake_at = retry_at.into_iter().chain(look_at).min();
        if let Some(error) = &outcome.global {
            warn!(%error, "kernel cannot be programmed");
            return false;
        }
        self.heed_repairs(&settled, was_settled);
        self.is_settled = !has_failed && self.drains.is_empty();
        let findings = findings::collect(&self.desired, &settled, others);
        findings::log_changes(&self.findings, &findings);
        self.findings = findings;
        self.gauge(&settled.observed);
        true
    }

    /// Plans and programs until the kernel stays as the plan took it to be.
    async fn settle(&mut self) -> Settled {
        let mut settled = Settled::default();
        for attempt in 1..=MAX_RESYNCS {
            settled = match self.attempt().await {
                Ok(settled) => settled,
                Err(error) => {
                    settled.outcome.global = Some(error);
                    return settled;
                }
            };
            let mut errors = settled.outcome.errors();
            if !errors.any(|error| matches!(error, KernelError::Resync(_))) {
                break;
            }
            debug!(attempt, "kernel changed under the plan");
        }
        settled
    }

    async fn attempt(&mut self) -> Result<Settled, KernelError> {
        let mut observed = self.kernel.read().await?;
        let now = Instant::now();
        let table = &self.desired.table;
        let plan = plan(table, &observed, &self.drains, self.drain_timeout, now);
        self.print(&plan);
        let outcome = self.carry_out(&plan).await;
        if !plan.steps.is_empty() {
            observed = self.kernel.read().await?;
        }
        self.drains = plan.drains;
        Ok(Settled {
            outcome,
            conflicts: plan.conflicts,
            observed,
            steps: plan.steps.len().try_into().unwrap_or(u64::MAX),
        })
    }

    /// Phase by phase. A virtual server with a failed step is left as it is: what comes later relies on what came
    /// before.
    async fn carry_out(&mut self, plan: &Plan) -> Outcome {
        let mut outcome = Outcome::default();
        for phase in plan.steps.chunk_by(|a, b| a.phase() == b.phase()) {
            let is_due = |step: &&Step| {
                step.key()
                    .is_none_or(|key| !outcome.failures.contains_key(key))
            };
            let steps: Cow<'_, [Step]> = if outcome.failures.is_empty() {
                phase.into()
            } else {
                phase.iter().filter(is_due).cloned().collect()
            };
            let results = self.kernel.apply(&steps).await;
            let failed = results.iter().filter(|result| result.is_err()).count();
            self.count("ok", steps.len() - failed);
            self.count("failed", failed);
            for (step, result) in steps.iter().zip(results) {
                match (result, step.key()) {
                    (Ok(()), _) => debug!(%step, "programmed"),
                    (Err(error), Some(key)) => {
                        debug!(%step, %error, "step failed");
                        outcome.failures.entry(*key).or_insert(error);
                    }
                    (Err(error), None) => outcome.global = Some(error),
                }
            }
            if outcome.global.is_some() {
                break;
            }
        }
        outcome
    }

    fn count(&self, outcome: &'static str, steps: usize) {
        let label = OutcomeLabel { outcome };
        let counter = self.metrics.steps.get_or_create(&label);
        counter.inc_by(steps.try_into().unwrap_or(u64::MAX));
    }

    fn derive(&mut self) {
        if let Some((_, snapshot)) = &self.snapshot {
            let start = Instant::now();
            let desired = Desired::new(snapshot, &self.facts, &self.capabilities);
            self.is_settled = self.is_settled && *self.desired == desired;
            self.desired = Arc::new(desired);
            self.derived_in += start.elapsed();
        }
    }

    /// Steps that nobody's wish explains: somebody has changed the kernel.
    fn heed_repairs(&self, settled: &Settled, was_settled: bool) {
        if was_settled && settled.steps > 0 {
            let steps = settled.steps;
            self.metrics.repairs.inc_by(steps);
            warn!(steps, "kernel was changed by somebody else and is repaired");
        }
    }

    fn print(&mut self, plan: &Plan) {
        let Some(printer) = self.printer.as_mut().filter(|_| !plan.steps.is_empty()) else {
            return;
        };
        let mut text = String::new();
        for step in &plan.steps {
            if writeln!(text, "# {step}").is_err() {
                break;
            }
        }
        text.push_str(&print::table(&self.desired.table));
        if let Err(error) = printer.write_all(text.as_bytes()) {
            warn!(%error, "plan cannot be printed");
        }
    }

    fn gauge(&self, observed: &Observed) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let servers = &observed.virtual_servers;
        let real = servers.values().map(|server| server.real_servers.len());
        self.metrics.virtual_servers.set(count(servers.len()));
        self.metrics.real_servers.set(count(real.sum()));
        self.metrics.draining.set(count(self.drains.len()));
        self.metrics.findings.set(count(self.findings.len()));
        let none = self.desired.no_local_endpoints;
        for (traffic_policy, ports) in [("internal", none.internal), ("external", none.external)] {
            let label = PolicyLabel { traffic_policy };
            let gauge = self.metrics.no_local_endpoints.get_or_create(&label);
            gauge.set(ports.into());
        }
    }
}

/// When drained real servers are looked at again. That reads the whole kernel, so connections that have outlived their
/// drain for long are asked after less often.
fn next_look(drains: &Drains, drain_timeout: Duration, now: Instant) -> Option<Instant> {
    let (first, last) = (drains.values().min()?, drains.values().max()?);
    let wait = now.saturating_duration_since(*last) / 4;
    let wait = wait.clamp(DRAIN_POLL.0, DRAIN_POLL.1);
    Some((*first + drain_timeout).min(now + wait))
}

// === impl Outcome ===

impl Outcome {
    fn errors(&self) -> impl Iterator<Item = &KernelError> {
        self.failures.values().chain(&self.global)
    }
}

#[cfg(test)]
mod tests;
