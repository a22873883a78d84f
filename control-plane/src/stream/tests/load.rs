//! What many clients share, and what those that do not read cost the others.

use super::*;

#[tokio::test]
async fn clients_of_the_same_commit_share_its_bytes() {
    let mut server = Server::with_namespaces(&["a"]).await;
    server.publish(&mk_namespaces(&["a", "b"]));
    let view = server.discovery.views.borrow().clone().unwrap();
    let commits = Commits::default();
    let topics = Topic::NODE.into_iter().collect();
    let get = async |view, range| commits.get(view, topics, range, true).await.unwrap();
    let one = get(&view, Range::Since(1)).await;
    let two = get(&view, Range::Since(1)).await;
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(one.frames, 1);
    let full = get(&view, Range::Full).await;
    assert_eq!(full.frames, 2);
    // What leads to an older generation is let go.
    server.publish(&mk_namespaces(&["a"]));
    let newest = server.discovery.views.borrow().clone().unwrap();
    get(&newest, Range::Since(2)).await;
    assert_eq!(Arc::strong_count(&full), 1);
}

/// How many commits were made, and how many of them were compressed.
fn made(server: &Server) -> (u64, u64) {
    let (registry, mut text) = (server.discovery.metrics.registry(), String::new());
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let count = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.next().unwrap().trim().parse().unwrap()
    };
    (
        count("meshlite_commit_encode_duration_seconds_count"),
        count("meshlite_commit_compressions_total"),
    )
}

#[tokio::test]
async fn a_change_is_encoded_and_compressed_once_however_many_clients_there_are() {
    let mut server = Server::start().await;
    server.publish(&mk_many(200));
    let mut hello = mk_hello(NODE, &Topic::NODE);
    hello.accept = vec![v1::Encoding::Zstd.into(), v1::Encoding::Identity.into()];
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = Peer::connect(server.addr, hello.clone()).await;
        let full = peer.commit().await;
        assert_eq!(full.begin.encoding(), v1::Encoding::Zstd);
        peer.acknowledge(&full).await;
        peers.push(peer);
    }
    assert_eq!(made(&server), (1, 1), "the full commit");
    // Until each has said what it installed, a change may not be the same one for all.
    eventually(
        "all have installed it",
        async || server.clients().await,
        |clients| clients.iter().all(|client| client.converged),
    )
    .await;
    server.publish(&mk_many(400));
    for peer in &mut peers {
        let delta = peer.commit().await;
        assert_eq!(delta.begin.encoding(), v1::Encoding::Zstd);
        assert_eq!(delta.frames.len(), 200);
    }
    assert_eq!(made(&server), (2, 2), "and one change for all of them");
}

#[tokio::test]
async fn bulk_transfers_wait_for_their_turn_and_deltas_do_not() {
    let mut server = Server::start().await;
    server.publish(&mk_much());
    let mut healthy = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = healthy.commit().await;
    healthy.acknowledge(&first).await;
    let all = u32::try_from(BULK_TRANSFERS).unwrap();
    let bulk = Arc::clone(&server.discovery.bulk);
    let others = bulk.acquire_many_owned(all).await.unwrap();
    let mut waiting = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    eventually(
        "both are connected",
        async || server.clients().await.len(),
        |count| *count == 2,
    )
    .await;
    server.publish(&mk_many(40_001));
    assert_eq!(healthy.commit().await.frames.len(), 1);
    let early = timeout(Duration::from_millis(100), waiting.hear()).await;
    assert!(early.is_err(), "{early:?}");
    drop(others);
    let commit = waiting.commit().await;
    assert_eq!(commit.begin.generation, 2, "it is the newest by then");
    assert_eq!(commit.frames.len(), 40_001);
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hold_up_the_bulk_transfers_of_others() {
    let mut server = Server::start().await;
    server.publish(&mk_much());
    let all_but_one = u32::try_from(BULK_TRANSFERS - 1).unwrap();
    let bulk = Arc::clone(&server.discovery.bulk);
    let _others = bulk.acquire_many_owned(all_but_one).await.unwrap();
    let _stalled = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let free = async || server.discovery.bulk.available_permits();
    eventually("it has its turn", free, |free| *free == 0).await;
    let mut reading = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    assert_eq!(reading.commit().await.frames.len(), 40_000);
}

#[tokio::test]
async fn readers_that_read_nothing_do_not_pile_up() {
    let mut server = Server::start().await;
    server.publish(&mk_much());
    let everything = v1::FetchSnapshotRequest::default;
    let mut client = discovery_client(server.addr).await;
    let mut idle = Vec::new();
    for _ in 0..READERS {
        idle.push(client.fetch_snapshot(everything()).await.unwrap());
    }
    let refused = client.fetch_snapshot(everything()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    // They learn that they did not get everything.
    server.stop.cancel();
    let mut unread = idle.pop().unwrap().into_inner();
    let ended = loop {
        match timeout(PATIENCE, unread.message()).await.unwrap() {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn who_stops_reading_a_snapshot_makes_room_for_others() {
    let mut server = Server::start().await;
    server.publish(&mk_much());
    let mut client = discovery_client(server.addr).await;
    let fetched = client.fetch_snapshot(v1::FetchSnapshotRequest::default());
    let idle = fetched.await.unwrap();
    let free = async || server.discovery.readers.available_permits();
    eventually("one is taken", free, |free| *free == READERS - 1).await;
    drop(idle);
    eventually("all are free", free, |free| *free == READERS).await;
}
