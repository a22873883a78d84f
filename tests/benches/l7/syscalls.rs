//! How many system calls a request costs, by `strace -c`.

use std::{fs, time::Duration};

use anyhow::Context as _;
use meshlite_tests::figures::Figures;
use tokio::{process::Command, time::sleep};

use crate::{
    Plan,
    load::{Load, load},
    stage::{OURS, Proxy, Stage},
};

pub(crate) const FIGURES: [&str; 2] = ["syscalls_per_request", "syscalls_nginx"];

/// How long strace takes to attach, at most.
const ATTACH: Duration = Duration::from_secs(1);

/// Counts those of the ingress and of nginx.
pub(crate) async fn run(stage: &Stage, plan: Plan, figures: &mut Figures) -> anyhow::Result<()> {
    for (key, name) in FIGURES.into_iter().zip([OURS, "nginx"]) {
        for proxy in stage.of(&[name]) {
            let (count, most) = count(proxy, stage, plan).await?;
            let meaning =
                format!("system calls a request, {name}, 64 connections; under strace: {most}");
            figures.add(key, (count * 100.0).round() / 100.0, &meaning);
        }
    }
    Ok(())
}

/// Calls a request, and the commonest ones.
async fn count(proxy: &Proxy, stage: &Stage, plan: Plan) -> anyhow::Result<(f64, String)> {
    let file = stage.control.folder.path().join("strace");
    let seconds = (plan.time() + ATTACH * 2).as_secs().to_string();
    let mut strace = Command::new("timeout")
        .args(["--signal=INT", &seconds, "strace", "-f", "-c", "-o"])
        .arg(&file)
        .args(["-p", &proxy.process.id().to_string()])
        .kill_on_drop(true)
        .spawn()?;
    sleep(ATTACH).await;
    let served = load(&proxy.http(), Load::Kept(64), plan.time()).await?;
    strace.wait().await?;
    let table = fs::read_to_string(&file)?;
    let mut calls: Vec<(f64, &str)> = table.lines().filter_map(row).collect();
    calls.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total = calls.iter().find(|(_, name)| *name == "total");
    let (total, _) = total.context("strace gives no total")?;
    let most = calls.iter().filter(|(_, name)| *name != "total").take(6);
    let most: Vec<_> = most
        .map(|(calls, name)| format!("{name} {:.2}", calls / served.requests))
        .collect();
    Ok((total / served.requests, most.join(", ")))
}

/// Calls and name of a row: `% time, seconds, usecs/call, calls, errors?, syscall`.
fn row(line: &str) -> Option<(f64, &str)> {
    let mut words = line.split_whitespace();
    words.next()?.parse::<f64>().ok()?;
    let calls = words.nth(2)?.parse().ok()?;
    Some((calls, words.last()?))
}
