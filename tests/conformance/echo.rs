//! A Pod of the suite: answers what it was asked, as JSON, over HTTP/1.1 and with neither `Date` nor `Server`.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A server that stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Pod {
    /// Says with each answer of which Service it is, and which Pod of it.
    pub(crate) async fn start(service: &'static str, pod: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, service, pod));
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }
}

/// Answers until the other side closes. Requests of the suite have no body.
async fn serve(stream: TcpStream, service: &'static str, pod: usize) {
    let mut stream = BufReader::new(stream);
    while let Some(mut seen) = read(&mut stream).await {
        seen["service"] = service.into();
        seen["pod"] = pod.into();
        let body = seen.to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The head of one request; none at the end of the connection.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    let line = line(stream).await?;
    let mut words = line.split(' ');
    let [method, path, proto] = [words.next()?, words.next()?, words.next()?];
    let mut headers = Map::new();
    loop {
        let line = self::line(stream).await?;
        if line.is_empty() {
            let host = headers.get("host").cloned().unwrap_or_default();
            return Some(json!({
                "method": method, "path": path, "proto": proto, "host": host, "headers": headers,
            }));
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().into());
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
