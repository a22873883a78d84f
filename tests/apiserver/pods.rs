//! Pods that come, become ready, stop being ready and go, and endpoints that somebody writes by hand.

use meshlite_snapshot::{Resource, ResourceType};
use meshlite_tests::apiserver;
use serde_json::json;

use crate::support::{Cluster, Follower, objects};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_without_a_deployment_is_an_endpoint_while_it_is_ready() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "pods").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let web = format!("{ns}/web");
    cluster
        .create("services", &objects::service("web", 80))
        .await;

    cluster.pod(api, "web-0", "web", "10.1.0.1").await;
    api.set_pod_ready(ns, "web-0", true).await.unwrap();
    node.ready_endpoints(&web, &["10.1.0.1"]).await;
    api.set_pod_ready(ns, "web-0", false).await.unwrap();
    node.ready_endpoints(&web, &[]).await;
    api.set_pod_ready(ns, "web-0", true).await.unwrap();
    node.ready_endpoints(&web, &["10.1.0.1"]).await;

    // It ends in peace: no new connections, while those that it has go on.
    api.delete_pod(ns, "web-0", 30).await.unwrap();
    node.holds("it is terminating and still serves", |noted| {
        let endpoint = noted
            .snapshot
            .endpoint_groups_of(ns, "web")
            .flat_map(|(_, group)| group.endpoints.clone())
            .next();
        match endpoint {
            Some(endpoint) if endpoint.terminating && endpoint.serving && !endpoint.ready => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    api.delete_pod(ns, "web-0", 0).await.unwrap();
    node.holds("it is gone", |noted| {
        let groups = noted.snapshot.endpoint_groups_of(ns, "web");
        match groups.map(|(_, group)| group.endpoints.len()).sum() {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_ready_are_published_where_the_service_says_so() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "notready").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let web = format!("{ns}/web");
    let mut service = objects::service("web", 80);
    service["spec"]["publishNotReadyAddresses"] = json!(true);
    cluster.create("services", &service).await;
    cluster.pod(api, "web-0", "web", "10.1.0.2").await;
    node.ready_endpoints(&web, &["10.1.0.2"]).await;

    let patch = json!({"spec": {"publishNotReadyAddresses": false}});
    cluster.merge("services/web", &patch).await;
    node.ready_endpoints(&web, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_written_by_hand_are_served() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "byhand").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let outside = format!("{ns}/outside");
    let manifest = |address: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: outside, namespace: {ns}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             apiVersion: v1\nkind: Endpoints\nmetadata: {{name: outside, namespace: {ns}}}\n\
             subsets: [{{addresses: [{{ip: {address}}}], ports: [{{port: 8080}}]}}]\n"
        )
    };
    for address in ["192.0.2.7", "192.0.2.8"] {
        api.apply(&manifest(address)).await.unwrap();
        node.ready_endpoints(&outside, &[address]).await;
    }
    api.delete(ns, "endpoints/outside").await.unwrap();
    node.ready_endpoints(&outside, &[]).await;
    node.has(ResourceType::Service, &outside, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_namespace_is_all_that_is_served() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "watched").await;
    let another = Cluster::new(api, "unwatched").await;
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    for cluster in [&another, &cluster] {
        cluster
            .create("services", &objects::service("web", 80))
            .await;
    }
    let web = format!("{}/web", cluster.namespace);
    node.has(ResourceType::Service, &web, true).await;
    let noted = node.noted();
    let foreign = noted.snapshot.iter().find(|(name, resource)| {
        let is_namespaced = !matches!(resource, Resource::Node(_) | Resource::Namespace(_));
        is_namespaced
            && !name
                .as_str()
                .starts_with(&format!("{}/", cluster.namespace))
    });
    assert!(foreign.is_none(), "{foreign:?}");
}
