//! Names, ports and addresses of Pods that the demo runs.

use super::{
    super::layout::{Layout, Servers},
    *,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodTemplateSpec};
use meshlite_manifests::admit::WorkloadKind;

fn mk_template(port: u16) -> PodTemplateSpec {
    serde_json::from_value(serde_json::json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}]},
    }))
    .unwrap()
}

fn mk_workload(kind: WorkloadKind, name: &str, replicas: u32, port: u16) -> Workload {
    Workload {
        kind,
        namespace: "default".into(),
        name: name.into(),
        replicas,
        template: mk_template(port),
        service_name: Some("web-headless".into()),
        target_ports: BTreeSet::new(),
    }
}

fn names(running: &[RunningPod]) -> Vec<&str> {
    running
        .iter()
        .map(|running| running.pod.metadata.name.as_deref().unwrap())
        .collect()
}

fn address(running: &RunningPod) -> &str {
    running
        .pod
        .status
        .as_ref()
        .unwrap()
        .pod_ip
        .as_deref()
        .unwrap()
}

/// An address of the range of Pods.
fn host(layout: &Layout, host: u32) -> String {
    Ipv4Addr::from(u32::from(layout.pods.network()) + host).to_string()
}

/// Pods in a range of their own, as tests run side by side on one loopback.
fn mk_pods() -> (LocalPods, Layout) {
    let layout = Layout::choose(Servers::Apart).unwrap();
    (LocalPods::new("demo-node", layout.pods), layout)
}

#[test]
fn replicas_are_named_as_kubernetes_names_them_and_always_the_same() {
    let deployment = [mk_workload(WorkloadKind::Deployment, "web", 3, 8080)];
    let pods = plan::plan(&deployment);
    assert_eq!(pods, plan::plan(&deployment));
    let unique: BTreeSet<_> = pods.iter().map(|pod| pod.name.clone()).collect();
    assert_eq!(unique.len(), 3);
    for name in unique {
        let parts: Vec<_> = name.split('-').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [3, 9, 5],
            "{name}"
        );
    }
    let changed = plan::plan(&[mk_workload(WorkloadKind::Deployment, "web", 3, 8081)]);
    assert!(
        changed
            .iter()
            .all(|pod| !pods.iter().any(|old| old.name == pod.name)),
        "a rollout renames"
    );
}

#[test]
fn pods_of_a_stateful_set_are_counted_and_know_their_domain() {
    let pods = plan::plan(&[mk_workload(WorkloadKind::StatefulSet, "db", 2, 8080)]);
    assert_eq!(
        pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(),
        ["db-0", "db-1"]
    );
    assert_eq!(pods[1].spec.hostname.as_deref(), Some("db-1"));
    assert_eq!(pods[1].spec.subdomain.as_deref(), Some("web-headless"));
}

#[test]
fn a_port_that_only_a_service_targets_is_served_and_every_tcp_port_over_udp_too() {
    let mut workload = mk_workload(WorkloadKind::Pod, "web", 1, 8080);
    workload.target_ports = [(Protocol::Tcp, 9090)].into();
    let pods = plan::plan(&[workload]);
    let wanted = [
        (Protocol::Tcp, 8080),
        (Protocol::Tcp, 9090),
        (Protocol::Udp, 8080),
        (Protocol::Udp, 9090),
    ];
    assert_eq!(pods[0].ports, wanted.into());
}

#[tokio::test]
async fn scaling_down_and_up_keeps_the_addresses_of_pods_that_stay() {
    let (pods, layout) = mk_pods();
    let three = pods.run(&[mk_workload(WorkloadKind::StatefulSet, "db", 3, 18_080)]);
    assert_eq!(names(&three), ["db-0", "db-1", "db-2"]);
    let one = pods.run(&[mk_workload(WorkloadKind::StatefulSet, "db", 1, 18_080)]);
    assert_eq!(one, three[..1]);
    let two = pods.run(&[
        mk_workload(WorkloadKind::StatefulSet, "aa", 1, 18_080),
        mk_workload(WorkloadKind::StatefulSet, "db", 1, 18_080),
    ]);
    assert_eq!(address(&two[1]), address(&three[0]));
    assert_eq!(
        address(&two[0]),
        host(&layout, 13),
        "those of Pods that are ending are not free"
    );
    let again = pods.run(&[mk_workload(WorkloadKind::StatefulSet, "db", 3, 18_080)]);
    assert_eq!(again, three, "a Pod that was ending is taken back");
}

#[tokio::test]
async fn a_running_pod_answers_on_its_address_and_is_ready() {
    let (pods, _layout) = mk_pods();
    let running = pods.run(&[mk_workload(WorkloadKind::Deployment, "web", 1, 18_080)]);
    let connected = tokio::net::TcpStream::connect((address(&running[0]), 18_080)).await;
    connected.expect("the backend listens before it is called ready");
    let status = running[0].pod.status.as_ref().unwrap();
    assert_eq!(status.conditions.as_ref().unwrap()[0].status, "True");
    assert_eq!(
        running[0].pod.spec.as_ref().unwrap().node_name.as_deref(),
        Some("demo-node")
    );
}

#[tokio::test]
async fn a_pod_whose_port_is_taken_is_not_ready_and_says_why() {
    let (pods, layout) = mk_pods();
    let _holder = std::net::TcpListener::bind((host(&layout, 10), 18_080)).unwrap();
    let running = pods.run(&[mk_workload(WorkloadKind::Pod, "web", 1, 18_080)]);
    let condition = &running[0]
        .pod
        .status
        .as_ref()
        .unwrap()
        .conditions
        .as_ref()
        .unwrap()[0];
    assert_eq!(condition.status, "False");
    assert!(
        condition
            .message
            .as_deref()
            .unwrap()
            .starts_with("TCP port 18080: "),
        "{condition:?}"
    );
}

#[test]
fn a_deployment_of_a_tutorial_gets_its_template() {
    let deployment: Deployment = yaml_serde::from_str(
        "{metadata: {name: nginx}, spec: {replicas: 2, selector: {matchLabels: {app: nginx}}, template: \
         {metadata: {labels: {app: nginx}}, spec: {containers: [{name: c1, ports: [{containerPort: 80}]}]}}}}",
    )
    .unwrap();
    let workload = Workload {
        template: deployment.spec.template,
        ..mk_workload(WorkloadKind::Deployment, "nginx", 2, 1)
    };
    let pods = plan::plan(&[workload]);
    assert_eq!(pods.len(), 2);
    assert!(pods[0].ports.contains(&(Protocol::Tcp, 80)));
    assert_eq!(pods[0].metadata().labels.unwrap()["app"], "nginx");
}
