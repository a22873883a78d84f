//! Clients with connections of every kind, and an origin for them.

mod door;
mod http2;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

pub(super) use self::door::Door;
use crate::world::PATIENCE;

/// Times that each client is answered before the next thing happens.
const AT_LEAST: usize = 20;
const UPGRADED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A server that says `ok`, or everything back once it is asked for a WebSocket. It ends with the test's runtime.
pub(super) async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let head = read_until(&mut stream, "\r\n\r\n").await?;
        if head.is_empty() {
            return Ok(());
        }
        if head.to_ascii_lowercase().contains("upgrade: websocket") {
            stream.write_all(UPGRADED.as_bytes()).await?;
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await?;
            return Ok(());
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await?;
    }
}

/// What comes until a text, with it; nothing where the other side ends before the first byte.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> io::Result<String> {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(end) {
        let count = timeout(PATIENCE, stream.read(&mut buffer)).await??;
        if count == 0 && text.is_empty() {
            return Ok(text);
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    Ok(text)
}

/// The body of an answer on a connection of its own.
pub(super) async fn get(door: &Door, path: &str) -> io::Result<String> {
    let mut stream = door.connect().await?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", door.host());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(body.to_owned())
}

/// The clients.
pub(super) struct Load {
    answered: Vec<Arc<AtomicUsize>>,
    clients: JoinSet<io::Result<()>>,
    stop: CancellationToken,
}

struct Task {
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Task {
    fn goes_on(&self) -> bool {
        self.answered.fetch_add(1, Ordering::Relaxed);
        !self.stop.is_cancelled()
    }
}

impl Load {
    /// Clients of every kind at each of these doors.
    pub(super) async fn start(doors: &[Door]) -> Self {
        let mut load = Self {
            answered: Vec::new(),
            clients: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        for door in doors {
            for _ in 0..2 {
                load.client(|task| short(door.clone(), "/", task));
            }
            load.client(|task| kept(door.clone(), task));
            load.client(|task| websocket(door.clone(), task));
            load.client(|task| http2::client(door.clone(), task));
        }
        load.goes_on().await;
        load
    }

    /// One more client, which asks an admin server whether it is ready.
    pub(super) fn probe(&mut self, admin: Door) {
        self.client(|task| short(admin, "/readyz", task));
    }

    fn client<F>(&mut self, run: impl FnOnce(Task) -> F)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let answered = Arc::<AtomicUsize>::default();
        self.answered.push(Arc::clone(&answered));
        let stop = self.stop.clone();
        self.clients.spawn(run(Task { answered, stop }));
    }

    /// Waits until every client was answered some more, and none of them failed.
    pub(super) async fn goes_on(&mut self) {
        let counts = |load: &Self| -> Vec<_> {
            let counts = load.answered.iter();
            counts.map(|count| count.load(Ordering::Relaxed)).collect()
        };
        let before = counts(self);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = counts(self);
            if now
                .iter()
                .zip(&before)
                .all(|(now, before)| *now >= before + AT_LEAST)
            {
                return;
            }
            if let Some(ended) = self.clients.try_join_next() {
                panic!("a client ended: {ended:?} {before:?} {now:?}");
            }
            assert!(Instant::now() < deadline, "{before:?} {now:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) async fn finish(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

/// One request for each connection.
async fn short(door: Door, path: &str, task: Task) -> io::Result<()> {
    while task.goes_on() {
        let body = get(&door, path).await?;
        if body != "ok" {
            return Err(io::Error::other(body));
        }
    }
    Ok(())
}

/// One connection for as many requests as it is good for: a new one only where the last answer said so.
async fn kept(door: Door, task: Task) -> io::Result<()> {
    let mut stream = door.connect().await?;
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", door.host());
    while task.goes_on() {
        stream.write_all(request.as_bytes()).await?;
        let answer = read_until(&mut stream, "\r\n\r\nok").await?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!("answered: {answer:?}")));
        }
        if answer.contains("connection: close") {
            stream = door.connect().await?;
        }
    }
    Ok(())
}

/// One connection for the whole time.
async fn websocket(door: Door, task: Task) -> io::Result<()> {
    let mut stream = door.connect().await?;
    let host = door.host();
    let head = format!(
        "GET /chat HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let head = read_until(&mut stream, "\r\n\r\n").await?;
    if !head.starts_with("HTTP/1.1 101") {
        return Err(io::Error::other(head));
    }
    while task.goes_on() {
        stream.write_all(b"hello.").await?;
        let echo = read_until(&mut stream, "hello.").await?;
        if echo != "hello." {
            return Err(io::Error::other(format!("echoed: {echo:?}")));
        }
    }
    Ok(())
}
