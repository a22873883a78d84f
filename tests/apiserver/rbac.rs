//! The rights in `rbac.yaml` are those that a control plane needs: none is missing, and none is for nothing.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use meshlite_snapshot::ResourceType;
use meshlite_tests::{
    apiserver::{self, ApiServer, Entry, Options, eventually},
    replica::Replica,
};
use serde::Deserialize;
use serde_json::json;

use crate::support::{Cluster, Follower, RBAC, certificate, objects, start};

/// What may be done to what; a subresource is written as in RBAC, `ingresses/status`.
type Right = (String, String, String);

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    verbs: Vec<String>,
}

/// All that `rbac.yaml` gives.
fn granted() -> BTreeSet<Right> {
    let mut granted = BTreeSet::new();
    for document in RBAC.split("\n---\n") {
        let document: Document = yaml_serde::from_str(document).unwrap();
        for rule in document.rules {
            for group in &rule.api_groups {
                for resource in &rule.resources {
                    let rights = rule.verbs.iter();
                    granted
                        .extend(rights.map(|verb| (group.clone(), resource.clone(), verb.clone())));
                }
            }
        }
    }
    granted
}

fn right(entry: &Entry) -> Right {
    let resource = match entry.subresource.as_str() {
        "" => entry.resource.clone(),
        subresource => format!("{}/{subresource}", entry.resource),
    };
    (entry.group.clone(), resource, entry.verb.clone())
}

/// What the control planes of a cluster asked for, but for what everybody may.
fn asked(api: &ApiServer, cluster: &Cluster) -> Vec<Entry> {
    let audit = api.audit().unwrap();
    let own = audit
        .into_iter()
        .filter(|entry| entry.user == cluster.user());
    own.filter(|entry| !entry.resource.is_empty()).collect()
}

/// Everything that a control plane does, once.
async fn everything(api: &ApiServer, cluster: &Cluster) -> (Replica, Follower) {
    let ns = cluster.namespace.as_str();
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let tls = certificate::manifest("web-tls", "a.example.com").replace("NAMESPACE", ns);
    api.apply(&tls).await.unwrap();
    let mut ingress = objects::ingress("web", ns, "a.example.com", "web");
    ingress["spec"]["tls"] = json!([{"hosts": ["a.example.com"], "secretName": "web-tls"}]);
    cluster.create("ingresses", &ingress).await;
    let broken = objects::ingress("broken", ns, "b.example.com", "is-not-there");
    cluster.create("ingresses", &broken).await;
    let mut balanced = objects::service("balanced", 80);
    balanced["spec"]["type"] = json!("LoadBalancer");
    cluster.create("services", &balanced).await;

    let mut config = cluster.config(api, "replica-1").await;
    config.watch_namespaces = Vec::new();
    config.publish_addresses = vec!["192.0.2.80".to_owned()];
    config.secure = true;
    let replica = start(config);
    let identity = cluster.identity(api, "meshlite-node", "n1").await;
    let node = Follower::new(identity.node(&replica.url(), "n1"), None);
    let web = format!("{ns}/web");
    node.has(ResourceType::Service, &web, true).await;
    eventually("the status of an Ingress is written", async || {
        let status = cluster.get("ingresses/web").await["status"].to_string();
        status.contains("192.0.2.80").then_some(()).ok_or(status)
    })
    .await;
    // What comes after the leader has read everything.
    let late = objects::ingress("late", ns, "c.example.com", "web");
    cluster.create("ingresses", &late).await;
    balanced["metadata"]["name"] = json!("late");
    cluster.create("services", &balanced).await;
    (replica, node)
}

/// Makes what a control plane keeps old: its CA has ended, and its Events were last said long ago.
async fn grow_old(cluster: &Cluster) {
    let (certificate, key) = certificate::ended_ca();
    let data = json!({"ca.crt": ByteString(certificate.into()), "ca.key": ByteString(key.into())});
    let secret = json!({"data": data});
    cluster.merge("secrets/meshlite-ca", &secret).await;
    for event in cluster.get("events").await["items"].as_array().unwrap() {
        let name = event["metadata"]["name"].as_str().unwrap();
        let long_ago = json!({"lastTimestamp": "2020-01-01T00:00:00Z"});
        cluster.merge(&format!("events/{name}"), &long_ago).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_needs_all_of_its_rights_and_no_more() {
    // Without streaming lists, so that it has to list.
    let without = "--feature-gates=WatchList=false".to_owned();
    let options = Options {
        api_server_arguments: vec![without],
    };
    let Some(api) = apiserver::own(options).await else {
        return;
    };
    let cluster = Cluster::new(&api, "rights").await;
    let (mut replica, node) = everything(&api, &cluster).await;
    let used = |wanted: &BTreeSet<Right>| {
        let asked = asked(&api, &cluster);
        let refused = asked.iter().find(|entry| entry.code == 403);
        assert!(refused.is_none(), "a right is missing: {refused:?}");
        let used: BTreeSet<_> = asked.iter().map(right).collect();
        let unused: Vec<_> = wanted.difference(&used).cloned().collect();
        if unused.is_empty() {
            Ok(())
        } else {
            Err(format!("{unused:?} were never used"))
        }
    };
    let granted = granted();
    // What only a second start asks for: it goes on with what it finds.
    let later: BTreeSet<_> = granted
        .iter()
        .filter(|(_, resource, verb)| match resource.as_str() {
            "events" => verb != "create",
            "secrets" | "configmaps" => verb == "patch",
            _ => false,
        })
        .cloned()
        .collect();
    let at_first: BTreeSet<_> = granted.difference(&later).cloned().collect();
    eventually("it uses its rights", async || used(&at_first)).await;
    replica.stop().unwrap();
    grow_old(&cluster).await;
    replica.start_again().unwrap();
    eventually("it uses all of its rights", async || used(&granted)).await;
    drop(node);
}
