//! What finding a route costs in instructions, by callgrind, which counts them exactly.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use meshlite_tests::figures::Figures;
use serde_json::Value;
use tokio::process::Command;

use crate::{
    load::{Load, load},
    plan::Plan,
    stage::Stage,
};

pub(crate) const FIGURES: [&str; 1] = ["lookup_10k_vs_1"];

/// The function that finds a route, as the program's symbols have it.
const FUNCTION: &str = "meshlite_ingress::table::ListenerTable::route";

/// Counts for one route and for 10,000.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let (one, many) = (
        instructions(plan, 1).await?,
        instructions(plan, 10_000).await?,
    );
    let ratio = one
        .zip(many)
        .map(|(one, many)| (many / one * 1000.0).round() / 1000.0);
    let meaning = match one.zip(many) {
        Some((one, many)) => {
            format!("instructions to find a route: {one:.0} of one, {many:.0} of 10,000")
        }
        None => "not measured: callgrind has not seen the function that finds routes".to_owned(),
    };
    figures.add(
        "lookup_10k_vs_1",
        ratio.map_or(Value::Null, Value::from),
        &meaning,
    );
    Ok(())
}

/// Instructions for each time that a route was looked up.
async fn instructions(plan: &Plan, routes: usize) -> anyhow::Result<Option<f64>> {
    let stage = Stage::set(plan, routes, false).await?;
    let out = stage.control.folder.path().join("callgrind.out");
    let out_file = format!("--callgrind-out-file={}", out.display());
    let runner = ["valgrind", "--tool=callgrind", &out_file];
    let ingress = stage
        .control
        .ingress("meshlite", "127.0.0.3", stage.control.grpc, &runner, &[])
        .await?;
    load(
        &ingress,
        Load::Kept(1),
        Duration::from_secs(1),
        &stage.folder(),
    )
    .await?;
    let id = ingress.process.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().await?;
    anyhow::ensure!(told.success(), "the ingress cannot be told to end");
    ingress.process.ended().await?;
    read(&out)
}

/// Inclusive instructions of all calls, over their number.
fn read(out: &Path) -> anyhow::Result<Option<f64>> {
    let text = fs::read_to_string(out).context("callgrind has left no figures")?;
    let mut id = None;
    let (mut calls, mut cost) = (0.0, 0.0);
    let mut is_ours = false;
    let mut counted = 0.0;
    for line in text.lines() {
        if let Some(called) = line.strip_prefix("cfn=") {
            // A name is given once, and only its number from then on.
            let (number, name) = called.split_once(' ').unwrap_or((called, ""));
            if name.contains(FUNCTION) {
                id = Some(number.to_owned());
            }
            is_ours = id.as_deref() == Some(number);
        } else if let Some(named) = line.strip_prefix("fn=") {
            if let Some((number, name)) = named.split_once(' ')
                && name.contains(FUNCTION)
            {
                id = Some(number.to_owned());
            }
        } else if let Some(rest) = line.strip_prefix("calls=") {
            let number = rest.split(' ').next().unwrap_or_default();
            counted = number.parse().unwrap_or_default();
        } else if is_ours {
            let instructions = line.rsplit(' ').next().unwrap_or_default();
            calls += counted;
            cost += instructions.parse::<f64>().unwrap_or_default();
            is_ours = false;
        }
    }
    Ok((calls > 0.0).then(|| cost / calls))
}
