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
    /// A new connection, until it is open.
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
    client.namespace().run(|| {
        let mut opened = Vec::with_capacity(effort.connections);
        for _ in 0..effort.connections {
            let started = Instant::now();
            let stream = TcpStream::connect(to)?;
            opened.push(started.elapsed());
            // With a reset its port is free again at once.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        opened.sort_unstable();
        let at = |percent: usize| {
            let place = opened.len() * percent / 100;
            opened.get(place).copied().unwrap_or_default()
        };
        Ok(Felt {
            first_packet: at(50),
            first_packet_p99: at(99),
            round_trip: round_trip(to, effort.questions)?,
            megabytes_per_second: throughput(to, effort.sending)?,
        })
    })
}

fn round_trip(to: SocketAddr, questions: usize) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(to)?;
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
    let mut stream = TcpStream::connect(to)?;
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
