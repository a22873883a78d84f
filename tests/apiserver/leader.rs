//! One replica writes, whatever becomes of the others, and what it writes does not flap.

use std::collections::BTreeMap;

use meshlite_tests::{
    apiserver::{self, ApiServer, Entry, claims, eventually},
    replica::{Replica, ReplicaConfig},
};
use serde_json::{Value, json};

use crate::support::{Asked, Cluster, objects, start};

const ADDRESS: &str = "192.0.2.80";

/// Waits until this replica is the one that writes.
async fn leads(replica: &Replica) {
    let asked = Asked::plaintext(&replica.url());
    eventually(&format!("{} writes", replica.name()), async || {
        let status = asked.server().await?;
        if status.leader && status.leader_name == replica.name() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
}

/// Adds an Ingress, and waits until it says where it is reached.
async fn published(cluster: &Cluster, name: &str) {
    let host = format!("{name}.example.com");
    let ingress = objects::ingress(name, &cluster.namespace, &host, "web");
    cluster.create("ingresses", &ingress).await;
    let path = format!("ingresses/{name}");
    eventually(&format!("the status of {name} is written"), async || {
        let status = cluster.get(&path).await["status"].clone();
        match addresses(&status) {
            found if found == [ADDRESS] => Ok(()),
            _ => Err(status.to_string()),
        }
    })
    .await;
}

fn addresses(status: &Value) -> Vec<&str> {
    let entries = status["loadBalancer"]["ingress"].as_array();
    let ips = entries.into_iter().flatten().map(|entry| &entry["ip"]);
    ips.filter_map(Value::as_str).collect()
}

/// Which credential wrote anything about Ingresses, in order, each once for a run of its writes.
fn writers(audit: &[Entry], cluster: &Cluster) -> Vec<String> {
    let mut writers: Vec<_> = audit
        .iter()
        .filter(|entry| entry.user == cluster.user() && entry.resource == "ingresses")
        .filter(|entry| !matches!(entry.verb.as_str(), "get" | "list" | "watch"))
        .map(|entry| entry.credential.clone())
        .collect();
    writers.dedup();
    writers
}

/// As what the audit log knows a replica.
fn credential(config: &ReplicaConfig) -> String {
    let kubeconfig = std::fs::read_to_string(&config.kubeconfig).unwrap();
    let kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
    let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap();
    let claims = claims(token).unwrap();
    format!("JTI={}", claims["jti"].as_str().unwrap())
}

async fn two(api: &ApiServer, cluster: &Cluster) -> [ReplicaConfig; 2] {
    let mut configs = [
        cluster.config(api, "replica-1").await,
        cluster.config(api, "replica-2").await,
    ];
    for config in &mut configs {
        config.publish_addresses = vec![ADDRESS.to_owned()];
    }
    configs
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_writer_when_the_leader_hangs_and_when_it_is_killed() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "leader").await;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let began = cluster.get("ingresses").await["metadata"]["resourceVersion"].clone();
    let configs = two(api, &cluster).await;
    let known_as = configs.each_ref().map(credential);
    let [config, other] = configs;
    let mut first = start(config);
    leads(&first).await;
    let second = start(other);
    published(&cluster, "before").await;

    // It hangs, another one writes, and it comes back believing what it believed.
    first.freeze().unwrap();
    leads(&second).await;
    published(&cluster, "meanwhile").await;
    first.thaw().unwrap();
    published(&cluster, "afterwards").await;
    let asked = Asked::plaintext(&first.url());
    eventually("the old leader knows the new one", async || {
        let status = asked.server().await?;
        if !status.leader && status.leader_name == second.name() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    let audit = api.audit().unwrap();
    assert_eq!(writers(&audit, &cluster), known_as);

    // It is killed.
    let mut second = second;
    second.kill();
    leads(&first).await;
    published(&cluster, "at-last").await;
    first.stop().unwrap();
    let [one, other] = known_as;
    let audit = api.audit().unwrap();
    assert_eq!(writers(&audit, &cluster), [one.clone(), other, one]);
    for (name, statuses) in statuses_since(&cluster, &began).await {
        assert_eq!(statuses, [vec![], vec![ADDRESS.to_owned()]], "{name}");
    }
}

/// The addresses that each Ingress has said, one after another.
async fn statuses_since(cluster: &Cluster, version: &Value) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut statuses: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for event in cluster.events_since("ingresses", version).await {
        let object = &event["object"];
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let said = addresses(&object["status"]);
        let said = said.into_iter().map(str::to_owned).collect();
        statuses.entry(name).or_default().push(said);
    }
    for said in statuses.values_mut() {
        said.dedup();
    }
    statuses
}

/// Ingresses that are somebody else's, or nobody's.
const FOREIGN: [&str; 4] = ["foreign", "without", "theirs", "annotated"];

async fn foreign_ones(cluster: &Cluster) -> Vec<Value> {
    let mut found = Vec::new();
    for name in FOREIGN {
        found.push(cluster.get(&format!("ingresses/{name}")).await);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_of_another_class_is_never_touched() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "foreign").await;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let foreign = objects::ingress("foreign", "somebody-else", "a.example.com", "nowhere");
    cluster.create("ingresses", &foreign).await;
    let mut without = objects::ingress("without", "", "b.example.com", "nowhere");
    without["spec"]["ingressClassName"] = Value::Null;
    cluster.create("ingresses", &without).await;
    // The class is there, of another controller; that of the first is not there at all.
    let ns = cluster.namespace.as_str();
    let class = format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {ns}-theirs}}\n\
         spec: {{controller: somebody.example/ingress}}\n"
    );
    api.apply(&class).await.unwrap();
    let theirs = objects::ingress(
        "theirs",
        &format!("{ns}-theirs"),
        "c.example.com",
        "nowhere",
    );
    cluster.create("ingresses", &theirs).await;
    let mut annotated = objects::ingress("annotated", "", "d.example.com", "nowhere");
    annotated["spec"]["ingressClassName"] = Value::Null;
    annotated["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "nginx"});
    cluster.create("ingresses", &annotated).await;
    let before = foreign_ones(&cluster).await;
    let [config, _] = two(api, &cluster).await;
    let replica = start(config);
    leads(&replica).await;
    published(&cluster, "ours").await;

    assert_eq!(foreign_ones(&cluster).await, before);
    let audit = api.audit().unwrap();
    let touched = audit.iter().find(|entry| {
        entry.user == cluster.user()
            && entry.resource == "ingresses"
            && FOREIGN.contains(&entry.name.as_str())
    });
    assert!(touched.is_none(), "{touched:?}");
    let events = cluster.get("events").await;
    let about = |event: &&Value| {
        let name = event["involvedObject"]["name"].as_str();
        name.is_some_and(|name| FOREIGN.contains(&name))
    };
    let event = events["items"].as_array().unwrap().iter().find(about);
    assert!(event.is_none(), "{event:?}");
}
