//! Pods and Endpoints become slices.

use std::fmt::Write as _;

use super::*;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: admin, port: 81, targetPort: 8081}]
";

fn pod(name: &str, rest: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web}}}}
spec:
  nodeName: n1
  containers: [{{name: c, image: i, ports: [{{name: http, containerPort: 8080}}]}}]
status: {rest}
"
    )
}

fn ready(ip: &str, ready: &str) -> String {
    format!("{{phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: '{ready}'}}]}}")
}

#[test]
fn pods_are_endpoints_as_the_endpoint_controller_sees_them() {
    let text = [
        SERVICE.to_owned(),
        pod("a", &ready("10.0.0.1", "True")),
        pod("b", &ready("10.0.0.2", "False")),
        pod("c", "{phase: Pending}"),
        pod("d", "{phase: Succeeded, podIP: 10.0.0.4}"),
        pod("e", "{phase: Failed, podIP: 10.0.0.5}"),
        pod("f", &ready("10.0.0.6", "True")).replace(
            "name: f,",
            "name: f, deletionTimestamp: '2026-01-01T00:00:00Z',",
        ),
        pod("g", &ready("10.0.0.7", "True")).replace("app: web", "app: other"),
    ]
    .concat();
    let admitted = admit_files(&[("a.yaml", &text)]);
    assert_eq!(
        endpoints_of(&admitted, "web"),
        [[
            "10.0.0.1:8080,8081 ready serving",
            "10.0.0.2:8080,8081",
            "10.0.0.6:8080,8081 serving terminating",
        ]]
    );
    assert_eq!(said(&admitted), [""; 0]);

    let published = text.replace(
        "selector: {app: web}",
        "selector: {app: web}\n  publishNotReadyAddresses: true",
    );
    assert_eq!(
        endpoints_of(&admit_files(&[("a.yaml", &published)]), "web"),
        [[
            "10.0.0.1:8080,8081 ready serving",
            "10.0.0.2:8080,8081 ready",
            "10.0.0.6:8080,8081 ready serving terminating",
        ]]
    );
}

#[test]
fn pods_whose_ports_differ_are_in_different_slices() {
    let other = pod("b", &ready("10.0.0.2", "True")).replace("8080", "9090");
    let without = pod("c", &ready("10.0.0.3", "True")).replace("name: http", "name: web");
    let sidecar = pod("d", &ready("10.0.0.4", "True")).replace(
        "containers: [{name: c, image: i, ports:",
        "containers: [{name: c, image: i}]\n  initContainers: [{name: s, image: i, restartPolicy: Always, ports:",
    );
    let text = [
        SERVICE,
        &pod("a", &ready("10.0.0.1", "True")),
        &other,
        &without,
        &sidecar,
    ]
    .concat();
    let admitted = admit_files(&[("a.yaml", &text)]);
    assert_eq!(
        endpoints_of(&admitted, "web"),
        [
            vec![
                "10.0.0.1:8080,8081 ready serving",
                "10.0.0.4:8080,8081 ready serving"
            ],
            vec!["10.0.0.2:9090,8081 ready serving"],
            vec!["10.0.0.3:8081 ready serving"],
        ]
    );
    assert_eq!(
        said(&admitted),
        [
            "Service default/web: spec.ports[0].targetPort: no container port of Pod default/c is called \"http\" over \
          TCP, so this port has no endpoint there"
        ]
    );
}

#[test]
fn a_slice_holds_at_most_100_endpoints_and_keeps_its_name() {
    let mut text = SERVICE.to_owned();
    for i in 0..150 {
        text += &pod(&format!("p{i:03}"), &ready(&format!("10.0.1.{i}"), "True"));
    }
    let large = admit_files(&[("a.yaml", &text)]);
    let sizes: Vec<_> = large
        .inputs
        .endpoint_slices
        .values()
        .map(|s| s.endpoints.as_ref().unwrap().len())
        .collect();
    assert_eq!(
        (sizes.len(), sizes.iter().sum::<usize>(), sizes.iter().max()),
        (2, 150, Some(&100))
    );
    let one = [SERVICE, &pod("p000", &ready("10.0.1.0", "True"))].concat();
    let small = admit_files(&[("a.yaml", &one)]);
    let name = small.inputs.endpoint_slices.keys().next().unwrap();
    assert!(large.inputs.endpoint_slices.contains_key(name), "{name}");
    assert!(
        name.name.starts_with("web-") && name.name.len() == 9,
        "{name}"
    );
}

#[test]
fn an_endpoint_knows_node_zone_host_name_pod_and_hint() {
    let service = SERVICE.replace(
        "spec:",
        "spec:\n  clusterIP: None\n  trafficDistribution: PreferSameNode",
    );
    let node = "---\n{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}}}\n";
    let pod = pod("a", &ready("10.0.0.1", "True")).replace(
        "nodeName: n1",
        "nodeName: n1\n  hostname: h\n  subdomain: web",
    );
    let admitted = admit_files(&[("a.yaml", &[&service, node, &pod].concat())]);
    let slice = admitted.inputs.endpoint_slices.values().next().unwrap();
    let value = serde_json::to_value(&**slice).unwrap();
    assert_eq!(
        value["endpoints"][0],
        serde_json::json!({
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "hints": {"forNodes": [{"name": "n1"}], "forZones": [{"name": "z1"}]},
            "hostname": "h",
            "nodeName": "n1",
            "targetRef": {"kind": "Pod", "name": "a", "namespace": "default"},
            "zone": "z1",
        })
    );
    assert_eq!(
        value["metadata"]["labels"],
        serde_json::json!({
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": "web",
            "service.kubernetes.io/headless": "",
        })
    );
}

#[test]
fn a_running_pod_replaces_its_document_and_listens_where_it_really_does() {
    let document = pod("a", "{}");
    let running = |name: &str, ip: &str| {
        RunningPod {
        pod: serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 80}]}]},
            "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap(),
        ports: BTreeMap::from([(80, 20080)]),
    }
    };
    let text = [SERVICE, &document].concat();
    let admitted = admit_with(
        &[("a.yaml", &text)],
        &[running("a", "127.0.0.2"), running("b", "127.0.0.3")],
    );
    assert_eq!(
        endpoints_of(&admitted, "web"),
        [[
            "127.0.0.2:20080,8081 ready serving",
            "127.0.0.3:20080,8081 ready serving"
        ]]
    );
    assert_eq!(said(&admitted), [""; 0]);
}

#[test]
fn slices_that_the_controller_made_in_a_cluster_are_made_anew_and_those_of_others_stay() {
    let slice = |name: &str, manager: &str, ip: &str| {
        format!(
            "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: {name}, labels: \
             {{kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: {manager}}}}}, \
             endpoints: [{{addresses: [{ip}]}}], ports: [{{port: 1}}]}}\n"
        )
    };
    let made = slice("web-abcde", "endpointslice-controller.k8s.io", "10.9.9.9");
    let by_hand = slice("web-mine", "me", "10.8.8.8");
    let pod = pod("a", &ready("10.0.0.1", "True"));
    let with_pod = admit_files(&[("a.yaml", &[SERVICE, &made, &by_hand, &pod].concat())]);
    assert_eq!(
        endpoints_of(&with_pod, "web"),
        [
            ["10.0.0.1:8080,8081 ready serving"],
            ["10.8.8.8:1 ready serving"]
        ]
    );
    // Without the Pods the slices are all there is.
    let without = admit_files(&[("a.yaml", &[SERVICE, &made].concat())]);
    assert_eq!(
        endpoints_of(&without, "web"),
        [["10.9.9.9:1 ready serving"]]
    );
    assert_eq!(said(&without), [""; 0]);
}

const NO_SELECTOR: &str = "
apiVersion: v1
kind: Service
metadata:
 name: nginx-noselectt
spec:
 ports:
  - protocol: TCP
    port: 6666
    targetPort: 80
---
apiVersion: v1
kind: Endpoints
metadata:
 name: nginx-noselectt
subsets:
 - addresses:
   - ip: 10.0.17.100
   ports:
   - port: 80
";

#[test]
fn endpoints_of_a_service_without_selector_become_slices() {
    let admitted = admit_files(&[("003.yaml", NO_SELECTOR)]);
    assert_eq!(
        endpoints_of(&admitted, "nginx-noselectt"),
        [["10.0.17.100:80 ready serving"]]
    );
    assert_eq!(said(&admitted), [""; 0]);
    let not_ready = NO_SELECTOR.replace("- addresses", "- notReadyAddresses");
    let admitted = admit_files(&[("003.yaml", &not_ready)]);
    assert_eq!(
        endpoints_of(&admitted, "nginx-noselectt"),
        [["10.0.17.100:80"]]
    );
}

#[test]
fn both_families_of_endpoints_get_their_slices() {
    let both = NO_SELECTOR.replace("- ip: 10.0.17.100", "- ip: 10.0.17.100\n   - ip: fd00::1");
    let admitted = admit_files(&[("a.yaml", &both)]);
    assert_eq!(
        endpoints_of(&admitted, "nginx-noselectt"),
        [
            ["10.0.17.100:80 ready serving"],
            ["fd00::1:80 ready serving"]
        ]
    );
}

#[test]
fn endpoints_are_not_mirrored_where_slices_a_selector_or_a_label_say_so() {
    let mut beside = NO_SELECTOR.to_owned();
    write!(
        beside,
        "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: a, labels: \
         {{kubernetes.io/service-name: nginx-noselectt}}}}, endpoints: [{{addresses: [10.0.17.100]}}], ports: [{{port: 80}}]}}\n"
    )
    .unwrap();
    let admitted = admit_files(&[("a.yaml", &beside)]);
    assert_eq!(endpoints_of(&admitted, "nginx-noselectt").len(), 1);
    assert!(
        admitted
            .inputs
            .endpoint_slices
            .contains_key(&ObjectKey::new("default", "a"))
    );

    let skip =
        "kind: Endpoints\nmetadata:\n labels: {endpointslice.kubernetes.io/skip-mirror: \"true\"}";
    let skipped = admit_files(&[(
        "a.yaml",
        &NO_SELECTOR.replace("kind: Endpoints\nmetadata:", skip),
    )]);
    assert_eq!(endpoints_of(&skipped, "nginx-noselectt").len(), 0);

    let selects = NO_SELECTOR.replace("spec:", "spec:\n selector: {app: web}");
    let admitted = admit_files(&[("a.yaml", &selects)]);
    assert_eq!(endpoints_of(&admitted, "nginx-noselectt").len(), 0);
    let unused = "Endpoints default/nginx-noselectt: : the Service has a selector";
    let lines = said(&admitted);
    assert!(
        lines.iter().any(|line| line.starts_with(unused)),
        "{lines:?}"
    );
    // Read from a cluster, where the controller made them: nothing to say.
    let stamp = "kind: Endpoints\nmetadata:\n labels: {endpoints.kubernetes.io/managed-by: endpoint-controller}";
    let dump = admit_files(&[(
        "a.yaml",
        &selects.replace("kind: Endpoints\nmetadata:", stamp),
    )]);
    assert!(
        !said(&dump).iter().any(|line| line.starts_with("Endpoints")),
        "{:?}",
        said(&dump)
    );
}

#[test]
fn endpoints_without_their_service_or_with_other_port_names_are_findings() {
    let lonely = NO_SELECTOR.split("---").nth(1).unwrap();
    let admitted = admit_files(&[("a.yaml", lonely)]);
    assert_eq!(
        said(&admitted),
        [
            "Endpoints default/nginx-noselectt: metadata.name: there is no Service of this name, so nothing uses them: add it, without a \
             selector"
        ]
    );
    let named = NO_SELECTOR.replace("- port: 80", "- {port: 80, name: http}");
    assert_eq!(
        said(&admit_files(&[("a.yaml", &named)])),
        [
            "Endpoints default/nginx-noselectt: subsets[0].ports[0].name: no port of the Service is called \"http\", so \
          nothing reaches this one; the names must be equal"
        ]
    );
}
