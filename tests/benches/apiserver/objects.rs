//! The objects of the cluster as they are sent to the API server: Nodes, Services, and an EndpointSlice for each.

use serde_json::{Value, json};

/// Endpoints of each slice.
pub(crate) const ENDPOINTS: u32 = 25;
/// Namespaces that the Services are in.
pub(crate) const NAMESPACES: u32 = 100;

/// The namespace of a Service.
pub(crate) fn namespace_of(number: u32) -> String {
    format!("team-{:03}", number % NAMESPACES)
}

/// The name of a Service's EndpointSlice.
pub(crate) fn slice_name(number: u32) -> String {
    format!("service-{number:05}-x7k2p")
}

/// The name of a Node.
pub(crate) fn node_name(number: u32) -> String {
    format!(
        "ip-172-16-{}-{}.eu-central-1.compute.internal",
        number / 250,
        number % 250
    )
}

/// A namespace.
pub(crate) fn namespace(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

/// A Node with what a cloud writes on it.
pub(crate) fn node(number: u32) -> Value {
    let (name, zone) = (node_name(number), format!("eu-central-1{}", zone(number)));
    let address = format!("172.16.{}.{}", number / 250, number % 250);
    json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m5.xlarge",
            "topology.kubernetes.io/region": "eu-central-1",
            "topology.kubernetes.io/zone": zone,
        }},
        "spec": {"providerID": format!("aws:///{zone}/i-{number:017x}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// A Service without selector: no controller writes slices for it.
pub(crate) fn service(number: u32) -> Value {
    let name = format!("service-{number:05}");
    json!({
        "metadata": {"name": name, "labels": {"app": name, "team": namespace_of(number)}},
        "spec": {"ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "metrics", "port": 9090, "targetPort": 9090},
        ]},
    })
}

/// The EndpointSlice of a Service: Pods on as many of the `nodes`, all ready.
pub(crate) fn slice(number: u32, nodes: u32) -> Value {
    let (service, namespace) = (format!("service-{number:05}"), namespace_of(number));
    let endpoint = |index: u32| {
        let pod = number * ENDPOINTS + index;
        let node = pod % nodes;
        json!({
            "addresses": [format!("10.{}.{}.{}", 128 + pod / 65_536, pod / 256 % 256, pod % 256)],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": node_name(node),
            "zone": format!("eu-central-1{}", zone(node)),
            "targetRef": {
                "kind": "Pod",
                "namespace": namespace,
                "name": format!("{service}-6c9f7d5b8-{pod:05x}"),
                "uid": format!("7c1f0f5e-3f0a-4a53-9d3c-{pod:012x}"),
            },
        })
    };
    json!({
        "metadata": {"name": slice_name(number), "labels": {
            "app": service,
            "kubernetes.io/service-name": service,
            "endpointslice.kubernetes.io/managed-by": "bench.meshlite.io",
        }},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}],
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
    })
}

fn zone(node: u32) -> char {
    ['a', 'b', 'c'][(node % 3) as usize]
}
