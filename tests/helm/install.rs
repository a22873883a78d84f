//! The chart installed for real: a real API server takes it, and what it says runs, with its accounts and rights.

mod kubelet;
mod place;
mod rights;

use std::net::SocketAddr;

use meshlite_tests::{
    apiserver::{self, ApiServer, Options, eventually},
    programs::meshlite,
    world::{Family, Process, World},
};
use serde_json::{Value, json};

use self::{
    kubelet::{Kubelet, NAMESPACE},
    place::{API_SERVER, HOST, Place},
};
use crate::{
    helm::{Helm, chart, text},
    monitoring,
};

/// The templates of the Pods of a plane, as the API server has them.
async fn template(api: &ApiServer, object: &str) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/{object}");
    api.get(&path).await.unwrap()["spec"]["template"].clone()
}

/// As people install it: two values, and the ports of the tutorial, which are the defaults.
async fn install(helm: &Helm, api: &ApiServer, world: &World) {
    let chart = chart();
    let api_server = world.control_plane().at(Family::V4, API_SERVER);
    let addresses: Vec<_> = world
        .nodes()
        .map(|n| n.ip(Family::V4).to_string())
        .collect();
    let release = ["meshlite", text(&chart), "--namespace", NAMESPACE];
    let values = [
        format!("--set=kubernetes.apiServer=https://{api_server}"),
        format!("--set=controlPlane.addresses={{{}}}", addresses.join(",")),
        // Kernels that have IPVS are not everywhere.
        "--set=node.mode=nftables".to_owned(),
    ];
    let mut arguments = vec!["install", "--create-namespace"];
    arguments.extend(release);
    arguments.extend(["--kubeconfig", text(api.kubeconfig())]);
    arguments.extend(values.iter().map(String::as_str));
    let said = helm.run(arguments).unwrap();
    assert!(said.contains("rollout status"), "{said}");
    // What a controller does that is not among those of the tests.
    let root = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-root-ca.crt", "namespace": NAMESPACE},
        "data": {"ca.crt": api.ca_pem()},
    });
    api.apply(&root.to_string()).await.unwrap();
}

/// Waits until a client is answered by the Pod behind the Ingress.
async fn is_served(place: &Place, from: &str, to: SocketAddr) {
    let client = match from {
        "outside" => place.world.client(),
        _ => place.world.pod(0, 1),
    };
    eventually(&format!("{to} answers {from}"), async || {
        let answer = client.get_of(HOST, to, "/");
        let (status, body) = answer.map_err(|error| error.to_string())?;
        if (status.as_str(), body.as_str()) == ("200", "pod-1-0") {
            Ok(())
        } else {
            Err(format!("{status} {body}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_installs_serves_traffic_with_its_accounts_and_rights() {
    let (Some(helm), Some(program)) = (Helm::or_say_so(), meshlite()) else {
        return;
    };
    if !kubelet::may_run_pods() {
        return;
    }
    // Without streaming lists: so it has to list.
    let options = Options {
        api_server_arguments: vec!["--feature-gates=WatchList=false".to_owned()],
    };
    let Some(api) = apiserver::own(options).await else {
        return;
    };
    let place = Place::new(&api).await;
    let world = &place.world;
    install(&helm, &api, world).await;

    let kubelet = Kubelet::new(&api, &program);
    let control_plane = template(&api, "deployments/meshlite-control-plane").await;
    let mut control_planes = Vec::new();
    for (number, node) in world.nodes().enumerate() {
        let name = format!("meshlite-control-plane-{number}");
        control_planes.push(kubelet.run(&control_plane, &name, node, node).await);
    }
    let mut running = Vec::new();
    let node_template = template(&api, "daemonsets/meshlite-node").await;
    for (number, node) in world.nodes().enumerate() {
        let name = format!("meshlite-node-{number}");
        running.push(kubelet.run(&node_template, &name, node, node).await);
    }
    let ingress = template(&api, "deployments/meshlite-ingress").await;
    let (node, pod) = (world.node(0), world.pod(0, 0));
    running.push(kubelet.run(&ingress, "meshlite-ingress-0", node, pod).await);

    // NodePort 80 of every node leads to the ingress, which leads to the Pod.
    for node in world.nodes() {
        is_served(&place, "outside", node.at(Family::V4, 80)).await;
    }
    let service = api
        .get("/api/v1/namespaces/shop/services/web")
        .await
        .unwrap();
    let cluster_ip = service["spec"]["clusterIP"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    is_served(&place, "a Pod", SocketAddr::new(cluster_ip, 80)).await;
    let path = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web";
    let address = node.ip(Family::V4).to_string();
    eventually("the Ingress says where it is served", async || {
        let ingress = api.get(path).await.map_err(|error| error.to_string())?;
        let status = ingress["status"]["loadBalancer"].to_string();
        let logs = || control_planes.iter().flatten().map(Process::log);
        let said = || format!("{status}\n{}", logs().collect::<Vec<_>>().join("\n"));
        status.contains(&address).then_some(()).ok_or_else(said)
    })
    .await;
    rights::are_used_at_first(&api).await;
    monitoring::every_metric_exists(world);
    // A control plane that comes to what others have left: its CA is over, its Events were said long ago.
    drop(control_planes);
    rights::grow_old(&api).await;
    let name = "meshlite-control-plane-late";
    running.push(kubelet.run(&control_plane, name, node, node).await);
    rights::are_all_used(&api).await;

    let kubeconfig = text(api.kubeconfig());
    let uninstall = ["uninstall", "meshlite", "--namespace", NAMESPACE];
    let uninstalled = helm.run(uninstall.into_iter().chain(["--kubeconfig", kubeconfig]));
    uninstalled.unwrap();
    drop(running);
}
