//! Copies for other clusters, and PROXY headers for endpoints.

use std::time::Duration;

use http::Response;
use meshlite_snapshot::{Filter, Name, ProxyProtocol, WeightedCluster};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{put_cluster, put_route};
use crate::tests::{
    mesh::{Mesh, eventually},
    origin::{Answer, Client, Origin, full, get, read_until, request},
};

async fn mirrored(mesh: &mut Mesh) {
    put_cluster(mesh, |_| {}).await;
    put_route(mesh, |route| {
        route.filters = vec![Filter::Mirror(WeightedCluster {
            cluster: Name::new("default/copy/80").unwrap(),
            weight: 1,
        })];
    })
    .await;
}

async fn post(client: &mut Client, body: Vec<u8>) -> Answer {
    let mut asked = request("POST", "h", "/x?y=1");
    asked
        .headers_mut()
        .insert("x-kind", "test".parse().unwrap());
    *asked.body_mut() = full(body);
    Answer::read(client.send(asked).await.unwrap()).await
}

#[tokio::test]
async fn a_copy_has_head_and_body_and_its_answer_goes_nowhere() {
    let mut mesh = Mesh::start().await;
    let (web, copy) = (Origin::echo("web").await, Origin::echo("copy").await);
    mesh.put_endpoints("web", &[web.address]);
    mesh.put_service("copy", &[copy.address]);
    mirrored(&mut mesh).await;
    let mut client = Client::connect(mesh.http()).await;
    for _ in 0..3 {
        let answer = post(&mut client, vec![b'x'; 100_000]).await;
        assert_eq!(
            (answer.body.as_str(), answer.header("seen-body")),
            ("web", "100000")
        );
    }
    assert_eq!(client.get("h", "/").await.body, "web");
    eventually("four copies", async || match copy.requests() {
        4 => Ok(()),
        other => Err(format!("{other} copies")),
    })
    .await;
    let posted = copy
        .all()
        .into_iter()
        .find(|seen| seen.method() == "POST")
        .unwrap();
    assert_eq!(posted.uri(), "/x?y=1");
    assert_eq!(posted.headers()["content-length"], "100000");
    assert_eq!(
        (&posted.headers()["host"], &posted.headers()["x-kind"]),
        (&"h".parse().unwrap(), &"test".parse().unwrap())
    );
}

#[tokio::test]
async fn a_copy_that_fails_or_hangs_or_is_too_long_harms_nobody() {
    let mut mesh = Mesh::start().await;
    let web = Origin::echo("web").await;
    let hanging = Origin::answering(async |_| {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Response::new(full("late"))
    })
    .await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    mesh.put_endpoints("web", &[web.address]);
    for endpoints in [vec![], vec![closed], vec![hanging.address]] {
        mesh.put_service("copy", &endpoints);
        mirrored(&mut mesh).await;
        let mut client = Client::connect(mesh.http()).await;
        assert_eq!(post(&mut client, b"short".to_vec()).await.body, "web");
        assert_eq!(
            post(&mut client, vec![b'x'; 3_000_000])
                .await
                .header("seen-body"),
            "3000000"
        );
        assert_eq!(client.get("h", "/").await.body, "web");
    }
}

#[tokio::test]
async fn endpoints_can_be_told_of_the_client_and_share_no_connection_then() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        let line = head.lines().next().unwrap_or_default();
        let length = line.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{line}");
        drop(stream.write_all(answer.as_bytes()).await);
        drop(read_until(&mut stream, "").await);
    })
    .await;
    mesh.put_endpoints("web", &[origin.address]);
    put_cluster(&mut mesh, |web| {
        web.send_proxy_protocol = Some(ProxyProtocol::V1);
    })
    .await;
    for connections in 1..4 {
        let line = get(mesh.http(), "h", "/").await.body;
        let port = mesh.http().port();
        assert!(
            line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
            "{line}"
        );
        assert!(line.ends_with(&format!(" {port}")), "{line}");
        assert_eq!(origin.connections(), connections);
    }
}
