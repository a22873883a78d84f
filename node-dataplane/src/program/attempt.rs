//! One attempt to make the kernel what it should be: read or remember, plan, carry out, take note.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Program, Reading, mirror::Mirror};
use crate::{
    kernel::{Applied, Kernel, KernelError},
    metrics::Metrics,
    plan::{Draining, Plan, Step, arrivals, idlers, plan_keys, set_inside},
    table::Key,
};

/// Steps are derived while so many of those before are under way, so that none of those who program the kernel waits for
/// the others: the first of all take it longest, and who derives gets far ahead meanwhile.
const AHEAD: usize = if cfg!(test) { 6 } else { 1_024 };
/// Attempts in a row that find the kernel changed under the plan, before the retry timer takes over.
const MAX_RESYNCS: usize = 3;

/// What came of carrying out steps.
#[derive(Debug, Default)]
struct Outcome {
    failures: BTreeMap<Key, KernelError>,
    /// A failure that is about no virtual server.
    global: Option<KernelError>,
    /// What was done could not be noted.
    is_in_doubt: bool,
}

impl<K: Kernel> Program<K> {
    /// Plans and programs until the kernel stays as the plan took it to be. An error is about all of it.
    pub(super) async fn settle(&mut self) -> Result<(), KernelError> {
        for attempt in 1..=MAX_RESYNCS {
            let done = self.attempt().await;
            if done.is_err() {
                // Nobody knows what of it is done.
                self.reading = Reading::Due;
                // Health checks answer for what is wanted all the same.
                while self.wanted.advance().is_some() {}
            }
            done?;
            if self.reading == Reading::NotDue {
                break;
            }
            debug!(attempt, "kernel changed under the plan");
        }
        Ok(())
    }

    async fn attempt(&mut self) -> Result<(), KernelError> {
        let now = Instant::now();
        // In between, nothing that changes waits until the kernel has counted connections.
        let is_look = self.look_at.take_if(|at| *at <= now).is_some();
        let mut outcome = Outcome::default();
        let is_first = self.mirror.is_none();
        let mut is_full = is_first || self.reading == Reading::Due;
        let mut mirror = if is_full {
            Mirror::new(self.kernel.read().await?)
        } else {
            self.mirror.take().unwrap_or_default()
        };
        let welcomed = self.welcome(&mut mirror, is_full, &mut outcome).await;
        if !is_full && self.is_in_doubt_of_due() {
            is_full = true;
            mirror = Mirror::new(self.kernel.read().await?);
        }
        let mut keys = BTreeSet::new();
        let mut plan = Plan::default();
        if outcome.global.is_none() {
            keys = self.due(&mirror, is_full, is_look);
            let is_open = |key: &&Key| !welcomed.contains(*key);
            let open: BTreeSet<Key> = keys.iter().filter(is_open).copied().collect();
            if is_look && !is_full {
                self.ask_after_idlers(&open, &mut mirror).await?;
            }
            let draining = Draining {
                since: &self.drains,
                timeout: self.drain_timeout,
                are_counted: is_look || is_full,
            };
            plan = plan_keys(
                &open,
                self.wanted.desired.table(),
                mirror.observed(),
                draining,
                now,
            );
            if is_full && !is_first {
                self.heed_repairs(&plan);
            }
            self.carry_out(&plan, &mut mirror, &mut outcome).await;
            if is_full && outcome.global.is_none() {
                self.kernel.tidy().await;
            }
        }
        if let Some(printer) = &mut self.printer {
            printer.print(self.wanted.desired.table());
        }
        self.mirror = Some(mirror);
        if let Some(error) = outcome.global {
            return Err(error);
        }
        self.wanted.due.clear();
        let is_resync = |error| matches!(error, &KernelError::Resync(_));
        let is_in_doubt = outcome.is_in_doubt || outcome.failures.values().any(is_resync);
        self.reading = if is_in_doubt {
            Reading::Due
        } else {
            Reading::NotDue
        };
        self.wanted.findings_due |= is_full;
        self.remember(plan, outcome.failures, (!is_full).then_some(keys));
        Ok(())
    }

    /// Virtual servers to be planned for.
    fn due(&self, mirror: &Mirror, is_full: bool, is_look: bool) -> BTreeSet<Key> {
        let wanted = &self.wanted.desired.table().virtual_servers;
        if is_full {
            let found = mirror.observed().virtual_servers.keys();
            return wanted.keys().chain(found).copied().collect();
        }
        let mut keys = self.wanted.due.clone();
        if is_look {
            keys.extend(self.drains.keys().map(|(key, _)| *key));
        }
        keys
    }

    /// Whether nobody knows what there is of a virtual server that may not be as it should: a failed step may have been
    /// done in part.
    fn is_in_doubt_of_due(&self) -> bool {
        let has_failed = |key| self.problems.failures.contains_key(key);
        self.wanted.due.iter().any(has_failed)
    }

    /// Derives what is due, and meanwhile adds the virtual servers of it that are not there yet. Names these.
    ///
    /// The kernel adds some while the next are derived. Nothing that is there is changed before all is derived, and a
    /// kernel to which all has to be told at once is told nothing here.
    async fn welcome(
        &mut self,
        mirror: &mut Mirror,
        is_full: bool,
        outcome: &mut Outcome,
    ) -> BTreeSet<Key> {
        let Self {
            kernel,
            wanted,
            problems,
            metrics,
            printer,
            ..
        } = self;
        let is_whole =
            wanted.capabilities.is_atomic || (is_full && mirror.observed().is_carried_elsewhere);
        let mut welcomed = BTreeSet::new();
        let mut next = |mirror: &Mirror, has_failed: bool| -> Option<Vec<Step>> {
            let is_whole = is_whole || has_failed;
            loop {
                let keys = wanted.advance()?;
                let is_new =
                    |key: &Key| !is_whole && (is_full || !problems.failures.contains_key(key));
                let table = wanted.desired.table();
                let mut steps = arrivals(keys.into_iter().filter(is_new), table, mirror.observed());
                if steps.is_empty() {
                    continue;
                }
                if welcomed.is_empty() {
                    steps.splice(..0, set_inside(table, mirror.observed()));
                }
                welcomed.extend(steps.iter().filter_map(Step::key));
                if let Some(printer) = printer {
                    printer.add(&steps);
                }
                return Some(steps);
            }
        };
        let (mut under_way, mut ahead) = (VecDeque::new(), 0);
        while let Some(steps) = next(mirror, outcome.global.is_some()) {
            ahead += steps.len();
            under_way.push_back(kernel.begin(steps).await);
            while ahead > AHEAD
                && let Some(begun) = under_way.pop_front()
            {
                let Applied { steps, results } = kernel.finish(begun).await;
                ahead -= steps.len();
                outcome.take(&steps, results, mirror, metrics);
            }
        }
        for begun in under_way {
            let Applied { steps, results } = kernel.finish(begun).await;
            outcome.take(&steps, results, mirror, metrics);
        }
        welcomed
    }

    /// Connections of those that may go once they have none are the one thing that changes without a step.
    async fn ask_after_idlers(
        &mut self,
        keys: &BTreeSet<Key>,
        mirror: &mut Mirror,
    ) -> Result<(), KernelError> {
        let idlers = idlers(keys, self.wanted.desired.table(), mirror.observed());
        if idlers.is_empty() {
            return Ok(());
        }
        let connections = self.kernel.connections(&idlers).await?;
        mirror.set_connections(&idlers, &connections);
        Ok(())
    }

    /// Phase by phase, where the kernel has no transactions. A virtual server with a failed step is left as it is: what
    /// comes later relies on what came before.
    async fn carry_out(&mut self, plan: &Plan, mirror: &mut Mirror, outcome: &mut Outcome) {
        if let Some(printer) = &mut self.printer {
            printer.add(&plan.steps);
        }
        let is_atomic = self.wanted.capabilities.is_atomic;
        let is_together = |a: &Step, b: &Step| is_atomic || a.phase() == b.phase();
        for phase in plan.steps.chunk_by(is_together) {
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
            outcome.take(&steps, results, mirror, &self.metrics);
            if outcome.global.is_some() {
                break;
            }
        }
    }

    /// Takes note of what a plan and its failures say about these virtual servers; about all of them if none are named.
    fn remember(
        &mut self,
        plan: Plan,
        failures: BTreeMap<Key, KernelError>,
        keys: Option<BTreeSet<Key>>,
    ) {
        let problems = &mut self.problems;
        let before = (problems.failures.len(), problems.conflicts.len());
        match keys {
            None => {
                self.drains.clear();
                problems.failures.clear();
                problems.conflicts.clear();
            }
            Some(keys) => {
                for key in keys {
                    let first = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
                    let drains = self.drains.range((key, first)..);
                    let drains = drains.take_while(|((of, _), _)| *of == key);
                    for drain in drains.map(|(drain, _)| *drain).collect::<Vec<_>>() {
                        self.drains.remove(&drain);
                    }
                    problems.failures.remove(&key);
                    problems.conflicts.remove(&key);
                }
            }
        }
        let after = (problems.failures.len(), problems.conflicts.len());
        self.wanted.findings_due |=
            before != after || !failures.is_empty() || !plan.conflicts.is_empty();
        self.drains.extend(plan.drains);
        problems.failures.extend(failures);
        problems.conflicts.extend(plan.conflicts);
    }

    /// Steps that nothing explains but that somebody has changed the kernel.
    fn heed_repairs(&self, plan: &Plan) {
        let draining: BTreeSet<&Key> = self.drains.keys().map(|(key, _)| key).collect();
        let is_explained = |key: &Key| {
            self.wanted.due.contains(key)
                || draining.contains(key)
                || self.problems.failures.contains_key(key)
        };
        let unexplained = plan
            .steps
            .iter()
            .filter(|step| step.key().is_some_and(|key| !is_explained(key)));
        let steps = unexplained.count();
        if steps > 0 {
            self.metrics
                .repairs
                .inc_by(steps.try_into().unwrap_or(u64::MAX));
            warn!(steps, "kernel was changed by somebody else and is repaired");
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Takes note of what became of steps.
    fn take(
        &mut self,
        steps: &[Step],
        results: Vec<Result<(), KernelError>>,
        mirror: &mut Mirror,
        metrics: &Metrics,
    ) {
        let failed = results.iter().filter(|result| result.is_err()).count();
        metrics.steps.count(steps.len() - failed, failed);
        for (step, result) in steps.iter().zip(results) {
            match (result, step.key()) {
                (Ok(()), _) => {
                    debug!(%step, "programmed");
                    // Where it cannot be noted, the next attempt reads what there is.
                    self.is_in_doubt |= mirror.apply(step).is_err();
                }
                (Err(error), Some(key)) => {
                    debug!(%step, %error, "step failed");
                    self.failures.entry(*key).or_insert(error);
                }
                (Err(error), None) => self.global = Some(error),
            }
        }
    }
}
