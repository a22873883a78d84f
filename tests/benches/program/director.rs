//! Changes of a source on demand, also for a virtual machine, which cannot reach them otherwise.
//!
//! ```text
//! Remote ── "add" or "change" ──> Source ──> "ok"
//! ```

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::source::Source;

/// Starts to listen on the loopback, within a runtime, and says where.
pub(crate) async fn listen(source: Arc<Source>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let source = Arc::clone(&source);
            tokio::spawn(async move {
                let (lines, mut answers) = stream.into_split();
                let mut lines = tokio::io::BufReader::new(lines).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match obey(&source, &line).await {
                        Ok(()) => "ok\n".to_owned(),
                        Err(error) => format!("{error:#}\n"),
                    };
                    answers.write_all(answer.as_bytes()).await.ok();
                }
            });
        }
    });
    Ok(address)
}

async fn obey(source: &Source, verb: &str) -> anyhow::Result<()> {
    match verb {
        "add" => source.add().await,
        "change" => source.change().await,
        _ => bail!("not a command: {verb}"),
    }
}

/// A source, from anywhere.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Remote(pub(crate) SocketAddr);

// === impl Remote ===

impl Remote {
    /// Adds a Service.
    pub(crate) fn add(self) -> anyhow::Result<()> {
        self.ask("add")
    }

    /// Changes an endpoint.
    pub(crate) fn change(self) -> anyhow::Result<()> {
        self.ask("change")
    }

    fn ask(self, verb: &str) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(self.0)?;
        writeln!(stream, "{verb}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        ensure!(answer.trim() == "ok", "{verb}: {answer}");
        Ok(())
    }
}
