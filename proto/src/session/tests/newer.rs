//! A server that is newer than this client.

use super::*;

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
    for (kind, scope) in [(13, ""), (1, "moon"), (9, "")] {
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
                r#type: 13,
                scope: String::new(),
            }),
            ..v1::TopicDigest::default()
        });
    }
    client.receive(commit);
    client.install();
    assert_eq!(client.plane, server.snapshot());
    let unsupported = |name: &str| (name.to_owned(), RejectReason::Unsupported, None);
    let expected = ["default/1", "default/9", "default/13"].map(unsupported);
    assert_eq!(rejected(&client), expected);
    client.receive(server.commit(2, None));
    assert_eq!(rejected(&client), [], "a full commit without them");
}
