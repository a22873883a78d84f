//! One attempt to make the kernel what it should be: read or remember, plan, carry out, take note.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Program, Reading, mirror::Mirror};
use crate::{
    kernel::{Kernel, KernelError, print},
    metrics::OutcomeLabel,
    plan::{Plan, Step, idlers, plan, plan_keys},
    table::Key,
};

/// Attempts in a row that find the kernel changed under the plan, before the retry timer takes over.
const MAX_RESYNCS: usize = 3;

/// What came of carrying out a plan.
#[derive(Debug, Default)]
struct Outcome {
    failures: BTreeMap<Key, KernelError>,
    /// A failure that is about no virtual server.
    global: Option<KernelError>,
}

impl<K: Kernel> Program<K> {
    /// Plans and programs until the kernel stays as the plan took it to be. An error is about all of it.
    pub(super) async fn settle(&mut self) -> Result<(), KernelError> {
        for attempt in 1..=MAX_RESYNCS {
            let done = self.attempt().await;
            if done.is_err() {
                // Nobody knows what of it is done.
                self.reading = Reading::Due;
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
        let (mut mirror, plan, keys) = if self.is_reading_due() {
            let mirror = Mirror::new(self.kernel.read().await?);
            let plan = plan(
                self.desired.table(),
                mirror.observed(),
                &self.drains,
                self.drain_timeout,
                now,
            );
            self.heed_repairs(&plan);
            self.reading = Reading::NotDue;
            self.findings_due = true;
            (mirror, plan, None)
        } else {
            let mut keys = self.due.clone();
            if self.look_at.is_some_and(|at| at <= now) {
                keys.extend(self.drains.keys().map(|(key, _)| *key));
            }
            let mut mirror = self.mirror.take().unwrap_or_default();
            self.ask_after_idlers(&keys, &mut mirror).await?;
            let plan = plan_keys(
                &keys,
                self.desired.table(),
                mirror.observed(),
                &self.drains,
                self.drain_timeout,
                now,
            );
            (mirror, plan, Some(keys))
        };
        self.print(&plan);
        let outcome = self.carry_out(&plan, &mut mirror).await;
        self.mirror = Some(mirror);
        if let Some(error) = outcome.global {
            return Err(error);
        }
        self.due.clear();
        let is_resync = |error| matches!(error, &KernelError::Resync(_));
        if outcome.failures.values().any(is_resync) {
            self.reading = Reading::Due;
        }
        self.remember(plan, outcome.failures, keys);
        Ok(())
    }

    /// Whether nobody knows what there is, of all virtual servers or of one that may not be as it should: a failed step may
    /// have been done in part.
    fn is_reading_due(&self) -> bool {
        let has_failed = |key| self.problems.failures.contains_key(key);
        self.reading == Reading::Due || self.mirror.is_none() || self.due.iter().any(has_failed)
    }

    /// Connections of those that may go once they have none are the one thing that changes without a step.
    async fn ask_after_idlers(
        &mut self,
        keys: &BTreeSet<Key>,
        mirror: &mut Mirror,
    ) -> Result<(), KernelError> {
        let idlers = idlers(keys, self.desired.table(), mirror.observed());
        if idlers.is_empty() {
            return Ok(());
        }
        let connections = self.kernel.connections(&idlers).await?;
        mirror.set_connections(&idlers, &connections);
        Ok(())
    }

    /// Phase by phase, where the kernel has no transactions. A virtual server with a failed step is left as it is: what comes later relies on what came
    /// before.
    async fn carry_out(&mut self, plan: &Plan, mirror: &mut Mirror) -> Outcome {
        let mut outcome = Outcome::default();
        let is_atomic = self.capabilities.is_atomic;
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
            let failed = results.iter().filter(|result| result.is_err()).count();
            self.count("ok", steps.len() - failed);
            self.count("failed", failed);
            for (step, result) in steps.iter().zip(results) {
                match (result, step.key()) {
                    (Ok(()), _) => {
                        debug!(%step, "programmed");
                        // Where it cannot be noted, the next attempt reads what there is.
                        if mirror.apply(step).is_err() {
                            self.reading = Reading::Due;
                        }
                    }
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
        self.findings_due |= before != after || !failures.is_empty() || !plan.conflicts.is_empty();
        self.drains.extend(plan.drains);
        problems.failures.extend(failures);
        problems.conflicts.extend(plan.conflicts);
    }

    fn count(&self, outcome: &'static str, steps: usize) {
        let label = OutcomeLabel { outcome };
        let counter = self.metrics.steps.get_or_create(&label);
        counter.inc_by(steps.try_into().unwrap_or(u64::MAX));
    }

    /// Steps that nothing explains but that somebody has changed the kernel.
    fn heed_repairs(&self, plan: &Plan) {
        if self.mirror.is_none() {
            return;
        }
        let draining: BTreeSet<&Key> = self.drains.keys().map(|(key, _)| key).collect();
        let is_explained = |key: &Key| {
            self.due.contains(key)
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
        text.push_str(&print::table(self.desired.table()));
        if let Err(error) = printer.write_all(text.as_bytes()) {
            warn!(%error, "plan cannot be printed");
        }
    }
}
