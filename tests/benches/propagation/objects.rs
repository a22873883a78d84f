//! The objects of the cluster: Services with an EndpointSlice and an Ingress each, and those that are changed.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// The namespace of all that is served.
pub(crate) const SHOP: &str = "shop";
/// The Service whose endpoint moves.
pub(crate) const MOVING: &str = "moving";
/// The Ingress that gets paths.
pub(crate) const GROWING: &str = "growing";

/// The host of an Ingress.
pub(crate) fn host(name: &str) -> String {
    format!("{name}.example.com")
}

/// Without a selector, so that no controller writes slices for it.
pub(crate) fn service(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

/// The one endpoint of a Service.
pub(crate) fn slice(service: &str, endpoint: SocketAddr) -> Value {
    json!({
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": endpoint.port()}],
        "endpoints": [{"addresses": [endpoint.ip()], "conditions": {"ready": true}}],
    })
}

/// An Ingress of the host of its name, with one path.
pub(crate) fn ingress(name: &str, path: &str, service: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"rules": [{"host": host(name), "http": {"paths": [exact(path, service)]}}]},
    })
}

/// Moves the endpoint of a slice to this port.
pub(crate) fn move_to(port: u16) -> Value {
    json!([{"op": "replace", "path": "/ports/0/port", "value": port}])
}

/// Gives an Ingress one more path.
pub(crate) fn grow(path: &str, service: &str) -> Value {
    json!([{"op": "add", "path": "/spec/rules/0/http/paths/-", "value": exact(path, service)}])
}

fn exact(path: &str, service: &str) -> Value {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    json!({"path": path, "pathType": "Exact", "backend": backend})
}
