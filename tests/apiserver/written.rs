//! What the owner of an object reads on it: what is wrong with it, where it is reached, and how far it is programmed.

use meshlite_tests::apiserver::{self, eventually};
use serde_json::{Value, json};

use crate::support::{Cluster, Follower, objects, start};

/// The Events on an object that have this reason.
async fn events_on(cluster: &Cluster, name: &str, reason: &str) -> Vec<Value> {
    let events = cluster.get("events").await;
    let all = events["items"].as_array().unwrap().iter();
    let on_it = |event: &&Value| event["involvedObject"]["name"] == name;
    all.filter(on_it)
        .filter(|event| event["reason"] == reason)
        .cloned()
        .collect()
}

/// Waits until an object is as wanted.
async fn shows(cluster: &Cluster, object: &str, wanted: impl Fn(&Value) -> bool) {
    eventually(&format!("{object} is as wanted"), async || {
        let found = cluster.get(object).await;
        if wanted(&found) {
            Ok(())
        } else {
            Err(format!(
                "{} {} {}",
                found["metadata"]["annotations"], found["spec"], found["status"]
            ))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_one_event_on_its_object_also_for_the_next_leader() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "finding").await;
    let broken = objects::ingress("web", &cluster.namespace, "a.example.com", "nowhere");
    cluster.create("ingresses", &broken).await;
    let mut replica = cluster.replica(api, "replica-1").await;
    let reason = "ServiceNotFound";
    let event = async || {
        eventually("there is an Event", async || {
            let found = events_on(&cluster, "web", reason).await;
            match found.as_slice() {
                [one] => Ok(one.clone()),
                other => Err(format!("{other:?} of {}", cluster.get("events").await)),
            }
        })
        .await
    };
    let first = event().await;
    assert_eq!(first["type"], "Warning", "{first}");
    assert_eq!(first["involvedObject"]["kind"], "Ingress", "{first}");
    let message = first["message"].as_str().unwrap();
    assert!(message.contains("nowhere"), "{message}");

    // The next one finds what was said, and has read everything before it says something new.
    replica.stop().unwrap();
    replica.start_again().unwrap();
    let other = objects::ingress("other", &cluster.namespace, "b.example.com", "nowhere");
    cluster.create("ingresses", &other).await;
    eventually("the next leader writes", async || {
        match events_on(&cluster, "other", reason).await.as_slice() {
            [_] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(event().await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_read_where_an_ingress_is_reached_and_how_far_everything_is_programmed() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "programmed").await;
    let ns = cluster.namespace.as_str();
    let mut entry = objects::service("entry", 80);
    entry["spec"]["type"] = json!("LoadBalancer");
    cluster.create("services", &entry).await;
    let web = objects::ingress("web", ns, "a.example.com", "entry");
    cluster.create("ingresses", &web).await;
    let mut config = cluster.config(api, "replica-1").await;
    config.publish_service = Some("entry".to_owned());
    let replica = start(config);
    let urls = [replica.url()];
    let refused = format!("{ns}/entry");
    let planes = [
        Follower::node("n1", &urls),
        Follower::picky("n2", &urls, &refused),
        Follower::ingress("i1", &urls),
    ];

    let is_on_one_of_two = |service: &Value| {
        let conditions = service["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let ours = conditions.find(|condition| condition["type"] == "meshlite.io/Programmed");
        let message = ours.and_then(|ours| ours["message"].as_str());
        message.is_some_and(|message| message.contains("1 of 2"))
    };
    // One of two nodes does not take it.
    shows(&cluster, "services/entry", is_on_one_of_two).await;
    let annotation = |ingress: &Value| {
        let annotations = &ingress["metadata"]["annotations"];
        annotations["meshlite.io/programmed"] == "1 of 1"
    };
    shows(&cluster, "ingresses/web", annotation).await;

    // As a load balancer's controller would; its own status stays.
    let given = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.90"}]}}}"#;
    let patch = [
        "patch",
        "service",
        "entry",
        "-n",
        ns,
        "--subresource=status",
    ];
    api.kubectl(&[&patch[..], &["--type=merge", "-p", given]].concat(), "")
        .await
        .unwrap();
    shows(&cluster, "ingresses/web", |ingress| {
        annotation(ingress)
            && ingress["status"]["loadBalancer"]["ingress"] == json!([{"ip": "192.0.2.90"}])
    })
    .await;
    shows(&cluster, "services/entry", |service| {
        is_on_one_of_two(service)
            && service["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.90"
    })
    .await;
    drop(planes);
}
