//! Changes of a source on demand, also for a virtual machine, which cannot reach them otherwise.
//!
//! ```text
//! Remote ── "add" or "change" ──> Source ──> number of the Service
//! ```

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use anyhow::{Context as _, bail};
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
                        Ok(number) => format!("{number}\n"),
                        Err(error) => format!("{error:#}\n"),
                    };
                    answers.write_all(answer.as_bytes()).await.ok();
                }
            });
        }
    });
    Ok(address)
}

async fn obey(source: &Source, verb: &str) -> anyhow::Result<u32> {
    match verb {
        "add" => source.add().await,
        "change" => source.change().await.map(|()| 0),
        _ => bail!("not a command: {verb}"),
    }
}

/// A source, from anywhere.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Remote(pub(crate) SocketAddr);

// === impl Remote ===

impl Remote {
    /// Adds a Service. Says its number.
    pub(crate) fn add(self) -> anyhow::Result<u32> {
        self.ask("add")
    }

    /// Changes an endpoint, and says of which Service.
    pub(crate) fn change(self) -> anyhow::Result<u32> {
        self.ask("change")
    }

    fn ask(self, verb: &str) -> anyhow::Result<u32> {
        let mut stream = TcpStream::connect(self.0)?;
        writeln!(stream, "{verb}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        let number = answer.trim().parse();
        number.with_context(|| format!("{verb}: {answer}"))
    }
}
