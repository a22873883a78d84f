//! Selectors that find nothing are explained.

use super::*;

fn service(selector: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{selector: {selector}, ports: [{{port: 80}}]}}}}\n"
    )
}

fn deployment(replicas: u8) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{replicas: {replicas}, \
         selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, \
         spec: {{containers: [{{name: c, image: i}}]}}}}}}}}\n"
    )
}

/// What is said about the Service.
fn about_service(text: &str) -> Vec<String> {
    let lines = said(&admit_files(&[("a.yaml", text)]));
    let message = |line: String| {
        line.strip_prefix("Service default/web: spec.selector: ")
            .map(str::to_owned)
    };
    lines.into_iter().filter_map(message).collect()
}

/// The tutorial of the swallowed `type: ClusterIP`, as it is written.
#[test]
fn a_selector_that_swallowed_a_field_of_the_service_is_called_mis_indented() {
    let text = "
apiVersion: v1
kind: Pod
metadata:
 name: readiness-httpget-pod
 namespace: default
 labels:
  app: myapp
  env: test
spec:
 containers:
 - name: readiness-httpget-container
   image: wangyanglinux/myapp:v1.0
---
apiVersion: v1
kind: Service
metadata:
 labels:
  app: myapp
 name: myapp
spec:
 ports:
 - name: 80-80
   port: 80
   protocol: TCP
   targetPort: 80
 selector:
  app: myapp
  type: ClusterIP
";
    let admitted = admit_files(&[("003.yaml", text)]);
    let said = said(&admitted);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with(
        "Pod default/readiness-httpget-pod: status: has no status, so it is no endpoint"
    ));
    assert_eq!(
        said[1],
        "Service default/myapp: spec.selector: selects 0 Pods; without `type`, 1: mis-indented?"
    );
    assert!(
        admitted
            .findings
            .iter()
            .all(|f| f.severity == Severity::Warning)
    );
}

#[test]
fn a_selector_that_finds_nothing_is_explained() {
    let pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: web}}, status: {podIP: 10.0.0.1}}\n";
    for (selector, expected) in [
        (
            "{app: web, tier: front}",
            "selects 0 Pods; without `tier`, 1",
        ),
        (
            "{app: other}",
            "selects 0 Pods: nothing in namespace default has the labels app=other",
        ),
        (
            "{app: other, type: NodePort}",
            "selects 0 Pods; the key `type` of its selector is a field of Services: mis-indented?",
        ),
    ] {
        assert_eq!(
            about_service(&[&service(selector), pod].concat()),
            [expected]
        );
    }
    assert_eq!(
        about_service(&[&service("{app: web}"), pod].concat()),
        [""; 0]
    );
}

#[test]
fn a_deployment_that_a_service_selects_is_a_finding_because_file_mode_runs_no_pods() {
    let lines = said(&admit_files(&[(
        "a.yaml",
        &[service("{app: web}"), deployment(3)].concat(),
    )]));
    assert_eq!(
        lines,
        [
            "Service default/web: spec.selector: selects 0 Pods: Deployment default/web would match, but file mode \
             runs no Pods",
            "Deployment default/web: : file mode runs no Pods, so Service default/web has no endpoints; `meshlite \
             demo` runs them",
        ]
    );
    let none = about_service(&[service("{app: web}"), deployment(0)].concat());
    assert_eq!(
        none,
        ["selects 0 Pods: Deployment default/web has 0 replicas"]
    );
    let swallowed =
        about_service(&[service("{app: web, type: ClusterIP}"), deployment(3)].concat());
    assert_eq!(
        swallowed,
        ["selects 0 Pods; without `type`, Deployment default/web: mis-indented?"]
    );
    // One that nobody selects is nobody's concern.
    assert_eq!(said(&admit_files(&[("a.yaml", &deployment(3))])), [""; 0]);
}

#[test]
fn a_service_without_selector_needs_endpoints_from_somewhere() {
    let service =
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}\n";
    assert_eq!(
        about_service(service),
        [
            "has no selector, and no Endpoints or EndpointSlice is its own, so it has no endpoints: add one, or a selector"
        ]
    );
    let external = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: ExternalName, externalName: a.b}}\n";
    assert_eq!(about_service(external), [""; 0]);
}

#[test]
fn selectors_see_only_their_own_namespace() {
    let pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: other, labels: {app: web}}, status: {podIP: 10.0.0.1}}\n";
    assert_eq!(
        about_service(&[&service("{app: web}"), pod].concat()),
        ["selects 0 Pods: nothing in namespace default has the labels app=web"]
    );
}

#[test]
fn a_pod_that_nobody_calls_ready_is_not_and_says_so_once() {
    let pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: web}}, status: {podIP: 10.0.0.1}}\n";
    let two = [
        &service("{app: web}"),
        "---\n",
        &service("{app: web}").replace("name: web", "name: web2"),
        pod,
    ]
    .concat();
    let lines = said(&admit_files(&[("a.yaml", &two)]));
    assert_eq!(
        lines,
        ["Pod default/p: status.conditions: has no condition Ready, so it counts as not ready"]
    );
}
