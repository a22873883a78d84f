//! Several replicas: they serve the same, and no client goes back in time between them.

use std::collections::BTreeSet;

use meshlite_tests::{
    apiserver::{self, eventually},
    dice::Dice,
    replica::Replica,
    soak::soaked,
};
use serde_json::{Value, json};

use crate::support::{Asked, Cluster, Follower, Forwarder, converged, objects, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_go_back_in_time_with_a_replica_whose_watch_is_frozen() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "frozen").await;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let wire = Forwarder::to(api.port()).await;
    let mut config = cluster.config(api, "frozen").await;
    config.api_server = Some(format!("https://{}", wire.address()));
    let frozen = start(config);
    let mut current = cluster.replica(api, "current").await;
    let web = format!("{}/web", cluster.namespace);
    let is_at = async |node: &Follower, port: u16| {
        node.service(&web, |service| service.ports[0].port == port)
            .await;
    };
    is_at(&Follower::node("n0", &[frozen.url()]), 80).await;

    // The node has no way to the frozen one yet.
    let door = Forwarder::to(frozen.grpc().port()).await;
    door.close();
    let urls = [current.url(), format!("http://{}", door.address())];
    let node = Follower::node("n1", &urls);
    is_at(&node, 80).await;
    wire.cut();
    let changed = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    cluster.merge("services/web", &changed).await;
    is_at(&node, 81).await;
    is_at(&Follower::node("n2", &[frozen.url()]), 80).await;

    current.kill();
    door.open();
    eventually("it says what it holds back", async || {
        let status = node.status();
        match status.held_back {
            Some(_) => Ok(()),
            None => Err(format!("{status:?}")),
        }
    })
    .await;
    current.start_again().unwrap();
    converged(&node, &Asked::plaintext(&current.url())).await;
    wire.open();
    let thawed = Asked::plaintext(&frozen.url());
    converged(&node, &thawed).await;

    let history = node.noted().history.clone();
    let name = meshlite_snapshot::Name::new(&web).unwrap();
    let mut ports: Vec<_> = history
        .iter()
        .filter_map(|snapshot| Some(snapshot.services.get(&name)?.ports[0].port))
        .collect();
    ports.dedup();
    assert_eq!(ports, [80, 81]);
}

/// Objects that are there, by name; each is a Service or an Ingress of the same name.
#[derive(Default)]
struct There {
    services: BTreeSet<String>,
    ingresses: BTreeSet<String>,
    slices: BTreeSet<String>,
}

/// One edit of one object.
async fn edit(cluster: &Cluster, there: &mut There, dice: &mut Dice) {
    let name = format!("s{}", dice.below(8));
    let host = format!("{name}-{}.example.com", dice.below(3));
    let (objects, known, body) = match dice.below(3) {
        0 => {
            let service = objects::service(&name, 80 + dice.below(1000));
            ("services", &mut there.services, service)
        }
        1 => {
            let ingress = objects::ingress(&name, &cluster.namespace, &host, &name);
            ("ingresses", &mut there.ingresses, ingress)
        }
        _ => {
            let slice = slice(&name, dice.below(200));
            ("endpointslices", &mut there.slices, slice)
        }
    };
    let path = format!("{objects}/{name}");
    if !known.contains(&name) {
        cluster.create(objects, &body).await;
        known.insert(name);
    } else if dice.below(3) == 0 {
        cluster.delete(&path).await;
        known.remove(&name);
    } else {
        cluster.merge(&path, &body).await;
    }
}

fn slice(service: &str, last: u16) -> Value {
    json!({
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [format!("10.1.0.{}", last + 1)]}, {"addresses": [format!("10.1.1.{}", last + 1)]}],
    })
}

/// Waits until both replicas serve the marker as it was last written, and then the same of everything.
async fn same(replicas: &[Replica; 2], marker: &str, port: u16) {
    let asked = replicas.each_ref().map(|r| Asked::plaintext(&r.url()));
    eventually("both replicas serve the same", async || {
        let one = asked[0].resources().await?;
        let other = asked[1].resources().await?;
        for (resources, replica) in [(&one, &replicas[0]), (&other, &replicas[1])] {
            if resources.port_of(marker) != Some(u32::from(port)) {
                return Err(format!("{} is behind", replica.name()));
            }
        }
        let differs = one
            .versions
            .iter()
            .find(|row| !other.versions.contains(row));
        let missing = other
            .versions
            .iter()
            .find(|row| !one.versions.contains(row));
        if one.versions != other.versions {
            return Err(format!("{differs:?} and {missing:?}"));
        }
        let digests = [asked[0].digests().await?, asked[1].digests().await?];
        if digests[0] == digests[1] {
            Ok(())
        } else {
            Err(format!("{digests:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_serve_the_same_bytes_whatever_is_edited_and_whichever_of_them_is_new() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "same").await;
    let mut replicas = [
        cluster.replica(api, "replica-1").await,
        cluster.replica(api, "replica-2").await,
    ];
    let mut dice = Dice::new(7);
    let mut there = There::default();
    let marker = format!("{}/marker", cluster.namespace);
    cluster
        .create("services", &objects::service("marker", 1))
        .await;
    for round in 0..soaked(5, 100) {
        for _ in 0..20 {
            edit(&cluster, &mut there, &mut dice).await;
        }
        if round % 2 == 1 {
            replicas[1].kill();
            replicas[1].start_again().unwrap();
        }
        let port = 1000 + round;
        let marked = objects::service("marker", port);
        cluster.merge("services/marker", &marked).await;
        same(&replicas, &marker, port).await;
    }
}
