//! What a commit changes, and when it becomes visible.

use meshlite_snapshot::{Node, Table};

use super::*;

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
fn a_delta_copies_nothing_that_it_does_not_name() {
    let mut server = Model::new("a");
    for node in 0..2_000 {
        server.put(NODES, &format!("n{node}"), &mk_node("n", "z"));
    }
    let mut client = Client::following(&mut server);
    let from = server.generation;
    server.put(NODES, "n7", &mk_node("n", "y"));
    server.set(NODES, "n8", None);
    client.receive(server.commit(2, Some(from)));
    let (before, offered) = (&client.plane, client.at_plane.as_ref().unwrap());
    assert_eq!(
        (before.nodes.len(), offered.snapshot.nodes.len()),
        (2_000, 1_999)
    );
    // The plane before, the plane after and the session hold them; what changed waits in the session too.
    let copied = |nodes: &Table<Node>| {
        let counts = nodes.values().map(Arc::strong_count);
        counts.filter(|count| *count > 1).count()
    };
    assert_eq!(copied(&before.nodes), 0);
    assert_eq!(copied(&offered.snapshot.nodes), 1);
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
