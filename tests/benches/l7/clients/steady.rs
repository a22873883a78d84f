//! Requests at a fixed rate, each timed from when it was due, so that one slow answer is felt by all that wait behind it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use nix::sys::prctl;
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    objects::{HOST, PATH},
    origin::header,
    stage::Proxy,
};

/// Connections, each a thread: a sleep of a thread is exact to microseconds, and one of the runtime to a millisecond.
const CLIENTS: u32 = 16;
/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `rate` times a second over kept connections; says how long each request took after it was due, in milliseconds.
pub(crate) async fn steadily(proxy: &Proxy, rate: u32, time: Duration) -> anyhow::Result<Vec<f64>> {
    let at = (proxy.ports.address, proxy.ports.http);
    let between = Duration::from_secs(1) / rate;
    // Those that connect last are there by then.
    let start = Instant::now() + Duration::from_millis(50);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let first = start + between * number;
            spawn_blocking(move || client(at, first, between * CLIENTS, start + time))
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    Ok(times)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, whose sleep is exact"
)]
fn client(
    at: (&'static str, u16),
    first: Instant,
    between: Duration,
    until: Instant,
) -> anyhow::Result<Vec<f64>> {
    // Linux would wake it up to 50 microseconds late.
    prctl::set_timerslack(1)?;
    let mut stream = TcpStream::connect(at).context("no connection")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let mut times = Vec::new();
    let mut due = first;
    while due < until {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        read_answer(&mut answers)?;
        times.push(due.elapsed().as_secs_f64() * 1000.0);
        due += between;
    }
    Ok(times)
}

/// Reads an answer of 200 with a length, to its end.
fn read_answer(answers: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = answers.read_line(&mut head)?;
        ensure!(read > 0, "the proxy closed the connection");
    }
    ensure!(head.starts_with("HTTP/1.1 200"), "answered with {head}");
    let head = head.to_lowercase();
    let length = header(&head, "content-length").ok_or_else(|| anyhow!("no length in {head}"))?;
    let mut body = vec![0; length.parse()?];
    answers.read_exact(&mut body)?;
    Ok(())
}
