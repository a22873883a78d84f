//! A namespace with the rights and service accounts of a mesh, and fast ways to write into it.

use std::time::Duration;

use kube::Client;
use meshlite_kubernetes::Connection;
use meshlite_tests::{
    apiserver::{ApiServer, Pod, TokenRequest},
    replica::{Replica, ReplicaConfig},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::program;

pub(crate) const RBAC: &str = include_str!("../rbac.yaml");
/// Longer than any test.
const LIFETIME: Duration = Duration::from_hours(4);
const AT_A_TIME: usize = 16;

/// A namespace in which control planes run, and which is all that they serve.
pub(crate) struct Cluster {
    pub(crate) namespace: String,
    client: Client,
}

impl Cluster {
    /// Makes the namespace, with RBAC and service accounts.
    pub(crate) async fn new(api: &ApiServer, prefix: &str) -> Self {
        let namespace = api.namespace(prefix).await.unwrap();
        api.apply(&rbac(&namespace)).await.unwrap();
        let admin = Connection {
            kubeconfig: Some(api.kubeconfig().to_owned()),
            api_server: None,
        };
        Self {
            client: admin.client().await.unwrap(),
            namespace,
        }
    }

    /// A control plane without TLS that serves this namespace and the ingress class of its name. It has a token of its
    /// own, by which the audit log knows it from other replicas.
    pub(crate) async fn config(&self, api: &ApiServer, name: &str) -> ReplicaConfig {
        let token = api.token(TokenRequest {
            namespace: &self.namespace,
            service_account: "meshlite-control-plane",
            audience: "",
            lifetime: LIFETIME,
            bound_to: None,
        });
        let token = token.await.unwrap();
        let file = format!("{}-{name}", self.namespace);
        ReplicaConfig {
            name: name.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            kubeconfig: api.kubeconfig_for_token(&file, &token).unwrap(),
            api_server: None,
            namespace: self.namespace.clone(),
            watch_namespaces: vec![self.namespace.clone()],
            ingress_class: self.namespace.clone(),
            watch_ingress_without_class: false,
            publish_addresses: Vec::new(),
            publish_service: None,
            peer_service: None,
            secure: false,
        }
    }

    /// Starts a control plane with [`Self::config`].
    pub(crate) async fn replica(&self, api: &ApiServer, name: &str) -> Replica {
        start(self.config(api, name).await)
    }

    /// The user that control planes of this namespace are to the API server.
    pub(crate) fn user(&self) -> String {
        format!(
            "system:serviceaccount:{}:meshlite-control-plane",
            self.namespace
        )
    }

    /// The path of an object, or of all of them, such as `services/web`.
    fn path(&self, object: &str) -> String {
        let group = match object.split('/').next().unwrap() {
            "ingresses" => "apis/networking.k8s.io",
            "endpointslices" => "apis/discovery.k8s.io",
            "leases" => "apis/coordination.k8s.io",
            _ => "api",
        };
        format!("/{group}/v1/namespaces/{}/{object}", self.namespace)
    }

    /// An object of this namespace, such as `ingresses/web`.
    pub(crate) async fn get(&self, object: &str) -> Value {
        self.request("GET", "", &self.path(object), &Value::Null)
            .await
    }

    /// Makes an object of this namespace; `objects` is such as `services`.
    pub(crate) async fn create(&self, objects: &str, body: &Value) -> Value {
        self.request("POST", "application/json", &self.path(objects), body)
            .await
    }

    /// Patches an object of this namespace, such as `services/web`.
    pub(crate) async fn merge(&self, object: &str, patch: &Value) -> Value {
        let media_type = "application/merge-patch+json";
        self.request("PATCH", media_type, &self.path(object), patch)
            .await
    }

    /// As [`Self::create`], many at a time.
    pub(crate) async fn create_all(&self, objects: &str, bodies: Vec<Value>) {
        let path = self.path(objects);
        let requests = bodies.into_iter().map(|body| (path.clone(), body));
        self.all("POST", "application/json", requests).await;
    }

    /// As [`Self::merge`], many at a time.
    pub(crate) async fn merge_all(&self, patches: Vec<(String, Value)>) {
        let requests = patches
            .into_iter()
            .map(|(object, body)| (self.path(&object), body));
        let media_type = "application/merge-patch+json";
        self.all("PATCH", media_type, requests).await;
    }

    async fn all(
        &self,
        method: &'static str,
        media_type: &'static str,
        requests: impl Iterator<Item = (String, Value)>,
    ) {
        let mut sent = JoinSet::new();
        for (path, body) in requests {
            if sent.len() == AT_A_TIME {
                sent.join_next().await.unwrap().unwrap();
            }
            let client = self.client.clone();
            sent.spawn(async move {
                send(&client, method, media_type, &path, &body).await;
            });
        }
        sent.join_all().await;
    }

    /// Adds a Pod with a label `app` and an address, on a Node of its own; it is not ready.
    pub(crate) async fn pod(&self, api: &ApiServer, name: &str, app: &str, ip: &str) {
        let node = format!("{}-{name}", self.namespace);
        api.add_node(&node, "zone-a", &[]).await.unwrap();
        let pod = Pod {
            namespace: &self.namespace,
            name,
            labels: &[("app", app)],
            node: &node,
            ips: &[ip.parse().unwrap()],
            ..Pod::default()
        };
        api.add_pod(pod).await.unwrap();
    }

    /// Makes the Service `replicas`, whose endpoints these are.
    pub(crate) async fn publish_replicas(&self, replicas: &[Replica]) {
        let service = json!({"metadata": {"name": "replicas"}, "spec": {"ports": [{"name": "grpc", "port": 18000}]}});
        self.create("services", &service).await;
        for replica in replicas {
            let address = replica.grpc();
            let labels = json!({"kubernetes.io/service-name": "replicas"});
            let slice = json!({
                "metadata": {"name": format!("replicas-{}", replica.name()), "labels": labels},
                "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
                "ports": [{"name": "grpc", "port": address.port()}],
                "endpoints": [{"addresses": [address.ip()]}],
            });
            self.create("endpointslices", &slice).await;
        }
    }

    /// Deletes an object of this namespace, such as `services/web`.
    pub(crate) async fn delete(&self, object: &str) {
        let path = self.path(object);
        self.request("DELETE", "application/json", &path, &json!({}))
            .await;
    }

    /// What happened to objects of this namespace, such as `ingresses`, since a version of their list.
    pub(crate) async fn events_since(&self, objects: &str, version: &Value) -> Vec<Value> {
        let version = version.as_str().unwrap();
        let path = self.path(objects);
        let path = format!("{path}?watch=true&timeoutSeconds=1&resourceVersion={version}");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let text = self.client.request_text(request).await.unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        events.collect()
    }

    async fn request(&self, method: &str, media_type: &str, path: &str, body: &Value) -> Value {
        send(&self.client, method, media_type, path, body).await
    }
}

async fn send(client: &Client, method: &str, media_type: &str, path: &str, body: &Value) -> Value {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .body(body.to_string().into_bytes())
        .unwrap();
    let answer = client.request(request).await;
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// Starts a control plane.
pub(crate) fn start(config: ReplicaConfig) -> Replica {
    Replica::start(program(), config).unwrap()
}

/// The product's rights, for a control plane in this namespace.
fn rbac(namespace: &str) -> String {
    let cluster_wide = "metadata: {name: meshlite-control-plane}";
    let named = format!("metadata: {{name: {namespace}}}");
    let role = "kind: ClusterRole, name: meshlite-control-plane";
    RBAC.replace(cluster_wide, &named)
        .replace(role, &format!("kind: ClusterRole, name: {namespace}"))
        .replace("namespace: meshlite}", &format!("namespace: {namespace}}}"))
}

/// The plain objects that scenarios are made of, without their namespace.
pub(crate) mod objects {
    use serde_json::{Value, json};

    /// A Service with one port.
    pub(crate) fn service(name: &str, port: u16) -> Value {
        json!({
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
        })
    }

    /// An Ingress that sends all of a host to port 80 of a Service.
    pub(crate) fn ingress(name: &str, class: &str, host: &str, service: &str) -> Value {
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        json!({
            "metadata": {"name": name},
            "spec": {"ingressClassName": class, "rules": [{"host": host, "http": {"paths": [path]}}]},
        })
    }
}
