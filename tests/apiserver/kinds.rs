//! Every kind of object as kubectl applies, patches and deletes it, and what a client is then served.

use meshlite_snapshot::{Resource, ResourceType};
use meshlite_tests::apiserver::{self, ApiServer};

use crate::support::{Cluster, Follower, certificate};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
";

const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: NAMESPACE}
spec:
  ingressClassName: NAMESPACE
  tls: [{hosts: [a.example.com], secretName: web-tls}]
  rules:
  - host: a.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
";

async fn apply(api: &ApiServer, manifest: &str, namespace: &str) {
    let manifest = manifest.replace("NAMESPACE", namespace);
    api.apply(&manifest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_served_as_kubectl_writes_it_and_session_affinity_goes_on_and_off() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "service").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let web = format!("{ns}/web");

    apply(api, SERVICE, ns).await;
    node.service(&web, |service| {
        service.l4
            && service.ports.len() == 1
            && service.ports[0].port == 80
            && service.cluster_ips.len() == 1
            && service.session_affinity_seconds.is_none()
    })
    .await;
    for (affinity, seconds) in [("ClientIP", Some(10_800)), ("None", None)] {
        let patch = format!(r#"{{"spec":{{"sessionAffinity":"{affinity}"}}}}"#);
        let command = ["patch", "service", "web", "-n", ns, "-p", &patch];
        api.kubectl(&command, "").await.unwrap();
        node.service(&web, |service| service.session_affinity_seconds == seconds)
            .await;
    }
    // Somebody else's business on nodes; an Ingress and DNS still need to know of it.
    for name in ["service-proxy-name", "headless"] {
        let label = format!("service.kubernetes.io/{name}");
        for (change, l4) in [
            (format!("{label}=another"), false),
            (format!("{label}-"), true),
        ] {
            let command = ["label", "service", "web", "-n", ns, &change];
            api.kubectl(&command, "").await.unwrap();
            node.service(&web, |service| service.l4 == l4).await;
        }
    }
    api.delete(ns, "service/web").await.unwrap();
    node.has(ResourceType::Service, &web, false).await;
}

const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-by-hand, namespace: NAMESPACE, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.2], conditions: {ready: false}}]
";

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_slice_is_served_as_kubectl_writes_it() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "slice").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let web = format!("{ns}/web");

    apply(api, &SERVICE.replace("selector: {app: web}, ", ""), ns).await;
    apply(api, SLICE, ns).await;
    node.ready_endpoints(&web, &["192.0.2.1"]).await;
    let both = r#"{"endpoints":[{"addresses":["192.0.2.1"]},{"addresses":["192.0.2.2"]}]}"#;
    let patch = [
        "patch",
        "endpointslice",
        "web-by-hand",
        "-n",
        ns,
        "--type=merge",
        "-p",
    ];
    api.kubectl(&[&patch[..], &[both]].concat(), "")
        .await
        .unwrap();
    node.ready_endpoints(&web, &["192.0.2.1", "192.0.2.2"])
        .await;
    api.delete(ns, "endpointslice/web-by-hand").await.unwrap();
    node.ready_endpoints(&web, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_and_its_secret_are_served_as_kubectl_writes_them() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "ingress").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let ingress = Follower::ingress("i1", &[replica.url()]);
    let table = |host: &str| format!("{ns}/{host}");
    let secret = format!("{ns}/web-tls");

    apply(api, SERVICE, ns).await;
    apply(api, INGRESS, ns).await;
    ingress
        .has(ResourceType::RouteTable, &table("a.example.com"), true)
        .await;
    ingress.has(ResourceType::TlsSecret, &secret, false).await;

    // The Secret comes after the Ingress that names it, is renewed, and goes.
    apply(api, &certificate::manifest("web-tls", "a.example.com"), ns).await;
    ingress.has(ResourceType::TlsSecret, &secret, true).await;
    let before = ingress.noted().get(ResourceType::TlsSecret, &secret);
    apply(api, &certificate::manifest("web-tls", "a.example.com"), ns).await;
    ingress
        .holds("the new certificate is served", |noted| {
            let now = noted.get(ResourceType::TlsSecret, &secret);
            if now.is_some() && now != before {
                Ok(())
            } else {
                Err("it is as it was")
            }
        })
        .await;
    // One that nobody names is nobody's business.
    apply(api, &certificate::manifest("unnamed", "a.example.com"), ns).await;

    let rules = r#"{"spec":{"rules":[{"host":"b.example.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"web","port":{"number":80}}}}]}}]}}"#;
    api.patch(ns, "ingress/web", rules).await.unwrap();
    ingress
        .has(ResourceType::RouteTable, &table("b.example.com"), true)
        .await;
    ingress
        .has(ResourceType::RouteTable, &table("a.example.com"), false)
        .await;
    assert_eq!(ingress.noted().names(ResourceType::TlsSecret), [&*secret]);
    api.delete(ns, "secret/web-tls").await.unwrap();
    ingress.has(ResourceType::TlsSecret, &secret, false).await;
    api.delete(ns, "ingress/web").await.unwrap();
    ingress
        .has(ResourceType::RouteTable, &table("b.example.com"), false)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_namespaces_are_served_as_kubectl_writes_them() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "nodes").await;
    let ns = cluster.namespace.as_str();
    let replica = cluster.replica(api, "replica-1").await;
    let node = Follower::node("n1", &[replica.url()]);
    let worker = format!("{ns}-worker");
    let zone_is = async |zone: &str| {
        node.holds(&format!("the zone is {zone}"), |noted| {
            match noted.get(ResourceType::Node, &worker) {
                Some(Resource::Node(found)) if found.zone.as_deref() == Some(zone) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    };

    let manifest = format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {worker}, labels: {{topology.kubernetes.io/zone: a}}}}\n"
    );
    api.apply(&manifest).await.unwrap();
    zone_is("a").await;
    let moved = r#"{"metadata":{"labels":{"topology.kubernetes.io/zone":"b"}}}"#;
    api.patch("", &format!("node/{worker}"), moved)
        .await
        .unwrap();
    zone_is("b").await;
    api.delete("", &format!("node/{worker}")).await.unwrap();
    node.has(ResourceType::Node, &worker, false).await;

    node.has(ResourceType::Namespace, ns, true).await;
    let passing = format!("{ns}-passing");
    api.kubectl(&["create", "namespace", &passing], "")
        .await
        .unwrap();
    node.has(ResourceType::Namespace, &passing, true).await;
    api.kubectl(&["delete", "namespace", &passing], "")
        .await
        .unwrap();
    node.has(ResourceType::Namespace, &passing, false).await;
}
