//! How many system calls a request costs, by `strace -c`.

use std::{fs, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use meshlite_tests::figures::Figures;
use serde_json::Value;
use tokio::{process::Command, time::sleep};

use crate::{
    load::{Load, load},
    plan::Plan,
    stage::{OURS, PEERS, Proxy, Stage},
};

/// How long strace takes to attach, at most.
const ATTACH: Duration = Duration::from_secs(1);

/// Counts those of every proxy.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let stage = Stage::set(plan, 1, false).await?;
    for name in [OURS].into_iter().chain(PEERS) {
        let key = match name {
            OURS => "syscalls_per_request".to_owned(),
            _ => format!("syscalls_{name}"),
        };
        let counted = match stage.of(name) {
            Some(proxy) => count(proxy, &stage, plan).await,
            None => Err(anyhow!(
                stage.missing.get(name).cloned().unwrap_or_default()
            )),
        };
        match counted {
            Ok((count, most)) => {
                let meaning =
                    format!("system calls a request, {name}, 64 connections; under strace: {most}");
                figures.add(&key, (count * 100.0).round() / 100.0, &meaning);
            }
            Err(error) => figures.add(&key, Value::Null, &format!("not measured: {error:#}")),
        }
    }
    Ok(())
}

/// Calls a request, and the commonest ones.
async fn count(proxy: &Proxy, stage: &Stage, plan: &Plan) -> anyhow::Result<(f64, String)> {
    let file = stage.control.folder.path().join("strace");
    let seconds = (plan.time() + ATTACH * 2).as_secs().to_string();
    let mut strace = Command::new("timeout")
        .args(["--signal=INT", &seconds, "strace", "-f", "-c", "-o"])
        .arg(&file)
        .args(["-p", &proxy.process.id().to_string()])
        .kill_on_drop(true)
        .spawn()?;
    sleep(ATTACH).await;
    let served = load(proxy, Load::Kept(64), plan.time(), &stage.folder()).await?;
    strace.wait().await?;
    ensure!(served.requests > 0.0, "nothing was served under strace");
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
