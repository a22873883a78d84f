//! An API server that cannot stream lists, as before Kubernetes 1.32, and one that learns it while it is followed.

use meshlite_snapshot::ResourceType;
use meshlite_tests::apiserver::{self, Options, eventually};
use serde_json::json;

use crate::support::{Asked, Cluster, Follower, converged, objects};

const NO_STREAMS: &str = "--feature-gates=WatchList=false";
/// More than two pages of a list.
const SERVICES: usize = 1100;

/// How often the control planes of this namespace asked for Services so.
fn asked(api: &apiserver::ApiServer, cluster: &Cluster, verb: &str) -> usize {
    let user = cluster.user();
    let entries = api.audit().unwrap().into_iter();
    let of_services = entries.filter(|entry| entry.resource == "services" && entry.user == user);
    of_services.filter(|entry| entry.verb == verb).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_where_the_server_cannot_stream_them_and_are_streamed_once_it_can() {
    let options = Options {
        api_server_arguments: vec![NO_STREAMS.into()],
    };
    let Some(mut api) = apiserver::own(options).await else {
        return;
    };
    let cluster = Cluster::new(&api, "pages").await;
    // Without selectors, but for one: the controllers have nothing to do for the others.
    let service = |number: usize| {
        let mut service = objects::service(&format!("s{number:04}"), 80);
        if number > 0 {
            service["spec"]["selector"] = json!(null);
        }
        service
    };
    let services = (0..SERVICES).map(service);
    cluster.create_all("services", services.collect()).await;
    let ingress = objects::ingress("web", &cluster.namespace, "web.example.com", "s0000");
    cluster.create("ingresses", &ingress).await;
    cluster.pod(&api, "pod", "s0000", "10.1.0.1").await;
    api.set_pod_ready(&cluster.namespace, "pod", true)
        .await
        .unwrap();

    let replica = cluster.replica(&api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let balancer = Follower::ingress("i1", &[replica.url()]);
    let name = |service: &str| format!("{}/{service}", cluster.namespace);
    node.ready_endpoints(&name("s0000"), &["10.1.0.1"]).await;
    let host = name("web.example.com");
    balancer.has(ResourceType::RouteTable, &host, true).await;
    let held = node.noted().snapshot.services.len();
    assert_eq!(held, SERVICES);
    let pages = asked(&api, &cluster, "list");
    assert!(pages >= 3, "{pages} pages");

    // From there on it is watched. What the leader lists for itself is behind it.
    let is_written = async || {
        let ingress = cluster.get("ingresses/web").await;
        let annotation = ingress["metadata"]["annotations"]["meshlite.io/programmed"].clone();
        (annotation == "1 of 1").then_some(()).ok_or(annotation)
    };
    eventually("the leader has written", is_written).await;
    let lists = asked(&api, &cluster, "list");
    let changed = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    cluster.merge("services/s0001", &changed).await;
    node.service(&name("s0001"), |service| service.ports[0].port == 81)
        .await;
    cluster.delete("services/s0002").await;
    node.has(ResourceType::Service, &name("s0002"), false).await;
    assert_eq!(asked(&api, &cluster, "list"), lists);

    // The API server is replaced by one that can.
    api.stop_api_server();
    api.set_arguments(&[]);
    api.start_api_server().await.unwrap();
    let comes = objects::service("comes", 80);
    cluster.create("services", &comes).await;
    node.has(ResourceType::Service, &name("comes"), true).await;
    let before = ["list", "watch"].map(|verb| asked(&api, &cluster, verb));
    let next = cluster.replica(&api, "replica-2").await;
    let late = Follower::node("n2", &[next.url()]);
    late.has(ResourceType::Service, &name("comes"), true).await;
    converged(&late, &Asked::plaintext(&replica.url())).await;
    eventually("a list was streamed", async || {
        match ["list", "watch"].map(|verb| asked(&api, &cluster, verb)) {
            [list, watch] if list == before[0] && watch > before[1] => Ok(()),
            after => Err(format!("lists and watches {after:?} after {before:?}")),
        }
    })
    .await;
    let removals = node.noted().removals.clone();
    let wrong: Vec<_> = removals.iter().filter(|r| !r.contains("/s0002")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(balancer.noted().removals.is_empty());
}
