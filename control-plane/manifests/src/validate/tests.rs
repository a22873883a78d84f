//! Whole objects through defaults and validation.

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

fn service(spec: Value) -> Vec<String> {
    let mut document = json!({"kind": "Service"});
    document["spec"] = spec;
    errors(document)
}

fn ingress_path(path_type: &str, path: &str) -> Vec<String> {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"pathType": path_type, "path": path, "backend": backend});
    errors(json!({"kind": "Ingress", "spec": {"rules": [{"http": {"paths": [path]}}]}}))
}

#[track_caller]
fn assert_says(problems: &[String], expected: &str) {
    assert!(
        problems.iter().any(|p| p.starts_with(expected)),
        "no {expected:?} in {problems:#?}"
    );
}

#[test]
fn a_service_gets_the_defaults_of_an_api_server() {
    let mut object = object(with_api_version(json!({"kind": "Service", "spec": {
        "selector": {"app": "web"},
        "ports": [{"port": 80}, {"port": 53, "name": "dns", "protocol": "UDP", "targetPort": "dns"}],
        "sessionAffinity": "ClientIP",
        "externalIPs": ["192.0.2.1"],
        "clusterIP": "10.96.0.10",
    }})));
    default_and_validate(&mut object);
    let Object::Service(service) = object else {
        panic!("not a Service");
    };
    assert_eq!(service.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(
        serde_json::to_value(service.spec.as_ref()).unwrap(),
        json!({
            "type": "ClusterIP",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10"],
            "selector": {"app": "web"},
            "ports": [
                {"port": 80, "protocol": "TCP", "targetPort": 80},
                {"port": 53, "name": "dns", "protocol": "UDP", "targetPort": "dns"},
            ],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            "externalIPs": ["192.0.2.1"],
            "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Cluster",
        })
    );
}

#[test]
fn defaults_are_filled_in_once() {
    for spec in [
        json!({"type": "LoadBalancer", "ports": [{"port": 80}], "healthCheckNodePort": 0}),
        json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 0}], "clusterIP": ""}),
        json!({"type": "ExternalName", "externalName": "a.b."}),
    ] {
        let mut once = object(with_api_version(json!({"kind": "Service", "spec": spec})));
        assert_eq!(default_and_validate(&mut once), []);
        let mut twice = once.clone();
        assert_eq!(default_and_validate(&mut twice), []);
        assert_eq!(once, twice);
    }
}

#[test]
fn a_traffic_policy_that_does_not_exist_is_refused_in_kubernetes_words() {
    let problems = service(json!({
        "type": "NodePort", "ports": [{"port": 80}], "externalTrafficPolicy": "Cluster/local",
        "internalTrafficPolicy": "Cluster/local",
    }));
    let says = r#"Unsupported value: "Cluster/local": supported values: "Cluster", "Local""#;
    assert_eq!(
        problems,
        [
            format!("spec.internalTrafficPolicy: {says}"),
            format!("spec.externalTrafficPolicy: {says}"),
        ]
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
fn bad_service_ports_are_refused() {
    let port = |port: Value| service(json!({"type": "NodePort", "ports": [port]}));
    for (problems, says) in [
        (service(json!({})), "spec.ports: Required value"),
        (
            port(json!({"port": 0})),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and",
        ),
        (
            port(json!({"port": 80, "targetPort": 70000})),
            "spec.ports[0].targetPort: Invalid",
        ),
        (
            port(json!({"port": 80, "targetPort": "80"})),
            "spec.ports[0].targetPort: Invalid value: \"80\": must contain at least one letter",
        ),
        (
            port(json!({"port": 80, "protocol": "tcp"})),
            r#"spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP""#,
        ),
        (
            port(json!({"port": 80, "nodePort": -1})),
            "spec.ports[0].nodePort: Invalid",
        ),
        (
            port(json!({"port": 80, "name": "A"})),
            "spec.ports[0].name: Invalid",
        ),
        (
            port(json!({"port": 80, "appProtocol": "a/b/c"})),
            "spec.ports[0].appProtocol: Invalid",
        ),
        (
            service(json!({"ports": [{"port": 1}, {"port": 2, "name": "a"}]})),
            "spec.ports[0].name: Required value",
        ),
        (
            service(json!({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]})),
            "spec.ports[1].name: Duplicate value: \"a\"",
        ),
        (
            service(json!({"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]})),
            "spec.ports[1]: Duplicate value: \"1/TCP\"",
        ),
        (
            service(json!({"ports": [{"port": 1, "nodePort": 30000}]})),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            service(json!({"type": "NodePort", "ports": [
            {"port": 1, "name": "a", "nodePort": 30000}, {"port": 2, "name": "b", "nodePort": 30000}]})),
            "spec.ports[1].nodePort: Duplicate value: 30000",
        ),
        (
            service(json!({"type": "LoadBalancer", "ports": [{"port": 10250}]})),
            "spec.ports[0].port: Invalid value: 10250: may not expose port",
        ),
    ] {
        assert_says(&problems, says);
    }
    // The same number over TCP and UDP, and names that are only digits and hyphens, are fine.
    let both = service(json!({"type": "NodePort", "ports": [
        {"port": 53, "name": "80-80", "nodePort": 30053},
        {"port": 53, "name": "udp", "protocol": "UDP", "nodePort": 30053}]}));
    assert_eq!(both, [""; 0]);
}

fn with_port(mut spec: Value) -> Vec<String> {
    spec["ports"] = json!([{"port": 80}]);
    service(spec)
}

#[test]
fn cluster_ips_and_families_of_a_service_must_agree() {
    let with = with_port;
    for (problems, says) in [
        (
            with(json!({"clusterIP": "10.0.0"})),
            "spec.clusterIPs[0]: Invalid value: \"10.0.0\": must be a valid IP",
        ),
        (
            with(json!({"clusterIP": "0.0.0.0"})),
            "spec.clusterIPs[0]: Invalid",
        ),
        (
            with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]})),
            "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`",
        ),
        (
            with(json!({"clusterIPs": ["10.0.0.2"]})),
            "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: must be empty when",
        ),
        (
            with(
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "10.0.0.2"], "ipFamilyPolicy": "PreferDualStack"}),
            ),
            "spec.clusterIPs: Invalid value: [\"10.0.0.1\", \"10.0.0.2\"]: may specify no more than one IP for each",
        ),
        (
            with(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]})),
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack'",
        ),
        (
            with(json!({"clusterIP": "10.0.0.1", "ipFamilies": ["IPv6"]})),
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        (
            with(json!({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "RequireDualStack"})),
            "spec.ipFamilies[1]: Duplicate value: \"IPv4\"",
        ),
        (
            with(json!({"ipFamilies": ["ipv4"]})),
            "spec.ipFamilies[0]: Unsupported value: \"ipv4\"",
        ),
        (
            with(json!({"type": "NodePort", "clusterIP": "None"})),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
    ] {
        assert_says(&problems, says);
    }
    let dual = json!(["10.0.0.1", "fd00::1"]);
    for spec in [
        json!({"clusterIP": "None"}),
        json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"]}),
        json!({"clusterIP": "127.96.0.1", "externalIPs": ["127.0.0.9"]}),
        json!({"clusterIP": "10.0.0.1", "clusterIPs": dual, "ipFamilyPolicy": "PreferDualStack"}),
    ] {
        assert_eq!(with(spec.clone()), [""; 0], "{spec}");
    }
}

#[test]
fn addresses_outside_the_cluster_and_names_have_their_rules() {
    let with = with_port;
    for (problems, says) in [
        (
            with(json!({"externalIPs": ["169.254.0.1"]})),
            "spec.externalIPs[0]: Invalid",
        ),
        (
            with(json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]})),
            "spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            with(json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]})),
            "spec.loadBalancerSourceRanges[0]: Invalid",
        ),
        (
            with(json!({"type": "ExternalName"})),
            "spec.externalName: Required value",
        ),
        (
            with(json!({"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.0.0.1"})),
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        ),
        (
            with(json!({"type": "External"})),
            "spec.type: Unsupported value: \"External\"",
        ),
    ] {
        assert_says(&problems, says);
    }
    for spec in [
        json!({"type": "ExternalName", "externalName": "db.example.com."}),
        json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [" 10.0.0.0/8 "], "loadBalancerIP": "10.0.0.1"}),
    ] {
        assert_eq!(with(spec.clone()), [""; 0], "{spec}");
    }
}

#[test]
fn affinity_distribution_and_health_checks_have_their_rules() {
    let with = with_port;
    for (problems, says) in [
        (
            with(
                json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}}),
            ),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and",
        ),
        (
            with(json!({"sessionAffinity": "clientIP"})),
            "spec.sessionAffinity: Unsupported value",
        ),
        (
            with(json!({"trafficDistribution": "Close"})),
            r#"spec.trafficDistribution: Unsupported value: "Close": supported values: "PreferClose", "PreferSameNode","#,
        ),
        (
            with(json!({"externalTrafficPolicy": "Local"})),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible",
        ),
        (
            with(json!({"type": "NodePort", "healthCheckNodePort": 30000})),
            "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and",
        ),
        (
            with(json!({"allocateLoadBalancerNodePorts": true})),
            "spec.allocateLoadBalancerNodePorts: Forbidden",
        ),
        (
            with(json!({"loadBalancerClass": "a/b"})),
            "spec.loadBalancerClass: Forbidden",
        ),
    ] {
        assert_says(&problems, says);
    }
}

#[test]
fn exact_and_prefix_paths_are_absolute_and_normal() {
    for path in ["/", "/a", "/a/", "/a.b/..c", "/%20"] {
        assert_eq!(ingress_path("Prefix", path), [""; 0], "{path}");
        assert_eq!(ingress_path("Exact", path), [""; 0], "{path}");
    }
    for path in [
        "", "a", "//", "/a/./b", "/a/../b", "/a%2fb", "/a%2Fb", "/a/..", "/a/.",
    ] {
        assert!(!ingress_path("Prefix", path).is_empty(), "{path}");
    }
    for path in ["", "/a//b", "/(.*)"] {
        assert_eq!(
            ingress_path("ImplementationSpecific", path),
            [""; 0],
            "{path}"
        );
    }
    assert_says(
        &ingress_path("ImplementationSpecific", "a"),
        "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
    );
    assert_says(
        &ingress_path("", "/"),
        "spec.rules[0].http.paths[0].pathType: Required value",
    );
    assert_says(
        &ingress_path("prefix", "/"),
        "spec.rules[0].http.paths[0].pathType: Unsupported value: \"prefix\": supported values: \"Exact\",",
    );
}

fn ingress(spec: Value) -> Vec<String> {
    let mut document = json!({"kind": "Ingress"});
    document["spec"] = spec;
    errors(document)
}

#[test]
fn a_host_is_a_dns_name_that_may_begin_with_one_wildcard_label() {
    let host = |host: &str| ingress(json!({"rules": [{"host": host}]}));
    for good in ["", "foo.com", "*.foo.com", "1.foo"] {
        assert_eq!(host(good), [""; 0], "{good}");
    }
    for bad in [
        "1.2.3.4",
        "Foo.com",
        "foo.com.",
        "foo.com:80",
        "*",
        "a.*.com",
        "*.*.com",
    ] {
        assert_says(
            &host(bad),
            &format!("spec.rules[0].host: Invalid value: {bad:?}"),
        );
    }
}

#[test]
fn a_backend_is_one_service_with_one_port_or_one_resource() {
    let backend = |backend: Value| ingress(json!({"defaultBackend": backend}));
    let service = |service: Value| backend(json!({"service": service}));
    for (problems, says) in [
        (
            ingress(json!({})),
            "spec: Required value: either `defaultBackend` or `rules` must",
        ),
        (
            ingress(json!({"rules": [{"http": {"paths": []}}]})),
            "spec.rules[0].http.paths: Required",
        ),
        (
            backend(json!({})),
            "spec.defaultBackend: Invalid value: \"\": resource or service backend is required",
        ),
        (
            backend(
                json!({"service": {"name": "a", "port": {"number": 1}}, "resource": {"kind": "A", "name": "a"}}),
            ),
            "spec.defaultBackend: Invalid value: \"\": cannot set both resource and service",
        ),
        (
            backend(json!({"resource": {"kind": "", "name": "a"}})),
            "spec.defaultBackend.resource.kind: Required",
        ),
        (
            service(json!({"name": "a"})),
            "spec.defaultBackend: Required value: port name or number is required",
        ),
        (
            service(json!({"name": "a", "port": {"name": "b", "number": 1}})),
            "spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number",
        ),
        (
            service(json!({"name": "a", "port": {"name": "80"}})),
            "spec.defaultBackend.service.port.name: Invalid",
        ),
        (
            service(json!({"name": "a", "port": {"number": 70000}})),
            "spec.defaultBackend.service.port.number: Invalid",
        ),
        (
            service(json!({"name": "A", "port": {"number": 1}})),
            "spec.defaultBackend.service.name: Invalid",
        ),
        (
            ingress(json!({"rules": [{}], "tls": [{"hosts": ["A"], "secretName": "S"}]})),
            "spec.tls[0].hosts[0]: Invalid",
        ),
        (
            ingress(json!({"rules": [{}], "tls": [{"secretName": "S"}]})),
            "spec.tls[0].secretName: Invalid",
        ),
        (
            errors(json!({
            "kind": "Ingress", "spec": {"rules": [{}], "ingressClassName": "a"},
            "metadata": {"name": "web", "annotations": {"kubernetes.io/ingress.class": "b"}}})),
            "metadata.annotations[kubernetes.io/ingress.class]: Invalid value: \"b\": must match `ingressClassName`",
        ),
    ] {
        assert_says(&problems, says);
    }
}

#[test]
fn an_ingress_class_has_a_controller() {
    let class = |spec: Value| errors(json!({"kind": "IngressClass", "spec": spec}));
    let parameters = |scope: Value| {
        let mut parameters = json!({"kind": "Config", "name": "a"});
        parameters
            .as_object_mut()
            .unwrap()
            .extend(scope.as_object().unwrap().clone());
        class(json!({"controller": "meshlite.io/ingress", "parameters": parameters}))
    };
    assert_eq!(parameters(json!({})), [""; 0]);
    assert_eq!(
        parameters(json!({"scope": "Namespace", "namespace": "a"})),
        [""; 0]
    );
    assert_says(
        &parameters(json!({"scope": "Namespace"})),
        "spec.parameters.namespace: Required",
    );
    assert_says(
        &parameters(json!({"namespace": "a"})),
        "spec.parameters.namespace: Forbidden",
    );
    assert_says(
        &parameters(json!({"scope": "A"})),
        "spec.parameters.scope: Unsupported value",
    );
    assert_says(&class(json!({})), "spec.controller: Required value");
    assert_says(
        &class(json!({"controller": "a"})),
        "spec.controller: Invalid value",
    );
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
