//! Load on one proxy, and what clients say of it: wrk for HTTP/1.1, h2load for HTTP/2, and clients of our own for the rest.

use std::{fs, path::Path, process::Output, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::{process::Command, time::timeout};

use crate::{
    clients,
    objects::{self, HOST},
    rounds::quantile,
    stage::{LOAD_CORE, Proxy},
};

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Requests on so many connections that are kept.
    Kept(u32),
    /// The same over TLS.
    KeptTls(u32),
    /// The same, where an access log is written.
    Logged(u32),
    /// The same, while metrics are read twice a second.
    Scraped(u32),
    /// The same, to all routes in turn.
    Spread(u32),
    /// A connection for each request, so many at once.
    Short(u32),
    /// A TLS handshake for each request.
    Tls { is_resumed: bool },
    /// HTTP/2: 4 connections with 100 streams each.
    Http2,
    /// 10 MiB from the origin, on so many connections.
    Down(u32),
    /// 10 MiB to the origin, on so many connections.
    Up(u32),
    /// Messages to and fro on so many connections.
    WebSocket(u32),
    /// gRPC: 4 connections with 100 calls each.
    Grpc,
}

impl Load {
    /// Whether a relay carries it that reads nothing of it: on connections that stay, all to one origin.
    pub(crate) fn is_for_the_floor(self) -> bool {
        matches!(self, Self::Kept(_) | Self::Down(_))
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    /// Requests, handshakes or messages.
    pub(crate) requests: f64,
    /// Milliseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// What a load may take beyond its time.
pub(crate) const GRACE: Duration = Duration::from_secs(15);
/// Between two readings of metrics.
const SCRAPES: Duration = Duration::from_millis(500);
/// HTTP/2 connections, and streams of each.
const SESSIONS: [&str; 2] = ["-c4", "-m100"];
const STREAMS: f64 = 400.0;

/// Asks a proxy for so long. An answer that is not 200 is an error: it would be cheaper than one that is. Files of the load are in `folder`.
pub(crate) async fn load(
    proxy: &Proxy,
    kind: Load,
    time: Duration,
    folder: &Path,
) -> anyhow::Result<Served> {
    let under_load = timeout(time + GRACE, run(proxy, kind, time, folder));
    under_load
        .await
        .context("the load does not end in its time")?
}

async fn run(proxy: &Proxy, kind: Load, time: Duration, folder: &Path) -> anyhow::Result<Served> {
    let ports = proxy.ports;
    match kind {
        Load::Kept(count) => wrk(&proxy.http(), count, time, &[]).await,
        Load::KeptTls(count) => wrk(&proxy.https(), count, time, &[]).await,
        Load::Logged(count) => {
            let port = ports.logged.context("no access log is set up")?;
            wrk(&proxy.url("http", port, objects::PATH), count, time, &[]).await
        }
        Load::Scraped(count) => {
            let (port, path) = ports.metrics.context("it has no metrics")?;
            tokio::select! {
                served = async { wrk(&proxy.http(), count, time, &[]).await } => served,
                ended = clients::scrape(port, path, SCRAPES) => {
                    ended?;
                    bail!("metrics end")
                }
            }
        }
        Load::Spread(count) => {
            let script = folder.join("spread.lua");
            fs::write(&script, include_str!("spread.lua"))?;
            let (script, routes) = (script.display().to_string(), folder.join("routes"));
            let last = routes.display().to_string();
            wrk(&proxy.http(), count, time, &["-s", &script, "--", &last]).await
        }
        Load::Short(count) => wrk(&proxy.http(), count, time, &["-H", "connection: close"]).await,
        Load::Down(count) => {
            let url = proxy.url("http", ports.http, objects::LARGE_PATH);
            wrk(&url, count, time, &[]).await
        }
        Load::Http2 => {
            let url = proxy.url("http", ports.h2c, objects::PATH);
            h2load(&url, time, folder, &[]).await
        }
        Load::Grpc => {
            let message = folder.join("message");
            // A message that is not compressed, its length, and itself.
            let length = u32::try_from(crate::origin::MESSAGE)?;
            let mut bytes = vec![0];
            bytes.extend(length.to_be_bytes());
            bytes.extend([b'x'; crate::origin::MESSAGE]);
            fs::write(&message, bytes)?;
            let message = message.display().to_string();
            let url = proxy.url("http", ports.h2c, objects::GRPC_PATH);
            let more = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
            let more = [&more[..], &["-d", &message]].concat();
            h2load(&url, time, folder, &more).await
        }
        Load::Tls { is_resumed } => clients::handshakes(proxy, is_resumed, time).await,
        Load::Up(count) => clients::uploads(proxy, count, time).await,
        Load::WebSocket(count) => clients::messages(proxy, count, time).await,
    }
}

/// Of `more`, what follows `--` is for a script.
async fn wrk(url: &str, connections: u32, time: Duration, more: &[&str]) -> anyhow::Result<Served> {
    let mut command = on_its_core("wrk");
    let split = more.iter().position(|word| *word == "--");
    let (options, script) = more.split_at(split.unwrap_or(more.len()));
    command.args(["-t1", "--latency", "--timeout", "10s"]);
    command.args([format!("-c{connections}"), format!("-d{}s", time.as_secs())]);
    command.args(["-H", &format!("Host: {HOST}")]);
    command.args(options).arg(url).args(script);
    http1(&output(command).await?)
}

async fn h2load(url: &str, time: Duration, folder: &Path, more: &[&str]) -> anyhow::Result<Served> {
    let log = folder.join("h2load");
    // It is written to its end only.
    match fs::remove_file(&log) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut command = on_its_core("h2load");
    command.args(SESSIONS);
    command.args(["-t1", "-D", &time.as_secs().to_string()]);
    command.args(["-H", &format!(":authority: {HOST}")]);
    command.arg(format!("--log-file={}", log.display()));
    command.args(more).arg(url);
    http2(&output(command).await?, &fs::read_to_string(log)?)
}

fn on_its_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command
        .args(["-c", &LOAD_CORE.to_string(), program])
        .kill_on_drop(true);
    command
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
        p50: said_quantile(said, "50%"),
        p99: said_quantile(said, "99%"),
    })
}

/// Milliseconds of a line such as `99%  1.25ms`.
fn said_quantile(said: &str, which: &str) -> Option<f64> {
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

/// Its log has a line for each request: when it began, its status, and microseconds.
fn http2(said: &str, log: &str) -> anyhow::Result<Served> {
    let count = |line: &str, what: &str| {
        let line = said.lines().find(|said| said.starts_with(line))?;
        let mut parts = line.split([',', ':']);
        let part = parts.find(|part| part.trim_end().ends_with(what))?;
        part.trim().split(' ').next()?.parse::<f64>().ok()
    };
    let requests = count("requests:", "succeeded");
    let requests = requests.context("h2load does not say how many succeeded")?;
    // Those that are under way when the time is over have failed too.
    let failed = count("requests:", "failed").unwrap_or_default();
    let refused = count("status codes:", "4xx").unwrap_or_default()
        + count("status codes:", "5xx").unwrap_or_default();
    ensure!(
        failed <= STREAMS && refused < 1.0 && requests > 0.0,
        "not every request was served: {requests} were, {failed} failed, {refused} were refused"
    );
    let mut times: Vec<f64> = log
        .lines()
        .filter_map(|line| line.split('\t').nth(2)?.parse::<f64>().ok())
        .map(|microseconds| microseconds / 1000.0)
        .collect();
    Ok(Served {
        requests,
        p50: quantile(&mut times, 50),
        p99: quantile(&mut times, 99),
    })
}
