//! What a client says when it comes back, and what it is sent then.

use super::*;

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
