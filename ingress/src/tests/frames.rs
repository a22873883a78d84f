//! HTTP/2 that is written frame by frame, by clients that mean harm: what they hold is taken back.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    mesh::{Mesh, eventually},
    origin::{Origin, get, read_until},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://h/` with all but the authority from the static table (RFC 7541 appendix A).
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 1, b'h'];
/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One frame as it was read.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// A connection whose frames are written here.
struct Client(TcpStream);

impl Client {
    /// One whose streams may be sent so many bytes at first.
    async fn connect(mesh: &Mesh, window: u32) -> Self {
        let mut client = Self(TcpStream::connect(mesh.http()).await.unwrap());
        client.0.write_all(PREFACE).await.unwrap();
        let mut settings = vec![0, 4];
        settings.extend(window.to_be_bytes());
        client.send(SETTINGS, 0, 0, &settings).await.unwrap();
        client
    }

    async fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await
    }

    async fn get(&mut self, stream: u32) {
        let flags = END_STREAM | END_HEADERS;
        self.send(HEADERS, flags, stream, &GET).await.unwrap();
    }

    /// Takes a little more of a stream.
    async fn make_room(&mut self, stream: u32) {
        for stream in [stream, 0] {
            let more = 1000_u32.to_be_bytes();
            self.send(WINDOW_UPDATE, 0, stream, &more).await.unwrap();
        }
    }

    /// The next frame; none at the end.
    async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            })
        };
        timeout(PATIENCE, reading).await.expect("a frame in time")
    }

    /// Reads until a frame of this kind for this stream.
    async fn until(&mut self, kind: u8, stream: u32) -> Frame {
        while let Some(frame) = self.next().await {
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
        }
        panic!("no frame {kind} for stream {stream}");
    }
}

/// Answers with more than any buffer holds, until nobody reads on.
async fn endless() -> Origin {
    Origin::raw(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await
}

#[tokio::test]
async fn a_head_that_goes_on_and_on_ends_its_connection() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(&mesh, 1 << 16).await;
    client.send(HEADERS, END_STREAM, 1, &GET).await.unwrap();
    // `x: yyy…` as a literal that is not remembered.
    let mut header = vec![0, 1, b'x', 100];
    header.extend([b'y'; 100]);
    let frame = header.repeat(100);
    let mut sent = 0;
    while client.send(CONTINUATION, 0, 1, &frame).await.is_ok() {
        sent += frame.len();
        assert!(sent < 64 << 20, "{sent} bytes of one head were taken");
    }
    assert_eq!(origin.requests(), 0);
    assert_eq!(get(mesh.http(), "h", "/").await.body, "web");
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_and_others_go_on() {
    let mut mesh = Mesh::with(|config| config.send_timeout = Duration::from_secs(2)).await;
    let origin = endless().await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(&mesh, 0).await;
    client.get(1).await;
    client.until(HEADERS, 1).await;
    client.get(3).await;
    client.until(HEADERS, 3).await;
    // Only the second one has room, as long as its client gives it some.
    let reset = async {
        loop {
            client.make_room(3).await;
            let frame = client.next().await.expect("the connection stays");
            assert!(frame.kind != DATA || frame.stream == 3, "{frame:?}");
            assert!(frame.kind != RST_STREAM || frame.stream == 1, "{frame:?}");
            if frame.kind == RST_STREAM {
                return;
            }
        }
    };
    timeout(PATIENCE, reset).await.expect("a reset");
    client.make_room(3).await;
    client.until(DATA, 3).await;
}

#[tokio::test]
async fn a_client_that_leaves_the_end_of_its_responses_loses_its_connection() {
    let mut mesh = Mesh::with(|config| {
        config.send_timeout = Duration::from_millis(300);
        config.header_timeout = Duration::from_millis(300);
    })
    .await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    // One byte of room, and the rest of the response is handed over to wait for more.
    let mut client = Client::connect(&mesh, 1).await;
    client.get(1).await;
    assert_eq!(client.until(HEADERS, 1).await.flags & END_STREAM, 0);
    assert_eq!(client.until(DATA, 1).await.flags & END_STREAM, 0);
    let connections = &mesh.parts.shared.metrics.connections;
    eventually("the end", async || match connections.get() {
        0 => Ok(()),
        other => Err(format!("{other} connections")),
    })
    .await;
}
