//! One proxy, measured on one scene in all that it does there.

use std::time::Duration;

use meshlite_tests::figures::median;
use tokio::runtime::Handle;

use crate::{
    arena::{Arena, Running, Syncs},
    scene::Scene,
    traffic::{self, Effort, Felt},
    watch::{Proxy, Watch, pause},
};

/// After a proxy has programmed everything it is left alone for so long before anything changes.
const SETTLE: Duration = Duration::from_secs(2);

/// How long nothing happens after a change, here and where the floors are measured: who comes out of idleness is slower.
pub(crate) const REST: Duration = Duration::from_millis(300);

/// What is asked of a proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Starts on a node without anything, of which the median counts. What follows is asked of the last.
    pub(crate) starts: usize,
    /// Services that are added, one by one; and endpoints that are changed.
    pub(crate) changes: u32,
    /// How long nothing happens.
    pub(crate) idle: Duration,
    pub(crate) traffic: Option<Effort>,
}

/// What it came to: medians.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// From the start of the process until the kernel had every Service.
    pub(crate) took: Duration,
    /// From the same until its first pass was seen to be over: then it had everything that is made of them.
    pub(crate) programmed: Duration,
    /// The first pass by its own word: the kernel is programmed, and nothing else.
    pub(crate) first_sync: Duration,
    pub(crate) cpu: Duration,
    pub(crate) resident_mb: u64,
    pub(crate) peak_mb: u64,
    /// From the request for a change until the kernel has it.
    pub(crate) added: Duration,
    pub(crate) changed: Duration,
    /// The same, as long as the proxy itself was at it, by its own word.
    pub(crate) added_sync: Duration,
    pub(crate) changed_sync: Duration,
    /// A pass with nothing to do, by its own word (mean).
    pub(crate) resync: Duration,
    /// Processor time of a minute in which nothing changes.
    pub(crate) idle_cpu: Duration,
    pub(crate) felt: Option<Felt>,
}

/// Measures a proxy.
pub(crate) fn measure(
    runtime: &Handle,
    proxy: Proxy,
    scene: &Scene,
    task: Task,
) -> anyhow::Result<Outcome> {
    let (outcome, ()) = measure_and(runtime, proxy, scene, task, |_| Ok(()))?;
    Ok(outcome)
}

/// The same, and something else on the node once everything is there.
pub(crate) fn measure_and<T>(
    runtime: &Handle,
    proxy: Proxy,
    scene: &Scene,
    task: Task,
    then: impl FnOnce(&Arena) -> anyhow::Result<T>,
) -> anyhow::Result<(Outcome, T)> {
    let mut outcome = Outcome::default();
    let (mut took, mut programmed) = (Vec::new(), Vec::new());
    let (mut cpu, mut first_sync) = (Vec::new(), Vec::new());
    let mut left = task.starts;
    loop {
        let arena = Arena::new(runtime, scene)?;
        let running = arena.start(proxy, scene)?;
        eprintln!("{proxy:?} {:?}: {:?}", scene.size, running.took);
        took.push(running.took);
        cpu.push(running.cpu);
        first_sync.push(arena.first_sync()?);
        programmed.push(running.age());
        pause(SETTLE);
        left -= 1;
        if left == 0 {
            outcome.took = median(took);
            outcome.programmed = median(programmed);
            outcome.cpu = median(cpu);
            outcome.first_sync = median(first_sync);
            (outcome.resident_mb, outcome.peak_mb) = running.memory_mb()?;
            let other = then(&arena)?;
            go_on(&arena, &running, (proxy, scene, task), &mut outcome)?;
            return Ok((outcome, other));
        }
    }
}

/// What clients feel of several proxies, measured by turns.
pub(crate) fn beside_each_other(
    runtime: &Handle,
    proxies: &[Proxy],
    scene: &Scene,
    effort: Effort,
) -> anyhow::Result<Vec<Felt>> {
    let mut all = Vec::new();
    for proxy in proxies {
        let arena = Arena::new(runtime, scene)?;
        let running = arena.start(*proxy, scene)?;
        arena.first_sync()?;
        traffic::serve(arena.server())?;
        all.push((running, arena));
    }
    pause(SETTLE);
    let clients: Vec<_> = all.iter().map(|(_, arena)| arena.client()).collect();
    let to = scene.size.answering();
    Ok(traffic::feel_by_turns(&clients, to, effort)?)
}

fn go_on(
    arena: &Arena,
    running: &Running,
    (proxy, scene, task): (Proxy, &Scene, Task),
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    if !task.idle.is_zero() {
        let (before, cpu) = (arena.syncs()?, running.cpu_now()?);
        pause(task.idle);
        let spent = running.cpu_now()?.saturating_sub(cpu);
        outcome.idle_cpu = spent.mul_f64(60.0 / task.idle.as_secs_f64());
        outcome.resync = arena.syncs()?.each_since(before);
    }
    let mut watch = Watch::new(arena.node(), proxy)?;
    let mut times = |change: &dyn Fn() -> anyhow::Result<u32>| {
        let mut before = arena.syncs_of_changes(proxy)?;
        let (mut times, mut own) = (Vec::new(), Vec::new());
        for _ in 0..task.changes {
            times.push(watch.time(scene.size, change)?);
            // What follows a change is no part of the next.
            pause(REST);
            let after = arena.syncs_of_changes(proxy)?;
            let seconds = (after.seconds - before.seconds).max(0.0);
            own.push(Duration::from_secs_f64(seconds));
            before = after;
        }
        anyhow::Ok((median(times), median(own)))
    };
    if task.changes > 0 {
        (outcome.added, outcome.added_sync) = times(&|| scene.remote.add())?;
        (outcome.changed, outcome.changed_sync) = times(&|| scene.remote.change())?;
    }
    if let Some(effort) = task.traffic {
        traffic::serve(arena.server())?;
        outcome.felt = Some(traffic::feel(
            arena.client(),
            scene.size.answering(),
            effort,
        )?);
    }
    Ok(())
}

// === impl Syncs ===

impl Syncs {
    /// The mean of the passes since then.
    fn each_since(self, before: Self) -> Duration {
        let count = self.count - before.count;
        let seconds = self.seconds - before.seconds;
        if count > 0.0 {
            Duration::from_secs_f64(seconds.max(0.0) / count)
        } else {
            Duration::ZERO
        }
    }
}
