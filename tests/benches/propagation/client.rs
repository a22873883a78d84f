//! One client that asks again and again on one connection.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

/// Longer than any change takes.
const LIMIT: Duration = Duration::from_secs(30);
/// More than an answer here has.
const MAX_ANSWER: usize = 16 * 1024;

/// Its connection.
pub(crate) struct Client {
    address: SocketAddr,
    stream: TcpStream,
}

/// A status and a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream })
    }

    /// Asks until it is answered so, and gives the time of that answer.
    pub(crate) async fn until(
        &mut self,
        host: &str,
        path: &str,
        wanted: impl Fn(&Answer) -> bool,
    ) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + LIMIT;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        loop {
            let answer = timeout(LIMIT, self.ask(&request)).await??;
            let now = Instant::now();
            if wanted(&answer) {
                return Ok(now);
            }
            if now > deadline {
                bail!("{host}{path} is still answered {answer:?} after {LIMIT:?}");
            }
        }
    }

    async fn ask(&mut self, request: &str) -> anyhow::Result<Answer> {
        self.stream.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        loop {
            if self.stream.read_buf(&mut text).await? == 0 {
                bail!("{} ended the connection", self.address);
            }
            if let Some(answer) = parse(&text)? {
                return Ok(answer);
            }
            if text.len() > MAX_ANSWER {
                bail!("an answer of more than {MAX_ANSWER} bytes");
            }
        }
    }
}

/// The answer, if all of it has come. It says how long it is.
fn parse(text: &[u8]) -> anyhow::Result<Option<Answer>> {
    let text = std::str::from_utf8(text)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.context("the answer has no status")?.parse()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim())
    });
    let length: usize = length.context("the answer has no length")?.parse()?;
    let body = body.get(..length).map(str::to_owned);
    Ok(body.map(|body| Answer { status, body }))
}
