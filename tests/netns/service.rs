//! A Service and its EndpointSlices, as the API server would have them.

use std::{collections::BTreeSet, net::SocketAddr};

use meshlite_tests::world::{Family, Protocol, World};
use serde_json::{Map, Value, json};

use crate::backend::{cluster_ip, load_balancer_ip};

/// Where pods listen.
pub(crate) const TARGET: u16 = 8080;

/// A Service with a ClusterIP of each family and no selector: tests say what its endpoints are.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    number: u8,
    ports: Vec<Value>,
    spec: Map<String, Value>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    status: Value,
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
    /// It is for clients in the zone of this node.
    hint: Option<usize>,
    /// It is for clients on this node.
    node_hint: Option<usize>,
    /// Where it listens.
    target: u16,
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
            hint: None,
            node_hint: None,
            target: TARGET,
        }
    }

    /// One that was told to end.
    pub(crate) const fn terminating(node: usize, pod: usize, serving: bool) -> Self {
        Self {
            ready: false,
            serving,
            terminating: true,
            ..Self::ready(node, pod)
        }
    }

    /// The same, for clients in the zone of this node.
    pub(crate) const fn for_zone_of(self, node: usize) -> Self {
        Self {
            hint: Some(node),
            ..self
        }
    }

    /// The same, for clients on this node.
    pub(crate) const fn for_node(self, node: usize) -> Self {
        Self {
            node_hint: Some(node),
            ..self
        }
    }

    /// The same, on another port.
    pub(crate) const fn on(self, target: u16) -> Self {
        Self { target, ..self }
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
            labels: Map::new(),
            annotations: Map::new(),
            status: json!({}),
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

    /// With a label.
    pub(crate) fn label(mut self, label: &str, value: &str) -> Self {
        self.labels.insert(label.to_owned(), value.into());
        self
    }

    /// With an annotation.
    pub(crate) fn annotation(mut self, annotation: &str, value: &str) -> Self {
        self.annotations.insert(annotation.to_owned(), value.into());
        self
    }

    /// With addresses of a load balancer that works in this mode.
    pub(crate) fn load_balancer(mut self, mode: &str) -> Self {
        let ips = Family::BOTH.map(|family| load_balancer_ip(family, self.number));
        let ingress = ips.map(|ip| json!({"ip": ip, "ipMode": mode}));
        self.status = json!({"loadBalancer": {"ingress": ingress}});
        self.with("type", "LoadBalancer")
    }

    pub(crate) fn name(&self) -> String {
        format!("s{}", self.number)
    }

    /// A port of its ClusterIP.
    pub(crate) fn at(&self, family: Family, port: u16) -> SocketAddr {
        let ip = cluster_ip(family, self.number);
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    /// A port of its load balancer.
    pub(crate) fn balanced_at(&self, family: Family, port: u16) -> SocketAddr {
        let ip = load_balancer_ip(family, self.number);
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    /// The Service, and for each family a slice for each port on which endpoints listen.
    pub(crate) fn objects(&self, world: &World) -> Vec<Value> {
        let mut spec = json!({
            "type": "ClusterIP",
            "ports": self.ports,
            "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "clusterIP": cluster_ip(Family::V4, self.number),
            "clusterIPs": Family::BOTH.map(|family| cluster_ip(family, self.number)),
        });
        for (field, value) in &self.spec {
            spec[field] = value.clone();
        }
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name(),
                "namespace": "default",
                "labels": self.labels,
                "annotations": self.annotations,
            },
            "spec": spec,
            "status": self.status,
        });
        let targets: BTreeSet<_> = self.endpoints.iter().map(|e| e.target).collect();
        let slices = targets
            .into_iter()
            .flat_map(|target| Family::BOTH.map(|family| self.slice(world, family, target)));
        [service].into_iter().chain(slices).collect()
    }

    fn slice(&self, world: &World, family: Family, target: u16) -> Value {
        let ports = self.ports.iter().map(
            |port| json!({"name": port["name"], "protocol": port["protocol"], "port": target}),
        );
        let here = self.endpoints.iter().filter(|e| e.target == target);
        let endpoints = here.map(|endpoint| {
            let node = world.node(endpoint.node).name();
            let mut object = json!({
                "addresses": [world.pod(endpoint.node, endpoint.pod).ip(family)],
                "nodeName": node,
                "zone": zone(node),
                "conditions": {
                    "ready": endpoint.ready,
                    "serving": endpoint.serving,
                    "terminating": endpoint.terminating,
                },
            });
            if let Some(hint) = endpoint.hint {
                let zone = zone(world.node(hint).name());
                object["hints"]["forZones"] = json!([{"name": zone}]);
            }
            if let Some(hint) = endpoint.node_hint {
                let node = world.node(hint).name();
                object["hints"]["forNodes"] = json!([{"name": node}]);
            }
            object
        });
        let name = self.name();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-{family:?}-{target}").to_lowercase(),
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": match family { Family::V4 => "IPv4", Family::V6 => "IPv6" },
            "ports": ports.collect::<Vec<_>>(),
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    }
}

/// Every node is a zone of its own.
pub(crate) fn zone(node: &str) -> String {
    format!("zone-of-{node}")
}
