//! No plane needs what another plane has yet to program: a Service's VIP, or the cluster's DNS.

use std::{fs, net::SocketAddr, num::NonZeroUsize};

use meshlite_ingress::Ingress;
use meshlite_node::{Mode, Node};
use meshlite_tests::apiserver::{self, eventually};
use tokio_util::sync::CancellationToken;

use crate::support::{Cluster, http_text, objects, start};

/// As a Pod's environment names the API server; nobody answers there until a node programs it.
const VIP: &str = "https://kubernetes.default.svc:443";

#[tokio::test(flavor = "multi_thread")]
async fn all_planes_start_by_direct_addresses_with_nothing_programmed() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "direct").await;
    let ns = &cluster.namespace;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let ingress = objects::ingress("web", ns, "a.example.com", "web");
    cluster.create("ingresses", &ingress).await;
    let mut config = cluster.config(api, "replica-1").await;
    let kubeconfig = fs::read_to_string(&config.kubeconfig).unwrap();
    fs::write(&config.kubeconfig, kubeconfig.replace(&api.url(), VIP)).unwrap();
    config.api_server = Some(api.url());
    let replica = start(config);

    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let node = Node::bind(meshlite_node::Config {
        node_name: "n1".to_owned(),
        control_plane: vec![replica.url()],
        mode: Mode::Memory,
        metrics_listen: Some(any),
        health_listen: None,
        loopback_only: true,
        ..meshlite_node::Config::default()
    });
    let node = node.await.unwrap();
    let ingress = Ingress::bind(meshlite_ingress::Config {
        node_name: "i1".to_owned(),
        control_plane: vec![replica.url()],
        address: any.ip(),
        admin_listen: Some(any),
        workers: NonZeroUsize::new(1),
        ..meshlite_ingress::Config::default()
    });
    let ingress = ingress.await.unwrap();
    let planes = [
        (node.metrics_addr().unwrap(), "Service", format!("{ns}/web")),
        (
            ingress.admin_addr().unwrap(),
            "RouteTable",
            format!("{ns}/a.example.com"),
        ),
    ];
    tokio::spawn(Box::pin(node.run(stop.clone())));
    tokio::spawn(ingress.run(stop));
    for (address, kind, name) in planes {
        eventually(&format!("{kind} {name} is installed"), async || {
            let answer = http_text(address, &format!("/resources/{kind}")).await;
            if answer.contains(&format!("\"{name}\"")) {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
    }
}
