//! Load on one proxy: wrk for HTTP/1.1, h2load for HTTP/2, and what they say of it.

use std::{process::Output, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use crate::{objects::HOST, stage::LOAD_CORE};

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Requests on so many connections that are kept.
    Kept(u32),
    /// A connection for each request, so many at once.
    Short(u32),
    /// HTTP/2: 4 connections with 100 streams each.
    Http2,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) requests: f64,
    /// Milliseconds; h2load does not say them.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// Asks `url` for so long. An answer that is not 200 is an error: it would be cheaper than one that is.
pub(crate) async fn load(url: &str, load: Load, time: Duration) -> anyhow::Result<Served> {
    let seconds = time.as_secs().to_string();
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE]).kill_on_drop(true);
    if let Load::Http2 = load {
        command.args(["h2load", "-c4", "-m100", "-t1", "-D", &seconds]);
        command.args(["-H", &format!(":authority: {HOST}"), url]);
        return http2(&output(command).await?);
    }
    let (connections, close) = match load {
        Load::Short(connections) => (connections, Some("connection: close")),
        Load::Kept(connections) => (connections, None),
        Load::Http2 => bail!("wrk does not speak HTTP/2"),
    };
    command.args(["wrk", "-t1", "--latency", "--timeout", "10s"]);
    command.args([format!("-c{connections}"), format!("-d{seconds}s")]);
    command.args(["-H", &format!("Host: {HOST}")]);
    if let Some(header) = close {
        command.args(["-H", header]);
    }
    command.arg(url);
    http1(&output(command).await?)
}

async fn output(mut command: Command) -> anyhow::Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await?;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    let complaint = String::from_utf8_lossy(&stderr);
    ensure!(
        status.success(),
        "load ended with {status}: {said}{complaint}"
    );
    Ok(said)
}

fn http1(said: &str) -> anyhow::Result<Served> {
    let bad = |line: &&str| line.contains("Non-2xx") || line.contains("Socket errors");
    if let Some(line) = said.lines().find(bad) {
        bail!("not every request was served: {}", line.trim());
    }
    let line = said.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next());
    Ok(Served {
        requests: count
            .context("wrk does not say how many requests")?
            .parse()?,
        p50: quantile(said, "50%"),
        p99: quantile(said, "99%"),
    })
}

/// Milliseconds of a line such as `99%  1.25ms`.
fn quantile(said: &str, which: &str) -> Option<f64> {
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix(which))?;
    let line = line.trim();
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let (number, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((line.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

fn http2(said: &str) -> anyhow::Result<Served> {
    let line = said
        .lines()
        .find(|line| line.starts_with("requests:"))
        .context("h2load does not say how many requests")?;
    let mut counts = line.split([',', ':']).skip(1);
    let mut of = |what: &str| {
        let part = counts.find(|part| part.ends_with(what))?;
        part.trim().split(' ').next()?.parse::<f64>().ok()
    };
    let (succeeded, failed) = (of("succeeded"), of("failed"));
    let requests = succeeded.context("h2load does not say how many succeeded")?;
    // Those that are under way when the time is over have failed too.
    ensure!(
        failed.unwrap_or_default() <= 400.0 && requests > 0.0,
        "not every request was served: {line}"
    );
    Ok(Served {
        requests,
        p50: None,
        p99: None,
    })
}
