//! Bodies of requests: streamed, framed anew, and whose fault it is when one breaks off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    http2,
    mesh::{Mesh, eventually},
    origin::{Answer, Origin, exchange_bytes, full, request},
};

const CHUNKED: &str = "HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
/// More than all buffers between a client and an endpoint hold.
const BUFFERS: usize = 32 << 20;

async fn echo_mesh() -> (Mesh, Origin) {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    (mesh, origin)
}

#[tokio::test]
async fn a_body_of_unknown_length_arrives_whatever_the_method() {
    let (mesh, _origin) = echo_mesh().await;
    for method in ["GET", "POST", "DELETE", "OPTIONS", "QUERY"] {
        let bytes = format!("{method} / {CHUNKED}4\r\nbody\r\n0\r\n\r\n");
        let answer = exchange_bytes(mesh.http(), bytes.as_bytes(), "web").await;
        assert!(answer.contains("seen-body: 4\r\n"), "{method}: {answer}");

        let stream = TcpStream::connect(mesh.http()).await.unwrap();
        let mut client = http2::connect(stream).await;
        let mut unknown = request(method, "h", "http://h/");
        let frame = futures_util::stream::iter([Ok(Frame::data("body".into()))]);
        *unknown.body_mut() = StreamBody::new(frame).boxed();
        let answer = Answer::read(client.send_request(unknown).await.unwrap()).await;
        assert_eq!(answer.header("seen-body"), "4", "{method} over HTTP/2");
    }
}

#[tokio::test]
async fn a_body_that_is_not_one_is_the_clients_fault() {
    let (mesh, _origin) = echo_mesh().await;
    for body in [
        "0_2e\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1\na\n0\n\n",
        "1\r\na\n0\r\n\r\n",
        "1;a\rb\r\na\r\n0\r\n\r\n",
        "1\r\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "1\r\na\r\n0\r\nno-colon\r\n\r\n",
    ] {
        for method in ["GET", "POST"] {
            let bytes = format!("{method} / {CHUNKED}{body}GET /smuggled HTTP/1.1\r\n\r\n");
            let answer = exchange_bytes(mesh.http(), bytes.as_bytes(), "").await;
            assert!(
                answer.starts_with("HTTP/1.1 400 "),
                "{method} {body:?}: {answer}"
            );
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{body:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_that_it_was_slow() {
    let mut mesh = Mesh::with(|config| config.response_timeout = Duration::from_millis(100)).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let bytes = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = exchange_bytes(mesh.http(), bytes, "").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

/// Writes until nobody takes more, and says how much that was.
async fn fill(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Ok(count) = timeout(Duration::from_millis(300), stream.write(bytes)).await {
        written += count.unwrap();
        assert!(written < BUFFERS, "somebody buffers the whole body");
    }
    written
}

#[tokio::test]
async fn an_upload_waits_for_an_endpoint_that_does_not_read() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert!(fill(&mut client, &[b'x'; 16_384]).await > 0);
}

#[tokio::test]
async fn a_download_waits_for_a_client_that_does_not_read_and_ends_with_it() {
    let mut mesh = Mesh::start().await;
    let written = Arc::new(AtomicUsize::new(0));
    let open = Arc::new(AtomicUsize::new(0));
    let (counted, opened) = (Arc::clone(&written), Arc::clone(&open));
    let origin = Origin::raw(move |mut stream| {
        let (written, open) = (Arc::clone(&counted), Arc::clone(&opened));
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while let Ok(count @ 1..) = stream.write(&[b'x'; 16_384]).await {
                written.fetch_add(count, Ordering::SeqCst);
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write_all(head).await.unwrap();
    client.read_u8().await.unwrap();
    let taken = eventually("an end to what is taken", async || {
        let before = written.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
        match written.load(Ordering::SeqCst) {
            after if after == before => Ok(after),
            after => Err(format!("{after} bytes and more")),
        }
    })
    .await;
    assert!(taken < BUFFERS, "somebody buffers the whole body: {taken}");
    drop(client);
    eventually("the endpoint's release", async || {
        match open.load(Ordering::SeqCst) {
            0 => Ok(()),
            open => Err(format!("{open} open")),
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_arrives_and_the_connection_lives() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(|request| async move {
        let mut body = request.into_body();
        tokio::spawn(async move { while body.frame().await.is_some() {} });
        http::Response::new(full("early"))
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nhalf";
    client.write_all(head).await.unwrap();
    let answer = super::origin::read_until(&mut client, "early").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let rest = b"restGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    client.write_all(rest).await.unwrap();
    let answer = super::origin::read_until(&mut client, "early").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_body_goes_on_after_an_early_answer_that_its_client_does_not_read_yet() {
    const SENT: usize = BUFFERS / 4;
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|stream| async move {
        let (mut from, mut to) = stream.into_split();
        // More than the client lets wait, said while the body is read.
        let says = tokio::spawn(async move {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            to.write_all(head).await.unwrap();
            let chunk = format!("{BUFFERS:x}\r\n{}\r\n", "y".repeat(BUFFERS));
            to.write_all(chunk.as_bytes()).await.unwrap();
            to
        });
        let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
        while read < SENT {
            read += from.read(&mut buffer).await.unwrap();
        }
        let mut to = says.await.unwrap();
        to.write_all(b"3\r\nall\r\n0\r\n\r\n").await.unwrap();
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {SENT}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let body = vec![b'x'; SENT];
    let sent = timeout(Duration::from_mins(1), client.write_all(&body)).await;
    sent.expect("the body is taken while its answer waits")
        .unwrap();
    let mut answer = vec![0; 1 << 20];
    let mut end = Vec::new();
    while !end.ends_with(b"3\r\nall\r\n0\r\n\r\n") {
        let read = timeout(Duration::from_mins(1), client.read(&mut answer)).await;
        let read = read.expect("the answer goes on").unwrap();
        assert!(read > 0, "the answer broke off");
        end.drain(..end.len().saturating_sub(64));
        end.extend_from_slice(&answer[..read]);
    }
}
