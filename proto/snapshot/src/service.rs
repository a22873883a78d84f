//! A Kubernetes Service, as a data plane and DNS need it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

/// A Service. Absent optional fields mean Kubernetes' default, which is already filled in where there is one.
///
/// Source: `v1.ServiceSpec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "Kubernetes' own fields")]
pub struct Service {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name within its namespace.
    pub name: String,
    /// The object's UID; empty where there is no API server.
    pub uid: String,
    /// `spec.type`.
    pub kind: ServiceType,
    /// False where no L4 data plane of ours may serve it: headless, ExternalName, or one of the labels
    /// `service.kubernetes.io/service-proxy-name` and `service.kubernetes.io/headless`. Ingress and DNS still need it.
    pub l4: bool,
    /// `spec.clusterIP` is `None`: names resolve to endpoints and there is no virtual IP.
    pub headless: bool,
    /// Virtual IPs inside the cluster; at most one for each address family, the primary first.
    pub cluster_ips: Vec<IpAddr>,
    /// Address families asked for, in order.
    pub ip_families: Vec<crate::AddressFamily>,
    /// How many families were asked for.
    pub ip_family_policy: IpFamilyPolicy,
    /// Virtual IPs that an administrator routes to the nodes.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`.
    pub load_balancer: Vec<LoadBalancerAddress>,
    /// The address the user asks the load balancer for.
    pub load_balancer_ip: Option<IpAddr>,
    /// Which load-balancer implementation serves it.
    pub load_balancer_class: Option<String>,
    /// Sources that may reach the load-balancer addresses; empty allows all.
    pub load_balancer_source_ranges: Vec<IpNet>,
    /// Whether a LoadBalancer Service gets node ports.
    pub allocate_load_balancer_node_ports: bool,
    /// The ports, in the order of the manifest; their names are unique.
    pub ports: Vec<ServicePort>,
    /// `sessionAffinity: ClientIP`, with its timeout in seconds (1 to 86,400).
    pub session_affinity_seconds: Option<u32>,
    /// Which endpoints traffic from inside the cluster may use.
    pub internal_traffic_policy: TrafficPolicy,
    /// Which endpoints traffic from outside may use.
    pub external_traffic_policy: TrafficPolicy,
    /// Where to prefer endpoints.
    pub traffic_distribution: Option<TrafficDistribution>,
    /// Where nodes answer for their local endpoints; only with `externalTrafficPolicy: Local`.
    pub health_check_node_port: Option<u16>,
    /// Endpoints count as ready even if they are not.
    pub publish_not_ready_addresses: bool,
    /// The DNS name that an ExternalName Service stands for.
    pub external_name: Option<String>,
    /// The IPVS scheduler asked for by `meshlite.io/ipvs-scheduler`.
    pub ipvs_scheduler: Option<String>,
    /// What the weights of its endpoints follow besides what is written: `meshlite.io/balance`.
    pub balance: Option<Balance>,
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServicePort {
    /// Empty where the Service's only port has no name.
    pub name: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port of the virtual IPs.
    pub port: u16,
    /// The port of the endpoints, as written; EndpointGroups hold the resolved number.
    pub target_port: TargetPort,
    /// The port on every node's addresses.
    pub node_port: Option<u16>,
    /// What is spoken on the port, such as `http`, `https`, `kubernetes.io/h2c`, `kubernetes.io/ws`.
    pub app_protocol: Option<String>,
}

/// `spec.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "Kubernetes' own names")]
pub enum ServiceType {
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[expect(missing_docs, reason = "the protocols' own names")]
pub enum Protocol {
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
}

impl Protocol {
    /// The protocol as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A port of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// A port number, 1 to 65,535.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

/// `internalTrafficPolicy` and `externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TrafficPolicy {
    /// Endpoints of the whole cluster.
    #[default]
    Cluster,
    /// Only endpoints on the node that received the traffic.
    Local,
}

/// `spec.trafficDistribution` (KEP-4444, KEP-3015).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TrafficDistribution {
    /// Endpoints in the client's zone first. `PreferClose` is its old name.
    PreferSameZone,
    /// Endpoints on the client's node first.
    PreferSameNode,
}

/// `meshlite.io/balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Balance {
    /// The connections of each endpoint, as nodes report them.
    Load,
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(
    missing_docs,
    clippy::enum_variant_names,
    reason = "Kubernetes' own names"
)]
pub enum IpFamilyPolicy {
    #[default]
    SingleStack,
    PreferDualStack,
    RequireDualStack,
}

/// One address of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LoadBalancerAddress {
    /// The address.
    pub ip: IpAddr,
    /// Who handles traffic to it.
    pub ip_mode: LoadBalancerIpMode,
}

/// `status.loadBalancer.ingress[].ipMode` (KEP-1860).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum LoadBalancerIpMode {
    /// Traffic arrives with the address as destination: nodes serve it.
    #[default]
    #[serde(rename = "VIP")]
    Vip,
    /// The load balancer is a proxy: nodes leave the address alone.
    Proxy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_kubernetes_writes_them() {
        assert_eq!(format!("{:<5}|", Protocol::Udp), "UDP  |");
    }
}
