//! What is sent again, what is not, and what takes too long.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use meshlite_snapshot::{LoadBalancing, Retry, RetryOn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

use super::{put_cluster, put_route, retrying};
use crate::tests::{
    mesh::Mesh,
    origin::{Answer, Client, Origin, exchange_bytes, full, get, read_until, request},
};

/// How long a connection may take here.
const SOON: Duration = Duration::from_millis(300);

/// Reads a request and closes the connection, which is a reset or an end before the answer.
async fn closing() -> (Origin, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let origin = Origin::raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (origin, seen)
}

/// Never answers.
async fn silent() -> Origin {
    Origin::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    })
    .await
}

/// A socket that takes no connection, as nobody accepts those that it has; with them.
async fn full_queue() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(SOON, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "a queue without an end");
    }
    (listener, waiting)
}

async fn in_turn(mesh: &mut Mesh, endpoints: &[SocketAddr]) {
    mesh.put_endpoints("web", endpoints);
    put_cluster(mesh, |web| web.load_balancing = LoadBalancing::RoundRobin).await;
}

async fn send(mesh: &Mesh, method: &str) -> Answer {
    let mut client = Client::connect(mesh.http()).await;
    Answer::read(client.send(request(method, "h", "/")).await.unwrap()).await
}

#[tokio::test]
async fn a_get_that_was_reset_goes_to_another_endpoint() {
    let mut mesh = Mesh::start().await;
    let ((bad, seen), good) = (closing().await, Origin::echo("good").await);
    in_turn(&mut mesh, &[bad.address, good.address]).await;
    for _ in 0..8 {
        assert_eq!(get(mesh.http(), "h", "/").await.body, "good");
    }
    assert!(seen.load(Ordering::SeqCst) >= 4);
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let mut mesh = Mesh::start().await;
    let ((bad, seen), good) = (closing().await, Origin::echo("good").await);
    in_turn(&mut mesh, &[bad.address, good.address]).await;
    let mut refused = 0;
    for _ in 0..8 {
        refused += usize::from(send(&mesh, "POST").await.status == 502);
    }
    assert_eq!((refused, good.requests()), (4, 4));
    assert_eq!(seen.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_route_can_allow_a_post_to_be_sent_again() {
    let mut mesh = Mesh::start().await;
    let ((bad, _seen), good) = (closing().await, Origin::echo("good").await);
    in_turn(&mut mesh, &[bad.address, good.address]).await;
    put_route(&mut mesh, |route| {
        route.policy = Some(retrying(Retry {
            attempts: 3,
            on: vec![RetryOn::Reset],
            timeout_ms: None,
            non_idempotent: true,
        }));
    })
    .await;
    for _ in 0..4 {
        assert_eq!(send(&mesh, "POST").await.body, "good");
    }
}

#[tokio::test]
async fn a_route_can_forbid_every_retry() {
    let mut mesh = Mesh::start().await;
    let ((bad, _seen), good) = (closing().await, Origin::echo("good").await);
    in_turn(&mut mesh, &[bad.address, good.address]).await;
    put_route(&mut mesh, |route| {
        route.policy = Some(retrying(Retry {
            attempts: 1,
            on: vec![RetryOn::Reset],
            timeout_ms: None,
            non_idempotent: false,
        }));
    })
    .await;
    let mut refused = 0;
    for _ in 0..4 {
        refused += usize::from(send(&mesh, "GET").await.status == 502);
    }
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_status_that_a_route_names_is_tried_elsewhere_and_passed_on_where_nobody_is_left() {
    let mut mesh = Mesh::start().await;
    let bad = Origin::answering(async |_| {
        let mut response = Response::new(full("bad"));
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        response
    })
    .await;
    let good = Origin::echo("good").await;
    let wanted = |route: &mut meshlite_snapshot::Route| {
        route.policy = Some(retrying(Retry {
            attempts: 3,
            on: vec![RetryOn::Status(404)],
            timeout_ms: None,
            non_idempotent: false,
        }));
    };
    in_turn(&mut mesh, &[bad.address, good.address]).await;
    put_route(&mut mesh, wanted).await;
    for _ in 0..4 {
        assert_eq!(send(&mesh, "GET").await.body, "good");
    }
    in_turn(&mut mesh, &[bad.address]).await;
    put_route(&mut mesh, wanted).await;
    let answer = send(&mesh, "GET").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (404, "bad"));
}

#[tokio::test]
async fn a_timeout_is_tried_elsewhere_only_where_the_route_says_so() {
    let mut mesh = Mesh::start().await;
    let (bad, good) = (silent().await, Origin::echo("good").await);
    in_turn(&mut mesh, &[bad.address, good.address]).await;
    put_route(&mut mesh, |route| route.timeouts.response_ms = Some(200)).await;
    let statuses = [
        send(&mesh, "GET").await.status,
        send(&mesh, "GET").await.status,
    ];
    assert!(
        statuses.contains(&http::StatusCode::GATEWAY_TIMEOUT),
        "{statuses:?}"
    );
    put_route(&mut mesh, |route| {
        route.timeouts.response_ms = Some(200);
        route.policy = Some(retrying(Retry {
            attempts: 2,
            on: vec![RetryOn::Timeout],
            timeout_ms: None,
            non_idempotent: false,
        }));
    })
    .await;
    for _ in 0..2 {
        assert_eq!(send(&mesh, "GET").await.body, "good");
    }
}

#[tokio::test]
async fn a_budget_ends_the_retries_of_a_cluster_that_is_in_trouble() {
    let mut mesh = Mesh::start().await;
    let (first, second) = (closing().await, closing().await);
    in_turn(&mut mesh, &[first.0.address, second.0.address]).await;
    for _ in 0..60 {
        assert_eq!(get(mesh.http(), "h", "/").await.status, 502);
    }
    let sent = first.1.load(Ordering::SeqCst) + second.1.load(Ordering::SeqCst);
    // Each once; a fifth again, and ten for each second that it took.
    assert!(
        (60..120).contains(&sent),
        "{sent} requests were sent for 60"
    );
}

#[tokio::test]
async fn the_whole_exchange_can_be_limited() {
    let mut mesh = Mesh::start().await;
    let drip = Origin::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        drop(stream.read(&mut buffer).await);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        drop(stream.write_all(head).await);
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    in_turn(&mut mesh, &[drip.address]).await;
    put_route(&mut mesh, |route| route.timeouts.request_ms = Some(300)).await;
    let answer = exchange_bytes(mesh.http(), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    assert!(body.starts_with('x') && body.len() < 1000, "{answer}");
    let quiet = silent().await;
    in_turn(&mut mesh, &[quiet.address]).await;
    put_route(&mut mesh, |route| route.timeouts.request_ms = Some(300)).await;
    assert_eq!(get(mesh.http(), "h", "/").await.status, 504);
}

#[tokio::test]
async fn an_upload_that_moves_keeps_a_silent_response_alive() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        let mut read = Vec::new();
        while !read.ends_with(b"0\r\n\r\n") {
            let Ok(count @ 1..) = stream.read(&mut buffer).await else {
                return;
            };
            if read.is_empty() {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
                drop(stream.write_all(head).await);
            }
            read.extend_from_slice(&buffer[..count]);
        }
        drop(stream.write_all(b"done").await);
    })
    .await;
    in_turn(&mut mesh, &[origin.address]).await;
    put_route(&mut mesh, |route| route.timeouts.idle_ms = Some(1000)).await;
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).await.unwrap();
    for _ in 0..12 {
        stream.write_all(b"1\r\nx\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "done").await;
    assert!(answer.ends_with("done"), "{answer}");
}

#[tokio::test]
async fn a_client_sends_its_body_when_the_endpoint_wants_it() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("expect: 100-continue"), "{head}");
        drop(
            stream
                .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
                .await,
        );
        drop(read_until(&mut stream, "").await);
    })
    .await;
    in_turn(&mut mesh, &[origin.address]).await;
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), head, "no").await;
    assert!(
        answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_endpoint_that_does_not_know_the_expectation_gets_the_body_all_the_same() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        let read = read_until(&mut stream, "\r\n\r\nbody").await;
        assert!(read.ends_with("body"), "{read}");
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await,
        );
    })
    .await;
    in_turn(&mut mesh, &[origin.address]).await;
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let go_on = read_until(&mut stream, "\r\n\r\n").await;
    assert!(go_on.starts_with("HTTP/1.1 100 Continue\r\n"), "{go_on}");
    stream.write_all(b"body").await.unwrap();
    let answer = read_until(&mut stream, "ok").await;
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn an_endpoint_that_takes_no_connection_is_given_up_in_time_whatever_the_method() {
    let mut mesh = Mesh::with(|config| config.connect_timeout = SOON).await;
    let (deaf, _waiting) = full_queue().await;
    let deaf = deaf.local_addr().unwrap();
    mesh.serve(&[deaf]).await;
    for method in ["GET", "POST"] {
        assert_eq!(send(&mesh, method).await.status, 504, "{method}");
    }
    // The next one gets it: nothing was sent to the first.
    let web = Origin::echo("web").await;
    in_turn(&mut mesh, &[deaf, web.address]).await;
    for _ in 0..2 {
        assert_eq!(send(&mesh, "POST").await.body, "web");
    }
    // What the cluster says is stronger.
    in_turn(&mut mesh, &[deaf]).await;
    put_cluster(&mut mesh, |web| web.connect_timeout_ms = Some(60_000)).await;
    assert!(timeout(2 * SOON, send(&mesh, "GET")).await.is_err());
}
