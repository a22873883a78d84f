//! Configuration changes and shutdown concern only what they are about.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use meshlite_proto::subscribe::RejectReason;
use meshlite_snapshot::{HostMatch, ListenerProtocol, PathMatch, ResourceType};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    http2,
    mesh::{HTTP, Mesh, eventually, listener},
    origin::{Answer, Client, Origin, exchange_bytes, full, get, read_until, request},
    upgrade,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_everything_changes() {
    let mut mesh = Mesh::start().await;
    let origins = [
        Origin::echo("a").await,
        Origin::echo("b").await,
        Origin::echo("c").await,
    ];
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    mesh.serve(&addresses).await;
    let stop = CancellationToken::new();
    let served: Arc<[AtomicUsize; 3]> = Arc::default();
    let mut clients = tokio::task::JoinSet::new();
    for (number, kept) in [true, true, false].into_iter().enumerate() {
        let (address, stop, served) = (mesh.http(), stop.clone(), Arc::clone(&served));
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            while !stop.is_cancelled() {
                if !kept {
                    client = Client::connect(address).await;
                }
                let answer = client.get("h", "/some/path").await;
                assert_eq!(answer.status, 200, "after {served:?}: {answer:?}");
                served[number].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let websockets = upgrade::websocket_origin().await;
    mesh.put_service("chat", &[websockets.address]);
    let chat = HostMatch::Exact("chat".into());
    let everything = [
        (PathMatch::Prefix, "/chat", "chat"),
        (PathMatch::Prefix, "/", "web"),
    ];
    mesh.put_routes(HostMatch::Any, &everything);
    mesh.apply().await;
    let mut socket = upgrade::open(&mesh).await;
    // However slow the machine, every client has requests under way while things change.
    let busy = || {
        served
            .iter()
            .all(|count| count.load(Ordering::Relaxed) > 20)
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    for round in 0.. {
        if round >= 60 && busy() {
            break;
        }
        assert!(Instant::now() < deadline, "{round} rounds: {served:?}");
        let service = if round % 2 == 0 { "web" } else { "chat" };
        mesh.put_routes(chat.clone(), &[(PathMatch::Prefix, "/", service)]);
        mesh.put_routes(HostMatch::Any, &everything);
        mesh.put_endpoints("web", &addresses[round % 3..]);
        mesh.put("meshlite/extra", listener(0, ListenerProtocol::Http));
        if round % 5 == 0 {
            mesh.remove(ResourceType::Listener, "meshlite/extra");
        }
        assert_eq!(mesh.apply().await, []);
        upgrade::echo(&mut socket, "still here").await;
    }
    stop.cancel();
    clients.join_all().await;
}

#[tokio::test]
async fn endpoints_that_go_away_get_no_more_requests() {
    let mut mesh = Mesh::start().await;
    let (old, new) = (Origin::echo("old").await, Origin::echo("new").await);
    mesh.serve(&[old.address]).await;
    let mut client = Client::connect(mesh.http()).await;
    assert_eq!(client.get("h", "/").await.body, "old");
    mesh.put_endpoints("web", &[new.address]);
    mesh.apply().await;
    assert_eq!(client.get("h", "/").await.body, "new");
}

#[tokio::test]
async fn a_listener_that_comes_is_served_and_one_that_goes_is_closed() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let gone = mesh.http();
    let mut kept = Client::connect(gone).await;
    assert_eq!(kept.get("h", "/").await.status, 200);
    mesh.remove(ResourceType::Listener, HTTP);
    assert_eq!(mesh.apply().await, []);
    port_closes(gone).await;
    mesh.put(HTTP, listener(0, ListenerProtocol::Http));
    assert_eq!(mesh.apply().await, []);
    assert_eq!(get(mesh.http(), "h", "/").await.body, "web");
}

#[tokio::test]
async fn a_listener_can_be_renamed_without_losing_its_port() {
    let mut mesh = Mesh::start().await;
    let port = StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    mesh.put("meshlite/old", listener(port, ListenerProtocol::Http));
    assert_eq!(mesh.apply().await, []);
    let mut kept = Client::connect(mesh.address("meshlite/old")).await;
    for (old, new) in [("old", "new"), ("new", "newer"), ("newer", "old")] {
        assert_eq!(kept.get("h", "/").await.status, 404);
        mesh.remove(ResourceType::Listener, &format!("meshlite/{old}"));
        let new = format!("meshlite/{new}");
        mesh.put(&new, listener(port, ListenerProtocol::Http));
        assert_eq!(mesh.apply().await, []);
        assert_eq!(mesh.address(&new).port(), port);
        for _ in 0..20 {
            assert_eq!(get(mesh.address(&new), "h", "/").await.status, 404);
        }
    }
    assert_eq!(kept.get("h", "/").await.status, 404);
}

#[tokio::test]
async fn a_port_in_use_rejects_its_listener_until_it_is_free() {
    let mut mesh = Mesh::start().await;
    let holder = StdListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    mesh.put(
        "meshlite/taken",
        listener(address.port(), ListenerProtocol::Http),
    );
    let rejections = mesh.apply().await;
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert_eq!(rejections[0].reason, RejectReason::NotProgrammed);
    let message = &rejections[0].message;
    assert!(
        message.contains(&address.to_string()) && message.contains("in use"),
        "{message}"
    );
    assert!(mesh.parts.installer.is_waiting());
    assert!(!mesh.parts.installer.can_bind());
    drop(holder);
    assert!(mesh.parts.installer.can_bind());
    // Which has it offered again.
    mesh.put(
        "meshlite/taken",
        listener(address.port(), ListenerProtocol::Http),
    );
    assert_eq!(mesh.apply().await, []);
    assert!(!mesh.parts.installer.is_waiting());
    assert_eq!(get(address, "h", "/").await.status, 404);
}

#[tokio::test]
async fn two_listeners_cannot_have_one_port() {
    let mut mesh = Mesh::start().await;
    let port = StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    mesh.put("meshlite/one", listener(port, ListenerProtocol::Http));
    mesh.put("meshlite/two", listener(port, ListenerProtocol::Http));
    let rejections = mesh.apply().await;
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert_eq!(rejections[0].name.as_str(), "meshlite/two");
    assert_eq!(rejections[0].reason, RejectReason::Invalid);
    assert_eq!(mesh.address("meshlite/one").port(), port);
    // Not even one whose name comes first.
    mesh.put("meshlite/a", listener(port, ListenerProtocol::Http));
    let rejections = mesh.apply().await;
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert_eq!(rejections[0].name.as_str(), "meshlite/a");
    assert_eq!(mesh.address("meshlite/one").port(), port);
}

/// Waits until no worker listens any more. A refused connection would only say that one of them does not.
async fn port_closes(address: SocketAddr) {
    eventually("the port closes", async || {
        match StdListener::bind(address) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

/// Answers when it is told to.
async fn held_origin() -> (Origin, Arc<Notify>) {
    let release = Arc::new(Notify::new());
    let wait = Arc::clone(&release);
    let origin = Origin::answering(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Response::new(full("finished"))
        }
    })
    .await;
    (origin, release)
}

#[tokio::test]
async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
    let mut mesh = Mesh::start().await;
    let (origin, release) = held_origin().await;
    mesh.put_service("web", &[origin.address]);
    mesh.put_routes(HostMatch::Any, &[(PathMatch::Exact, "/held", "web")]);
    mesh.apply().await;
    let mut idle = Client::connect(mesh.http()).await;
    assert_eq!(idle.get("h", "/").await.status, 404);
    let address = mesh.http();
    let asked = tokio::spawn(async move {
        let mut client = Client::connect(address).await;
        Answer::read(client.send(request("GET", "h", "/held")).await.unwrap()).await
    });
    eventually("the request arrives", async || match origin.requests() {
        1 => Ok(()),
        other => Err(format!("{other} requests")),
    })
    .await;
    mesh.stop();
    port_closes(address).await;
    assert!(!asked.is_finished());
    release.notify_one();
    let answer = asked.await.unwrap();
    assert_eq!(answer.body, "finished");
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(mesh.drained().await, 0);
    assert!(idle.send(request("GET", "h", "/")).await.is_err());
}

#[tokio::test]
async fn a_request_on_its_way_when_draining_begins_is_the_last_of_its_connection() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut busy = Client::connect(mesh.http()).await;
    let mut silent = TcpStream::connect(mesh.http()).await.unwrap();
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    silent.write_all(head).await.unwrap();
    read_until(&mut silent, "web").await;
    assert_eq!(busy.get("h", "/").await.header("connection"), "");
    mesh.stop();
    port_closes(mesh.http()).await;
    let answer = busy.get("h", "/").await;
    assert_eq!(
        (answer.body.as_str(), answer.header("connection")),
        ("web", "close")
    );
    assert!(busy.send(request("GET", "h", "/")).await.is_err());
    // What sends nothing is closed long before the drain timeout.
    assert_eq!(read_until(&mut silent, "").await, "");
    assert_eq!(mesh.drained().await, 0);
}

#[tokio::test]
async fn draining_ends_at_its_timeout() {
    let limit = Duration::from_millis(200);
    let mut mesh = Mesh::with(|config| config.drain_timeout = limit).await;
    let (origin, _release) = held_origin().await;
    mesh.serve(&[origin.address]).await;
    let address = mesh.http();
    let asked = tokio::spawn(async move {
        exchange_bytes(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "").await
    });
    eventually("the request arrives", async || match origin.requests() {
        1 => Ok(()),
        other => Err(format!("{other} requests")),
    })
    .await;
    mesh.stop();
    assert!(mesh.drained().await >= 1);
    assert_eq!(asked.await.unwrap(), "");
}

#[tokio::test]
async fn a_websocket_lives_on_while_draining_until_it_is_closed() {
    let mut mesh = Mesh::start().await;
    let origin = upgrade::websocket_origin().await;
    mesh.serve(&[origin.address]).await;
    let address = mesh.http();
    let mut socket = upgrade::open(&mesh).await;
    upgrade::echo(&mut socket, "before").await;
    mesh.stop();
    port_closes(address).await;
    upgrade::echo(&mut socket, "during").await;
    socket.close(None).await.unwrap();
    drop(socket);
    assert_eq!(mesh.drained().await, 0);
}

#[tokio::test]
async fn draining_finishes_the_streams_of_http_2_and_opens_no_more() {
    let mut mesh = Mesh::start().await;
    let (origin, release) = held_origin().await;
    mesh.serve(&[origin.address]).await;
    let stream = TcpStream::connect(mesh.http()).await.unwrap();
    let mut client = http2::connect(stream).await;
    let ask = || Request::get("http://h/").body(full("")).unwrap();
    let asked = tokio::spawn(client.send_request(ask()));
    eventually("the request arrives", async || match origin.requests() {
        1 => Ok(()),
        other => Err(format!("{other} requests")),
    })
    .await;
    mesh.stop();
    eventually("new streams are refused", || {
        let (mut client, request) = (client.clone(), ask());
        async move {
            let asked = client.send_request(request);
            match tokio::time::timeout(Duration::from_millis(50), asked).await {
                Ok(Err(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        }
    })
    .await;
    release.notify_waiters();
    let answer = Answer::read(asked.await.unwrap().unwrap()).await;
    assert_eq!(answer.body, "finished");
    assert_eq!(mesh.drained().await, 0);
}
