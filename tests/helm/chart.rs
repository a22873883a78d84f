//! What holds for every manifest of the chart, whatever the values.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::helm::file;

/// The objects of a golden file.
fn objects(name: &str) -> Vec<Value> {
    let manifests = fs::read_to_string(file("golden").join(format!("{name}.yaml"))).unwrap();
    let documents = manifests.split("\n---\n");
    let objects = documents.map(|document| yaml_serde::from_str::<Value>(document).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

/// Each rule of roles as single rights: who gives it, API group, resource, object, verb.
fn rights(objects: &[Value]) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for object in objects {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| rule[field].as_array().cloned().unwrap_or_default();
            for (group, resource) in list("apiGroups").iter().flat_map(|group| {
                list("resources")
                    .into_iter()
                    .map(move |r| (group.clone(), r))
            }) {
                let names = &rule["resourceNames"];
                for verb in list("verbs") {
                    let kind = &object["kind"];
                    rights.insert(format!("{kind} {group} {resource} {names} {verb}"));
                }
            }
        }
    }
    rights
}

/// Those of the control plane are shown by its audit log to be all needed and enough: `tests/apiserver/rbac.rs`.
#[test]
fn the_chart_gives_the_rights_that_are_needed_and_no_more() {
    let shown = include_str!("../apiserver/rbac.yaml").split("\n---\n");
    let shown: Vec<Value> = shown.map(|d| yaml_serde::from_str(d).unwrap()).collect();
    for case in ["minimal", "everything", "ingress-only", "services-only"] {
        let objects = objects(case);
        assert_eq!(rights(&objects), rights(&shown), "{case}");
        // Who has them.
        let bindings = objects
            .iter()
            .filter(|object| object["subjects"].is_array());
        let accounts: Vec<_> = bindings
            .map(|binding| binding["subjects"][0]["name"].as_str().unwrap())
            .collect();
        assert_eq!(accounts, ["meshlite-control-plane"; 2], "{case}");
    }
}

/// Every container of every Pod, with the Pod's spec.
fn containers(objects: &[Value]) -> Vec<(Value, Value)> {
    let templates = objects
        .iter()
        .map(|object| &object["spec"]["template"]["spec"]);
    let pods = templates.filter(|spec| spec.is_object());
    let each = pods.flat_map(|spec| {
        let lists = ["initContainers", "containers"].map(|list| spec[list].as_array().cloned());
        let all = lists.into_iter().flatten().flatten();
        all.map(|container| (spec.clone(), container))
    });
    each.collect()
}

#[test]
fn containers_have_the_rights_that_they_need_and_no_more() {
    for case in ["minimal", "everything", "host-ports"] {
        let containers = containers(&objects(case));
        assert_eq!(containers.len(), 4, "{case}");
        for (pod, container) in containers {
            let name = container["name"].as_str().unwrap();
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            let profile = &pod["securityContext"]["seccompProfile"]["type"];
            assert_eq!(profile, "RuntimeDefault", "{name}");
            if name == "init" {
                assert_eq!(context["privileged"], true);
                continue;
            }
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
            let added = &context["capabilities"]["add"];
            if name == "node" {
                assert_eq!(added.to_string(), r#"["NET_ADMIN","NET_BIND_SERVICE"]"#);
            } else {
                assert_eq!(
                    (added, &context["runAsNonRoot"]),
                    (&Value::Null, &Value::Bool(true))
                );
            }
        }
    }
}

#[test]
fn no_plane_needs_a_service_vip_or_cluster_dns_to_start() {
    for case in ["minimal", "everything", "host-ports", "ingress-only"] {
        for (pod, container) in containers(&objects(case)) {
            let name = &container["name"];
            let arguments = container["args"].as_array().unwrap();
            for url in arguments.iter().filter_map(Value::as_str) {
                let hosts = url.split("https://").skip(1);
                for host in hosts {
                    let is_address = host.starts_with('[') || host.starts_with("10.");
                    assert!(is_address, "{name}: {url}");
                }
            }
            let is_on_host = pod["hostNetwork"] == true;
            assert!(!is_on_host || pod["dnsPolicy"] == "Default", "{name}");
        }
    }
}
