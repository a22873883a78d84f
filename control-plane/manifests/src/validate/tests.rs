//! Whole objects through defaults and validation.

mod ingress;
mod service;

use std::sync::Arc;

use meshlite_snapshot::Severity;
use serde_json::{Value, from_value, json};

use super::default_and_validate;
use crate::Object;

fn object(document: Value) -> Object {
    match document["kind"].as_str().unwrap() {
        "Service" => Object::Service(Arc::new(from_value(document).unwrap())),
        "Endpoints" => Object::Endpoints(Arc::new(from_value(document).unwrap())),
        "EndpointSlice" => Object::EndpointSlice(Arc::new(from_value(document).unwrap())),
        "Ingress" => Object::Ingress(Arc::new(from_value(document).unwrap())),
        "IngressClass" => Object::IngressClass(Arc::new(from_value(document).unwrap())),
        "Secret" => Object::Secret(Arc::new(from_value(document).unwrap())),
        "Pod" => Object::Pod(Arc::new(from_value(document).unwrap())),
        "Node" => Object::Node(Arc::new(from_value(document).unwrap())),
        "Namespace" => Object::Namespace(Arc::new(from_value(document).unwrap())),
        "Deployment" => Object::Deployment(Arc::new(from_value(document).unwrap())),
        other => panic!("{other}"),
    }
}

fn with_api_version(mut document: Value) -> Value {
    document["apiVersion"] = match document["kind"].as_str().unwrap() {
        "EndpointSlice" => "discovery.k8s.io/v1",
        "Ingress" | "IngressClass" => "networking.k8s.io/v1",
        "Deployment" => "apps/v1",
        _ => "v1",
    }
    .into();
    if document["metadata"].is_null() {
        document["metadata"] = json!({"name": "web"});
    }
    document
}

/// Each problem as `field: message`, errors only.
fn errors(document: Value) -> Vec<String> {
    let mut object = object(with_api_version(document));
    default_and_validate(&mut object)
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| format!("{}: {}", problem.field, problem.message))
        .collect()
}

#[track_caller]
fn assert_says(problems: &[String], expected: &str) {
    assert!(
        problems.iter().any(|p| p.starts_with(expected)),
        "no {expected:?} in {problems:#?}"
    );
}

#[test]
fn names_follow_the_rules_of_their_kind() {
    for (document, says) in [
        (
            json!({"kind": "Service", "metadata": {"name": "1a"}, "spec": {"ports": [{"port": 1}]}}),
            "metadata.name: Invalid value: \"1a\": a DNS-1035 label must",
        ),
        (
            json!({"kind": "Namespace", "metadata": {"name": "a.b"}}),
            "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label must",
        ),
        (
            json!({"kind": "Node", "metadata": {"name": "A"}}),
            "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must",
        ),
        (
            json!({"kind": "Secret", "metadata": {}}),
            "metadata.name: Required value",
        ),
        (
            json!({"kind": "Secret", "metadata": {"name": "a", "namespace": "a.b"}}),
            "metadata.namespace: Invalid value",
        ),
        (
            json!({"kind": "Secret", "metadata": {"name": "a", "labels": {"a": "-"}}}),
            "metadata.labels[a]: Invalid value: \"-\"",
        ),
    ] {
        assert_says(&errors(document), says);
    }
    let mut node = object(with_api_version(
        json!({"kind": "Node", "metadata": {"name": "a", "namespace": "default"}}),
    ));
    assert_eq!(default_and_validate(&mut node), []);
    assert_eq!(node.metadata().namespace, None);
}

#[test]
fn a_tls_secret_holds_pem_and_its_errors_hold_no_secret() {
    let secret = |data: Value| {
        errors(json!({"kind": "Secret", "type": "kubernetes.io/tls", "stringData": data}))
    };
    let pem = |what: &str| format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n");
    let good = json!({"tls.crt": pem("CERTIFICATE"), "tls.key": pem("EC PRIVATE KEY")});
    assert_eq!(secret(good), [""; 0]);
    assert_eq!(
        secret(json!({})),
        [
            "data[tls.crt]: Required value",
            "data[tls.key]: Required value"
        ]
    );
    let bad = secret(json!({"tls.crt": pem("CERTIFICATE"), "tls.key": "hunter2"}));
    assert_says(&bad, "data[tls.key]: Invalid value: must be PEM");
    assert!(!bad.join("").contains("hunter2"), "{bad:?}");
    assert_eq!(errors(json!({"kind": "Secret", "data": {}})), [""; 0]);
}

#[test]
fn string_data_wins_over_data() {
    let mut secret = object(with_api_version(json!({
        "kind": "Secret", "data": {"a": "MQ==", "b": "Mg=="}, "stringData": {"a": "3"},
    })));
    default_and_validate(&mut secret);
    let Object::Secret(secret) = secret else {
        panic!("not a Secret");
    };
    let data = serde_json::to_value(&secret.data).unwrap();
    assert_eq!(
        (data, &secret.string_data),
        (json!({"a": "Mw==", "b": "Mg=="}), &None)
    );
}

#[test]
fn endpoints_and_slices_hold_addresses_of_their_family() {
    let endpoints = |subset: Value| errors(json!({"kind": "Endpoints", "subsets": [subset]}));
    for (problems, says) in [
        (
            endpoints(json!({})),
            "subsets[0]: Required value: must specify `addresses` or",
        ),
        (
            endpoints(json!({"addresses": [{"ip": "a"}]})),
            "subsets[0].addresses[0].ip: Invalid",
        ),
        (
            endpoints(json!({"addresses": [{"ip": "0.0.0.0"}]})),
            "subsets[0].addresses[0].ip: Invalid",
        ),
        (
            endpoints(json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 0}]})),
            "subsets[0].ports[0].port: Invalid",
        ),
        (
            endpoints(
                json!({"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2}]}),
            ),
            "subsets[0].ports[0].name: Required",
        ),
    ] {
        assert_says(&problems, says);
    }
    assert_eq!(
        endpoints(json!({"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 1}]})),
        [""; 0]
    );

    let slice = |kind: &str, address: &str| {
        errors(json!({
            "kind": "EndpointSlice", "addressType": kind, "endpoints": [{"addresses": [address]}],
        }))
    };
    assert_eq!(slice("IPv4", "127.0.0.1"), [""; 0]);
    assert_eq!(slice("IPv6", "fd00::1"), [""; 0]);
    assert_eq!(slice("FQDN", "a.b"), [""; 0]);
    for (kind, address) in [
        ("IPv4", "fd00::1"),
        ("IPv6", "10.0.0.1"),
        ("IPv4", "::"),
        ("FQDN", "A"),
    ] {
        assert_says(&slice(kind, address), "endpoints[0].addresses[0]: Invalid");
    }
    assert_says(&slice("ipv4", "10.0.0.1"), "addressType: Unsupported value");
    let many = vec![json!({"addresses": ["10.0.0.1"]}); 1001];
    let document = json!({"kind": "EndpointSlice", "addressType": "IPv4", "endpoints": many});
    assert_eq!(
        errors(document),
        ["endpoints: Too many: 1001: must have at most 1000 items"]
    );
    let ports = json!([{"port": 1}, {"port": 2}]);
    let document = json!({"kind": "EndpointSlice", "addressType": "IPv4", "ports": ports});
    assert_eq!(errors(document), ["ports[1].name: Duplicate value: \"\""]);
}

#[test]
fn an_endpoint_without_conditions_is_ready() {
    let mut slice = object(with_api_version(json!({
        "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [
            {"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}],
    })));
    default_and_validate(&mut slice);
    let Object::EndpointSlice(slice) = slice else {
        panic!("not an EndpointSlice");
    };
    let conditions: Vec<_> = slice
        .endpoints
        .iter()
        .flatten()
        .map(|e| e.conditions.clone().unwrap())
        .collect();
    assert_eq!(
        serde_json::to_value(conditions).unwrap(),
        json!([
            {"ready": true, "serving": true, "terminating": false},
            {"ready": false, "serving": false, "terminating": false},
        ])
    );
}

#[test]
fn a_deployment_is_not_served_so_its_mistakes_are_warnings() {
    let mut deployment = object(with_api_version(json!({"kind": "Deployment", "spec": {
        "replicas": -1, "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "b"}}, "spec": {"containers": [
            {"name": "c", "ports": [{"containerPort": 0}]}]}},
    }})));
    let problems = default_and_validate(&mut deployment);
    let fields: Vec<_> = problems
        .iter()
        .map(|p| (p.severity, p.field.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            (Severity::Warning, "spec.replicas"),
            (Severity::Warning, "spec.template.metadata.labels"),
            (
                Severity::Warning,
                "spec.template.spec.containers[0].ports[0].containerPort"
            ),
        ]
    );
}

#[test]
fn a_pod_needs_good_addresses_and_port_names() {
    let problems = errors(json!({"kind": "Pod",
        "spec": {"hostname": "A", "containers": [{"name": "c", "ports": [
            {"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]}]},
        "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}]}}));
    let fields: Vec<_> = problems
        .iter()
        .map(|p| p.split(':').next().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "spec.hostname",
            "spec.containers[0].ports[1].name",
            "status.podIPs[0]"
        ]
    );
}
