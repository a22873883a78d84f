//! What a plane does not take, and what becomes of it.

use super::*;

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
    let said = client.heartbeats().pop().unwrap();
    assert_eq!(said.rejections.len(), 1, "still");
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
    assert_eq!(said.rejections, []);
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

/// Found by the property test: the older version came back in place of the newer one.
#[test]
fn what_was_refused_is_not_tried_again_once_something_newer_was_offered() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    for (nonce, zone) in [(2, "older"), (3, "newer")] {
        let from = server.generation;
        server.put(NODES, "one", &mk_node("one", zone));
        client.receive(server.commit(nonce, Some(from)));
    }
    client.install_except(&[(NODES, "one")]);
    client.install();
    assert_eq!(client.plane, server.snapshot());
    client.retry();
    assert!(client.at_plane.is_none(), "the older one is out of date");
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
fn what_is_said_about_a_rejection_is_short_and_readable() {
    let rejection = Rejection {
        topic: encode::topic(NODES),
        name: "one".into(),
        version: Version(0xab),
        reason: RejectReason::Invalid,
        message: "é".repeat(5000),
        serving: None,
    };
    let said = v1::Rejection::from(&rejection);
    assert_eq!(said.message, "é".repeat(512));
    assert_eq!(said.version, "00000000000000ab");
    assert_eq!(said.serving_version, "");
}
