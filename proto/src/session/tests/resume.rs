//! What a client says when it comes back, and what it is sent then.

use super::*;
use crate::{model::From, v1::discovery_request::Kind as Request};

#[test]
fn a_client_that_comes_back_says_what_it_holds() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    client.disconnect();
    client.connect();
    let hello = client.last_hello();
    let cursor = hello.cursor.unwrap();
    assert_eq!(
        (cursor.epoch.as_str(), cursor.generation),
        ("a", server.generation)
    );
    let said: Vec<_> = hello
        .subscriptions
        .iter()
        .map(|s| s.set_digest.clone())
        .collect();
    let held: Vec<_> = server.digests().into_iter().map(|d| d.digest).collect();
    assert_eq!(said, held);
}

#[test]
fn a_replica_that_publishes_the_same_sends_nothing_again() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let deliveries = client.deliveries;
    client.disconnect();
    server.restart("b");
    client.settle(&mut server);
    assert_eq!(client.deliveries, deliveries);
    assert_eq!(client.session.status().epoch, "b");
    assert_eq!(client.reconnects, []);
}

#[test]
fn what_was_installed_after_the_stream_was_lost_counts() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::new();
    client.connect();
    client.receive(server.commit(1, None));
    client.disconnect();
    client.install();
    assert_eq!(client.acks(), [], "that stream is gone");
    client.connect();
    assert_eq!(
        client.last_hello().cursor.unwrap().generation,
        server.generation
    );
    client.settle(&mut server);
    assert_eq!(client.deliveries, 1);
}

#[test]
fn a_commit_that_the_plane_dropped_is_asked_for_again() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let from = server.generation;
    server.put(NODES, "two", &mk_node("two", "z"));
    client.receive(server.commit(2, Some(from)));
    client.abandon();
    assert_eq!(client.reconnects, [Reconnect::NotInstalled]);
    assert_eq!(client.session.status().generation, from);
    client.connect();
    assert_eq!(client.last_hello().cursor, None);
    client.settle(&mut server);
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn what_came_after_a_dropped_commit_is_not_undone_by_it() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    for nonce in 2..4 {
        let from = server.generation;
        server.put(NODES, "one", &mk_node("one", &format!("z{nonce}")));
        server.put(NODES, &format!("n{nonce}"), &mk_node("n", "z"));
        client.receive(server.commit(nonce, Some(from)));
    }
    client.abandon();
    client.connect();
    client.advance(Duration::ZERO);
    let delivery = client.at_plane.clone().unwrap();
    assert_eq!(delivery.snapshot, server.snapshot());
    assert_eq!(delivery.generation, server.generation);
}

#[test]
fn another_replica_sends_only_the_buckets_that_differ() {
    let mut server = Model::new("a");
    for node in 0..200 {
        server.put(NODES, &format!("n{node}"), &mk_node("n", "z"));
    }
    let mut client = Client::following(&mut server);
    server.put(NODES, "n7", &mk_node("n", "y"));
    server.set(NODES, "n8", None);
    server.restart("b");
    client.disconnect();
    client.connect();
    server.receive(client.sent.pop_front().unwrap());
    client.receive(server.respond());
    server.receive(client.sent.pop_front().unwrap());
    let commit = server.respond();
    let Some(Kind::Begin(begin)) = &commit[0].kind else {
        panic!("not the beginning");
    };
    assert_eq!(begin.mode(), v1::CommitMode::Buckets);
    assert_eq!(begin.replaced_buckets.len(), 2);
    assert!(begin.frame_count < 10, "{}", begin.frame_count);
    client.receive(commit);
    let changes = &client.at_plane.as_ref().unwrap().changes;
    assert_eq!(changes, &[changed(NODES, "n7"), removed(NODES, "n8")]);
    client.install();
    assert_eq!(client.plane, server.snapshot());
    assert_eq!(client.acks().len(), 1);
}

#[test]
fn a_resume_request_for_50_000_resources_is_at_most_20_kib() {
    let mut server = Model::new("a");
    server.chunk_bytes = encode::MAX_CHUNK_BYTES;
    let mut stream = BytesMut::new();
    let (mut digest, count) = (meshlite_snapshot::SetDigest::default(), 50_000);
    let body = encode::body(&mk_node("n", "z"));
    for node in 0..count {
        let name = mk_name(&format!("namespace-{node}/node-with-a-long-name"));
        encode::frame(NODES, &name, Version::of(&body), Some(&body), &mut stream);
        digest.add(&name, Version::of(&body));
    }
    let mut commit = server.commit(1, None);
    let bytes = stream.len() as u64;
    for message in &mut commit {
        match &mut message.kind {
            Some(Kind::Begin(begin)) => (begin.bytes, begin.frame_count) = (bytes, count),
            Some(Kind::End(end)) => end.expected[0] = encode::topic_digest(NODES, digest, count),
            _ => {}
        }
    }
    let chunks = encode::chunks(stream.freeze(), encode::MAX_CHUNK_BYTES);
    let chunks = chunks.map(|data| response(Kind::Chunk(v1::ResourceChunk { data })));
    commit.splice(1..1, chunks);
    let mut client = Client::new();
    client.connect();
    client.receive(commit);
    client.install();
    assert_eq!(client.session.status().digests[0].count, count);
    client.disconnect();
    client.connect();
    client.receive([response(Kind::DigestsWanted(v1::DigestsWanted {}))]);
    let requests: Vec<_> = client.sent.drain(..).collect();
    let kinds = requests
        .iter()
        .map(|request| request.kind.as_ref().unwrap());
    let kinds: Vec<_> = kinds.collect();
    assert!(
        matches!(kinds[..], [Request::Hello(_), Request::Held(_)]),
        "{kinds:?}"
    );
    let length: usize = requests.iter().map(prost::Message::encoded_len).sum();
    assert!(length <= 20 * 1024, "{length} bytes");
}

#[test]
fn digests_are_wanted_once_and_before_the_first_commit() {
    let wanted = || response(Kind::DigestsWanted(v1::DigestsWanted {}));
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    client.receive([wanted()]);
    assert!(matches!(client.reconnects[..], [Reconnect::Fault(_)]));
    client.connect();
    client.receive([wanted()]);
    assert_eq!(client.reconnects.len(), 1);
    client.receive([wanted()]);
    assert_eq!(client.reconnects.len(), 2);
}

#[test]
fn buckets_that_nobody_told_the_server_about_are_refused() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    client.disconnect();
    client.connect();
    client.receive(server.commit_from(1, &From::Buckets(Vec::new())));
    assert!(matches!(client.reconnects[..], [Reconnect::Fault(_)]));
}

#[test]
fn a_topic_that_the_server_does_not_know_stays_as_it_is() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let namespace = meshlite_snapshot::Namespace {
        name: "shop".into(),
    };
    let namespace = meshlite_snapshot::Resource::Namespace(namespace.into());
    server.put(NAMESPACES, "shop", &namespace);
    let mut client = Client::following(&mut server);
    client.disconnect();
    client.connect();
    let mut older = Model::with_nodes("b", &[("two", "z")]).commit(1, None);
    for message in &mut older {
        match &mut message.kind {
            Some(Kind::Begin(begin)) => begin.topics = vec![encode::topic(NODES)],
            Some(Kind::End(end)) => {
                let nodes = Some(encode::topic(NODES));
                end.expected.retain(|expected| expected.topic == nodes);
                end.sources.clear();
            }
            _ => {}
        }
    }
    client.receive(older);
    client.install();
    assert_eq!(client.plane.namespaces.len(), 1);
    assert!(client.plane.nodes.contains_key("two"));
    assert_eq!(client.plane.nodes.len(), 1);
}

#[test]
fn a_client_starts_from_disk_and_says_so_until_a_server_confirms_it() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::following(&mut server);
    client.write();
    client.restart();
    assert_eq!(client.plane, server.snapshot());
    client.connect();
    let hello = client.last_hello();
    assert!(hello.subscriptions.iter().all(|held| held.provisional));
    assert_eq!(hello.cursor.unwrap().generation, server.generation);
    assert_eq!(
        client.session.kept(),
        None,
        "what came from disk is not written"
    );
    let deliveries = client.deliveries;
    client.settle(&mut server);
    assert_eq!(client.deliveries, deliveries, "nothing is sent again");
    assert!(!client.session.status().provisional);
    assert!(client.session.kept().is_some());
}
