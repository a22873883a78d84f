//! One change after the other, each until all clients have it: how long that takes, and what it costs the server.

use std::time::Duration;

use meshlite_tests::figures::millis;
use tokio::time::sleep;

use crate::{fleet::Fleet, process::Process};

/// Longer than the control plane lets pass between two publications when it was idle.
pub(crate) const QUIET: Duration = Duration::from_millis(1_500);
/// What a server does with the last acknowledgements belongs to a change.
const REST: Duration = Duration::from_millis(200);
/// How long nothing changes while the cost of that is measured. Heartbeats are spread evenly over ten seconds.
const IDLE_SECONDS: u32 = 3;
const IDLE: Duration = Duration::from_secs(IDLE_SECONDS as u64);

/// What a change took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneByOne {
    /// Half of all acknowledgements of clients came sooner, in ms.
    pub(crate) p50: u64,
    /// 99 of 100 came sooner.
    pub(crate) p99: u64,
    /// Until the last client, as a mean over the changes, in ms.
    pub(crate) last: f64,
    /// Processor time of the server for a change, all clients together, without what it needs when nothing changes.
    pub(crate) cpu: Duration,
    /// What it needs in a second when nothing changes: heartbeats.
    pub(crate) idle: Duration,
}

/// Makes so many changes on the server that this process is.
pub(crate) async fn one_by_one(
    fleet: &Fleet,
    server: &Process,
    changes: u32,
    mut change: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<OneByOne> {
    sleep(QUIET).await;
    let before = server.cpu()?;
    sleep(IDLE).await;
    let idle = server.cpu()?.saturating_sub(before) / IDLE_SECONDS;
    fleet.latencies().clear();
    let (before, mut last, mut waited) = (server.cpu()?, Duration::ZERO, Duration::ZERO);
    for _ in 0..changes {
        let started = fleet.begin();
        change().await?;
        last += fleet.all().await?;
        sleep(REST).await;
        waited += started.elapsed();
    }
    let cpu = server.cpu()?.saturating_sub(before);
    let heartbeats = idle.mul_f64(waited.as_secs_f64());
    let one = OneByOne {
        p50: fleet.latencies().percentile(50),
        p99: fleet.latencies().percentile(99),
        last: millis(last / changes),
        cpu: cpu.saturating_sub(heartbeats) / changes,
        idle,
    };
    eprintln!("{one:?}");
    Ok(one)
}
