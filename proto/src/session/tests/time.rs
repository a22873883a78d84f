//! What a session does as time passes, and what it says about itself.

use super::*;

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
fn a_heartbeat_says_what_endpoints_carry_where_anything_was_asked_for() {
    let mut server = Model::with_nodes("a", &[("one", "z")]);
    let mut client = Client::following(&mut server);
    let load = v1::EndpointLoad {
        service: "default/web".into(),
        address: "10.0.0.1".into(),
        port: 8080,
        active_connections: 30,
    };
    client.advance(HEARTBEAT);
    client.session.report([load.clone()].into());
    client.advance(HEARTBEAT);
    client.session.report(Arc::default());
    client.receive([response(Kind::Heartbeat(v1::Heartbeat::default()))]);
    client.advance(HEARTBEAT);
    let heartbeats = client.heartbeats();
    let loads: Vec<_> = heartbeats.into_iter().map(|beat| beat.loads).collect();
    assert_eq!(loads, [vec![], vec![load], vec![]]);
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
