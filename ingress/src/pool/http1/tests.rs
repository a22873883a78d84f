//! A connection as a whole, over a pipe: what is written, what is read, and when it may be used again.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::timeout,
};

use super::*;

/// A connection, and the endpoint's side of it.
fn connect(capacity: usize) -> (Connection<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(capacity);
    (Connection::new(ours, Scratch::default()), theirs)
}

fn request(body: RequestBody) -> Request {
    let request = http::Request::post("/x").header("host", "h");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Request::new(&parts, None, body, &mut Vec::new())
}

fn known(text: &str) -> RequestBody {
    let chunks = text.as_bytes().chunks(1000);
    RequestBody::Known(chunks.map(Bytes::copy_from_slice).collect::<VecDeque<_>>())
}

async fn head(connection: &mut Connection<DuplexStream>) -> Result<Heard, Error> {
    let head = poll_fn(|cx| connection.poll_head(cx, drop));
    timeout(Duration::from_secs(30), head)
        .await
        .expect("an answer in time")
}

/// The body to its end.
async fn body(connection: &mut Connection<DuplexStream>) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    while let Some(frame) = poll_fn(|cx| connection.poll_frame(cx)).await {
        if let Ok(piece) = frame?.into_data() {
            data.extend_from_slice(&piece);
        }
    }
    Ok(data)
}

/// An answer to a request without a body, from an endpoint that says this and closes.
async fn answer(text: &str) -> Result<(u16, Vec<u8>, bool), Error> {
    let (mut connection, mut endpoint) = connect(1 << 20);
    connection.begin(&mut request(RequestBody::Empty));
    endpoint.write_all(text.as_bytes()).await.unwrap();
    endpoint.shutdown().await.unwrap();
    let response = head(&mut connection).await?;
    let data = body(&mut connection).await?;
    Ok((response.status.as_u16(), data, connection.may_reuse()))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn head_and_body_leave_in_one_write() {
    let (mut connection, mut endpoint) = connect(1 << 20);
    connection.begin(&mut request(known("body")));
    endpoint.write_all(OK.as_bytes()).await.unwrap();
    head(&mut connection).await.unwrap();
    let mut read = vec![0; 1000];
    let length = endpoint.read(&mut read).await.unwrap();
    let text = String::from_utf8_lossy(&read[..length]);
    assert!(
        text.starts_with("POST /x HTTP/1.1\r\nhost: h\r\n"),
        "{text}"
    );
    assert!(text.ends_with("content-length: 4\r\n\r\nbody"), "{text}");
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let (mut connection, mut endpoint) = connect(1 << 20);
    for _ in 0..3 {
        connection.begin(&mut request(RequestBody::Empty));
        endpoint.write_all(OK.as_bytes()).await.unwrap();
        assert_eq!(head(&mut connection).await.unwrap().status, 200);
        assert_eq!(body(&mut connection).await.unwrap(), b"ok");
        assert!(connection.may_reuse() && connection.is_silent());
    }
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_or_spoken_on_is_not_silent() {
    let (mut connection, mut endpoint) = connect(100);
    assert!(connection.is_silent());
    endpoint
        .write_all(b"HTTP/1.1 408 Too Late\r\n\r\n")
        .await
        .unwrap();
    assert!(!connection.is_silent());
    let (mut connection, endpoint) = connect(100);
    drop(endpoint);
    assert!(!connection.is_silent());
}

#[tokio::test]
async fn a_request_that_could_not_be_written_at_all_is_unsent() {
    let (mut connection, endpoint) = connect(100);
    drop(endpoint);
    let mut request = request(RequestBody::Empty);
    connection.begin(&mut request);
    let error = head(&mut connection).await.unwrap_err();
    assert!(matches!(error, Error::Unsent(_)), "{error}");
    // And then to another endpoint.
    let (mut connection, mut endpoint) = connect(1000);
    connection.begin(&mut request);
    endpoint.write_all(OK.as_bytes()).await.unwrap();
    assert_eq!(head(&mut connection).await.unwrap().status, 200);
    let mut read = vec![0; 1000];
    let length = endpoint.read(&mut read).await.unwrap();
    assert_eq!(&read[..length], b"POST /x HTTP/1.1\r\nhost: h\r\n\r\n");
}

#[tokio::test]
async fn an_answer_is_read_though_the_endpoint_takes_no_more_of_the_request() {
    let (ours, mut theirs) = duplex(1000);
    let mut connection = Connection::new(ours, Scratch::default());
    connection.begin(&mut request(known(&"x".repeat(100_000))));
    let refuse = async {
        let mut some = [0; 500];
        theirs.read_exact(&mut some).await.unwrap();
        theirs
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        drop(theirs);
    };
    let (response, ()) = tokio::join!(head(&mut connection), refuse);
    assert_eq!(response.unwrap().status, 413);
    assert!(!connection.may_reuse());
}

#[tokio::test]
async fn the_rest_of_a_request_is_sent_after_an_early_answer_has_begun() {
    let (mut connection, mut endpoint) = connect(1000);
    let long = "x".repeat(100_000);
    connection.begin(&mut request(known(&long)));
    endpoint.write_all(OK.as_bytes()).await.unwrap();
    head(&mut connection).await.unwrap();
    assert!(connection.goes_on_sending());
    let mut read = Vec::new();
    let rest = poll_fn(|cx| connection.poll_rest(cx));
    let all = async {
        while !read.ends_with(b"xxx") || read.len() < long.len() + 50 {
            endpoint.read_buf(&mut read).await.unwrap();
        }
    };
    timeout(Duration::from_secs(30), async { tokio::join!(rest, all) })
        .await
        .unwrap();
    assert!(read.ends_with(long.as_bytes()));
    assert_eq!(body(&mut connection).await.unwrap(), b"ok");
    assert!(connection.may_reuse());
}

#[tokio::test]
async fn a_truncated_body_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    ] {
        let error = answer(text).await.unwrap_err();
        assert!(matches!(error, Error::Closed), "{text:?}: {error}");
    }
    let whole = answer("HTTP/1.0 200 OK\r\n\r\nwhole").await.unwrap();
    assert_eq!(whole, (200, b"whole".to_vec(), false));
}

#[tokio::test]
async fn a_connection_with_bytes_after_an_answer_is_not_used_again() {
    assert!(!answer(&format!("{OK}HTTP/1.1 200 OK\r\n")).await.unwrap().2);
}

#[tokio::test]
async fn large_bodies_arrive_whole_whatever_their_framing() {
    let large = "0123456789abcdef".repeat(20_000);
    for text in [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}",
            large.len()
        ),
        format!("HTTP/1.1 200 OK\r\n\r\n{large}"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
            large.len()
        ),
    ] {
        let (_, data, _) = answer(&text).await.unwrap();
        assert!(data == large.as_bytes());
    }
}

#[tokio::test]
async fn what_follows_a_switch_of_protocols_belongs_to_the_new_one() {
    let (mut connection, mut endpoint) = connect(1000);
    connection.begin(&mut request(RequestBody::Empty));
    let text = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello";
    endpoint.write_all(text).await.unwrap();
    assert_eq!(head(&mut connection).await.unwrap().status, 101);
    assert!(!connection.may_reuse());
    let mut read = [0; 5];
    connection.into_inner().read_exact(&mut read).await.unwrap();
    assert_eq!(&read[..], b"hello");
}
