//! Where the chart is installed: nodes in namespaces, an API server that they reach, and something to serve.

use std::net::{SocketAddr, TcpListener};

use axum::Router;
use meshlite_tests::{
    apiserver::{ApiServer, Pod},
    world::{Family, Host, World},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The port of the API server, on the network of the nodes.
pub(super) const API_SERVER: u16 = 6443;
/// The host of the Ingress.
pub(super) const HOST: &str = "shop.example.com";
const BACKEND: u16 = 8080;

/// Two nodes; on the first a Pod for an ingress and one that is a client, on the second the one that is served.
pub(super) struct Place {
    pub(super) world: World,
    _ends: DropGuard,
}

impl Place {
    /// Makes it, and the objects in the API server.
    pub(super) async fn new(api: &ApiServer) -> Self {
        let world = World::new(&[2, 1]).unwrap();
        let ends = CancellationToken::new();
        let listener = listen(world.control_plane(), API_SERVER);
        let api_server = SocketAddr::from(([127, 0, 0, 1], api.port()));
        tokio::spawn(
            ends.clone()
                .run_until_cancelled_owned(forward(listener, api_server)),
        );
        let backend = world.pod(1, 0);
        let listener = listen(backend, BACKEND);
        let name = backend.name().to_owned();
        let router = Router::new().fallback(async || name);
        let serve = async move { axum::serve(listener, router).await };
        tokio::spawn(ends.clone().run_until_cancelled_owned(serve));
        write_objects(api, &world).await;
        Self {
            world,
            _ends: ends.drop_guard(),
        }
    }
}

fn listen(host: &Host, port: u16) -> tokio::net::TcpListener {
    let address = host.at(Family::V4, port);
    let listener = host.namespace().run(|| TcpListener::bind(address)).unwrap();
    listener.set_nonblocking(true).unwrap();
    tokio::net::TcpListener::from_std(listener).unwrap()
}

async fn forward(listener: tokio::net::TcpListener, to: SocketAddr) {
    while let Ok((mut near, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                tokio::io::copy_bidirectional(&mut near, &mut far)
                    .await
                    .ok();
            }
        });
    }
}

async fn write_objects(api: &ApiServer, world: &World) {
    for (number, node) in (0..).zip(world.nodes()) {
        let address = node.ip(Family::V4);
        api.add_node(node.name(), "zone-a", &[address])
            .await
            .unwrap();
        let range = World::pod_network(number, Family::V4);
        let range = json!({"spec": {"podCIDR": range, "podCIDRs": [range]}}).to_string();
        let patch = ["patch", "node", node.name(), "--patch", &range];
        api.kubectl(&patch, "").await.unwrap();
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": BACKEND}]},
    });
    // Two of each, so that a right that is used for all is told from one that is used for one.
    let balanced = ["balanced", "balanced-too"].map(|name| {
        let mut balanced = service.clone();
        balanced["metadata"]["name"] = json!(name);
        balanced["spec"]["type"] = json!("LoadBalancer");
        balanced
    });
    let [web, web_tls] = ingress_with_tls("web", HOST);
    let [office, office_tls] = ingress_with_tls("office", "office.example.com");
    // Something to find fault with.
    let broken = ["broken", "broken-too"]
        .map(|name| ingress(name, &format!("{name}.example.com"), "is-not-there"));
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "shop"},
    });
    let objects = [
        namespace, account, service, web_tls, office_tls, web, office,
    ];
    for object in objects.into_iter().chain(balanced).chain(broken) {
        api.apply(&object.to_string()).await.unwrap();
    }
    let pod = Pod {
        namespace: "shop",
        name: "web-0",
        labels: &[("app", "web")],
        node: world.node(1).name(),
        ips: &[world.pod(1, 0).ip(Family::V4)],
        ..Pod::default()
    };
    api.add_pod(pod).await.unwrap();
    api.set_pod_ready("shop", "web-0", true).await.unwrap();
}

/// An Ingress to the Service `web`, and the Secret that it names.
fn ingress_with_tls(name: &str, host: &str) -> [Value; 2] {
    let secret = format!("{name}-tls");
    let mut ingress = ingress(name, host, "web");
    ingress["spec"]["tls"] = json!([{"hosts": [host], "secretName": secret}]);
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let tls = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "namespace": "shop"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()},
    });
    [ingress, tls]
}

/// An Ingress that sends all of a host to port 80 of a Service.
fn ingress(name: &str, host: &str, service: &str) -> Value {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ingressClassName": "meshlite", "rules": [{"host": host, "http": {"paths": [path]}}]},
    })
}
