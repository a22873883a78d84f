//! Services.

use meshlite_snapshot::{
    Balance, IpFamilyPolicy, LoadBalancerAddress, LoadBalancerIpMode, Service, ServicePort,
    ServiceType, TargetPort, TrafficDistribution, TrafficPolicy,
};

use super::{family, port, protocol, shown, text};
use crate::v1;

pub(super) fn service(service: &Service) -> v1::Service {
    use v1::service::{
        Balance as By, IpFamilyPolicy as Families, TrafficDistribution as Distribution, Type,
    };
    let kind = match service.kind {
        ServiceType::ClusterIP => Type::ClusterIp,
        ServiceType::NodePort => Type::NodePort,
        ServiceType::LoadBalancer => Type::LoadBalancer,
        ServiceType::ExternalName => Type::ExternalName,
    };
    let families = match service.ip_family_policy {
        IpFamilyPolicy::SingleStack => Families::SingleStack,
        IpFamilyPolicy::PreferDualStack => Families::PreferDualStack,
        IpFamilyPolicy::RequireDualStack => Families::RequireDualStack,
    };
    let distribution = match service.traffic_distribution {
        None => Distribution::Unspecified,
        Some(TrafficDistribution::PreferSameZone) => Distribution::PreferSameZone,
        Some(TrafficDistribution::PreferSameNode) => Distribution::PreferSameNode,
    };
    let balance = match service.balance {
        None => By::Unspecified,
        Some(Balance::Load) => By::Load,
    };
    v1::Service {
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        uid: service.uid.clone(),
        r#type: kind.into(),
        l4: service.l4,
        headless: service.headless,
        cluster_ips: shown(&service.cluster_ips),
        ip_families: service.ip_families.iter().copied().map(family).collect(),
        ip_family_policy: families.into(),
        external_ips: shown(&service.external_ips),
        load_balancer: service.load_balancer.iter().map(address).collect(),
        load_balancer_ip: service
            .load_balancer_ip
            .map_or_else(String::new, |ip| ip.to_string()),
        load_balancer_class: text(service.load_balancer_class.as_deref()),
        load_balancer_source_ranges: shown(&service.load_balancer_source_ranges),
        allocate_load_balancer_node_ports: service.allocate_load_balancer_node_ports,
        ports: service.ports.iter().map(service_port).collect(),
        session_affinity_seconds: service.session_affinity_seconds.unwrap_or(0),
        internal_traffic_policy: policy(service.internal_traffic_policy),
        external_traffic_policy: policy(service.external_traffic_policy),
        traffic_distribution: distribution.into(),
        health_check_node_port: port(service.health_check_node_port),
        publish_not_ready_addresses: service.publish_not_ready_addresses,
        external_name: text(service.external_name.as_deref()),
        ipvs_scheduler: text(service.ipvs_scheduler.as_deref()),
        balance: balance.into(),
    }
}

fn service_port(from: &ServicePort) -> v1::ServicePort {
    use v1::service_port::TargetPort as Target;
    v1::ServicePort {
        name: from.name.clone(),
        protocol: protocol(from.protocol),
        port: from.port.into(),
        node_port: port(from.node_port),
        app_protocol: text(from.app_protocol.as_deref()),
        target_port: Some(match &from.target_port {
            TargetPort::Number(number) => Target::TargetPortNumber((*number).into()),
            TargetPort::Name(name) => Target::TargetPortName(name.clone()),
        }),
    }
}

fn address(address: &LoadBalancerAddress) -> v1::LoadBalancerAddress {
    use v1::load_balancer_address::IpMode;
    let mode = match address.ip_mode {
        LoadBalancerIpMode::Vip => IpMode::Vip,
        LoadBalancerIpMode::Proxy => IpMode::Proxy,
    };
    v1::LoadBalancerAddress {
        ip: address.ip.to_string(),
        ip_mode: mode.into(),
    }
}

fn policy(policy: TrafficPolicy) -> i32 {
    match policy {
        TrafficPolicy::Cluster => v1::TrafficPolicy::Cluster,
        TrafficPolicy::Local => v1::TrafficPolicy::Local,
    }
    .into()
}
