//! A control plane that lost its memory does not take everything down.

use std::time::Duration;

use meshlite_snapshot::{ResourceType, Snapshot};
use proptest::{collection::vec, prelude::*};

use super::client::Client;
use crate::{
    model::{Model, NODES, mk_name, mk_node, response},
    session::{GUARD, HEARTBEAT, Reconnect},
    v1::{self, discovery_response::Kind},
};

fn mk_server(epoch: &str, nodes: usize) -> Model {
    let mut server = Model::new(epoch);
    server.origin = String::new();
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

/// What time it is in the cluster, as this snapshot knows.
fn clock(snapshot: &Snapshot) -> u64 {
    match snapshot.get(ResourceType::Node, &mk_name("clock")) {
        Some(meshlite_snapshot::Resource::Node(node)) => {
            node.zone.as_ref().unwrap().parse().unwrap()
        }
        _ => 0,
    }
}

fn strike(server: &mut Model) {
    let time = (server.clock + 1).to_string();
    server.put(NODES, "clock", &mk_node("clock", &time));
}

/// A replica, and another one that stands still since then.
fn mk_fresh_and_frozen() -> (Model, Model) {
    let mut fresh = mk_server("a", 5);
    fresh.origin = "cluster".into();
    strike(&mut fresh);
    let mut frozen = fresh.clone();
    frozen.restart("b");
    strike(&mut fresh);
    (fresh, frozen)
}

#[test]
fn what_is_older_is_held_and_let_go_when_the_replica_catches_up() {
    let (mut fresh, mut frozen) = mk_fresh_and_frozen();
    let mut client = Client::following(&mut fresh);
    client.disconnect();
    client.settle(&mut frozen);
    assert_eq!(client.plane, fresh.snapshot());
    assert_eq!(
        client.session.status().held_back.unwrap(),
        "a control plane knows nodes only up to version 6, and 7 is installed: held for 120 s"
    );
    strike(&mut frozen);
    let from = frozen.generation - 1;
    client.receive(frozen.commit(2, Some(from)));
    client.install();
    assert_eq!(client.plane, frozen.snapshot());
    assert_eq!(client.session.status().held_back, None);
    assert_eq!(client.session.status().sources[0].resource_version, "7");
}

#[test]
fn what_is_older_is_obeyed_in_the_end_and_so_is_what_follows() {
    let (mut fresh, mut frozen) = mk_fresh_and_frozen();
    strike(&mut fresh);
    let mut client = Client::following(&mut fresh);
    client.disconnect();
    client.settle(&mut frozen);
    live(&mut client, GUARD);
    client.install();
    assert_eq!(client.plane, frozen.snapshot());
    strike(&mut frozen);
    client.settle(&mut frozen);
    assert_eq!(client.plane, frozen.snapshot());
    assert_eq!(client.session.status().held_back, None);
}

#[test]
fn an_older_replica_that_changes_nothing_is_followed_and_forgets_nothing() {
    let (_, mut frozen) = mk_fresh_and_frozen();
    let mut ahead = frozen.clone();
    ahead.restart("ahead");
    ahead.clock += 100;
    let mut client = Client::following(&mut ahead);
    client.disconnect();
    client.settle(&mut frozen);
    let status = client.session.status();
    assert_eq!((status.epoch.as_str(), status.held_back), ("b", None));
    assert_eq!(status.sources[0].resource_version, ahead.clock.to_string());
}

#[test]
fn versions_of_another_cluster_are_not_compared() {
    let (mut fresh, mut frozen) = mk_fresh_and_frozen();
    frozen.origin = "restored from a backup".into();
    let mut client = Client::following(&mut fresh);
    client.disconnect();
    client.settle(&mut frozen);
    assert_eq!(client.plane, frozen.snapshot());
}

#[test]
fn what_was_read_from_disk_is_not_made_older_either() {
    let (mut fresh, mut frozen) = mk_fresh_and_frozen();
    let mut client = Client::following(&mut fresh);
    client.write();
    client.restart();
    client.settle(&mut frozen);
    assert_eq!(client.plane, fresh.snapshot());
    assert!(client.session.status().provisional);
}

fn read_up_to(client: &Client) -> String {
    client.session.status().sources[0].resource_version.clone()
}

#[test]
fn heartbeats_tell_a_client_how_far_what_it_holds_was_read() {
    let mut server = mk_fresh_and_frozen().0;
    let mut client = Client::following(&mut server);
    assert_eq!(read_up_to(&client), "7");
    server.clock = 100;
    client.receive([server.heartbeat()]);
    assert_eq!(read_up_to(&client), "100");
    server.clock = 50;
    client.receive([server.heartbeat()]);
    assert_eq!(read_up_to(&client), "100", "what was seen stays seen");

    // What it does not hold yet says nothing about what it holds.
    server.clock = 200;
    strike(&mut server);
    client.receive([server.heartbeat()]);
    assert_eq!(read_up_to(&client), "100");
    client.receive(server.commit(2, Some(server.generation - 1)));
    server.clock = 300;
    client.receive([server.heartbeat()]);
    assert_eq!(read_up_to(&client), "100", "the plane is at it");
    client.install();
    assert_eq!(read_up_to(&client), "201");
    client.receive([server.heartbeat()]);
    assert_eq!(read_up_to(&client), "300");
}

#[test]
fn a_heartbeat_before_the_first_commit_of_a_stream_is_about_another_log() {
    let mut server = mk_fresh_and_frozen().0;
    let mut client = Client::following(&mut server);
    client.disconnect();
    client.connect();
    server.clock = 100;
    client.receive([server.heartbeat()]);
    assert_eq!(read_up_to(&client), "7");
    client.settle(&mut server);
    assert_eq!(read_up_to(&client), "100");
}

#[test]
fn what_a_heartbeat_told_is_not_gone_back_behind() {
    for (offered, is_held) in [(99, true), (100, false), (101, false)] {
        let mut fresh = mk_fresh_and_frozen().0;
        let mut client = Client::following(&mut fresh);
        fresh.clock = 100;
        client.receive([fresh.heartbeat()]);
        client.disconnect();
        let mut other = mk_server("b", 6);
        (other.origin, other.clock) = (fresh.origin.clone(), offered);
        client.settle(&mut other);
        let held_back = client.session.status().held_back;
        assert_eq!(held_back.is_some(), is_held, "{offered}: {held_back:?}");
        assert_eq!(client.plane == other.snapshot(), !is_held, "{offered}");
        live(&mut client, GUARD);
        client.install();
        assert_eq!(client.plane, other.snapshot(), "{offered}");
        assert_eq!(client.session.status().held_back, None);
    }
}

#[test]
fn what_is_held_is_let_go_when_its_replica_has_read_as_far_and_nothing_came_of_it() {
    let (mut fresh, mut frozen) = mk_fresh_and_frozen();
    let mut client = Client::following(&mut fresh);
    client.disconnect();
    client.settle(&mut frozen);
    assert!(client.session.status().held_back.is_some());
    client.receive([frozen.heartbeat()]);
    assert!(client.session.status().held_back.is_some());
    frozen.clock = fresh.clock;
    client.receive([frozen.heartbeat()]);
    client.install();
    assert_eq!(client.session.status().held_back, None);
    assert_eq!(client.plane, frozen.snapshot());
}

#[test]
fn what_was_rejected_is_not_older_when_a_replica_that_has_read_less_offers_it_again() {
    let (mut fresh, _) = mk_fresh_and_frozen();
    let mut other = fresh.clone();
    other.restart("b");
    let mut client = Client::new();
    client.connect();
    client.receive(fresh.commit(1, None));
    client.install_except(&[(NODES, "n1")]);
    fresh.clock += 1;
    client.receive([fresh.heartbeat()]);
    client.disconnect();
    client.settle(&mut other);
    let status = client.session.status();
    assert_eq!((status.epoch.as_str(), status.held_back), ("b", None));
    assert_eq!(client.plane, fresh.snapshot());
}

proptest! {
    #[test]
    fn a_frozen_replica_never_takes_a_client_back_while_another_can_be_reached(
        steps in vec((0..5_u8, 0..10_u64), 0..60),
    ) {
        let (mut fresh, mut frozen) = mk_fresh_and_frozen();
        let mut client = Client::among(2);
        client.settle(&mut fresh);
        let (mut at_frozen, mut seen) = (false, clock(&client.plane));
        for (step, seconds) in steps {
            match step {
                0 => strike(&mut fresh),
                1 => client.disconnect(),
                2 => {
                    frozen = fresh.clone();
                    frozen.restart(&format!("frozen at {}", fresh.clock));
                    client.disconnect();
                }
                3 => {
                    fresh.clock += seconds;
                    let replica = if at_frozen { &frozen } else { &fresh };
                    client.receive([replica.heartbeat()]);
                }
                _ => client.now += Duration::from_secs(seconds),
            }
            if !client.connected {
                at_frozen = !at_frozen;
                client.connect();
            }
            let replica = if at_frozen { &mut frozen } else { &mut fresh };
            while let Some(request) = client.sent.pop_front() {
                replica.receive(request);
            }
            client.receive(replica.respond());
            client.install();
            prop_assert!(clock(&client.plane) >= seen, "{} after {seen}", clock(&client.plane));
            seen = clock(&client.plane);
        }
        client.disconnect();
        client.settle(&mut fresh);
        prop_assert_eq!(client.plane, fresh.snapshot());
    }
}
