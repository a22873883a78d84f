//! A Service and its EndpointSlices, as the API server would have them.

use std::net::SocketAddr;

use meshlite_tests::world::{Family, Protocol, World};
use serde_json::{Map, Value, json};

use crate::backend::Backend;

/// Where pods listen.
pub(crate) const TARGET: u16 = 8080;

/// A Service with a ClusterIP of each family and no selector: tests say what its endpoints are.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    number: u8,
    ports: Vec<Value>,
    spec: Map<String, Value>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// A pod that a Service has, by its node and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) node: usize,
    pub(crate) pod: usize,
    ready: bool,
    serving: bool,
    terminating: bool,
}

// === impl Endpoint ===

impl Endpoint {
    /// One that takes connections.
    pub(crate) const fn ready(node: usize, pod: usize) -> Self {
        Self {
            node,
            pod,
            ready: true,
            serving: true,
            terminating: false,
        }
    }

    /// One that was told to end.
    pub(crate) const fn terminating(node: usize, pod: usize, serving: bool) -> Self {
        Self {
            node,
            pod,
            ready: false,
            serving,
            terminating: true,
        }
    }
}

// === impl Service ===

impl Service {
    /// The Service of this number, which is the end of its addresses.
    pub(crate) fn new(number: u8) -> Self {
        Self {
            number,
            ports: Vec::new(),
            spec: Map::new(),
            endpoints: Vec::new(),
        }
    }

    /// With a port.
    pub(crate) fn port(mut self, protocol: Protocol, port: u16) -> Self {
        let protocol = format!("{protocol:?}").to_uppercase();
        let name = format!("{}-{port}", protocol.to_lowercase());
        self.ports
            .push(json!({"name": name, "protocol": protocol, "port": port, "targetPort": TARGET}));
        self
    }

    /// With a node port for the port that was given last.
    pub(crate) fn node_port(mut self, node_port: u16) -> Self {
        if let Some(port) = self.ports.last_mut() {
            port["nodePort"] = node_port.into();
        }
        self.with("type", "NodePort")
    }

    /// With this in its spec.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.spec.insert(field.to_owned(), value.into());
        self
    }

    /// With these endpoints.
    pub(crate) fn to(mut self, endpoints: &[Endpoint]) -> Self {
        self.endpoints = endpoints.to_vec();
        self
    }

    pub(crate) fn name(&self) -> String {
        format!("s{}", self.number)
    }

    /// A port of its ClusterIP.
    pub(crate) fn at(&self, family: Family, port: u16) -> SocketAddr {
        let ip = Backend::cluster_ip(family, self.number);
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    /// The Service and a slice for each family.
    pub(crate) fn objects(&self, world: &World) -> Vec<Value> {
        let mut spec = json!({
            "type": "ClusterIP",
            "ports": self.ports,
            "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "clusterIP": Backend::cluster_ip(Family::V4, self.number),
            "clusterIPs": Family::BOTH.map(|family| Backend::cluster_ip(family, self.number)),
        });
        for (field, value) in &self.spec {
            spec[field] = value.clone();
        }
        let metadata = json!({"name": self.name(), "namespace": "default"});
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
        let slices = Family::BOTH.map(|family| self.slice(world, family));
        [service].into_iter().chain(slices).collect()
    }

    fn slice(&self, world: &World, family: Family) -> Value {
        let ports = self.ports.iter().map(|port| {
            json!({"name": port["name"], "protocol": port["protocol"], "port": port["targetPort"]})
        });
        let endpoints = self.endpoints.iter().map(|endpoint| {
            json!({
                "addresses": [world.pod(endpoint.node, endpoint.pod).ip(family)],
                "nodeName": world.node(endpoint.node).name(),
                "conditions": {
                    "ready": endpoint.ready,
                    "serving": endpoint.serving,
                    "terminating": endpoint.terminating,
                },
            })
        });
        let name = self.name();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-{family:?}").to_lowercase(),
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": match family { Family::V4 => "IPv4", Family::V6 => "IPv6" },
            "ports": ports.collect::<Vec<_>>(),
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    }
}
