//! The API server is gone, or has forgotten; the control plane is killed. Clients lose nothing by it.

use std::time::Duration;

use meshlite_snapshot::ResourceType;
use meshlite_tests::{
    apiserver::{self, Options, eventually, eventually_after},
    replica::Replica,
    soak::soaked,
};
use serde_json::json;

use crate::support::{Asked, Cluster, Follower, Forwarder, converged, http_status, objects, start};

/// Services that nothing ever happens to.
const STAYING: u16 = 6;

/// Services that stay, each with an Ingress, and one Pod.
async fn fill(api: &apiserver::ApiServer, cluster: &Cluster) {
    for number in 0..STAYING {
        let name = format!("stays-{number}");
        cluster
            .create("services", &objects::service(&name, 80))
            .await;
        let host = format!("{name}.example.com");
        let ingress = objects::ingress(&name, &cluster.namespace, &host, &name);
        cluster.create("ingresses", &ingress).await;
    }
    cluster.pod(api, "stays", "stays-0", "10.1.0.1").await;
    api.set_pod_ready(&cluster.namespace, "stays", true)
        .await
        .unwrap();
}

/// A node and an ingress, once they hold what [`fill`] makes.
async fn filled(cluster: &Cluster, replica: &Replica) -> [Follower; 2] {
    let node = Follower::node("n1", &[replica.url()]);
    let ingress = Follower::ingress("i1", &[replica.url()]);
    let ns = &cluster.namespace;
    node.ready_endpoints(&format!("{ns}/stays-0"), &["10.1.0.1"])
        .await;
    for number in 0..STAYING {
        let service = format!("{ns}/stays-{number}");
        node.has(ResourceType::Service, &service, true).await;
        let table = format!("{ns}/stays-{number}.example.com");
        ingress.has(ResourceType::RouteTable, &table, true).await;
    }
    [node, ingress]
}

/// How long ago the sources that are furthest behind were current.
async fn staleness(asked: &Asked) -> Result<Duration, String> {
    let sources = asked.server().await?.sources;
    let staleness = sources.into_iter().filter_map(|source| source.staleness);
    let known = staleness.filter_map(|staleness| Duration::try_from(staleness).ok());
    known.max().ok_or_else(|| "no source is known".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_gone_and_when_it_is_back_nothing_is_removed() {
    let Some(mut api) = apiserver::own(Options::default()).await else {
        return;
    };
    let cluster = Cluster::new(&api, "outage").await;
    fill(&api, &cluster).await;
    let mut config = cluster.config(&api, "replica-1").await;
    config.watch_namespaces = Vec::new();
    let replica = start(config);
    let followers = filled(&cluster, &replica).await;
    let asked = Asked::plaintext(&replica.url());
    let before = followers[0].digests();

    api.stop_api_server();
    let outage = Duration::from_secs(soaked(8, 60));
    eventually_after(
        outage,
        "it says how stale it is",
        async || match staleness(&asked).await {
            Ok(stale) if stale >= outage => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
    // It is as ready as ever, also for a client that was not there before.
    assert_eq!(http_status(replica.admin().unwrap(), "/readyz").await, 200);
    let late = filled(&cluster, &replica).await;
    assert_eq!(late[0].digests(), before);

    api.start_api_server().await.unwrap();
    cluster
        .create("services", &objects::service("afterwards", 80))
        .await;
    let afterwards = format!("{}/afterwards", cluster.namespace);
    for node in [&followers[0], &late[0]] {
        node.has(ResourceType::Service, &afterwards, true).await;
    }
    eventually("it says that it is current", async || {
        match staleness(&asked).await {
            Ok(stale) if stale < outage => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    for follower in followers.iter().chain(&late) {
        let removals = follower.noted().removals.clone();
        assert!(removals.is_empty(), "{removals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_past_was_compacted_all_is_listed_again_and_only_what_went_is_removed() {
    let Some(mut api) = apiserver::own(Options::default()).await else {
        return;
    };
    let cluster = Cluster::new(&api, "compacted").await;
    fill(&api, &cluster).await;
    cluster
        .create("services", &objects::service("goes", 80))
        .await;
    let wire = Forwarder::to(api.port()).await;
    let mut config = cluster.config(&api, "replica-1").await;
    config.api_server = Some(format!("https://{}", wire.address()));
    let replica = start(config);
    let [node, ingress] = filled(&cluster, &replica).await;
    let name = |service: &str| format!("{}/{service}", cluster.namespace);
    node.has(ResourceType::Service, &name("goes"), true).await;

    wire.cut();
    cluster.delete("services/goes").await;
    cluster
        .create("services", &objects::service("comes", 80))
        .await;
    api.compact_etcd().await.unwrap();
    api.stop_api_server();
    api.start_api_server().await.unwrap();
    assert!(node.noted().removals.is_empty());
    wire.open();
    node.has(ResourceType::Service, &name("comes"), true).await;
    node.has(ResourceType::Service, &name("goes"), false).await;
    let removals = node.noted().removals.clone();
    let wrong: Vec<_> = removals.iter().filter(|r| !r.contains("/goes")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(ingress.noted().removals.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_killed_over_and_over_under_change_takes_nothing_away() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "killed").await;
    let ns = &cluster.namespace;
    fill(api, &cluster).await;
    let mut replica = cluster.replica(api, "replica-1").await;
    let followers = filled(&cluster, &replica).await;
    let asked = Asked::plaintext(&replica.url());
    for kill in 0..soaked(10, 100) {
        let port = 1000 + kill;
        let changed = json!({"spec": {"ports": [{"name": "http", "port": port}]}});
        let passing = format!("passing-{}", kill / 2);
        match kill % 4 {
            // Killed right after the change, or while it is down, or as soon as it is back.
            0 => {
                cluster
                    .create("services", &objects::service(&passing, 80))
                    .await;
                replica.kill();
                replica.start_again().unwrap();
                cluster.merge("services/stays-1", &changed).await;
            }
            1 => {
                replica.kill();
                cluster.merge("services/stays-1", &changed).await;
                cluster.delete(&format!("services/{passing}")).await;
                replica.start_again().unwrap();
            }
            2 => {
                cluster.merge("services/stays-1", &changed).await;
                cluster
                    .create("services", &objects::service(&passing, 80))
                    .await;
                replica.kill();
                replica.start_again().unwrap();
                replica.start_again().unwrap();
            }
            _ => {
                replica.kill();
                replica.start_again().unwrap();
                cluster.delete(&format!("services/{passing}")).await;
                cluster.merge("services/stays-1", &changed).await;
            }
        }
        let name = format!("{ns}/stays-1");
        followers[0]
            .service(&name, |service| i64::from(service.ports[0].port) == port)
            .await;
        for follower in &followers {
            converged(follower, &asked).await;
        }
    }
    for follower in &followers {
        let removals = follower.noted().removals.clone();
        let wrong: Vec<_> = removals
            .iter()
            .filter(|removal| removal.contains("/stays"))
            .filter(|removal| !removal.contains("Cluster"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
