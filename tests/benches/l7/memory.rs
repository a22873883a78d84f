//! What an idle connection takes of each proxy's memory.

use std::time::Duration;

use anyhow::anyhow;
use meshlite_tests::{figures::Figures, process::memory_kb_of};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    objects::{HOST, PATH},
    plan::Plan,
    stage::{OURS, PEERS, Proxy, Stage},
};

const CONNECTIONS: usize = 2000;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens connections to proxies that have done nothing yet, with one request on each, and looks what they cost.
pub(crate) async fn idle_connections(plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let stage = Stage::set(plan, 1, false).await?;
    for name in [OURS].into_iter().chain(PEERS) {
        let key = format!("idle_kb_{name}");
        let measured = match stage.of(name) {
            Some(proxy) => each(proxy).await,
            None => Err(anyhow!(
                stage.missing.get(name).cloned().unwrap_or_default()
            )),
        };
        match measured {
            Ok((each, all)) => {
                let meaning =
                    format!("KB of memory each of {CONNECTIONS} idle connections; {all} MB in all");
                figures.add(&key, each, &meaning);
            }
            Err(error) => figures.add(&key, Value::Null, &format!("not measured: {error:#}")),
        }
    }
    Ok(())
}

/// KB each, and MB of the process then.
async fn each(proxy: &Proxy) -> anyhow::Result<(f64, u64)> {
    let before = memory_kb_of(proxy.process.id(), "VmRSS:")?;
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        open.push(timeout(PATIENCE, used(proxy)).await??);
    }
    let after = memory_kb_of(proxy.process.id(), "VmRSS:")?;
    let taken = u32::try_from(after.saturating_sub(before))?;
    let each = f64::from(taken) / f64::from(u32::try_from(CONNECTIONS)?);
    Ok(((each * 10.0).round() / 10.0, after / 1024))
}

async fn used(proxy: &Proxy) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect((proxy.ports.address, proxy.ports.http)).await?;
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 4096];
    let mut length = 0;
    while length < 1024 {
        let more = stream.read(&mut answer).await?;
        anyhow::ensure!(more > 0, "closed before its answer was whole");
        length += more;
    }
    Ok(stream)
}
