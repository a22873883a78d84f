//! What clients get when an upstream fails, and when the ingress tries again.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use meshlite_snapshot::{HostMatch, PathMatch, Resource, Route, RouteTimeouts};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    mesh::{Mesh, route},
    origin::{Answer, Client, Origin, full, get, request},
};

/// An address where nobody listens.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

#[tokio::test]
async fn no_route_is_404_and_does_not_echo_the_client() {
    let mut mesh = Mesh::start().await;
    let answer = get(mesh.http(), "h", "/%3Cscript%3E").await;
    assert_eq!(answer.status, 404);
    let origin = Origin::echo("web").await;
    mesh.put_service("web", &[origin.address]);
    let host = HostMatch::Exact("known".into());
    mesh.put_routes(host, &[(PathMatch::Prefix, "/", "web")]);
    mesh.apply().await;
    let answer = get(mesh.http(), "unknown", "/secret").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.body, "404 no route for this host and path\n");
    assert_eq!(answer.header("server"), "meshlite");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn no_endpoints_is_503() {
    let mut mesh = Mesh::start().await;
    mesh.serve(&[]).await;
    let answer = get(mesh.http(), "h", "/").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "503 the backend has no ready endpoints\n");
}

#[tokio::test]
async fn a_route_to_a_cluster_that_does_not_exist_is_503() {
    let mut mesh = Mesh::start().await;
    mesh.put_routes(HostMatch::Any, &[(PathMatch::Prefix, "/", "nowhere")]);
    let without = Route {
        backends: vec![],
        ..route(PathMatch::Prefix, "/", "nowhere")
    };
    mesh.put_table(HostMatch::Exact("none".into()), vec![without]);
    assert_eq!(mesh.apply().await, []);
    assert_eq!(get(mesh.http(), "h", "/").await.status, 503);
    assert_eq!(get(mesh.http(), "none", "/").await.status, 503);
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_502() {
    let mut mesh = Mesh::start().await;
    mesh.serve(&[closed_port().await]).await;
    let answer = get(mesh.http(), "h", "/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.body,
        "502 no endpoint of the backend accepts connections\n"
    );
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over_whatever_the_method() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("alive").await;
    mesh.serve(&[closed_port().await, closed_port().await, origin.address])
        .await;
    for method in ["GET", "POST", "DELETE", "GET", "POST", "PATCH"] {
        let mut client = Client::connect(mesh.http()).await;
        let mut request = request(method, "h", "/");
        *request.body_mut() = full("body");
        let answer = Answer::read(client.send(request).await.unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, "alive")
        );
        assert_eq!(answer.header("seen-body"), "4");
    }
}

#[tokio::test]
async fn an_endpoint_that_closes_before_it_answers_is_502() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let answer = get(mesh.http(), "h", "/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.body,
        "502 the endpoint closed the connection before it answered\n"
    );
    // It may have done the work: no second time.
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_502() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await);
    })
    .await;
    mesh.serve(&[origin.address]).await;
    assert_eq!(get(mesh.http(), "h", "/").await.status, 502);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_is_504() {
    let mut mesh = Mesh::start().await;
    let origin =
        Origin::raw(|mut stream| async move { while read_head(&mut stream).await {} }).await;
    mesh.put_service("web", &[origin.address]);
    let impatient = Route {
        timeouts: RouteTimeouts {
            response_ms: Some(50),
            ..RouteTimeouts::default()
        },
        ..route(PathMatch::Prefix, "/", "web")
    };
    mesh.put_table(HostMatch::Any, vec![impatient]);
    mesh.apply().await;
    let answer = get(mesh.http(), "h", "/").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.body, "504 the endpoint did not answer in time\n");
}

#[tokio::test]
async fn the_default_timeout_does_not_count_while_the_client_still_sends() {
    let mut mesh = Mesh::with(|config| config.response_timeout = Duration::from_millis(300)).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut stream = TcpStream::connect(mesh.http()).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let answer = super::origin::read_until(&mut stream, "web").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_response_that_falls_silent_is_cut_off_after_the_idle_timeout() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        stream.write_all(head).await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    mesh.put_service("web", &[origin.address]);
    let impatient = Route {
        timeouts: RouteTimeouts {
            idle_ms: Some(50),
            ..RouteTimeouts::default()
        },
        ..route(PathMatch::Prefix, "/", "web")
    };
    mesh.put_table(HostMatch::Any, vec![impatient]);
    mesh.apply().await;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = super::origin::exchange_bytes(mesh.http(), request, "").await;
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
}

/// Answers once on each connection, then closes it as soon as the next request has come, or before.
async fn closing_origin(reads_second: bool) -> Origin {
    Origin::raw(move |mut stream| async move {
        if read_head(&mut stream).await {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            if reads_second {
                read_head(&mut stream).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_get_is_replaced() {
    let mut mesh = Mesh::start().await;
    let origin = closing_origin(true).await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..10 {
        assert_eq!(client.get("h", "/").await.body, "ok");
    }
    assert_eq!(origin.connections(), 10);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_not_used_for_a_post() {
    let mut mesh = Mesh::start().await;
    let origin = closing_origin(false).await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..10 {
        let mut request = request("POST", "h", "/");
        *request.body_mut() = full("body");
        let answer = Answer::read(client.send(request).await.unwrap()).await;
        assert!(answer.status == 200 || answer.status == 502, "{answer:?}");
    }
}

#[tokio::test]
async fn a_post_that_may_have_been_processed_is_not_sent_again() {
    let mut mesh = Mesh::start().await;
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    let origin = Origin::raw(move |mut stream| {
        let posts = Arc::clone(&counted);
        async move {
            read_head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            if read_head(&mut stream).await {
                posts.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    assert_eq!(client.get("h", "/").await.body, "ok");
    let post = Answer::read(client.send(request("POST", "h", "/")).await.unwrap()).await;
    assert_eq!(post.status, 502);
    assert_eq!((posts.load(Ordering::SeqCst), origin.connections()), (1, 1));
}

#[tokio::test]
async fn a_response_cut_short_is_not_passed_off_as_whole() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        stream.write_all(head).await.unwrap();
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = super::origin::exchange_bytes(mesh.http(), request, "").await;
    assert!(answer.ends_with("4\r\nhalf\r\n"), "{answer}");
}

#[tokio::test]
async fn a_response_framed_twice_is_framed_once_and_its_connection_not_used_again() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        while read_head(&mut stream).await {
            let answer =
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n\
                2\r\nok\r\n0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    mesh.serve(&[origin.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..3 {
        let answer = client.get("h", "/").await;
        assert_eq!(
            (answer.body.as_str(), answer.header("content-length")),
            ("ok", "")
        );
    }
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn an_external_name_is_looked_up() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("outside").await;
    mesh.serve(&[]).await;
    let Resource::Cluster(cluster) =
        super::mesh::cluster("web", meshlite_snapshot::UpstreamProtocol::Http1)
    else {
        unreachable!()
    };
    let external = |name: &str| {
        Resource::Cluster(Arc::new(meshlite_snapshot::Cluster {
            external_name: Some(name.into()),
            port: Some(origin.address.port()),
            ..(*cluster).clone()
        }))
    };
    mesh.put("default/web/80", external("localhost"));
    mesh.apply().await;
    let answer = get(mesh.http(), "h", "/").await;
    assert_eq!(
        (answer.body.as_str(), answer.header("seen-host")),
        ("outside", "h")
    );
    mesh.put("default/web/80", external("does-not-exist.invalid"));
    mesh.apply().await;
    let answer = get(mesh.http(), "h", "/").await;
    assert_eq!(answer.body, "502 the backend's name cannot be resolved\n");
}
