//! Exact bytes of published attacks, by class: each is refused, or reaches the endpoint as one request with one reading.

mod chunks;
mod framing;
mod headers;
mod hosts;
mod paths;
mod request_lines;

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::{mesh::Mesh, origin::Origin, origins};

/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What becomes of a client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answered with this status, and no endpoint sees a request.
    Refused(u16),
    /// The requests that the endpoint sees: request line, Host, other headers of the client's, and body.
    Forwarded(&'static [&'static str]),
}

/// Bytes, and what becomes of them.
pub(super) type Row = (&'static [u8], Verdict);

/// What an ingress adds to requests.
const ADDED: [&str; 8] = [
    "content-length",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// A request as an endpoint saw it.
#[derive(Debug)]
pub(super) struct Seen {
    line: String,
    host: String,
    /// Other headers of the client's.
    headers: String,
    body: String,
}

impl Seen {
    /// What no endpoint may see otherwise.
    pub(super) fn essence(&self) -> [&str; 3] {
        [&self.line, &self.host, &self.body]
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            host,
            headers,
            body,
        } = self;
        write!(f, "{line} | {host} | {headers} | {body}")
    }
}

/// An endpoint that reads as strictly as can be, and records only whole requests.
#[derive(Debug)]
pub(super) struct Recorder {
    origin: Origin,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let record = Arc::clone(&seen);
        let origin = Origin::raw(move |stream| serve(stream, Arc::clone(&record))).await;
        Self { origin, seen }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// What it saw since the last time.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Sends each row's bytes on a connection of its own, and shows every row that came out otherwise; then to other servers.
async fn holds(rows: &[Row]) {
    let recorder = Recorder::start().await;
    let mut mesh = Mesh::start().await;
    mesh.serve(&[recorder.address()]).await;
    let mut wrong = String::new();
    for (bytes, verdict) in rows {
        let last = match verdict {
            Verdict::Refused(_) => 1,
            Verdict::Forwarded(requests) => requests.len(),
        };
        let status = converse(&mesh, bytes, last).await;
        let seen: Vec<_> = recorder.take().iter().map(Seen::to_string).collect();
        let holds = match verdict {
            Verdict::Refused(refused) => status == *refused && seen.is_empty(),
            Verdict::Forwarded(requests) => status == 200 && seen == *requests,
        };
        if !holds {
            let bytes = bytes.escape_ascii();
            let _infallible = writeln!(wrong, "\"{bytes}\"\n  {verdict:?}\n  {status} {seen:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Nothing was left in a connection that another client's request could meet.
    let clean = b"GET /clean HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(converse(&mesh, clean, 1).await, 200);
    let seen: Vec<_> = recorder.take().iter().map(Seen::to_string).collect();
    assert_eq!(seen, ["GET /clean HTTP/1.1 | h |  | "]);
    Box::pin(origins::hold(rows)).await;
}

/// The status of the last of so many answers.
pub(super) async fn converse(mesh: &Mesh, bytes: &[u8], answers: usize) -> u16 {
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut status = 0;
    for _ in 0..answers {
        let answer = timeout(PATIENCE, read_answer(&mut stream)).await;
        status = answer.expect("an answer in time").unwrap_or(0);
    }
    status
}

async fn read_answer(stream: &mut BufReader<TcpStream>) -> Option<u16> {
    let first = read_line(stream).await?;
    let mut length = 0;
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    first.split(' ').nth(1)?.parse().ok()
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().push(request);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let line = read_line(stream).await?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").expect("a header has a colon");
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    // Only the order of headers of one name means anything.
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    let all = |wanted: &str| -> Vec<&str> {
        let of_it = headers.iter().filter(|(name, _)| name == wanted);
        of_it.map(|(_, value)| value.as_str()).collect()
    };
    let body = match (&*all("content-length"), &*all("transfer-encoding")) {
        ([], []) => Vec::new(),
        ([length], []) => {
            let mut body = vec![0; length.parse().expect("a length is a number")];
            stream.read_exact(&mut body).await.ok()?;
            body
        }
        ([], ["chunked"]) => read_chunks(stream).await?,
        (lengths, codings) => panic!("two readings: {lengths:?}, {codings:?}"),
    };
    let host = all("host").join(" and ");
    let others = headers.iter().filter(|(name, _)| name != "host");
    let others = others.filter(|(name, _)| !ADDED.contains(&name.as_str()));
    let others: Vec<_> = others
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(Seen {
        line,
        host,
        headers: others.join(" "),
        body: body.escape_ascii().to_string(),
    })
}

async fn read_chunks(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = read_line(stream).await?;
        let size = usize::from_str_radix(&size, 16).expect("a chunk has a size and nothing else");
        if size == 0 {
            break;
        }
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(body.get_mut(start..)?).await.ok()?;
        assert_eq!(read_line(stream).await?, "");
    }
    while !read_line(stream).await?.is_empty() {}
    Some(body)
}

/// A line that ends as it must; other bytes than ASCII as escapes.
async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await.ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    assert!(!line.contains(&b'\r'), "a bare CR: {}", line.escape_ascii());
    Some(match std::str::from_utf8(line) {
        Ok(line) => line.to_owned(),
        Err(_) => line.escape_ascii().to_string(),
    })
}
