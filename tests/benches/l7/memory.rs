//! What an idle connection takes of each proxy's memory.

use std::time::Duration;

use anyhow::Context as _;
use meshlite_tests::{figures::Figures, process::memory_kb_of};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    objects::{HOST, PATH},
    stage::{Proxy, Stage},
};

const CONNECTIONS: usize = 2000;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens connections on which one request was answered, and looks what they cost.
pub(crate) async fn idle_connections(stage: &Stage, figures: &mut Figures) -> anyhow::Result<()> {
    for proxy in stage.all() {
        let before = memory_kb_of(proxy.process.id(), "VmRSS:")?;
        let mut open = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let used = timeout(PATIENCE, used(proxy)).await;
            open.push(used.context(proxy.name)?.context(proxy.name)?);
        }
        let after = memory_kb_of(proxy.process.id(), "VmRSS:")?;
        let each = after.saturating_sub(before) / CONNECTIONS as u64;
        let meaning = format!(
            "KB each of {CONNECTIONS} idle connections after one request; {} MB with them, after all that came before",
            after / 1024
        );
        figures.add(&format!("idle_kb: {}", proxy.name), each, &meaning);
    }
    Ok(())
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
