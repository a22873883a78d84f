//! Whose an Ingress is: by its class, by the annotation of old, by default.

use meshlite_snapshot::ResourceType;
use meshlite_tests::apiserver::{self, ApiServer, Options};
use serde_json::{Value, json};

use crate::support::{Cluster, Follower, objects, start};

/// Makes an IngressClass of a controller, or replaces it; it may be the default.
async fn class(api: &ApiServer, name: &str, controller: &str, is_default: bool) {
    let default = format!("ingressclass.kubernetes.io/is-default-class: \"{is_default}\"");
    let manifest = format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\n\
         metadata: {{name: {name}, annotations: {{{default}}}}}\nspec: {{controller: {controller}}}\n"
    );
    api.apply(&manifest).await.unwrap();
}

/// An Ingress for the host `NAME.example.com` that names no class.
fn without_class(name: &str) -> Value {
    let mut ingress = objects::ingress(name, "", &format!("{name}.example.com"), "web");
    ingress["spec"]["ingressClassName"] = Value::Null;
    ingress
}

/// Waits until the host of an Ingress is served, or is not.
async fn served(cluster: &Cluster, ingress: &Follower, name: &str, there: bool) {
    let table = format!("{}/{name}.example.com", cluster.namespace);
    ingress.has(ResourceType::RouteTable, &table, there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_class_of_our_controller_makes_its_ingresses_ours_for_as_long_as_it_is_there() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "class").await;
    let other = format!("{}-other", cluster.namespace);
    let replica = cluster.replica(api, "replica-1").await;
    let ingress = Follower::ingress("i1", &[replica.url()]);

    class(api, &other, "somebody.example/ingress", false).await;
    let theirs = objects::ingress("web", &other, "web.example.com", "web");
    cluster.create("ingresses", &theirs).await;
    let ours = objects::ingress("ours", &cluster.namespace, "ours.example.com", "web");
    cluster.create("ingresses", &ours).await;
    served(&cluster, &ingress, "ours", true).await;
    served(&cluster, &ingress, "web", false).await;
    // The controller of a class cannot be changed: it is deleted and made again.
    let name = format!("ingressclass/{other}");
    api.delete("", &name).await.unwrap();
    class(api, &other, "meshlite.io/ingress", false).await;
    served(&cluster, &ingress, "web", true).await;
    let label = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    api.patch("", &name, label).await.unwrap();
    api.delete("", &name).await.unwrap();
    served(&cluster, &ingress, "web", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_of_old_names_our_class_and_no_class_is_ours_only_where_we_are_told() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "annotated").await;
    let mut config = cluster.config(api, "asks-for-more").await;
    config.watch_ingress_without_class = true;
    let replicas = [start(config), cluster.replica(api, "replica-1").await];
    let [more, usual] = replicas
        .each_ref()
        .map(|replica| Follower::ingress("i1", &[replica.url()]));

    cluster.create("ingresses", &without_class("none")).await;
    for (name, annotated) in [("ours", &*cluster.namespace), ("theirs", "nginx")] {
        let mut ingress = without_class(name);
        let annotations = json!({"kubernetes.io/ingress.class": annotated});
        ingress["metadata"]["annotations"] = annotations;
        cluster.create("ingresses", &ingress).await;
    }
    for (ingress, none) in [(&more, true), (&usual, false)] {
        served(&cluster, ingress, "ours", true).await;
        served(&cluster, ingress, "none", none).await;
        served(&cluster, ingress, "theirs", false).await;
    }
    let nothing = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "nginx"}}});
    cluster.merge("ingresses/ours", &nothing).await;
    for ingress in [&more, &usual] {
        served(&cluster, ingress, "ours", false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_without_a_class_is_ours_while_our_class_is_the_default() {
    // A default is everybody's.
    let Some(api) = apiserver::own(Options::default()).await else {
        return;
    };
    let cluster = Cluster::new(&api, "default-class").await;
    let replica = cluster.replica(&api, "replica-1").await;
    let ingress = Follower::ingress("i1", &[replica.url()]);

    cluster.create("ingresses", &without_class("before")).await;
    class(&api, "ours", "meshlite.io/ingress", true).await;
    served(&cluster, &ingress, "before", true).await;
    // The API server itself writes the default's name into this one.
    let after = cluster.create("ingresses", &without_class("after")).await;
    assert_eq!(after["spec"]["ingressClassName"], "ours", "{after}");
    served(&cluster, &ingress, "after", true).await;
    class(&api, "ours", "meshlite.io/ingress", false).await;
    served(&cluster, &ingress, "before", false).await;
    served(&cluster, &ingress, "after", true).await;
}
