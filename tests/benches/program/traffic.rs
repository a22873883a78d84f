//! What clients feel: the first packet of a connection, the way there and back on an open one, and how much goes through.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use meshlite_tests::world::Host;
use socket2::SockRef;

use crate::objects::TARGET;

const ECHO: u8 = b'e';
const SINK: u8 = b's';
const BLOCK: usize = 128 * 1024;
/// How often clients take turns.
const TURNS: usize = 20;
/// How long anything is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) connections: usize,
    pub(crate) questions: usize,
    pub(crate) sending: Duration,
}

/// What it came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Felt {
    /// A new connection, until it is open: the mean of the middle half, since some clocks count whole microseconds.
    pub(crate) first_packet: Duration,
    /// The same, 99 of 100.
    pub(crate) first_packet_p99: Duration,
    /// One byte there and back.
    pub(crate) round_trip: Duration,
    pub(crate) megabytes_per_second: f64,
}

/// Serves on a pod until this process ends.
pub(crate) fn serve(pod: &Host) -> io::Result<()> {
    let listener = pod
        .namespace()
        .run(|| TcpListener::bind(("0.0.0.0", TARGET)))?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    if byte == [SINK] {
        let mut block = vec![0; BLOCK];
        while stream.read(&mut block)? > 0 {}
        return Ok(());
    }
    loop {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
}

/// Measures all of it from a client to an address.
pub(crate) fn feel(client: &Host, to: SocketAddr, effort: Effort) -> io::Result<Felt> {
    let mut felt = feel_by_turns(&[client], to, effort)?;
    felt.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The same from several clients, each on a node of its own, who open their connections by turns: what else the machine
/// does is then felt by all of them.
pub(crate) fn feel_by_turns(
    clients: &[&Host],
    to: SocketAddr,
    effort: Effort,
) -> io::Result<Vec<Felt>> {
    let mut opened = vec![Vec::new(); clients.len()];
    for _ in 0..TURNS {
        for (client, opened) in clients.iter().zip(&mut opened) {
            let count = effort.connections.div_ceil(TURNS);
            let times = client.namespace().run(|| open(to, count))?;
            opened.extend(times);
        }
    }
    let rest = |(client, mut opened): (&&Host, Vec<Duration>)| {
        opened.sort_unstable();
        let place = opened.len() * 99 / 100;
        let quarter = opened.len() / 4;
        let middle = opened.get(quarter..opened.len() - quarter);
        client.namespace().run(|| {
            Ok(Felt {
                first_packet: mean(middle.unwrap_or_default()),
                first_packet_p99: opened.get(place).copied().unwrap_or_default(),
                round_trip: round_trip(to, effort.questions)?,
                megabytes_per_second: throughput(to, effort.sending)?,
            })
        })
    };
    clients.iter().zip(opened).map(rest).collect()
}

/// Opens so many connections, and says how long each took.
fn open(to: SocketAddr, count: usize) -> io::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        let stream = TcpStream::connect_timeout(&to, LIMIT)?;
        times.push(started.elapsed());
        // With a reset its port is free again at once.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(times)
}

fn mean(times: &[Duration]) -> Duration {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    times.iter().sum::<Duration>() / count
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn round_trip(to: SocketAddr, questions: usize) -> io::Result<Duration> {
    let mut stream = connect(to)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[ECHO])?;
    let mut byte = [0];
    let mut times = Vec::with_capacity(questions);
    for _ in 0..questions {
        let started = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        times.push(started.elapsed());
    }
    Ok(meshlite_tests::figures::median(times))
}

fn throughput(to: SocketAddr, sending: Duration) -> io::Result<f64> {
    let mut stream = connect(to)?;
    stream.write_all(&[SINK])?;
    let block = vec![0; BLOCK];
    let started = Instant::now();
    let mut bytes = 0.0;
    while started.elapsed() < sending {
        stream.write_all(&block)?;
        bytes += 0.131_072;
    }
    Ok(bytes / started.elapsed().as_secs_f64())
}
