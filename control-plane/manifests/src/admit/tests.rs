//! Whole folders through admission.

mod endpoints;
mod selectors;
mod total;

use std::{collections::BTreeMap, sync::Arc};

use meshlite_compile::ObjectKey;
use meshlite_snapshot::{Finding, ObjectRef, Severity};

use super::{AdmitSettings, Admitted, Allocations, RunningPod, admit, workloads};
use crate::{ManifestFile, parse};

/// Files that parse without an error.
fn folder(files: &[(&str, &str)]) -> Vec<Arc<ManifestFile>> {
    let good = |(path, text): &(&str, &str)| {
        let file = parse(path, text.as_bytes());
        assert!(file.is_good(), "{:#?}", file.findings);
        Arc::new(file)
    };
    files.iter().map(good).collect()
}

fn admit_files(files: &[(&str, &str)]) -> Admitted {
    admit_with(files, &[])
}

fn admit_with(files: &[(&str, &str)], running: &[RunningPod]) -> Admitted {
    admit(
        &folder(files),
        &Allocations::default(),
        &AdmitSettings::default(),
        running,
    )
}

/// Findings as `object: field: message`.
fn said(admitted: &Admitted) -> Vec<String> {
    let line = |f: &Finding| format!("{}: {}: {}", f.object, f.field, f.message);
    admitted.findings.iter().map(line).collect()
}

/// The slices of a Service, each endpoint as `address:port,port conditions`, by slice.
fn endpoints_of(admitted: &Admitted, service: &str) -> Vec<Vec<String>> {
    let mut slices: Vec<Vec<String>> = Vec::new();
    for slice in admitted.inputs.endpoint_slices.values() {
        let labels = slice.metadata.labels.as_ref();
        if labels
            .and_then(|l| l.get("kubernetes.io/service-name"))
            .is_none_or(|s| s != service)
        {
            continue;
        }
        let ports: Vec<_> = slice
            .ports
            .iter()
            .flatten()
            .map(|p| p.port.unwrap().to_string())
            .collect();
        let mut lines = Vec::new();
        for endpoint in slice.endpoints.iter().flatten() {
            let conditions = endpoint.conditions.clone().unwrap();
            let flags = [
                (conditions.ready, "ready"),
                (conditions.serving, "serving"),
                (conditions.terminating, "terminating"),
            ];
            let flags: Vec<_> = flags
                .iter()
                .filter(|(on, _)| *on == Some(true))
                .map(|(_, s)| *s)
                .collect();
            lines.push(
                format!(
                    "{}:{} {}",
                    endpoint.addresses[0],
                    ports.join(","),
                    flags.join(" ")
                )
                .trim_end()
                .to_owned(),
            );
        }
        slices.push(lines);
    }
    slices.sort();
    slices
}

#[test]
fn of_two_objects_of_one_name_the_first_by_file_name_counts() {
    let service = |port: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{ports: [{{port: {port}}}], clusterIP: None}}\n"
        )
    };
    let (a, b) = (service(80), service(81));
    for files in [
        [("a.yaml", a.as_str()), ("b.yaml", b.as_str())],
        [("b.yaml", b.as_str()), ("a.yaml", a.as_str())],
    ] {
        let admitted = admit_files(&files);
        let service = &admitted.inputs.services[&ObjectKey::new("default", "web")];
        assert_eq!(
            service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].port,
            80
        );
        let clash = admitted
            .findings
            .iter()
            .find(|f| f.reason == "DuplicateObject")
            .unwrap();
        assert_eq!(clash.severity, Severity::Error);
        assert_eq!(clash.source.as_ref().unwrap().file, "b.yaml");
        assert!(
            clash.message.contains("a.yaml:1 (document 1)"),
            "{}",
            clash.message
        );
    }
    // The same text twice loses nothing.
    let admitted = admit_files(&[("a.yaml", &a), ("b.yaml", &a)]);
    let clash = admitted
        .findings
        .iter()
        .find(|f| f.reason == "DuplicateObject")
        .unwrap();
    assert_eq!(clash.severity, Severity::Warning);
}

#[test]
fn namespaces_are_those_declared_those_used_and_default() {
    let admitted = admit_files(&[(
        "a.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: empty, labels: {a: b}}}\n---\n\
         {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: used}}\n",
    )]);
    let names: Vec<_> = admitted.inputs.namespaces.keys().collect();
    assert_eq!(names, ["default", "empty", "used"]);
    assert!(
        admitted.inputs.namespaces["empty"]
            .metadata
            .labels
            .is_some()
    );
}

#[test]
fn every_object_has_its_source_and_a_made_slice_that_of_what_it_was_made_from() {
    let admitted = admit_files(&[(
        "a.yaml",
        "{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {ports: [{port: 1}]}}\n---\n\
         {apiVersion: v1, kind: Endpoints, metadata: {name: db}, subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 1}]}]}\n",
    )]);
    let slice = admitted.inputs.endpoint_slices.keys().next().unwrap();
    let of = |kind: &'static str, name: &str| {
        admitted.sources[&ObjectRef::new(kind, "default", name)].document
    };
    assert_eq!(
        (of("Service", "db"), of("EndpointSlice", &slice.name)),
        (1, 2)
    );
}

#[test]
fn skipped_kinds_are_counted_over_all_files() {
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    let admitted = admit_files(&[("a.yaml", map), ("b.yaml", map)]);
    assert_eq!(
        admitted.skipped,
        BTreeMap::from([("ConfigMap".to_owned(), 2)])
    );
}

#[test]
fn a_demo_runs_deployments_stateful_sets_and_pods_without_a_status() {
    let template =
        "template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}";
    let text = format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{replicas: 3, selector: {{matchLabels: {{app: a}}}}, {template}}}}}\n---\n\
         {{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: s, namespace: n}}, spec: {{serviceName: hl, selector: {{matchLabels: {{app: a}}}}, {template}}}}}\n---\n\
         {{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, image: i}}]}}}}\n---\n\
         {{apiVersion: v1, kind: Pod, metadata: {{name: runs}}, status: {{podIP: 10.0.0.1}}}}\n"
    );
    let found: Vec<_> = workloads(&folder(&[("a.yaml", &text)]))
        .into_iter()
        .map(|w| {
            (
                format!("{:?} {}/{}", w.kind, w.namespace, w.name),
                w.replicas,
                w.service_name,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("Deployment default/d".to_owned(), 3, None),
            ("StatefulSet n/s".to_owned(), 1, Some("hl".to_owned())),
            ("Pod default/p".to_owned(), 1, None),
        ]
    );
}
