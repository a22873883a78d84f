//! Two hundred clients that do not do what they should, and one that does.

use std::{any::Any, fmt::Write as _, fs, time::Duration};

use meshlite_proto::{
    encode,
    v1::{self, discovery_request, snapshot_discovery_client::SnapshotDiscoveryClient},
};
use meshlite_snapshot::Topic;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{
    PROCESS,
    manifests::Manifests,
    world::{World, fetch},
};

const EACH: usize = 40;
const CHANGES: u16 = 4;
/// Growth that is noise: the allocator keeps what each thread once had.
const FLAT_KIB: u64 = 64 * 1024;

/// An open stream: what is sent on it, and what comes.
type Opened = (
    mpsc::Sender<v1::DiscoveryRequest>,
    Streaming<v1::DiscoveryResponse>,
);

fn hello(id: &str) -> v1::Hello {
    let subscription = |topic: Topic| v1::Subscription {
        topic: Some(encode::topic(topic)),
        ..v1::Subscription::default()
    };
    v1::Hello {
        client: Some(v1::ClientIdentity {
            id: id.to_owned(),
            ..v1::ClientIdentity::default()
        }),
        role: v1::Role::L4Node.into(),
        subscriptions: Topic::NODE.into_iter().map(subscription).collect(),
        ..v1::Hello::default()
    }
}

async fn open(world: &World, hello: Option<v1::Hello>) -> Opened {
    let client = SnapshotDiscoveryClient::connect(format!("http://{}", world.address)).await;
    let mut client = client.expect("the server accepts connections");
    let (requests, outgoing) = mpsc::channel(4);
    if let Some(hello) = hello {
        let kind = Some(discovery_request::Kind::Hello(hello));
        let request = v1::DiscoveryRequest { kind };
        requests.send(request).await.expect("there is room");
    }
    let opened = client.stream_snapshots(ReceiverStream::new(outgoing)).await;
    let responses = opened.expect("the stream is opened").into_inner();
    (requests, responses)
}

/// What the server refuses this Hello with.
async fn refused(world: &World, hello: v1::Hello) -> Status {
    let (_requests, mut responses) = open(world, Some(hello)).await;
    responses.message().await.expect_err("it is refused")
}

/// Clients of every bad kind. They stay while the result is held.
async fn bad_clients(world: &World) -> Vec<Box<dyn Any>> {
    let mut held: Vec<Box<dyn Any>> = Vec::new();
    for number in 0..EACH {
        let says_nothing = TcpStream::connect(world.address).await.expect("it accepts");
        held.push(Box::new(says_nothing));

        let mut says_garbage = TcpStream::connect(world.address).await.expect("it accepts");
        let garbage = [u8::try_from(number).expect("it is small"); 4096];
        // It may have hung up already.
        says_garbage.write_all(&garbage).await.ok();
        held.push(Box::new(says_garbage));

        held.push(Box::new(open(world, None).await));
        held.push(Box::new(open(world, Some(hello("reads nothing"))).await));

        let (requests, mut responses) = open(world, Some(hello("never acknowledges"))).await;
        tokio::spawn(async move { while let Ok(Some(_)) = responses.message().await {} });
        held.push(Box::new(requests));
    }
    held
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("VmRSS is a number")
}

/// More than what fits into the buffers of a connection, all of it changing.
fn write_much(manifests: &Manifests, port: u16) {
    let mut text = String::new();
    for service in 0..1000 {
        let service = write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: much-{service}}}\nspec:\n  ports: [{{port: {port}}}]\n"
        );
        service.expect("a string grows");
    }
    fs::write(manifests.path().join("much.yaml"), text).expect("the manifest can be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_misbehave_cost_little_and_hold_up_nobody() {
    let _alone = PROCESS.write().await;
    let mut manifests = Manifests::new(2);
    write_much(&manifests, 1);
    let mut world = World::new(&manifests).await;
    world.converged(&manifests).await;
    let bad = Box::pin(bad_clients(&world)).await;
    let before = resident_kib();
    for change in 0..CHANGES {
        write_much(&manifests, 2 + change);
        manifests.put(change % 2);
        world.converged(&manifests).await;
    }
    let after = resident_kib();
    assert!(
        after < before + FLAT_KIB,
        "resident memory went from {before} KiB to {after} KiB"
    );

    let mut without_role = hello("nobody");
    without_role.role = 99;
    let status = refused(&world, without_role).await;
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    let mut huge = hello("huge");
    huge.features = vec!["f".repeat(1 << 20); 8];
    let status = refused(&world, huge).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let mut browser = TcpStream::connect(world.address).await.expect("it accepts");
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    browser.write_all(request).await.expect("it is connected");
    let mut answer = Vec::new();
    browser.read_to_end(&mut answer).await.ok();
    fetch(world.address).await.expect("others are served");

    let started = Instant::now();
    world.stop().await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
    drop(bad);
}
