//! The objects of a cluster, the same for everybody who programs it: a Node, Services, and an EndpointSlice for each.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The node that is programmed, and its addresses: those of the first node of a world.
pub(crate) const NODE: &str = "node-0";
const NODE_IP: &str = "172.18.0.10";
const POD_NETWORK: &str = "10.244.0.0/24";
/// The range of Services' addresses.
pub(crate) const SERVICES: &str = "10.96.0.0/12";
/// Where a Service is reached, and where its endpoints listen.
pub(crate) const PORT: u16 = 80;
pub(crate) const TARGET: u16 = 8080;
/// The endpoint of the last Service: a pod that is really there, on this node.
const POD: &str = "10.244.0.10";
/// The API server keeps the first addresses of the range for itself.
const FIRST_VIP: u32 = Ipv4Addr::new(10, 96, 1, 0).to_bits();
const FIRST_POD: u32 = Ipv4Addr::new(10, 128, 0, 0).to_bits();
/// Addresses that a changed endpoint takes, one after the other.
const FIRST_CHANGED: u32 = Ipv4Addr::new(10, 192, 0, 1).to_bits();

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) services: u32,
    /// Of each Service but the last, which has the pod that is there.
    pub(crate) endpoints: u32,
}

// === impl Size ===

impl Size {
    /// Where the last Service is reached, whose endpoint answers.
    pub(crate) fn answering(self) -> SocketAddr {
        (vip(self.services - 1), PORT).into()
    }

    /// The endpoints of a Service.
    pub(crate) fn endpoints_of(self, number: u32) -> Vec<String> {
        if number + 1 == self.services {
            return vec![POD.to_owned()];
        }
        let first = FIRST_POD + number * self.endpoints;
        let all = first..first + self.endpoints;
        all.map(|ip| Ipv4Addr::from_bits(ip).to_string()).collect()
    }
}

/// The address of a Service.
pub(crate) fn vip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_VIP + number)
}

/// The endpoints of the first Service after so many changes of one of them.
pub(crate) fn changed_endpoints(size: Size, changes: u32) -> Vec<String> {
    let mut endpoints = size.endpoints_of(0);
    endpoints[0] = Ipv4Addr::from_bits(FIRST_CHANGED + changes).to_string();
    endpoints
}

/// The node.
pub(crate) fn node() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        "spec": {"podCIDR": POD_NETWORK, "podCIDRs": [POD_NETWORK]},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_IP}]},
    })
}

/// A Service without selector: no controller writes slices for it.
pub(crate) fn service(number: u32) -> Value {
    let ip = vip(number);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(number), "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "http", "protocol": "TCP", "port": PORT, "targetPort": TARGET}],
        },
    })
}

/// Its EndpointSlice.
pub(crate) fn slice(number: u32, endpoints: &[String]) -> Value {
    let endpoint = |ip: &String| {
        json!({
            "addresses": [ip],
            "nodeName": if ip == POD { NODE } else { "node-1" },
            "conditions": {"ready": true, "serving": true, "terminating": false},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": slice_name(number),
            "namespace": "default",
            "labels": {
                "kubernetes.io/service-name": service_name(number),
                "endpointslice.kubernetes.io/managed-by": "bench.meshlite.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": TARGET}],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn service_name(number: u32) -> String {
    format!("service-{number:05}")
}

/// The name of a Service's EndpointSlice.
pub(crate) fn slice_name(number: u32) -> String {
    format!("service-{number:05}-x7k2p")
}
