//! Streams over loopback, with a client that speaks the protocol by hand.

mod load;
mod resume;

use meshlite_proto::v1::{discovery_request, discovery_response::Kind};
use meshlite_snapshot::{ResourceType, Topic, Version};
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::*;
use crate::testing::{
    Commit, PATIENCE, PRIVATE_KEY, Peer, Server, ack, discovery_client, eventually, mk_hello,
    mk_namespaces, mk_resume, namespace_digest, status_client, with_secret,
};
use crate::{auth::Rights, publish::Range};

const NODE: v1::Role = v1::Role::L4Node;

#[tokio::test]
async fn nothing_is_served_before_the_first_publication() {
    let mut server = Server::start().await;
    let mut client = discovery_client(server.addr).await;
    let refused = client
        .fetch_snapshot(v1::FetchSnapshotRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("not read and compiled yet"));
    let stream = client.stream_snapshots(tokio_stream::pending()).await;
    assert_eq!(stream.unwrap_err().code(), Code::Unavailable);
    let mut status = status_client(server.addr).await;
    let refused = status.list_findings(v1::ListFindingsRequest {}).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);

    server.publish(&mk_namespaces(&["a"]));
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let commit = peer.commit().await;
    assert_eq!(commit.begin.mode(), v1::CommitMode::Full);
    assert_eq!(commit.names(), ["a"]);
}

#[tokio::test]
async fn a_slow_client_gets_one_commit_for_all_that_it_missed() {
    let mut server = Server::with_namespaces(&["a"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = peer.commit().await;
    for names in [&["a", "b"][..], &["b", "c"], &["b", "c", "d"]] {
        server.publish(&mk_namespaces(names));
    }
    peer.acknowledge(&first).await;
    let second = peer.commit().await;
    assert_eq!(second.begin.mode(), v1::CommitMode::Delta);
    assert_eq!(
        (second.begin.from_generation, second.begin.generation),
        (1, 4)
    );
    assert_eq!(second.names(), ["a", "b", "c", "d"]);
    assert_eq!(peer.held.len(), 3);
    let expected = &second.end.expected[0];
    assert_eq!(expected.digest, namespace_digest(&peer).to_string());
    assert_eq!(expected.count, 3);
}

#[tokio::test]
async fn ten_thousand_changes_that_a_client_did_not_see_are_one_commit() {
    let mut server = Server::with_namespaces(&["a"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = peer.commit().await;
    let one_of = |names: &[&str]| crate::testing::delta(None, &mk_namespaces(names));
    let names = ["b", "c", "d", "e", "f"];
    let (b, mut gone) = (one_of(&names), one_of(&names));
    for resource in gone.resources.values_mut() {
        *resource = None;
    }
    let stamp = crate::publish::Stamp {
        at: Instant::now(),
        changed: std::time::SystemTime::UNIX_EPOCH,
    };
    for change in 0..2000 {
        let delta = if change % 2 == 0 { &b } else { &gone };
        server.publisher.publish(delta, stamp, Vec::new());
        server.publisher.announce();
    }
    let view = server.discovery.views.borrow().clone().unwrap();
    assert_eq!(
        view.changes(&Topic::NODE, Some(1)).len(),
        5,
        "all that is kept for it"
    );
    peer.acknowledge(&first).await;
    let second = peer.commit().await;
    assert_eq!((second.begin.nonce, second.begin.generation), (2, 2001));
    assert_eq!(second.names(), names);
}

#[tokio::test]
async fn only_who_terminates_tls_fetches_private_keys() {
    use v1::fetch_snapshot_response::Kind;
    let mut server = Server::start().await;
    server.publish(&with_secret(mk_namespaces(&["a"])));
    let mut request = Request::new(v1::FetchSnapshotRequest::default());
    let rights = |read, ingress| Rights {
        ingress,
        read,
        ..Rights::default()
    };
    for (rights, shown) in [
        (rights(true, false), Some(false)),
        (rights(false, true), Some(true)),
        (Caller::anyone().rights, Some(true)),
        (rights(false, false), None),
    ] {
        request.extensions_mut().insert(Caller {
            name: "somebody".into(),
            rights,
            ..Caller::anyone()
        });
        let Ok(mut fetched) = server.discovery.fetch(&request) else {
            assert_eq!(shown, None);
            continue;
        };
        let mut keys = Vec::new();
        while let Some(message) = fetched.next().await {
            if let Some(Kind::Resource(resource)) = message.unwrap().kind
                && let Some(v1::resource::Body::TlsSecret(secret)) = resource.body
            {
                keys.push(!secret.private_key.is_empty());
            }
        }
        assert_eq!(keys, [shown.expect("it is refused")]);
    }
}

#[tokio::test]
async fn a_commit_comes_in_chunks_no_larger_than_the_client_takes() {
    let names: Vec<_> = (0..2000).map(|i| format!("namespace-{i:0>50}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let server = Server::with_namespaces(&names).await;
    for (asked, largest) in [(4096, 4096), (0, 65_536), (1 << 20, 65_536)] {
        let mut hello = mk_hello(NODE, &Topic::NODE);
        hello.max_chunk_bytes = asked;
        let mut peer = Peer::connect(server.addr, hello).await;
        let commit = peer.commit().await;
        assert_eq!(commit.largest_chunk, largest);
        assert_eq!(peer.held.len(), 2000);
        assert!(commit.begin.bytes > 100_000, "{}", commit.begin.bytes);
    }
}

#[tokio::test]
async fn a_node_is_not_given_private_keys() {
    let server = Server::with_namespaces(&["a"]).await;
    let hello = mk_hello(NODE, &[Topic::all(ResourceType::TlsSecret)]);
    let refused = Peer::connect(server.addr, hello).await.hear().await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "a client with the role L4_NODE may not subscribe to TlsSecret"
    );
}

#[tokio::test]
async fn a_stream_begins_with_hello_and_has_only_one() {
    let server = Server::with_namespaces(&["a"]).await;
    let beat = discovery_request::Kind::Heartbeat(v1::Heartbeat::default());
    let refused = Peer::open(server.addr, beat).await.hear().await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let hello = mk_hello(NODE, &Topic::NODE);
    let mut peer = Peer::connect(server.addr, hello.clone()).await;
    peer.commit().await;
    peer.say(discovery_request::Kind::Hello(hello)).await;
    assert_eq!(peer.hear().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_commit_that_did_not_match_its_digest_is_followed_by_a_full_one() {
    let mut server = Server::with_namespaces(&["a"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = peer.commit().await;
    peer.acknowledge(&first).await;
    server.publish(&mk_namespaces(&["a", "b"]));
    let delta = peer.commit().await;
    assert_eq!(delta.begin.mode(), v1::CommitMode::Delta);
    let mismatch = v1::Ack {
        digest_mismatch: true,
        ..ack(&delta)
    };
    peer.say(discovery_request::Kind::Ack(mismatch.clone()))
        .await;
    let full = peer.commit().await;
    assert_eq!(full.begin.mode(), v1::CommitMode::Full);
    assert_eq!(full.names(), ["a", "b"]);
    // A full one that does not match either cannot be repaired on this stream.
    let mismatch = v1::Ack {
        nonce: full.begin.nonce,
        ..mismatch
    };
    peer.say(discovery_request::Kind::Ack(mismatch)).await;
    assert_eq!(peer.hear().await.unwrap_err().code(), Code::DataLoss);
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_changed_meanwhile() {
    let mut server = Server::with_namespaces(&["a", "b"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = peer.commit().await;
    drop(peer);
    server.publish(&mk_namespaces(&["b", "c"]));
    let resume = mk_resume(&first, NODE, &Topic::NODE);
    let commit = Peer::connect(server.addr, resume).await.commit().await;
    assert_eq!(commit.begin.mode(), v1::CommitMode::Delta);
    assert_eq!(
        (commit.begin.from_generation, commit.begin.generation),
        (1, 2)
    );
    assert_eq!(commit.names(), ["a", "c"]);
}

#[tokio::test]
async fn a_client_of_another_epoch_that_holds_the_same_is_sent_nothing() {
    let mut old = Server::with_namespaces(&["a"]).await;
    old.publish(&mk_namespaces(&["a", "b"]));
    let mut peer = Peer::connect(old.addr, mk_hello(NODE, &Topic::NODE)).await;
    let held = peer.commit().await;
    let mut new = Server::with_namespaces(&["b", "a"]).await;
    let resume = mk_resume(&held, NODE, &Topic::NODE);
    let mut peer = Peer::connect(new.addr, resume).await;
    let commit = peer.commit().await;
    assert_eq!(commit.begin.mode(), v1::CommitMode::Delta);
    assert_ne!(commit.begin.epoch, held.begin.epoch);
    assert_eq!(
        (commit.begin.from_generation, commit.begin.generation),
        (2, 1)
    );
    assert_eq!((commit.begin.bytes, commit.frames.len()), (0, 0));
    // From there it goes on as usual.
    peer.acknowledge(&commit).await;
    new.publish(&mk_namespaces(&["a"]));
    assert_eq!(peer.commit().await.names(), ["b"]);
}

/// A server with many namespaces, a client that holds them, and another server with one more.
async fn mk_moved() -> (Peer, Commit, Server) {
    let names: Vec<_> = (0..3000).map(|i| format!("namespace-{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let old = Server::with_namespaces(&names).await;
    let mut peer = Peer::connect(old.addr, mk_hello(NODE, &Topic::NODE)).await;
    let held = peer.commit().await;
    let more: Vec<_> = names.iter().skip(1).copied().chain(["new"]).collect();
    (peer, held, Server::with_namespaces(&more).await)
}

#[tokio::test]
async fn a_client_that_comes_from_elsewhere_gets_the_buckets_that_differ() {
    let (old, held, new) = mk_moved().await;
    let mut peer = Peer::connect(new.addr, mk_resume(&held, NODE, &Topic::NODE)).await;
    let asked = peer.hear().await.unwrap();
    assert!(matches!(asked, Kind::DigestsWanted(_)), "{asked:?}");
    peer.held = old.held;
    let bucket_digests = peer.bucket_digests().to_bytes().into();
    peer.say(discovery_request::Kind::Held(v1::Held { bucket_digests }))
        .await;
    let commit = peer.commit().await;
    assert_eq!(commit.begin.mode(), v1::CommitMode::Buckets);
    assert!(
        commit.begin.replaced_buckets.len() <= 2,
        "{:?}",
        commit.begin
    );
    assert!(commit.frames.len() < 40, "{}", commit.frames.len());
    assert_eq!(
        commit.end.expected[0].digest,
        namespace_digest(&peer).to_string()
    );
    peer.acknowledge(&commit).await;
    eventually(
        "it is converged",
        async || new.clients().await,
        |clients| clients[0].converged && clients[0].behind_since.is_none(),
    )
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_holds_gets_everything() {
    let (_old, held, new) = mk_moved().await;
    let mut peer = Peer::connect(new.addr, mk_resume(&held, NODE, &Topic::NODE)).await;
    let asked = peer.hear().await.unwrap();
    assert!(matches!(asked, Kind::DigestsWanted(_)), "{asked:?}");
    let bucket_digests = vec![0; 17].into();
    peer.say(discovery_request::Kind::Held(v1::Held { bucket_digests }))
        .await;
    assert_eq!(peer.commit().await.begin.mode(), v1::CommitMode::Full);
    let mut silent = Peer::connect(new.addr, mk_resume(&held, NODE, &Topic::NODE)).await;
    let asked = silent.hear().await.unwrap();
    assert!(matches!(asked, Kind::DigestsWanted(_)), "{asked:?}");
    assert_eq!(silent.commit().await.begin.mode(), v1::CommitMode::Full);
}

#[tokio::test]
async fn who_takes_compressed_commits_gets_them_where_it_is_worth_it() {
    let mut server = Server::start().await;
    server.publish(&mk_much());
    let mut hello = mk_hello(NODE, &Topic::NODE);
    hello.accept = vec![v1::Encoding::Zstd.into(), v1::Encoding::Identity.into()];
    let mut peer = Peer::connect(server.addr, hello).await;
    let full = peer.commit().await;
    assert_eq!(full.begin.encoding(), v1::Encoding::Zstd);
    assert!(
        full.begin.bytes * 4 < full.begin.raw_bytes,
        "{:?}",
        full.begin
    );
    assert_eq!(peer.held.len(), 40_000);
    peer.acknowledge(&full).await;
    server.publish(&mk_namespaces(&["a"]));
    assert_eq!(peer.commit().await.begin.encoding(), v1::Encoding::Zstd);
    let small = Server::with_namespaces(&["a"]).await;
    let mut hello = mk_hello(NODE, &Topic::NODE);
    hello.accept = vec![v1::Encoding::Zstd.into()];
    let commit = Peer::connect(small.addr, hello).await.commit().await;
    assert_eq!(commit.begin.encoding(), v1::Encoding::Identity);
}

#[tokio::test]
async fn a_rejected_resource_is_shown_and_not_sent_again_until_it_changes() {
    let mut server = Server::with_namespaces(&["bad", "good"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = peer.commit().await;
    let bad = first
        .frames
        .iter()
        .find(|frame| frame.name == "bad")
        .unwrap();
    let rejection = v1::Rejection {
        topic: Some(encode::topic(Topic::all(ResourceType::Namespace))),
        name: "bad".into(),
        version: Version(bad.version).to_string(),
        reason: v1::RejectReason::Invalid.into(),
        message: "no such namespace here".into(),
        serving_version: String::new(),
    };
    let mut installed = ack(&first);
    let mut digest = meshlite_snapshot::SetDigest::default();
    let good = first
        .frames
        .iter()
        .find(|frame| frame.name == "good")
        .unwrap();
    digest.add(
        &meshlite_snapshot::Name::new("good").unwrap(),
        Version(good.version),
    );
    installed.installed[0].digest = digest.to_string();
    installed.installed[0].count = 1;
    installed.rejections = vec![rejection.clone()];
    peer.say(discovery_request::Kind::Ack(installed)).await;
    let clients = eventually(
        "the rejection is listed",
        async || server.clients().await,
        |clients| !clients[0].rejections.is_empty(),
    )
    .await;
    assert_eq!(clients[0].rejections, [rejection]);
    assert_eq!(clients[0].installed_generation, 1);
    assert!(!clients[0].converged);
    server.publish(&mk_namespaces(&["bad", "good", "new"]));
    let second = peer.commit().await;
    assert_eq!(second.names(), ["new"]);
    peer.acknowledge(&second).await;
    eventually(
        "the rejection is gone",
        async || server.clients().await,
        |clients| clients[0].rejections.is_empty() && clients[0].converged,
    )
    .await;
}

#[tokio::test]
async fn tools_see_what_a_client_lacks() {
    let mut server = Server::with_namespaces(&["a"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let first = peer.commit().await;
    let mut status = status_client(server.addr).await;
    let diff = |client: &str| v1::DiffClientRequest {
        client: client.to_owned(),
    };
    let lacks = status
        .diff_client(diff("peer-1"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(lacks.pending.len(), 1, "{lacks:?}");
    peer.acknowledge(&first).await;
    eventually(
        "it lacks nothing",
        async || {
            let lacks = status.clone().diff_client(diff("node-a")).await.unwrap();
            lacks.into_inner().pending
        },
        Vec::is_empty,
    )
    .await;
    server.publish(&mk_namespaces(&["b"]));
    let second = peer.commit().await;
    let lacks = status
        .diff_client(diff("node-a"))
        .await
        .unwrap()
        .into_inner();
    let pending: Vec<_> = lacks
        .pending
        .iter()
        .map(|change| {
            (
                change.name.as_str(),
                change.version.is_empty(),
                change.generation,
            )
        })
        .collect();
    assert_eq!(pending, [("b", false, 2), ("a", true, 2)]);
    let client = lacks.client.unwrap();
    assert_eq!(
        (client.sent_generation, client.installed_generation),
        (2, 1)
    );
    assert!(client.connected_at.is_some() && client.last_heard.is_some());
    let mut other = mk_hello(v1::Role::Ingress, &Topic::INGRESS);
    other.client.as_mut().unwrap().id = "peer-2".into();
    let mut beside = Peer::connect(server.addr, other).await;
    beside.commit().await;
    let which = status.diff_client(diff("node-a")).await.unwrap_err();
    assert_eq!(which.code(), Code::FailedPrecondition);
    assert!(which.message().ends_with("peer-1, peer-2"), "{which}");
    let one = status.diff_client(diff("peer-2")).await.unwrap();
    assert_eq!(one.into_inner().client.unwrap().role(), v1::Role::Ingress);
    drop(beside);
    let unknown = status.diff_client(diff("nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    drop(second);
    drop(peer);
    let gone = async || server.clients().await;
    eventually("the client is gone", gone, Vec::is_empty).await;
}

#[tokio::test]
async fn a_fetched_snapshot_is_proved_by_its_digests_and_shows_no_private_key() {
    use v1::{fetch_snapshot_response::Kind, resource::Body};
    let mut server = Server::start().await;
    server.publish(&with_secret(mk_namespaces(&["a"])));
    let mut client = discovery_client(server.addr).await;
    let fetched = client
        .fetch_snapshot(v1::FetchSnapshotRequest::default())
        .await;
    let mut stream = fetched.unwrap().into_inner();
    let mut resources = Vec::new();
    let mut end = None;
    while let Some(message) = stream.message().await.unwrap() {
        match message.kind.unwrap() {
            Kind::Begin(begin) => assert_eq!(begin.frame_count, 2),
            Kind::Resource(resource) => resources.push(resource),
            Kind::End(last) => end = Some(last),
        }
    }
    let end = end.expect("the snapshot ends with CommitEnd");
    assert_eq!(end.expected.len(), crate::publish::TOPICS.len());
    assert!(!format!("{resources:?}").contains("nobody may read"));
    let Some(Body::TlsSecret(secret)) = &resources[1].body else {
        panic!("{resources:?}");
    };
    assert_eq!(
        (secret.certificate_chain.len(), secret.private_key.len()),
        (1, 0)
    );
    // An ingress gets the key, and the same version and digest.
    let topics = [Topic::all(ResourceType::TlsSecret)];
    let mut peer = Peer::connect(server.addr, mk_hello(v1::Role::Ingress, &topics)).await;
    let commit = peer.commit().await;
    let body = &commit.frames[0].body;
    assert!(
        body.windows(PRIVATE_KEY.len())
            .any(|window| window == PRIVATE_KEY)
    );
    assert_eq!(
        Version(commit.frames[0].version).to_string(),
        resources[1].version
    );
    assert!(end.expected.contains(&commit.end.expected[0]));
}

#[tokio::test]
async fn resources_are_dumped_by_type_and_prefix() {
    let mut server = Server::start().await;
    server.publish(&with_secret(mk_namespaces(&["a", "default"])));
    let mut status = status_client(server.addr).await;
    let mut dump = async |topics: &[Topic], prefix: &str| {
        let request = v1::DumpResourcesRequest {
            topics: topics.iter().copied().map(encode::topic).collect(),
            name_prefix: prefix.to_owned(),
        };
        let mut stream = status.dump_resources(request).await.unwrap().into_inner();
        let mut names = Vec::new();
        while let Some(resource) = stream.message().await.unwrap() {
            names.push(resource.name);
        }
        names
    };
    assert_eq!(dump(&[], "").await, ["a", "default", "default/tls"]);
    assert_eq!(dump(&[], "default").await, ["default", "default/tls"]);
    let namespaces = [Topic::all(ResourceType::Namespace)];
    assert_eq!(dump(&namespaces, "d").await, ["default"]);
}

#[tokio::test]
async fn a_server_that_stops_tells_its_clients_to_go_elsewhere() {
    let server = Server::with_namespaces(&["a"]).await;
    let mut peer = Peer::connect(server.addr, mk_hello(NODE, &Topic::NODE)).await;
    let commit = peer.commit().await;
    peer.acknowledge(&commit).await;
    server.stop.cancel();
    let farewell = peer.hear().await.unwrap();
    assert!(matches!(farewell, Kind::Drain(_)), "{farewell:?}");
    assert_eq!(peer.hear().await.unwrap_err().code(), Code::Aborted);
    let ended = timeout(PATIENCE, server.running).await;
    ended.expect("the server stops").unwrap().unwrap();
}

/// More than what the buffers between server and client take.
fn mk_much() -> meshlite_compile::Compiled {
    mk_many(40_000)
}

fn mk_many(count: u32) -> meshlite_compile::Compiled {
    let names: Vec<_> = (0..count).map(|i| format!("namespace-{i:0>50}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    mk_namespaces(&names)
}
