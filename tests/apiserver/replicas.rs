//! Several replicas: they serve the same, and no client goes back in time between them.

use std::collections::BTreeMap;

use meshlite_proto::v1;
use meshlite_tests::apiserver::{self, eventually};
use serde_json::json;

use crate::support::{
    Asked, Cluster, Dice, Follower, Forwarder, converged, objects, soaked, start,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_go_back_in_time_with_a_replica_whose_watch_is_frozen() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "frozen").await;
    let ns = &cluster.namespace;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let wire = Forwarder::to(api.port()).await;
    let mut config = cluster.config(api, "frozen").await;
    config.api_server = Some(wire.url());
    let frozen = start(config);
    let mut current = cluster.replica(api, "current").await;
    let web = format!("{ns}/web");
    // Whoever asks the frozen one gets the Service as it was.
    let behind = Follower::node("n0", &[frozen.url()]);
    behind
        .service(&web, |service| service.ports[0].port == 80)
        .await;

    let node = Follower::node("n1", &[current.url(), frozen.url()]);
    node.service(&web, |service| service.ports[0].port == 80)
        .await;
    wire.cut();
    // A client that starts with the frozen one may be at it; both are sent on by what follows.
    let changed = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    cluster.merge("services/web", &changed).await;
    let node = Follower::node("n2", &[current.url()]).and(node);
    node[0]
        .service(&web, |service| service.ports[0].port == 81)
        .await;
    current.kill();
}
