//! The loop: what was asked for and what is there become a plan, and the plan is carried out.
//!
//! Level triggered: what is there is known from a read and from the steps that succeeded since, so a commit costs what it
//! changes. At the start, every sync period and after a failure the kernel is read anew and all of it compared, so that a
//! failed step and a change behind our back are healed by the same code. Nothing is decided here but when to come back.
//!
//! No Service is ever rejected to the control plane. What this node cannot do with it (a protocol that the kernel
//! lacks, an address that cannot be bound, a place that another Service has) is a finding: the rest of the Service is
//! served as asked, which a rejection, putting the last good version back as a whole, would prevent.

mod ask;
mod attempt;
mod checks;
mod findings;
pub(crate) mod leftovers;
mod loads;
mod mirror;
mod printer;
pub(crate) mod run;
mod view;
mod wanted;

use std::{
    collections::BTreeSet,
    io::Write,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use meshlite_runtime::backoff::Backoff;
use meshlite_snapshot::{Finding, Snapshot};
use tokio::time::Instant;
use tracing::warn;

use self::{findings::Problems, mirror::Mirror, printer::Printer, wanted::Wanted};
use crate::{
    desired::{Changed, Desired},
    facts::Facts,
    host::watch::Look,
    kernel::{Kernel, KernelError},
    metrics::Metrics,
    plan::Drains,
};

pub(crate) use self::view::View;

/// Waits until drained real servers are looked at again: the first, and the longest.
const DRAIN_POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Waits between attempts after a failure: the first is at most this, later ones at most the sync period.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Programs one kernel.
pub(crate) struct Program<K> {
    kernel: K,
    drain_timeout: Duration,
    metrics: Metrics,
    /// Where a dry run prints to.
    printer: Option<Printer>,
    wanted: Wanted,
    /// None before the first read.
    mirror: Option<Mirror>,
    reading: Reading,
    drains: Drains,
    problems: Problems,
    findings: Vec<Finding>,
    /// The host is to be looked at because the kernel was read.
    host_due: bool,
    backoff: Backoff,
    /// When what failed is tried again.
    retry_at: Option<Instant>,
    /// When drained real servers are looked at again, until that is tried.
    look_at: Option<Instant>,
}

/// What a program is made of.
pub(crate) struct Parts<K> {
    pub(crate) kernel: K,
    pub(crate) facts: Facts,
    pub(crate) drain_timeout: Duration,
    pub(crate) sync_period: Duration,
    pub(crate) check_endpoints: bool,
    pub(crate) metrics: Metrics,
    pub(crate) printer: Option<Box<dyn Write + Send>>,
}

/// Whether the next pass reads the kernel and compares all of it with what should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    NotDue,
    /// Unless it is certain to be as it was left.
    DueInDoubt,
    Due,
}

// === impl Program ===

impl<K: Kernel> Program<K> {
    /// One that has programmed nothing yet.
    pub(crate) fn new(parts: Parts<K>) -> Self {
        let Parts {
            kernel,
            facts,
            drain_timeout,
            sync_period,
            check_endpoints,
            metrics,
            printer,
        } = parts;
        let capabilities = kernel.capabilities();
        let drain_timeout = if capabilities.needs_drains {
            drain_timeout
        } else {
            Duration::ZERO
        };
        Self {
            kernel,
            drain_timeout,
            metrics,
            printer: printer.map(Printer::new),
            wanted: Wanted::new(capabilities, facts, check_endpoints),
            mirror: None,
            reading: Reading::Due,
            drains: Drains::new(),
            problems: Problems::default(),
            findings: Vec::new(),
            host_due: false,
            backoff: Backoff::new(FIRST_RETRY, sync_period),
            retry_at: None,
            look_at: None,
        }
    }

    /// What should be programmed from now on, and what in it is not as it was.
    pub(crate) fn set_snapshot(
        &mut self,
        generation: u64,
        snapshot: Snapshot,
        changed: impl FnOnce() -> Changed,
    ) {
        self.wanted.set_snapshot(generation, snapshot, changed);
    }

    /// This host's addresses, which node ports follow.
    pub(crate) fn set_local_addresses(&mut self, addresses: BTreeSet<IpAddr>) {
        self.wanted.set_local_addresses(addresses);
    }

    /// The next pass compares all of it with what the kernel has.
    pub(crate) fn resync(&mut self) {
        self.reading = self.reading.max(Reading::DueInDoubt);
        self.wanted.health_checks_due = true;
    }

    /// What is to be programmed now.
    pub(crate) const fn desired(&self) -> &Desired {
        &self.wanted.desired
    }

    /// Whether what health checks answer may be another than when this was asked last.
    pub(crate) const fn take_health_checks_due(&mut self) -> bool {
        std::mem::replace(&mut self.wanted.health_checks_due, false)
    }

    /// Whether nothing waits to be tried again.
    pub(crate) const fn is_settled(&self) -> bool {
        self.retry_at.is_none()
    }

    /// The name by which users know the kernel.
    pub(crate) fn name(&self) -> &'static str {
        self.wanted.capabilities.name
    }

    /// The facts that it was derived from.
    pub(crate) fn facts(&self) -> &Facts {
        &self.wanted.facts
    }

    /// When another pass is due, whatever happens until then.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.retry_at.into_iter().chain(self.look_at).min()
    }

    /// What is programmed, for people.
    pub(crate) async fn view(&mut self) -> Result<View, KernelError> {
        let mirror = Mirror::new(self.kernel.read().await?);
        let generation = self
            .wanted
            .snapshot
            .as_ref()
            .map_or(0, |(number, _)| *number);
        Ok(View::new(
            self.wanted.capabilities.name,
            generation,
            &self.wanted.desired,
            mirror.observed(),
            findings::collect(&self.wanted.desired, &mirror, &self.problems),
        ))
    }

    /// Makes the kernel what it should be, as far as it can be. Says whether everything that is due was tried; where
    /// not, or where a step failed, another pass is due at [`Self::wake_at`].
    ///
    /// `others` is what else is wrong with Services on this node.
    pub(crate) async fn pass(&mut self, others: Vec<Finding>) -> bool {
        let Some((generation, _)) = &self.wanted.snapshot else {
            return true;
        };
        let generation = i64::try_from(*generation).unwrap_or(i64::MAX);
        self.heed(others);
        self.metrics.generation.set(generation);
        let started = Instant::now();
        if self.retry_at.is_some_and(|at| at <= started) {
            self.reading = Reading::Due;
        }
        let is_full = self.reading > Reading::NotDue;
        if self.reading == Reading::DueInDoubt {
            self.reading = if self.is_in_doubt().await {
                Reading::Due
            } else {
                Reading::NotDue
            };
        }
        let settled = self.settle().await;
        self.time(started.elapsed(), is_full);
        let now = Instant::now();
        let mut failures = self.problems.failures.values();
        let has_failed = settled.is_err() || failures.any(KernelError::may_pass);
        if !has_failed {
            self.backoff.reset();
            self.retry_at = None;
        } else if is_full || settled.is_err() || self.retry_at.is_none() {
            self.retry_at = Some(now + self.backoff.next());
        }
        let look = next_look(&self.drains, self.drain_timeout, now);
        self.look_at = look.map(|at| self.look_at.map_or(at, |planned| planned.min(at)));
        if let Err(error) = settled {
            warn!(%error, "kernel cannot be programmed");
            return false;
        }
        self.host_due |= is_full;
        self.take_stock();
        true
    }

    /// Whether the kernel may be otherwise than it should be, or what it refused may succeed now.
    async fn is_in_doubt(&mut self) -> bool {
        let Problems {
            failures,
            conflicts,
            ..
        } = &self.problems;
        let is_known = self.mirror.is_some() && failures.is_empty() && conflicts.is_empty();
        !is_known || !self.kernel.is_as_left().await
    }

    /// Takes note of what else is wrong with Services on this node.
    pub(crate) fn note(&mut self, others: Vec<Finding>) {
        self.heed(others);
        self.take_stock();
    }

    /// What the host is to be looked at for, where there is reason to.
    pub(crate) fn look(&mut self) -> Option<Look<'_>> {
        let is_full = std::mem::take(&mut self.host_due);
        let flows_changed = std::mem::take(&mut self.wanted.flows_changed);
        let (_, snapshot) = self.wanted.snapshot.as_ref()?;
        (is_full || flows_changed).then_some(Look {
            snapshot,
            table: self.wanted.desired.table(),
            facts: &self.wanted.facts,
            is_full,
            flows_changed,
        })
    }

    fn heed(&mut self, others: Vec<Finding>) {
        if self.problems.others != others {
            self.problems.others = others;
            self.wanted.findings_due = true;
        }
    }

    fn time(&mut self, pass: Duration, is_full: bool) {
        let noted_in = self.wanted.noted_in.take();
        if !is_full && noted_in.is_none() {
            self.metrics.look_duration.observe(pass.as_secs_f64());
            return;
        }
        let took = (pass + noted_in.unwrap_or_default()).as_secs_f64();
        self.metrics.sync_duration.observe(took);
        let by_kind = if is_full {
            &self.metrics.sync_full_duration
        } else {
            &self.metrics.sync_partial_duration
        };
        by_kind.observe(took);
    }

    /// When an endpoint is to be asked whether it answers.
    pub(crate) fn check_at(&self) -> Option<Instant> {
        self.wanted.checks.as_ref()?.next_at()
    }

    /// The endpoint to be asked now.
    pub(crate) fn next_check(&mut self) -> Option<SocketAddr> {
        self.wanted.checks.as_mut()?.next(Instant::now())
    }

    /// What an endpoint answered; none if nothing was learned. Says whether that calls for a pass.
    pub(crate) fn checked(&mut self, endpoint: SocketAddr, is_alive: Option<bool>) -> bool {
        self.wanted.checked(endpoint, is_alive)
    }

    /// Tells people and metrics how things are after a pass.
    fn take_stock(&mut self) {
        let Some(mirror) = &self.mirror else {
            return;
        };
        if std::mem::replace(&mut self.wanted.findings_due, false) {
            let findings = findings::collect(&self.wanted.desired, mirror, &self.problems);
            findings::log_changes(&self.findings, &findings);
            self.findings = findings;
        }
        self.gauge(mirror);
    }

    fn gauge(&self, mirror: &Mirror) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics
            .virtual_servers
            .set(count(mirror.virtual_servers()));
        self.metrics.real_servers.set(count(mirror.real_servers()));
        self.metrics.draining.set(count(self.drains.len()));
        self.metrics.findings.set(count(self.findings.len()));
        let none = self.wanted.desired.no_local_endpoints();
        self.metrics.no_local_endpoints.set(none);
    }
}

/// When drained real servers are looked at again: connections that have outlived their drain for long are asked after
/// less often.
fn next_look(drains: &Drains, drain_timeout: Duration, now: Instant) -> Option<Instant> {
    let (first, last) = (drains.values().min()?, drains.values().max()?);
    let wait = now.saturating_duration_since(*last) / 4;
    let wait = wait.clamp(DRAIN_POLL.0, DRAIN_POLL.1);
    Some((*first + drain_timeout).min(now + wait))
}

#[cfg(test)]
mod tests;
