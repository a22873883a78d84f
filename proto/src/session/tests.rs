//! What a session does with each message, and with time.

mod client;
mod convergence;
mod garbage;
mod guard;

use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use meshlite_snapshot::{Name, ResourceType, Scope, Version};

use self::client::Client;
use super::*;
use crate::{
    model::{Model, NAMESPACES, NODES, mk_name, mk_node, response},
    v1::discovery_response::Kind,
};

fn removed(topic: Topic, name: &str) -> Change {
    Change {
        topic,
        name: mk_name(name),
        removed: true,
    }
}

fn changed(topic: Topic, name: &str) -> Change {
    Change {
        removed: false,
        ..removed(topic, name)
    }
}

fn rejected(client: &Client) -> Vec<(String, RejectReason, Option<Version>)> {
    let rejections = client.session.status().rejections.into_iter();
    rejections
        .map(|rejection| (rejection.name, rejection.reason, rejection.serving))
        .collect()
}

/// A body as a newer build would send it: with a field that this one does not know.
fn newer(resource: &meshlite_snapshot::Resource) -> Bytes {
    let mut body = BytesMut::from(encode::body(resource).as_ref());
    prost::encoding::string::encode(900, &"from the future".to_owned(), &mut body);
    body.freeze()
}

#[test]
fn the_first_commit_is_delivered_whole_and_acknowledged_with_its_digest() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::new();
    client.connect();
    assert_eq!(client.last_hello().cursor, None);
    client.receive(server.commit(1, None));
    let delivery = client.at_plane.clone().unwrap();
    assert_eq!(delivery.snapshot, server.snapshot());
    assert_eq!(
        delivery.changes,
        [changed(NODES, "one"), changed(NODES, "two")]
    );
    assert_eq!(client.acks(), [], "before it is installed");
    client.install();
    let acks = client.acks();
    assert_eq!(acks.len(), 1);
    assert_eq!((acks[0].nonce, acks[0].generation), (1, server.generation));
    assert_eq!(acks[0].installed, server.digests());
    server.put(NODES, "one", &mk_node("one", "other"));
    assert_ne!(acks[0].installed, server.digests());
}

#[test]
fn an_empty_first_commit_is_delivered_too() {
    let mut client = Client::new();
    client.connect();
    client.receive(Model::new("a").commit(1, None));
    assert!(client.at_plane.is_some(), "readiness waits for it");
}

#[test]
fn nothing_is_visible_before_the_end_of_a_commit() {
    let server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::new();
    client.connect();
    let mut commit = server.commit(1, None);
    let end = commit.pop();
    client.receive(commit);
    assert!(client.at_plane.is_none());
    client.receive(end);
    assert!(client.at_plane.is_some());
}

#[test]
fn a_delta_changes_only_what_it_names() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z"), ("three", "z")]);
    let mut client = Client::following(&mut server);
    let from = server.generation;
    server.put(NODES, "one", &mk_node("one", "other"));
    server.put(NODES, "two", &mk_node("two", "z"));
    server.set(NODES, "three", None);
    client.receive(server.commit(2, Some(from)));
    assert_eq!(
        client.at_plane.as_ref().unwrap().changes,
        [changed(NODES, "one"), removed(NODES, "three")],
        "two was sent again as it is"
    );
    client.install();
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_commit_that_changes_nothing_here_does_not_bother_the_plane() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let (from, deliveries) = (server.generation, client.deliveries);
    server.put(NODES, "one", &mk_node("one", "z"));
    client.receive(server.commit(2, Some(from)));
    assert_eq!(client.deliveries, deliveries);
    assert_eq!(client.acks().last().unwrap().generation, server.generation);
    assert_eq!(client.session.status().generation, server.generation);
}

#[test]
fn what_a_full_commit_does_not_name_is_gone() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::following(&mut server);
    server.set(NODES, "two", None);
    client.receive(server.commit(2, None));
    client.install();
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_full_commit_leaves_topics_alone_that_it_does_not_speak_for() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let before = client.plane.clone();
    let older = Model::new("b");
    let mut commit = older.commit(2, None);
    if let Some(Kind::Begin(begin)) = &mut commit[0].kind {
        begin.topics = vec![encode::topic(NAMESPACES)];
    }
    if let Some(Kind::End(end)) = &mut commit.last_mut().unwrap().kind {
        end.expected
            .retain(|digest| digest.topic == Some(encode::topic(NAMESPACES)));
    }
    client.receive(commit);
    client.install();
    assert_eq!(client.reconnects, []);
    assert_eq!(client.plane, before);
}

#[test]
fn a_busy_plane_gets_one_commit_for_many() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::new();
    client.connect();
    client.receive(server.commit(1, None));
    for nonce in 2..5 {
        let from = server.generation;
        server.put(NODES, "one", &mk_node("one", &format!("z{nonce}")));
        server.put(NODES, &format!("n{nonce}"), &mk_node("n", "z"));
        client.receive(server.commit(nonce, Some(from)));
    }
    client.install();
    assert_eq!(client.acks().last().unwrap().nonce, 1);
    assert_eq!(client.at_plane.as_ref().unwrap().changes.len(), 4);
    client.install();
    assert_eq!(client.acks().last().unwrap().nonce, 4);
    assert_eq!(client.acks().len(), 2);
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_delivery_says_when_the_oldest_change_in_it_happened() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::new();
    let oldest = |client: &Client| client.at_plane.as_ref().unwrap().oldest_change;
    client.connect();
    client.receive(server.commit(1, None));
    assert_eq!(oldest(&client), None, "a full commit");
    // While the plane is busy, two commits become one delivery.
    for (nonce, seconds) in [(2, 200), (3, 100)] {
        let from = server.generation;
        server.put(NODES, "one", &mk_node("one", &format!("z{nonce}")));
        let mut commit = server.commit(nonce, Some(from));
        let Some(Kind::End(end)) = commit.last_mut().and_then(|last| last.kind.as_mut()) else {
            panic!("a commit has an end");
        };
        end.oldest_change = Some(prost_types::Timestamp { seconds, nanos: 0 });
        client.receive(commit);
    }
    client.install();
    let said = oldest(&client).unwrap().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(said, Duration::from_secs(100));
    client.install();
    let from = server.generation;
    server.put(NODES, "one", &mk_node("one", "last"));
    client.receive(server.commit(4, Some(from)));
    assert_eq!(oldest(&client), None, "it was of an earlier delivery");
}

#[test]
fn a_busy_plane_does_not_stop_heartbeats() {
    let server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::new();
    client.connect();
    client.receive(server.commit(1, None));
    client.advance(HEARTBEAT);
    let heartbeats = client.heartbeats();
    assert_eq!(heartbeats.len(), 1);
    assert_eq!(heartbeats[0].generation, 0, "nothing is installed yet");
}

#[test]
fn what_the_plane_rejects_keeps_its_last_good_version_until_a_new_one_comes() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::following(&mut server);
    let good = encode::body(&mk_node("one", "z"));
    let held = client.session.status().digests;

    let from = server.generation;
    server.put(NODES, "one", &mk_node("one", "bad"));
    client.receive(server.commit(2, Some(from)));
    client.install_except(&[(NODES, "one")]);
    let ack = client.acks().pop().unwrap();
    assert_eq!(
        ack.rejections[0].serving_version,
        Version::of(&good).to_string()
    );
    assert_eq!(
        client.session.status().digests,
        held,
        "of what is installed"
    );
    assert_eq!(
        rejected(&client),
        [(
            "one".into(),
            RejectReason::NotProgrammed,
            Some(Version::of(&good))
        )]
    );

    let (from, deliveries) = (server.generation, client.deliveries);
    server.put(NODES, "two", &mk_node("two", "other"));
    client.receive(server.commit(3, Some(from)));
    assert_eq!(client.deliveries, deliveries + 1);
    assert_eq!(
        client.at_plane.as_ref().unwrap().changes,
        [changed(NODES, "two")]
    );
    client.install();
    assert_eq!(rejected(&client).len(), 1, "it is still not served as sent");

    let from = server.generation;
    server.put(NODES, "one", &mk_node("one", "better"));
    client.receive(server.commit(4, Some(from)));
    client.install();
    assert_eq!(rejected(&client), []);
    assert_eq!(client.plane, server.snapshot());
    assert_eq!(client.acks().pop().unwrap().installed, server.digests());
}

#[test]
fn what_could_not_be_programmed_can_be_tried_again() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::new();
    client.connect();
    client.receive(server.commit(1, None));
    client.install_except(&[(NODES, "one")]);
    client.retry();
    assert_eq!(
        client.at_plane.as_ref().unwrap().changes,
        [changed(NODES, "one")]
    );
    client.install_except(&[(NODES, "one")]);
    assert_eq!(rejected(&client).len(), 1);
    client.retry();
    client.install();
    assert_eq!(client.plane, server.snapshot());
    assert_eq!(rejected(&client), []);
    let said = client.heartbeats().pop().unwrap();
    assert_eq!(
        said.digests,
        server.digests(),
        "at once, since there is no commit to acknowledge"
    );
    client.retry();
    assert!(client.at_plane.is_none(), "there is nothing left to try");

    let from = server.generation;
    server.put(NODES, "one", &mk_node("one", "bad"));
    client.receive(server.commit(2, Some(from)));
    client.install_except(&[(NODES, "one")]);
    let from = server.generation;
    server.put(NODES, "one", &mk_node("one", "good"));
    client.receive(server.commit(3, Some(from)));
    client.install();
    client.retry();
    assert!(
        client.at_plane.is_none(),
        "what it was is of no interest any more"
    );
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_rejection_that_is_repeated_stays_about_the_version_that_was_sent() {
    let mut server = Model::with_nodes("a", &[("two", "z")]);
    let mut client = Client::following(&mut server);
    let bad = Version::of(&encode::body(&mk_node("one", "bad")));
    for (nonce, node) in [(2, mk_node("one", "bad")), (3, mk_node("two", "other"))] {
        let from = server.generation;
        let name = if nonce == 2 { "one" } else { "two" };
        server.put(NODES, name, &node);
        client.receive(server.commit(nonce, Some(from)));
        client.install_except(&[(NODES, "one")]);
        let rejections = client.session.status().rejections;
        assert_eq!(rejections.len(), 1);
        assert_eq!((rejections[0].version, rejections[0].serving), (bad, None));
    }
}

#[test]
fn a_complaint_about_what_is_served_all_the_same_lasts_while_it_is_repeated() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::following(&mut server);
    for (nonce, complain) in [(2, true), (3, true), (4, false)] {
        let from = server.generation;
        server.put(NODES, "two", &mk_node("two", &format!("z{nonce}")));
        client.receive(server.commit(nonce, Some(from)));
        client.install_except(if complain { &[(NODES, "one")] } else { &[] });
        assert_eq!(rejected(&client).len(), usize::from(complain));
        assert_eq!(client.plane, server.snapshot());
    }
}

#[test]
fn a_malformed_resource_is_rejected_and_the_rest_applies() {
    let mut server = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let mut client = Client::following(&mut server);
    let good = Version::of(&encode::body(&mk_node("one", "z")));
    let from = server.generation;
    server.set(NODES, "one", Some(Bytes::from_static(b"\xff\xff")));
    server.set(NODES, "three", Some(Bytes::new()));
    server.put(NODES, "two", &mk_node("two", "other"));
    client.receive(server.commit(2, Some(from)));
    assert_eq!(
        client.at_plane.as_ref().unwrap().changes,
        [changed(NODES, "two")]
    );
    client.install();
    assert_eq!(
        rejected(&client),
        [
            ("one".into(), RejectReason::Malformed, Some(good)),
            ("three".into(), RejectReason::Invalid, None),
        ]
    );
    assert_eq!(
        client.plane.get(ResourceType::Node, &mk_name("one")),
        Some(mk_node("one", "z"))
    );
    let from = server.generation;
    server.set(NODES, "one", None);
    server.set(NODES, "three", None);
    client.receive(server.commit(3, Some(from)));
    client.install();
    assert_eq!(rejected(&client), []);
    assert_eq!(client.reconnects, []);
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_client_built_from_an_older_proto_stays_converged() {
    let mut server = Model::new("a");
    let future = newer(&mk_node("one", "z"));
    server.set(NODES, "one", Some(future.clone()));
    let mut client = Client::following(&mut server);
    let read = client
        .plane
        .get(ResourceType::Node, &mk_name("one"))
        .unwrap();
    assert_eq!(read, mk_node("one", "z"));
    assert_ne!(encode::body(&read), future, "it could not say it again");

    let from = server.generation;
    server.set(NODES, "one", Some(newer(&mk_node("one", "other"))));
    client.receive(server.commit(2, Some(from)));
    client.install();
    assert_eq!(client.acks().pop().unwrap().installed, server.digests());
    assert_eq!(client.reconnects, []);
    assert_eq!(rejected(&client), []);
}

#[test]
fn an_enum_value_from_the_future_is_unsupported_and_does_not_break_the_proof() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let future = v1::Node {
        name: "one".into(),
        addresses: vec![v1::NodeAddress {
            r#type: 77,
            address: "10.0.0.1".into(),
        }],
        ..v1::Node::default()
    };
    let from = server.generation;
    server.set(
        NODES,
        "one",
        Some(prost::Message::encode_to_vec(&future).into()),
    );
    client.receive(server.commit(2, Some(from)));
    let good = Version::of(&encode::body(&mk_node("one", "z")));
    assert_eq!(
        rejected(&client),
        [("one".into(), RejectReason::Unsupported, Some(good))]
    );
    assert_eq!(client.reconnects, []);
    assert!(!client.acks().pop().unwrap().digest_mismatch);
}

#[test]
fn unknown_types_and_scopes_are_unsupported_and_the_rest_applies() {
    let server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::new();
    client.connect();
    let mut stream = BytesMut::new();
    for (kind, scope) in [(12, ""), (1, "moon"), (9, "")] {
        let frame = v1::ResourceFrame {
            r#type: kind,
            scope: scope.into(),
            name: format!("default/{kind}"),
            version: Version::of(b"?").0,
            body: Bytes::from_static(b"?"),
            removed: false,
        };
        prost::Message::encode_length_delimited(&frame, &mut stream).unwrap();
    }
    let mut commit = server.commit(1, None);
    if let Some(Kind::Begin(begin)) = &mut commit[0].kind {
        begin.frame_count += 3;
        begin.bytes += stream.len() as u64;
    }
    let data = stream.freeze();
    commit.insert(1, response(Kind::Chunk(v1::ResourceChunk { data })));
    if let Some(Kind::End(end)) = &mut commit.last_mut().unwrap().kind {
        end.expected.push(v1::TopicDigest {
            topic: Some(v1::Topic {
                r#type: 12,
                scope: String::new(),
            }),
            ..v1::TopicDigest::default()
        });
    }
    client.receive(commit);
    client.install();
    assert_eq!(client.plane, server.snapshot());
    let unsupported = |name: &str| (name.to_owned(), RejectReason::Unsupported, None);
    let expected = ["default/1", "default/9", "default/12"].map(unsupported);
    assert_eq!(rejected(&client), expected);
    client.receive(server.commit(2, None));
    assert_eq!(rejected(&client), [], "a full commit without them");
}

#[test]
fn a_damaged_delta_is_answered_by_asking_for_a_full_commit() {
    type Damage = fn(&mut Vec<v1::DiscoveryResponse>);
    fn chunk(commit: &mut [v1::DiscoveryResponse]) -> &mut v1::ResourceChunk {
        let Some(Kind::Chunk(chunk)) = &mut commit[1].kind else {
            panic!("not a chunk");
        };
        chunk
    }
    let damages: &[(&str, Damage)] = &[
        ("a chunk is lost", |commit| drop(commit.remove(1))),
        ("chunks are swapped", |commit| commit.swap(1, 2)),
        ("a byte is added", |commit| {
            let mut data = BytesMut::from(chunk(commit).data.as_ref());
            data.put_u8(0);
            chunk(commit).data = data.freeze();
        }),
        ("a bit is flipped", |commit| {
            let mut data = chunk(commit).data.to_vec();
            *data.last_mut().unwrap() ^= 1;
            chunk(commit).data = data.into();
        }),
        ("a frame is not counted", |commit| {
            if let Some(Kind::Begin(begin)) = &mut commit[0].kind {
                begin.frame_count -= 1;
            }
        }),
        ("the digest is another", |commit| {
            if let Some(Kind::End(end)) = &mut commit.last_mut().unwrap().kind {
                end.expected[0].digest = "1".repeat(32);
            }
        }),
        ("a digest is missing", |commit| {
            if let Some(Kind::End(end)) = &mut commit.last_mut().unwrap().kind {
                drop(end.expected.pop());
            }
        }),
        ("the digest is short", |commit| {
            if let Some(Kind::End(end)) = &mut commit.last_mut().unwrap().kind {
                end.expected[0].digest = "1".repeat(31);
            }
        }),
        ("the end is another's", |commit| {
            if let Some(Kind::End(end)) = &mut commit.last_mut().unwrap().kind {
                end.nonce += 1;
            }
        }),
    ];
    for (damage, apply) in damages {
        let mut server = Model::with_nodes("a", &[("one", "z")]);
        let mut client = Client::following(&mut server);
        let before = client.plane.clone();
        let from = server.generation;
        server.put(NODES, "two", &mk_node("two", "z"));
        let mut commit = server.commit(2, Some(from));
        apply(&mut commit);
        client.receive(commit);
        let ack = client.acks().pop().unwrap();
        assert!(ack.digest_mismatch, "{damage}");
        assert_eq!(ack.nonce, 2, "{damage}");
        assert_eq!(ack.generation, from, "{damage}: what is installed");
        assert!(client.at_plane.is_none(), "{damage}");
        assert_eq!(client.plane, before, "{damage}");

        client.receive(server.commit(3, Some(from)));
        assert!(
            client.at_plane.is_none(),
            "{damage}: only a full one will do"
        );
        client.receive(server.commit(4, None));
        client.install();
        assert_eq!(client.plane, server.snapshot(), "{damage}");
        assert_eq!(client.reconnects, [], "{damage}");
    }
}

#[test]
fn a_damaged_full_commit_ends_the_stream_and_the_next_one_starts_from_nothing() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    server.put(NODES, "two", &mk_node("two", "z"));
    let mut commit = server.commit(2, None);
    drop(commit.remove(1));
    client.receive(commit);
    assert!(matches!(
        client.reconnects.as_slice(),
        [Reconnect::Fault(Fault::Damaged(Damage::Bytes { .. }))]
    ));
    client.connect();
    assert_eq!(client.last_hello().cursor, None);
    assert!(client.last_hello().subscriptions[0].set_digest.is_empty());
    client.settle(&mut server);
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_full_commit_that_was_asked_for_must_come() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let from = server.generation;
    server.put(NODES, "two", &mk_node("two", "z"));
    let mut commit = server.commit(2, Some(from));
    drop(commit.remove(1));
    client.receive(commit);
    for _ in 0..3 {
        client.receive([response(Kind::Heartbeat(v1::Heartbeat::default()))]);
        client.advance(HEARTBEAT);
    }
    assert_eq!(client.reconnects, [Reconnect::NoFull]);
}

#[test]
fn a_server_that_breaks_the_protocol_loses_the_client_but_changes_nothing() {
    let begin = |change: fn(&mut v1::CommitBegin)| {
        let mut server = Model::with_nodes("a", &[("one", "z")]);
        let from = server.generation;
        server.put(NODES, "two", &mk_node("two", "z"));
        let mut commit = server.commit(2, Some(from));
        if let Some(Kind::Begin(begin)) = &mut commit[0].kind {
            change(begin);
        }
        commit
    };
    let end = response(Kind::End(v1::CommitEnd::default()));
    let chunk = response(Kind::Chunk(v1::ResourceChunk::default()));
    let twice = || {
        begin(|_| {})
            .into_iter()
            .take(1)
            .chain(begin(|_| {}))
            .collect()
    };
    let cases: Vec<(Vec<v1::DiscoveryResponse>, &str)> = vec![
        (vec![chunk], "a chunk outside a commit"),
        (vec![end], "the end of a commit that did not begin"),
        (twice(), "a commit begins within another"),
        (begin(|b| b.nonce = 1), "nonce 1 instead of 2"),
        (begin(|b| b.nonce = 3), "nonce 3 instead of 2"),
        (
            begin(|b| b.generation = 1),
            "generation 1 of epoch a after 2",
        ),
        (
            begin(|b| (b.mode, b.generation) = (v1::CommitMode::Full.into(), 1)),
            "generation 1 of epoch a after 2",
        ),
        (
            begin(|b| b.from_generation = 1),
            "a delta from generation 1 of epoch a, which is not held",
        ),
        (
            begin(|b| b.epoch = "b".into()),
            "a delta from generation 2 of epoch b, which is not held",
        ),
        (
            begin(|b| b.mode = v1::CommitMode::Buckets.into()),
            "commit mode 3 was not asked for",
        ),
        (begin(|b| b.mode = 77), "commit mode 77 was not asked for"),
        (begin(|b| b.encoding = 1), "encoding 1 was not accepted"),
        (
            begin(|b| b.bytes = u64::MAX),
            "a commit of 18446744073709551615 bytes is larger than 1073741824",
        ),
    ];
    for (messages, expected) in cases {
        let mut server = Model::with_nodes("a", &[("one", "z")]);
        let mut client = Client::following(&mut server);
        client.receive(messages);
        let reasons: Vec<_> = client.reconnects.iter().map(ToString::to_string).collect();
        assert_eq!(
            reasons,
            [format!("the control plane broke the protocol: {expected}")]
        );
        assert_eq!(client.session.status().last_error, Some(reasons[0].clone()));
        assert!(!client.session.status().connected);
        assert_eq!(client.plane, server.snapshot());
        client.settle(&mut server);
        assert_eq!(client.session.status().last_error, None);
    }
}

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
fn a_client_says_every_ten_seconds_what_it_holds_and_gives_up_a_silent_server() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let started = client.now;
    assert_eq!(client.session.next_deadline(), Some(started + HEARTBEAT));
    for _ in 0..2 {
        client.advance(HEARTBEAT);
    }
    let heartbeats = client.heartbeats();
    assert_eq!(heartbeats.len(), 2);
    assert_eq!(heartbeats[1].generation, server.generation);
    assert_eq!(heartbeats[1].digests, server.digests());
    client.receive([response(Kind::Heartbeat(v1::Heartbeat::default()))]);
    client.advance(SILENCE.saturating_sub(Duration::from_millis(1)));
    assert_eq!(client.reconnects, []);
    client.advance(Duration::from_millis(1));
    assert_eq!(client.reconnects, [Reconnect::Silent]);
    assert_eq!(client.session.next_deadline(), None);
    assert_eq!(client.plane, server.snapshot());
}

#[test]
fn a_drained_client_connects_again_when_it_was_told_to() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let drain = v1::Drain {
        reconnect_after: Some(Duration::from_secs(5).try_into().unwrap()),
        reason: "rebalancing".into(),
    };
    client.receive([response(Kind::Drain(drain))]);
    client.advance(Duration::from_secs(4));
    assert_eq!(client.reconnects, []);
    client.advance(Duration::from_secs(1));
    assert_eq!(
        client.reconnects,
        [Reconnect::Drained("rebalancing".into())]
    );
    assert_eq!(client.session.status().last_error, None);
}

#[test]
fn of_two_scopes_of_a_type_the_wider_one_is_subscribed() {
    let both = [Topic::INGRESS[0], Topic::all(ResourceType::EndpointGroup)];
    let mut session = Session::new(v1::ClientIdentity::default(), v1::Role::Ingress, &both, 1);
    let actions = session.connected(Instant::now(), "http://127.0.0.1:18000");
    let [
        Action::Send(v1::DiscoveryRequest {
            kind: Some(v1::discovery_request::Kind::Hello(hello)),
        }),
    ] = actions.as_slice()
    else {
        panic!("not a hello: {actions:?}");
    };
    let topics: Vec<_> = hello
        .subscriptions
        .iter()
        .map(|s| s.topic.clone().unwrap())
        .collect();
    assert_eq!(
        topics,
        [encode::topic(Topic::all(ResourceType::EndpointGroup))]
    );
    assert_eq!(Topic::INGRESS[0].scope, Scope::Ingress);
}

#[test]
fn a_status_reads_well_as_json() {
    let status = SessionStatus {
        generation: 7,
        digests: vec![TopicDigest {
            topic: Topic::INGRESS[0],
            digest: meshlite_snapshot::SetDigest::default(),
            count: 0,
        }],
        rejections: vec![Rejection {
            topic: encode::topic(NODES),
            name: Name::new("one").unwrap().to_string(),
            version: Version(1),
            reason: RejectReason::Invalid,
            message: "no".into(),
            serving: None,
        }],
        ..SessionStatus::default()
    };
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["digests"][0]["topic"], "EndpointGroup/ingress");
    assert_eq!(json["rejections"][0]["topic"], "Node");
    assert_eq!(json["rejections"][0]["version"], "0000000000000001");
}
