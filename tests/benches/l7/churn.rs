//! 10,000 routes: what they take, and what clients feel while one after the other is changed.

use std::time::Duration;

use anyhow::Context as _;
use meshlite_tests::figures::Figures;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    load::{Load, load},
    objects,
    plan::Plan,
    rounds::median,
    stage::{OURS, Stage},
};

pub(crate) const FIGURES: [&str; 4] = [
    "rss_10k_routes_mb",
    "churn_p99_vs_rest",
    "churn_p99_a_a",
    "rss_10k_loaded_mb",
];

const ROUTES: usize = 10_000;
/// Between two changes.
const PACE: Duration = Duration::from_millis(500);

/// At rest, at rest again, and under churn, in turn.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let stage = Stage::set(plan, ROUTES, false).await?;
    let ours = stage.of(OURS).context("no ingress")?;
    let folder = stage.folder();
    let under_load = || load(ours, Load::Kept(64), plan.time(), &folder);
    figures.add(
        "rss_10k_routes_mb",
        ours.process.resident_mb()?,
        "MB of the ingress with 10,000 routes of 1,000 Ingresses and Services, before any load",
    );
    let (mut rest, mut again, mut churned) = (vec![], vec![], vec![]);
    let mut turn = 0;
    under_load().await?;
    for _ in 0..plan.rounds() {
        for at_rest in [&mut rest, &mut again] {
            let served = under_load().await?;
            at_rest.extend(served.p99);
        }
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let changes = async {
            loop {
                ticks.tick().await;
                turn += 1;
                objects::churn(&stage.control.manifests(), turn)?;
            }
        };
        let served = tokio::select! {
            served = under_load() => served?,
            stopped = changes => {
                let stopped: anyhow::Result<()> = stopped;
                stopped?;
                continue;
            }
        };
        churned.extend(served.p99);
    }
    let (rest, again, churned) = (median(rest), median(again), median(churned));
    let ratio = |a: Option<f64>, b: Option<f64>| Some((a? / b? * 100.0).round() / 100.0);
    figures.add(
        "churn_p99_vs_rest",
        ratio(churned, rest).map_or(Value::Null, Value::from),
        &format!(
            "p99 with an Ingress changed each {PACE:?} over p99 at rest; the control plane compiles on the load's core"
        ),
    );
    figures.add(
        "churn_p99_a_a",
        ratio(again, rest).map_or(Value::Null, Value::from),
        "the same with no change at all: what chance does",
    );
    figures.add(
        "rss_10k_loaded_mb",
        ours.process.resident_mb()?,
        "MB of it after load and changes",
    );
    Ok(())
}
