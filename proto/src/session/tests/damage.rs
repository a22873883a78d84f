//! Commits that are damaged, and servers that break the protocol.

use super::*;

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
        (begin(|b| b.encoding = 7), "encoding 7 was not accepted"),
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
