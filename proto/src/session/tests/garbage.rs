//! Nothing that a server sends can break a session or change what is installed without proof.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use meshlite_snapshot::Version;
use proptest::{collection::vec, prelude::*};

use super::client::Client;
use crate::{
    arbitrary, encode,
    model::{Model, NODES, mk_node, response},
    v1::{self, discovery_response::Kind},
};

fn epoch() -> impl Strategy<Value = String> {
    "[ab]?"
}

fn topic() -> impl Strategy<Value = v1::Topic> {
    (-1..14_i32, "(|ingress|moon)").prop_map(|(kind, scope)| v1::Topic {
        r#type: kind,
        scope,
    })
}

fn begin() -> impl Strategy<Value = v1::CommitBegin> {
    let numbers = (1..4_u64, 0..6_u64, 0..6_u64, 0..4_u64, 0..80_u64);
    let buckets = vec(0..2000_u32, 0..3);
    (
        numbers,
        epoch(),
        0..5_i32,
        0..3_i32,
        vec(topic(), 0..2),
        buckets,
    )
        .prop_map(
            |(numbers, epoch, mode, encoding, topics, replaced_buckets)| {
                let (nonce, from_generation, generation, frame_count, bytes) = numbers;
                v1::CommitBegin {
                    nonce,
                    epoch,
                    from_generation,
                    generation,
                    mode,
                    encoding,
                    frame_count,
                    bytes,
                    replaced_buckets,
                    raw_bytes: bytes * 2,
                    topics,
                }
            },
        )
}

fn end() -> impl Strategy<Value = v1::CommitEnd> {
    let digest = (topic(), "[0-9a-g]{31,33}", any::<u64>()).prop_map(|(topic, digest, count)| {
        v1::TopicDigest {
            topic: Some(topic),
            digest,
            count,
        }
    });
    (1..4_u64, 0..6_u64, vec(digest, 0..3)).prop_map(|(nonce, generation, expected)| {
        v1::CommitEnd {
            nonce,
            generation,
            expected,
            ..v1::CommitEnd::default()
        }
    })
}

fn chunk() -> impl Strategy<Value = Bytes> {
    let frame = (arbitrary::name(), arbitrary::resource(), any::<bool>()).prop_map(
        |(name, resource, wrong)| {
            let body = encode::body(&resource);
            let mut version = Version::of(&body);
            version.0 ^= u64::from(wrong);
            let mut out = BytesMut::new();
            encode::frame(NODES, &name, version, Some(&body), &mut out);
            out.freeze()
        },
    );
    let frame = (frame, any::<bool>()).prop_map(|(frame, packed)| {
        if packed {
            zstd::encode_all(frame.as_ref(), 3).unwrap().into()
        } else {
            frame
        }
    });
    prop_oneof![2 => frame, 1 => vec(any::<u8>(), 0..30).prop_map(Bytes::from)]
}

fn message() -> impl Strategy<Value = v1::DiscoveryResponse> {
    let drain = (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| v1::Drain {
        reconnect_after: Some(prost_types::Duration { seconds, nanos }),
        reason: String::new(),
    });
    prop_oneof![
        4 => begin().prop_map(|begin| Some(Kind::Begin(begin))),
        4 => chunk().prop_map(|data| Some(Kind::Chunk(v1::ResourceChunk { data }))),
        4 => end().prop_map(|end| Some(Kind::End(end))),
        1 => drain.prop_map(|drain| Some(Kind::Drain(drain))),
        1 => Just(Some(Kind::Heartbeat(v1::Heartbeat::default()))),
        1 => Just(None),
    ]
    .prop_map(|kind| v1::DiscoveryResponse { kind })
}

proptest! {
    #[test]
    fn a_session_survives_any_messages_and_keeps_what_it_holds(
        messages in vec((message(), 0..40_u64), 0..40),
    ) {
        let mut server = Model::with_nodes("good", &[("one", "z"), ("two", "z")]);
        let mut client = Client::following(&mut server);
        let held = client.plane.clone();
        for (message, wait) in messages {
            if !client.connected {
                client.connect();
            }
            client.receive([message]);
            client.advance(Duration::from_secs(wait));
            client.install();
            prop_assert_eq!(&client.plane, &held);
        }
        client.disconnect();
        client.settle(&mut server);
        prop_assert_eq!(&client.plane, &server.snapshot());
    }
}

#[test]
fn a_name_that_is_none_damages_the_commit() {
    let frame = v1::ResourceFrame {
        r#type: v1::ResourceType::Node.into(),
        name: "a//b".into(),
        version: Version::of(b"").0,
        ..v1::ResourceFrame::default()
    };
    let mut stream = BytesMut::new();
    prost::Message::encode_length_delimited(&frame, &mut stream).unwrap();
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let from = server.generation;
    server.put(NODES, "two", &mk_node("two", "z"));
    let mut commit = server.commit(2, Some(from));
    let data = stream.freeze();
    if let Some(Kind::Begin(begin)) = &mut commit[0].kind {
        begin.bytes += data.len() as u64;
        begin.frame_count += 1;
    }
    commit.insert(1, response(Kind::Chunk(v1::ResourceChunk { data })));
    client.receive(commit);
    assert!(client.acks().pop().unwrap().digest_mismatch);
    assert_eq!(client.plane.nodes.len(), 1);
}
