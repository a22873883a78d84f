//! A control plane that lost its memory does not take everything down.

use std::time::Duration;

use super::client::Client;
use crate::{
    model::{Model, NODES, mk_node, response},
    session::{GUARD, HEARTBEAT, Reconnect},
    v1::{self, discovery_response::Kind},
};

fn mk_server(epoch: &str, nodes: usize) -> Model {
    let mut server = Model::new(epoch);
    for node in 0..nodes {
        server.put(NODES, &format!("n{node}"), &mk_node("n", "z"));
    }
    server
}

/// Time passes while the server is alive.
fn live(client: &mut Client, time: Duration) {
    let until = client.now + time;
    while client.now < until {
        client.receive([response(Kind::Heartbeat(v1::Heartbeat::default()))]);
        client.advance(HEARTBEAT.min(until - client.now));
    }
}

#[test]
fn a_new_epoch_that_takes_away_most_is_held_and_then_obeyed() {
    let mut client = Client::following(&mut mk_server("a", 20));
    client.disconnect();
    client.connect();
    let empty = mk_server("b", 9);
    client.receive(empty.commit(1, None));
    assert!(client.at_plane.is_none());
    let error = client.session.status().last_error.unwrap();
    assert_eq!(
        error,
        "a new control plane takes away 11 of 20 Node resources: held for 120 s"
    );
    live(&mut client, GUARD.saturating_sub(Duration::from_secs(1)));
    assert!(client.at_plane.is_none());
    assert_eq!(client.plane.nodes.len(), 20);
    assert_eq!(client.heartbeats().last().unwrap().digests[0].count, 20);
    live(&mut client, Duration::from_secs(1));
    client.install();
    assert_eq!(client.plane, empty.snapshot());
    assert_eq!(client.acks().pop().unwrap().nonce, 1);
    assert_eq!(client.reconnects, []);
}

#[test]
fn what_is_held_is_let_go_when_the_rest_comes_after_all() {
    let mut client = Client::following(&mut mk_server("a", 20));
    client.disconnect();
    client.connect();
    client.receive(mk_server("b", 0).commit(1, None));
    assert!(client.at_plane.is_none());
    let whole = mk_server("b", 19);
    client.receive(whole.commit(2, None));
    client.install();
    assert_eq!(client.plane, whole.snapshot());
    assert_eq!(client.acks().pop().unwrap().nonce, 2);
}

#[test]
fn another_replica_is_asked_and_believed() {
    for (third, expected) in [(0, 0), (20, 20)] {
        let mut client = Client::among(3);
        client.settle(&mut mk_server("a", 20));
        client.disconnect();
        client.connect();
        client.receive(mk_server("b", 0).commit(1, None));
        assert_eq!(client.reconnects, [Reconnect::Confirm]);
        assert_eq!(client.plane.nodes.len(), 20);
        client.connect();
        client.receive(mk_server("c", third).commit(1, None));
        client.install();
        assert_eq!(client.plane.nodes.len(), expected);
        assert_eq!(client.session.status().epoch, "c");
    }
}

#[test]
fn the_same_replica_again_does_not_confirm_itself() {
    let mut client = Client::among(2);
    client.settle(&mut mk_server("a", 20));
    client.disconnect();
    let held_since = client.now;
    while client.now < held_since + GUARD {
        client.connect();
        client.receive(mk_server("b", 0).commit(1, None));
        assert!(client.at_plane.is_none());
        assert_eq!(client.reconnects.last(), Some(&Reconnect::Confirm));
        assert!(client.session.status().held_back.is_some());
        client.now += HEARTBEAT;
    }
    client.connect();
    client.receive(mk_server("b", 0).commit(1, None));
    client.install();
    assert_eq!(client.session.status().held_back, None);
    assert_eq!(client.plane.nodes.len(), 0);
}

#[test]
fn a_replica_that_is_followed_may_take_away_what_it_wants() {
    let mut server = mk_server("a", 20);
    let mut client = Client::following(&mut server);
    for node in 0..20 {
        server.set(NODES, &format!("n{node}"), None);
    }
    client.settle(&mut server);
    assert_eq!(client.plane.nodes.len(), 0);
}

#[test]
fn ten_resources_or_half_of_them_are_not_worth_waiting_for() {
    for (before, after) in [(10, 0), (40, 20)] {
        let mut client = Client::following(&mut mk_server("a", before));
        client.disconnect();
        client.settle(&mut mk_server("b", after));
        assert_eq!(client.plane.nodes.len(), after);
    }
}
