//! How many requests a client may make, and how large.

use std::net::SocketAddr;

use meshlite_snapshot::{Limits, Policy, RateLimit};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    super::{
        mesh::{Mesh, eventually},
        origin::{Client, Origin, exchange_bytes, read_until, request},
        upgrade,
    },
    get, put, under,
};

fn mk_policy(limits: Limits) -> Policy {
    Policy {
        limits,
        ..Policy::default()
    }
}

/// A place among the requests of this client has become free.
async fn is_free(http: SocketAddr) {
    eventually("a free place", async || {
        match get(http, &[]).await.status.as_u16() {
            200 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_refused_and_others_are_not() {
    let limits = Limits {
        rates: vec![RateLimit {
            requests: 1,
            per_seconds: 3600,
            burst: 3,
        }],
        exempt: vec!["192.0.2.9/32".parse().unwrap()],
        ..Limits::default()
    };
    let (mut mesh, origin) = under(mk_policy(limits.clone())).await;
    let from = |way: &'static str| [("x-forwarded-for", way)];
    for _ in 0..3 {
        assert_eq!(get(mesh.http(), &from("192.0.2.1")).await.status, 200);
    }
    let refused = get(mesh.http(), &from("192.0.2.1")).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3000..=3601).contains(&wait), "{wait}");
    assert_eq!(get(mesh.http(), &from("192.0.2.2")).await.status, 200);
    for _ in 0..5 {
        assert_eq!(get(mesh.http(), &from("192.0.2.9")).await.status, 200);
    }
    assert_eq!(origin.requests(), 9);
    // A table that says the same of the limit does not fill the bucket.
    let other_status = Limits {
        status: Some(503),
        ..limits
    };
    put(&mut mesh, mk_policy(other_status)).await;
    assert_eq!(get(mesh.http(), &from("192.0.2.1")).await.status, 503);
}

#[tokio::test]
async fn a_client_has_only_so_many_requests_at_once_until_their_responses_end() {
    let limits = Limits {
        concurrent_requests: Some(1),
        ..Limits::default()
    };
    let (mut mesh, _origin) = under(mk_policy(limits)).await;
    let half = Origin::raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        let long = head.starts_with("GET /long ");
        let answer = if long {
            "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"
        } else {
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        };
        drop(stream.write_all(answer.as_bytes()).await);
        read_until(&mut stream, "never").await;
    })
    .await;
    mesh.put_endpoints("web", &[half.address]);
    mesh.apply().await;
    let mut first = Client::connect(mesh.http()).await;
    let long = first.send(request("GET", "h", "/long")).await.unwrap();
    assert_eq!(long.status(), 200);
    assert_eq!(get(mesh.http(), &[]).await.status, 429);
    let other = get(mesh.http(), &[("x-forwarded-for", "192.0.2.2")]).await;
    assert_eq!(other.status, 200);
    drop((long, first));
    is_free(mesh.http()).await;
}

#[tokio::test]
async fn a_body_that_says_that_it_is_too_large_is_refused_at_once() {
    let limits = Limits {
        body_bytes: Some(10),
        ..Limits::default()
    };
    let (mesh, origin) = under(mk_policy(limits)).await;
    let large = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), large, "").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(origin.requests(), 0);
    let fits = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
    let answer = exchange_bytes(mesh.http(), fits, "web").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Where it does not say, it is counted as it comes.
    let chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n";
    let answer = exchange_bytes(mesh.http(), chunked, "too large").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_client_has_only_so_many_connections() {
    let mut mesh = Mesh::with(|config| config.max_client_connections = 2).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut first = Client::connect(mesh.http()).await;
    assert_eq!(first.get("h", "/").await.status, 200);
    let mut second = Client::connect(mesh.http()).await;
    assert_eq!(second.get("h", "/").await.status, 200);
    let mut third = TcpStream::connect(mesh.http()).await.unwrap();
    assert_eq!(read_until(&mut third, "").await, "");
    drop(second);
    eventually("a free place", async || {
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let answer = exchange_bytes(mesh.http(), request, "").await;
        if answer.ends_with("web") {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_is_one_of_its_clients_requests_until_it_ends() {
    let limits = Limits {
        concurrent_requests: Some(1),
        ..Limits::default()
    };
    let (mut mesh, _origin) = under(mk_policy(limits)).await;
    let origin = upgrade::websocket_origin().await;
    mesh.put_endpoints("web", &[origin.address]);
    mesh.apply().await;
    let mut socket = upgrade::open(&mesh).await;
    upgrade::echo(&mut socket, "one").await;
    assert_eq!(get(mesh.http(), &[]).await.status, 429);
    upgrade::echo(&mut socket, "two").await;
    drop(socket);
    let free = Origin::echo("web").await;
    mesh.put_endpoints("web", &[free.address]);
    mesh.apply().await;
    is_free(mesh.http()).await;
}

#[tokio::test]
async fn a_tunnel_is_one_of_its_clients_connections_until_it_ends() {
    let mut mesh = Mesh::with(|config| config.max_client_connections = 1).await;
    let origin = upgrade::websocket_origin().await;
    mesh.serve(&[origin.address]).await;
    let mut socket = upgrade::open(&mesh).await;
    upgrade::echo(&mut socket, "one").await;
    let mut second = TcpStream::connect(mesh.http()).await.unwrap();
    assert_eq!(read_until(&mut second, "").await, "");
    upgrade::echo(&mut socket, "two").await;
    let connections = &mesh.parts.shared.metrics.connections;
    assert_eq!(connections.get(), 1);
    drop(socket);
    eventually("no connection", async || match connections.get() {
        0 => Ok(()),
        other => Err(format!("{other} connections")),
    })
    .await;
}
