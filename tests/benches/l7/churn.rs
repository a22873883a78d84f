//! 10,000 routes: what they take, and what clients feel while routes and endpoints of others are changed.

use std::{fs, path::Path, time::Duration};

use meshlite_tests::figures::Figures;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    clients::steadily,
    objects,
    plan::Plan,
    replay::Recording,
    rounds::quantile,
    stage::{Control, Proxy, Stage},
};

pub(crate) const FIGURES: [&str; 6] = [
    "rss_10k_routes_mb",
    "churn_p99_vs_rest",
    "churn_p99_a_a",
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
/// Until the first change is installed, and after the last one until it is.
const SETTLED: Duration = Duration::from_millis(200);
/// What is measured is called so, and its log.
const NAME: &str = "follower";

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

/// What happens in a window.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rest,
    Again,
    Churn,
}

const KINDS: [Kind; 3] = [Kind::Rest, Kind::Again, Kind::Churn];

/// Short windows of each kind in turn, each round begun with another one. What a control plane does for a change, it has done before:
/// it would take it from the clients' core.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let stage = Stage::set(plan, ROUTES, false).await?;
    let (rounds, time) = if plan.is_quick {
        (6, Duration::from_secs(1))
    } else {
        (20, Duration::from_secs(2))
    };
    let recording = record(&stage.control, rounds, time).await?;
    let replay = recording.play(PACE).await?;
    let ours = stage
        .control
        .ingress(NAME, "127.0.0.3", replay.port, &[], &[]);
    let ours = ours.await?;
    let log = stage.folder().join(format!("{NAME}.log"));
    figures.add(
        "rss_10k_routes_mb",
        ours.process.resident_mb()?,
        "MB of the ingress with 10,000 routes of 1,000 Ingresses and Services, before any load",
    );
    let mut all: [Windows; 3] = Default::default();
    Windows::default().open(&ours, &log, time).await?;
    for round in 0..rounds {
        let mut now: Vec<_> = KINDS.into_iter().zip(&mut all).collect();
        now.rotate_left(round % KINDS.len());
        for (kind, windows) in now {
            match kind {
                Kind::Rest | Kind::Again => windows.open(&ours, &log, time).await?,
                Kind::Churn => {
                    let opened = async {
                        sleep(SETTLED).await;
                        windows.open(&ours, &log, time).await
                    };
                    tokio::select! {
                        done = opened => done?,
                        stopped = replay.go_on() => stopped?,
                    }
                    replay.pause();
                    sleep(SETTLED).await;
                }
            }
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

/// Enough changes for all windows.
async fn record(control: &Control, rounds: usize, time: Duration) -> anyhow::Result<Recording> {
    let changes = (time + SETTLED).as_millis().div_ceil(PACE.as_millis()) + 5;
    let (manifests, mut turn) = (control.manifests(), 0);
    let change = || {
        turn += 1;
        objects::change(&manifests, turn)
    };
    Recording::of(
        control.grpc,
        rounds * usize::try_from(changes)?,
        PACE,
        change,
    )
    .await
}

fn report(
    [rest, again, churned]: &[Windows; 3],
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
    let seconds = time.as_secs_f64() * count(rounds);
    figures.add(
        "churn_installs_per_second",
        round(count(churned.installs) / seconds),
        "snapshots that the ingress installed meanwhile: a control plane's, recorded before and sent again",
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
        "rest": rest.json(), "rest_again": again.json(), "churn": churned.json()
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
