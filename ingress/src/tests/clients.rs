//! Clients of HTTP/1 as they come: hints before an answer, requests in a row, and who stops listening or speaking.

use std::time::Duration;

use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use super::{
    http2,
    mesh::{Mesh, eventually},
    origin::{Answer, Origin, exchange_bytes, full, get, read_until},
};

const PATIENCE: Duration = Duration::from_mins(1);
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

async fn echo_mesh() -> (Mesh, Origin) {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    (mesh, origin)
}

/// An endpoint that answers each request with these bytes.
async fn saying(bytes: &'static str) -> (Mesh, Origin) {
    let origin = Origin::raw(move |mut stream| async move {
        while read_until(&mut stream, "\r\n\r\n")
            .await
            .ends_with("\r\n\r\n")
        {
            stream.write_all(bytes.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut mesh = Mesh::start().await;
    mesh.serve(&[origin.address]).await;
    (mesh, origin)
}

const HINTED: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x-own\r\nX-Own: 1\r\n\r\n\
    HTTP/1.1 102 Processing\r\n\r\n\
    HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn hints_of_an_endpoint_reach_the_client_before_its_answer() {
    let (mesh, _origin) = saying(HINTED).await;
    let answer = exchange_bytes(mesh.http(), GET.as_bytes(), "\r\n\r\nok").await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let rest = answer
        .strip_prefix(hints)
        .unwrap_or_else(|| panic!("{answer}"));
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{rest}");
}

#[tokio::test]
async fn a_hint_reaches_the_client_while_the_answer_is_waited_for() {
    let (said, mut heard) = mpsc::channel::<TcpStream>(1);
    let origin = Origin::raw(move |mut stream| {
        let said = said.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
            stream.write_all(hint).await.unwrap();
            said.send(stream).await.unwrap();
        }
    })
    .await;
    let mut mesh = Mesh::start().await;
    mesh.serve(&[origin.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    let hint = read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(hint, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    let mut endpoint = heard.recv().await.unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    endpoint.write_all(answer).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn clients_that_do_not_take_hints_get_the_answer_alone() {
    let (mesh, _origin) = saying(HINTED).await;
    let old = b"GET / HTTP/1.0\r\nHost: h\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), old, "").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    let stream = TcpStream::connect(mesh.http()).await.unwrap();
    let mut client = http2::connect(stream).await;
    let request = Request::get("http://h/").body(full("")).unwrap();
    let answer = Answer::read(client.send_request(request).await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |request| {
        let path = request.uri().path().to_owned();
        // The first takes longest.
        let wait = u64::from(path == "/0") * 50;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Response::new(full(format!("<{path}>")))
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let all: Vec<_> = (0..50)
        .map(|at| {
            let body = "x".repeat(at);
            format!("POST /{at} HTTP/1.1\r\nHost: h\r\nContent-Length: {at}\r\n\r\n{body}\r\n")
        })
        .collect();
    let all = all.concat();
    let answers = exchange_bytes(mesh.http(), all.as_bytes(), "</49>").await;
    let order: Vec<_> = answers.split("</").skip(1).collect();
    assert_eq!(order.len(), 50, "{answers}");
    for (at, answer) in order.iter().enumerate() {
        assert!(answer.starts_with(&format!("{at}>")), "{answers}");
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_keeps_its_connection_only_where_it_says_so() {
    let (mesh, _origin) = echo_mesh().await;
    let once = b"GET / HTTP/1.0\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\nHost: h\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), once, "").await;
    assert_eq!(answer.matches("HTTP/1.0 200 OK").count(), 1, "{answer}");
    assert!(!answer.contains("connection:"), "{answer}");
    let twice = b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: h\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), twice, "").await;
    assert_eq!(answer.matches("HTTP/1.0 200 OK").count(), 2, "{answer}");
    assert_eq!(
        answer.matches("connection: keep-alive\r\n").count(),
        1,
        "{answer}"
    );
}

#[tokio::test]
async fn an_answer_says_its_date_once_and_keeps_that_of_its_endpoint() {
    let (mesh, _origin) = saying(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let answer = exchange_bytes(mesh.http(), GET.as_bytes(), "\r\n\r\nok").await;
    assert_eq!(answer.matches("date: ").count(), 1, "{answer}");
    assert!(
        answer.contains("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        "{answer}"
    );
    let none = Mesh::start().await;
    let answer = get(none.http(), "h", "/").await;
    assert!(answer.header("date").ends_with(" GMT"), "{answer:?}");
}

#[tokio::test]
async fn an_answer_to_head_says_the_length_and_has_no_body() {
    let mesh = Mesh::start().await;
    let both =
        b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answers = exchange_bytes(mesh.http(), both, "").await;
    let (head, get) = answers.split_once("\r\n\r\n").unwrap();
    let (get, body) = get.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}\r\n", body.len());
    assert!(head.contains(&length) && get.contains(&length), "{answers}");
}

#[tokio::test]
async fn a_client_that_stops_speaking_before_its_answer_has_gone() {
    let mut mesh = Mesh::start().await;
    let (ended, mut has_ended) = mpsc::channel(1);
    let origin = Origin::raw(move |mut stream| {
        let ended = ended.clone();
        async move {
            read_until(&mut stream, "never").await;
            ended.send(()).await.unwrap();
        }
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_until(&mut client, "").await, "");
    let ended = timeout(PATIENCE, has_ended.recv()).await;
    ended.expect("the upstream request ends").unwrap();
}

#[tokio::test]
async fn who_is_refused_while_it_sends_reads_the_answer() {
    let (mesh, _origin) = echo_mesh().await;
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(mesh.http()).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        let answer = read_until(&mut client, "").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_close_a_connection_that_is_over_loses_it() {
    let (mesh, _origin) = echo_mesh().await;
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    client.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let answer = read_until(&mut client, "").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    eventually("the end", async || {
        match mesh.parts.shared.metrics.connections.get() {
            0 => Ok(()),
            other => Err(format!("{other} connections")),
        }
    })
    .await;
    drop(client);
}

#[tokio::test]
async fn a_body_that_nobody_was_told_to_send_ends_the_connection() {
    let mesh = Mesh::start().await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), head, "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_wants_and_has_come_does_not_end_the_connection() {
    let mesh = Mesh::start().await;
    let both = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxxGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = exchange_bytes(mesh.http(), both, "").await;
    assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 2, "{answers}");
    let mut client = TcpStream::connect(mesh.http()).await.unwrap();
    let half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx";
    client.write_all(half).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, client.read_to_end(&mut answer)).await;
    read.expect("the end").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404 "));
}
