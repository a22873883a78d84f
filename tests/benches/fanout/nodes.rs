//! Full data planes, as processes: `meshlite node --mode memory`.

use std::{path::Path, time::Duration};

use anyhow::{bail, ensure};
use tokio::time::{Instant, sleep};

use crate::{
    fleet::token_file,
    process::{Process, free_port, get, sibling, wait_until_ready},
    world::node_name,
};

/// Nodes, and where each answers questions.
pub(crate) struct Nodes(Vec<(Process, u16)>);

impl Nodes {
    /// Starts so many, and waits until each has installed everything.
    pub(crate) async fn start(
        count: u32,
        url: &str,
        ca: &Path,
        tokens: &Path,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let program = sibling("meshlite")?;
        let mut nodes = Vec::new();
        for number in 0..count {
            let port = free_port()?;
            let arguments = [
                "node".to_owned(),
                "--mode=memory".to_owned(),
                format!("--node-name={}", node_name(number)),
                format!("--control-plane={url}"),
                format!("--ca-file={}", ca.display()),
                format!("--token-file={}", token_file(tokens, number).display()),
                format!("--metrics-bind-address=127.0.0.1:{port}"),
                "--healthz-bind-address=".to_owned(),
                "--log-level=warn".to_owned(),
            ];
            nodes.push((Process::start(&program, arguments, log)?, port));
        }
        for (_, port) in &nodes {
            wait_until_ready(*port, "/readyz", log).await?;
        }
        Ok(Self(nodes))
    }

    /// The time from a change until every node has installed it.
    pub(crate) async fn installed_after(
        &self,
        change: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        let mut before = Vec::new();
        for (_, port) in &self.0 {
            before.push(digests(*port).await?);
        }
        let start = Instant::now();
        change()?;
        let deadline = start + Duration::from_mins(1);
        for ((_, port), before) in self.0.iter().zip(&before) {
            while digests(*port).await? == *before {
                ensure!(
                    Instant::now() < deadline,
                    "a node has not installed a change after a minute"
                );
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(start.elapsed())
    }

    /// The most resident memory of a node, in MB.
    pub(crate) fn peak_mb(&self) -> anyhow::Result<u64> {
        let mut most = 0;
        for (process, _) in &self.0 {
            most = most.max(process.peak_mb()?);
        }
        Ok(most)
    }
}

async fn digests(port: u16) -> anyhow::Result<String> {
    let answer = get(port, "/snapshot").await?;
    let Some((_, body)) = answer.split_once("\r\n\r\n") else {
        bail!("a node does not say what it holds: {answer}");
    };
    let snapshot: serde_json::Value = serde_json::from_str(body)?;
    ensure!(
        snapshot.get("digests").is_some(),
        "a node does not say what it holds: {body}"
    );
    Ok(snapshot["digests"].to_string())
}
