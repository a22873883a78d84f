//! From an API server's changes to what is published: applied as they come, compiled and published when they are due.

mod intake;

use std::{collections::BTreeMap, sync::Arc};

use meshlite_compile::{Compiler, Settings};
use meshlite_kubernetes::{Feed, Update};
use tokio::{task::JoinError, time::Instant};
use tokio_util::sync::CancellationToken;

use self::intake::Intake;
use super::{
    Output,
    observed::{self, Observed},
};
use crate::{balance::AllFactors, clock, watch::Followed};

/// How many updates are taken in before anything else is looked at.
const AT_ONCE: usize = 256;

/// Turns what comes of an API server into what is published.
#[derive(Debug)]
pub(crate) struct ClusterPipeline {
    compiler: Compiler,
    intake: Intake,
    output: Output,
    followed: Followed,
    /// What load asks for, as the compiler was told.
    factors: AllFactors,
}

/// Publishes what changes until `stop` or until the feed ends, and says once when it was the first time: when every
/// list is complete, every Secret that is wanted was answered, and all of it is compiled.
pub(crate) async fn run(
    settings: Settings,
    output: Output,
    mut feed: Feed,
    mut observed: Observed,
    first: impl Future<Output = ()>,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    output.sources.follow(&feed.streams);
    let mut pipeline = ClusterPipeline {
        compiler: Compiler::new(settings),
        intake: Intake::new(feed.streams.iter().map(|stream| stream.kind)),
        output,
        followed: Followed::new(Arc::clone(&feed.streams)),
        factors: AllFactors::new(),
    };
    let mut first = Some(first);
    let mut updates = Vec::with_capacity(AT_ONCE);
    loop {
        let due = pipeline.intake.due(Instant::now());
        tokio::select! {
            count = feed.updates.recv_many(&mut updates, AT_ONCE) => {
                if count == 0 {
                    return Ok(());
                }
                let (now, wall) = (Instant::now(), clock::wall());
                for update in updates.drain(..) {
                    pipeline.take(update, now, wall);
                }
                continue;
            }
            factors = observed.next() => {
                pipeline.balance(factors, Instant::now(), clock::wall());
                continue;
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let now = Instant::now();
        let turn = tokio::task::spawn_blocking(move || {
            pipeline.turn(now);
            pipeline
        });
        pipeline = turn.await?;
        feed.wanted.send_if_modified(|wanted| {
            let is_new = wanted != pipeline.intake.wanted();
            if is_new {
                wanted.clone_from(pipeline.intake.wanted());
            }
            is_new
        });
        if pipeline.intake.was_published()
            && let Some(first) = first.take()
        {
            first.await;
        }
    }
}

impl ClusterPipeline {
    fn take(&mut self, update: Update, now: Instant, wall: std::time::SystemTime) {
        let compiler = &mut self.compiler;
        match update {
            Update::Objects(objects) => {
                let effects = objects
                    .changes
                    .into_iter()
                    .map(|change| compiler.apply(change));
                let effect = effects.max();
                let at = objects
                    .triggered
                    .map_or(wall, |triggered| triggered.min(wall));
                self.intake.changed(effect, at, now);
                self.intake
                    .read(objects.stream, objects.watermark, wall, now);
            }
            Update::Secret(key, answer) => {
                let change = self.intake.answered(key, answer, wall, now);
                let effect = compiler.apply(change);
                self.intake.changed(Some(effect), wall, now);
            }
        }
    }

    fn balance(&mut self, factors: AllFactors, now: Instant, wall: std::time::SystemTime) {
        let changes = observed::replace(&mut self.factors, factors);
        let effects = changes
            .into_iter()
            .map(|change| self.compiler.apply(change));
        self.intake.changed(effects.max(), wall, now);
    }

    /// Compiles what came, and publishes it unless Secrets are awaited that it names. Blocks.
    fn turn(&mut self, now: Instant) {
        let Self {
            compiler,
            intake,
            output,
            followed,
            factors: _,
        } = self;
        for (resource, (version, origin)) in intake.watermarks() {
            output.sources.read(resource, version, &origin);
        }
        if intake.start(now) {
            let before = Arc::clone(&output.compiled);
            let delta = output.compile(compiler);
            let has_findings = !Arc::ptr_eq(&before, &output.compiled);
            intake.compiled(delta, has_findings, compiler.wanted_secrets(), now);
        } else if !intake.holds() {
            intake.read_on();
            output.read_on(clock::wall());
        }
        let Some(turn) = intake.release(now) else {
            return;
        };
        let findings = turn.has_findings.then(|| {
            let mut findings = output.compiled.to_vec();
            findings.extend(intake.findings());
            findings
        });
        let objects = followed.counts();
        output.metrics.source(&objects, &BTreeMap::new());
        output.publish(&turn.delta, turn.changed, findings, compiler, followed);
    }
}

#[cfg(test)]
mod tests;
