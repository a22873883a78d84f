//! Ingresses and their classes.

use super::*;

fn ingress_path(path_type: &str, path: &str) -> Vec<String> {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = json!({"pathType": path_type, "path": path, "backend": backend});
    errors(json!({"kind": "Ingress", "spec": {"rules": [{"http": {"paths": [path]}}]}}))
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
