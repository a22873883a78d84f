//! Clients of our own, for what wrk and h2load cannot do: TLS handshakes, uploads, WebSocket messages, reading metrics.

mod connection;
mod steady;
mod tls;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval},
};

use self::connection::read_answer;
pub(crate) use self::{
    steady::steadily,
    tls::{Sessions, handshakes},
};
use crate::{
    load::Served,
    objects::{HOST, UPLOAD_PATH, WEBSOCKET_PATH},
    origin::{FROM_CLIENT, KEY, MESSAGE},
    rounds::quantile,
    stage::Proxy,
};

/// Bytes of an upload, and of one write of it.
const UPLOAD: usize = 10 << 20;
const CHUNK: usize = 64 << 10;
/// A mask that leaves a message as it is.
const NO_MASK: [u8; 4] = [0; 4];

/// Runs so many clients at once, each of which does its work again and again until the time is over; says how long each time took.
async fn repeat<F>(
    count: u32,
    time: Duration,
    mut client: impl FnMut(Instant) -> F,
) -> anyhow::Result<Served>
where
    F: Future<Output = anyhow::Result<Vec<Duration>>> + Send + 'static,
{
    let until = Instant::now() + time;
    let mut clients: JoinSet<_> = (0..count).map(|_| client(until)).collect();
    let mut times = Vec::new();
    while let Some(done) = clients.join_next().await {
        times.extend(done??.iter().map(|took| took.as_secs_f64() * 1000.0));
    }
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let requests = times.len() as f64;
    Ok(Served {
        requests,
        p50: quantile(&mut times, 50),
        p99: quantile(&mut times, 99),
    })
}

/// Sends 10 MiB again and again.
pub(crate) async fn uploads(proxy: &Proxy, count: u32, time: Duration) -> anyhow::Result<Served> {
    let at = (proxy.ports.address, proxy.ports.http);
    repeat(count, time, |until| upload(at, until)).await
}

async fn upload(at: (&'static str, u16), until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = connect(at).await?;
    let head = format!(
        "POST {UPLOAD_PATH} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {UPLOAD}\r\ncontent-type: application/octet-stream\r\n\r\n"
    );
    let chunk = vec![b'x'; CHUNK];
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(head.as_bytes()).await?;
        for _ in 0..UPLOAD / CHUNK {
            stream.write_all(&chunk).await?;
        }
        read_answer(&mut stream).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// Sends a WebSocket message, waits for its echo, and so on.
pub(crate) async fn messages(proxy: &Proxy, count: u32, time: Duration) -> anyhow::Result<Served> {
    let at = (proxy.ports.address, proxy.ports.http);
    repeat(count, time, |until| chat(at, until)).await
}

async fn chat(at: (&'static str, u16), until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = connect(at).await?;
    let head = format!(
        "GET {WEBSOCKET_PATH} HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let (status, _) = connection::read_head(&mut stream).await?;
    ensure!(status == 101, "a WebSocket is answered with {status}");
    let message = [&FROM_CLIENT[..], &NO_MASK, &[b'x'; MESSAGE]].concat();
    let mut echo = [0; FROM_CLIENT.len() + MESSAGE];
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(&message).await?;
        stream.read_exact(&mut echo).await?;
        ensure!(
            echo.ends_with(&[b'x'; MESSAGE]),
            "another message came back"
        );
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// Reads metrics again and again, until one reading fails.
pub(crate) async fn scrape(port: u16, path: &str, every: Duration) -> anyhow::Result<()> {
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        let mut stream = connect(("127.0.0.1", port)).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "metrics are answered with {}",
            String::from_utf8_lossy(answer.get(..64).unwrap_or(&answer))
        );
    }
}

async fn connect(at: (&'static str, u16)) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(at).await.context("no connection")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
