//! The ingress as the command runs it, without a control plane.

use std::{net::Ipv4Addr, time::Duration};

use tokio_util::sync::CancellationToken;

use super::origin::get;
use crate::{Config, Ingress};

#[tokio::test]
async fn it_is_not_ready_before_the_first_snapshot_and_stops_when_told() {
    let config = Config {
        control_plane: vec!["http://127.0.0.1:1".into()],
        node_name: "node-1".into(),
        address: Ipv4Addr::LOCALHOST.into(),
        admin_listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..Config::default()
    };
    let ingress = Ingress::bind(config).await.unwrap();
    let admin = ingress.admin_addr().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(ingress.run(stop.clone()));
    assert_eq!(get(admin, "h", "/livez").await.status, 200);
    let ready = get(admin, "h", "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("first snapshot"), "{}", ready.body);
    let snapshot = get(admin, "h", "/snapshot").await;
    assert!(
        snapshot.body.contains("\"generation\":0"),
        "{}",
        snapshot.body
    );
    assert_eq!(get(admin, "h", "/listeners").await.body, "{}");
    let metrics = get(admin, "h", "/metrics").await.body;
    for name in [
        "meshlite_ingress_request_duration_seconds_count 0",
        "meshlite_ingress_connections 0",
        "meshlite_ingress_table_generation 0",
        "meshlite_ingress_control_plane_connected 0",
        "meshlite_ingress_rejected_resources 0",
    ] {
        assert!(metrics.contains(name), "no {name} in\n{metrics}");
    }
    stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), running).await;
    stopped.expect("it stops").unwrap().unwrap();
}
