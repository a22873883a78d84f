//! What answers behind all proxies, besides nginx: it reads uploads, echoes WebSocket messages, and answers gRPC.

use std::{
    net::{IpAddr, SocketAddr, TcpListener as Listener},
    thread,
};

use anyhow::{Context as _, ensure};
use axum::body::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime,
};

/// Bytes of a WebSocket message.
pub(crate) const MESSAGE: usize = 64;
/// Opcode and length of one, from the client, which masks with four more bytes, and from the server.
pub(crate) const FROM_CLIENT: [u8; 2] = [0x82, 0x80 | 64];
const FROM_SERVER: [u8; 2] = [0x82, 64];
const MASK: usize = 4;
/// The key that every client sends here, and the answer that RFC 6455 (section 1.3) has for it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Bytes that are read at once, and the longest head.
const BUFFER: usize = 64 << 10;

/// Listens for uploads and WebSockets, and for gRPC, in a thread of its own, until this process ends. Says the two ports.
pub(crate) fn start(at: IpAddr) -> anyhow::Result<(u16, u16)> {
    let (app, grpc) = (listener(at)?, listener(at)?);
    let ports = (app.local_addr()?.port(), grpc.local_addr()?.port());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("origin".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::try_join!(accept(app, serve), accept(grpc, answer)).map(|_| ())
            })
        })?;
    Ok(ports)
}

fn listener(at: IpAddr) -> anyhow::Result<Listener> {
    let listener = Listener::bind(SocketAddr::new(at, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A task for each connection. How one ends is the proxy's to tell its client.
async fn accept<F>(listener: Listener, served: fn(TcpStream) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(served(stream));
    }
}

/// HTTP/1.1: one request after the other, until one asks for a WebSocket.
async fn serve(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while let Some((head, more)) = head(&mut stream, &mut buffer).await? {
        if head.contains("\nupgrade: websocket") {
            return echo(stream).await;
        }
        let length = header(&head, "content-length").context("a body without a length")?;
        let mut left = length.parse::<usize>()?.saturating_sub(more);
        while left > 0 {
            let read = stream.read(&mut buffer).await?;
            ensure!(read > 0, "{left} bytes of the body are missing");
            left = left.saturating_sub(read);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
            .await?;
    }
    Ok(())
}

/// A head in lower case, and how many bytes behind it are read already; none at the end.
async fn head(
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> anyhow::Result<Option<(String, usize)>> {
    let mut filled = 0;
    loop {
        let read = stream
            .read(buffer.get_mut(filled..).unwrap_or_default())
            .await?;
        if read == 0 {
            return Ok(None);
        }
        filled += read;
        let text = buffer.get(..filled).unwrap_or_default();
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(text.get(..end).unwrap_or_default());
            return Ok(Some((head.to_lowercase(), filled - end - 4)));
        }
    }
}

/// A header's value, by its name in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name).then(|| value.trim())
    })
}

/// Sends every message back, without its mask.
async fn echo(mut stream: TcpStream) -> anyhow::Result<()> {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    let mut frame = [0; FROM_CLIENT.len() + MASK + MESSAGE];
    loop {
        stream.read_exact(&mut frame).await?;
        let (front, message) = frame.split_at(FROM_CLIENT.len() + MASK);
        let mask = front.iter().skip(FROM_CLIENT.len()).cycle();
        let unmasked = message.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
        let answer: Vec<u8> = FROM_SERVER.into_iter().chain(unmasked).collect();
        stream.write_all(&answer).await?;
    }
}

/// HTTP/2: each request's message is its answer.
async fn answer(stream: TcpStream) -> anyhow::Result<()> {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1024)
        .handshake(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(unary(request.into_body(), respond));
    }
    Ok(())
}

async fn unary(mut body: RecvStream, mut respond: SendResponse<Bytes>) -> anyhow::Result<()> {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    let head = Response::builder().header("content-type", "application/grpc");
    let mut stream = respond.send_response(head.body(())?, false)?;
    stream.send_data(message.into(), false)?;
    let status = ("grpc-status".parse()?, HeaderValue::from_static("0"));
    stream.send_trailers(HeaderMap::from_iter([status]))?;
    Ok(())
}
