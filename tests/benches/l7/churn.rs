//! 10,000 routes: what they take, and what clients feel while routes and endpoints of others are changed.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use meshlite_tests::figures::Figures;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    clients::steadily,
    objects::{self, Change},
    plan::Plan,
    rounds::quantile,
    stage::{OURS, Proxy, Stage},
};

pub(crate) const FIGURES: [&str; 7] = [
    "rss_10k_routes_mb",
    "churn_p99_vs_rest",
    "churn_p99_a_a",
    "churn_p99_vs_elsewhere",
    "churn_installs_per_second",
    "churn_cpu_ms_per_install",
    "rss_10k_loaded_mb",
];

const ROUTES: usize = 10_000;
/// Between two changes: a route, then an endpoint, and so on.
const PACE: Duration = Duration::from_millis(100);
/// Requests a second: about a tenth of what the proxy's core could serve, so that nobody waits for want of a processor.
const RATE: u32 = 5000;
/// The windows that count, in hundredths from the lowest p99 on: what else the machine does only ever adds to it.
const QUIET: usize = 25;
/// Until the first change is installed, and after the last one until it is: files are read once they have settled.
const SETTLED: Duration = Duration::from_secs(1);

/// Windows of one kind: the p99 of each in milliseconds, and what the ingress took in all of them.
#[derive(Debug, Default)]
struct Windows {
    p99: Vec<f64>,
    cpu: Duration,
    installs: usize,
}

impl Windows {
    /// Opens one more.
    async fn open(&mut self, ours: &Proxy, log: &Path, time: Duration) -> anyhow::Result<()> {
        let (cpu, installed) = (ours.process.cpu()?, installs(log)?);
        let mut times = steadily(ours, RATE, time).await?;
        self.p99.extend(quantile(&mut times, 99));
        self.cpu += ours.process.cpu()?.saturating_sub(cpu);
        self.installs += installs(log)?.saturating_sub(installed);
        Ok(())
    }

    fn quartile(&self, hundredths: usize) -> Option<f64> {
        quantile(&mut self.p99.clone(), hundredths)
    }

    fn json(&self) -> Value {
        let rounded = |hundredths| self.quartile(hundredths).map(|ms| round(ms * 10.0) / 10.0);
        json!({ "quarter": rounded(25), "median": rounded(50), "three_quarters": rounded(75) })
    }

    fn over(&self, other: &Self) -> Value {
        let ratio = self.quartile(QUIET).zip(other.quartile(QUIET));
        ratio.map_or(Value::Null, |(ours, theirs)| round(ours / theirs).into())
    }
}

/// What happens in a window: nothing, nothing again, changes that only the control plane has work with, and churn.
const KINDS: [Option<Change>; 4] = [None, None, Some(Change::Elsewhere), Some(Change::Routes)];

/// Short windows of each kind in turn, each round begun with another one.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let stage = Stage::set(plan, ROUTES, false).await?;
    let ours = stage.of(OURS).context("no ingress")?;
    let log = stage.folder().join(format!("{OURS}.log"));
    let (rounds, time) = if plan.is_quick {
        (6, Duration::from_secs(1))
    } else {
        (20, Duration::from_secs(2))
    };
    figures.add(
        "rss_10k_routes_mb",
        ours.process.resident_mb()?,
        "MB of the ingress with 10,000 routes of 1,000 Ingresses and Services, before any load",
    );
    let mut all: [Windows; 4] = Default::default();
    let mut turn = 0;
    Windows::default().open(ours, &log, time).await?;
    for round in 0..rounds {
        let mut now: Vec<_> = KINDS.iter().zip(&mut all).collect();
        now.rotate_left(round % KINDS.len());
        for (change, windows) in now {
            let Some(change) = *change else {
                windows.open(ours, &log, time).await?;
                continue;
            };
            let opened = async {
                sleep(SETTLED).await;
                windows.open(ours, &log, time).await
            };
            tokio::select! {
                done = opened => done?,
                stopped = go_on(&stage, change, &mut turn) => stopped?,
            }
            sleep(SETTLED).await;
        }
    }
    report(&all, rounds, time, figures);
    figures.add(
        "rss_10k_loaded_mb",
        ours.process.resident_mb()?,
        "MB of it after load and changes",
    );
    Ok(())
}

/// One change after the other, until it is dropped.
async fn go_on(stage: &Stage, change: Change, turn: &mut usize) -> anyhow::Result<()> {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        *turn += 1;
        objects::change(&stage.control.manifests(), change, *turn)?;
    }
}

fn report(
    [rest, again, elsewhere, churned]: &[Windows; 4],
    rounds: usize,
    time: Duration,
    figures: &mut Figures,
) {
    figures.add(
        "churn_p99_vs_rest",
        churned.over(rest),
        &format!(
            "p99 with a route or an endpoint of another host changed each {PACE:?} over p99 at rest: the quieter quarter of {rounds} \
             windows of {time:?} each; {RATE} requests a second, timed from when each was due"
        ),
    );
    figures.add(
        "churn_p99_a_a",
        again.over(rest),
        "the same with no change at all: what chance does",
    );
    figures.add(
        "churn_p99_vs_elsewhere",
        churned.over(elsewhere),
        "p99 under churn over p99 while as many Services change that no ingress needs: without what the control plane does to the \
         load's core",
    );
    let seconds = time.as_secs_f64() * count(rounds);
    figures.add(
        "churn_installs_per_second",
        round(count(churned.installs) / seconds),
        "snapshots that the ingress installed meanwhile: changes that are close together come as one",
    );
    let more = churned
        .cpu
        .saturating_sub((rest.cpu + again.cpu).div_f64(2.0));
    figures.add(
        "churn_cpu_ms_per_install",
        round(more.as_secs_f64() * 1000.0 / count(churned.installs.max(1))),
        "CPU of the ingress for each of them, beyond what it takes at rest",
    );
    let spread = json!({
        "rest": rest.json(), "rest_again": again.json(), "elsewhere": elsewhere.json(), "churn": churned.json()
    });
    figures.attach("churn_p99_ms", spread);
}

/// Snapshots that an ingress has installed, as it logs them.
fn installs(log: &Path) -> anyhow::Result<usize> {
    Ok(fs::read_to_string(log)?
        .matches("snapshot installed")
        .count())
}

#[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
fn count(of: usize) -> f64 {
    of as f64
}

fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
