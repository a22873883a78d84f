//! Services.

use meshlite_snapshot::{
    AddressFamily, Balance, IpFamilyPolicy, LoadBalancerAddress, LoadBalancerIpMode, Service,
    ServicePort, ServiceType, TargetPort, TrafficDistribution, TrafficPolicy,
};

use super::{DecodeError, field};
use crate::v1;

/// The longest session affinity that Kubernetes allows, in seconds.
const LONGEST_AFFINITY: u32 = 86_400;

pub(super) fn service(from: v1::Service) -> Result<Service, DecodeError> {
    let service = Service {
        kind: kind(from.r#type)?,
        l4: from.l4,
        headless: from.headless,
        cluster_ips: field::addresses("cluster_ips", &from.cluster_ips)?,
        ip_families: field::each("ip_families", from.ip_families, |value| {
            field::family("family", value)
        })?,
        ip_family_policy: family_policy(from.ip_family_policy)?,
        external_ips: field::addresses("external_ips", &from.external_ips)?,
        load_balancer: field::each("load_balancer", &from.load_balancer, address)?,
        load_balancer_ip: match from.load_balancer_ip.as_str() {
            "" => None,
            ip => Some(field::address("load_balancer_ip", ip)?),
        },
        load_balancer_class: field::optional(from.load_balancer_class),
        load_balancer_source_ranges: field::networks(
            "load_balancer_source_ranges",
            &from.load_balancer_source_ranges,
        )?,
        allocate_load_balancer_node_ports: from.allocate_load_balancer_node_ports,
        ports: field::each("ports", from.ports, service_port)?,
        session_affinity_seconds: affinity(from.session_affinity_seconds)?,
        internal_traffic_policy: policy("internal_traffic_policy", from.internal_traffic_policy)?,
        external_traffic_policy: policy("external_traffic_policy", from.external_traffic_policy)?,
        traffic_distribution: distribution(from.traffic_distribution)?,
        health_check_node_port: field::optional_port(
            "health_check_node_port",
            from.health_check_node_port,
        )?,
        publish_not_ready_addresses: from.publish_not_ready_addresses,
        external_name: field::optional(from.external_name),
        ipvs_scheduler: field::optional(from.ipvs_scheduler),
        balance: balance(from.balance)?,
        namespace: field::object_name("namespace", from.namespace)?,
        name: field::object_name("name", from.name)?,
        uid: from.uid,
    };
    one_of_each_family(&service)?;
    Ok(service)
}

fn service_port(from: v1::ServicePort) -> Result<ServicePort, DecodeError> {
    use v1::service_port::TargetPort as Target;
    let target_port = match field::required("target_port", from.target_port)? {
        Target::TargetPortNumber(number) => {
            TargetPort::Number(field::port("target_port_number", number)?)
        }
        Target::TargetPortName(name) => {
            TargetPort::Name(field::not_empty("target_port_name", name)?)
        }
    };
    Ok(ServicePort {
        protocol: field::protocol("protocol", from.protocol)?,
        port: field::port("port", from.port)?,
        target_port,
        node_port: field::optional_port("node_port", from.node_port)?,
        app_protocol: field::optional(from.app_protocol),
        name: from.name,
    })
}

fn address(from: &v1::LoadBalancerAddress) -> Result<LoadBalancerAddress, DecodeError> {
    use v1::load_balancer_address::IpMode;
    let ip_mode = match field::known("ip_mode", from.ip_mode)? {
        IpMode::Vip => LoadBalancerIpMode::Vip,
        IpMode::Proxy => LoadBalancerIpMode::Proxy,
        IpMode::Unspecified => return Err(field::unspecified("ip_mode")),
    };
    Ok(LoadBalancerAddress {
        ip: field::address("ip", &from.ip)?,
        ip_mode,
    })
}

fn kind(value: i32) -> Result<ServiceType, DecodeError> {
    use v1::service::Type;
    match field::known("type", value)? {
        Type::ClusterIp => Ok(ServiceType::ClusterIP),
        Type::NodePort => Ok(ServiceType::NodePort),
        Type::LoadBalancer => Ok(ServiceType::LoadBalancer),
        Type::ExternalName => Ok(ServiceType::ExternalName),
        Type::Unspecified => Err(field::unspecified("type")),
    }
}

fn family_policy(value: i32) -> Result<IpFamilyPolicy, DecodeError> {
    use v1::service::IpFamilyPolicy as Policy;
    match field::known("ip_family_policy", value)? {
        Policy::SingleStack => Ok(IpFamilyPolicy::SingleStack),
        Policy::PreferDualStack => Ok(IpFamilyPolicy::PreferDualStack),
        Policy::RequireDualStack => Ok(IpFamilyPolicy::RequireDualStack),
        Policy::Unspecified => Err(field::unspecified("ip_family_policy")),
    }
}

fn distribution(value: i32) -> Result<Option<TrafficDistribution>, DecodeError> {
    use v1::service::TrafficDistribution as Distribution;
    match field::known("traffic_distribution", value)? {
        Distribution::Unspecified => Ok(None),
        Distribution::PreferSameZone => Ok(Some(TrafficDistribution::PreferSameZone)),
        Distribution::PreferSameNode => Ok(Some(TrafficDistribution::PreferSameNode)),
    }
}

fn balance(value: i32) -> Result<Option<Balance>, DecodeError> {
    use v1::service::Balance as By;
    match field::known("balance", value)? {
        By::Unspecified => Ok(None),
        By::Load => Ok(Some(Balance::Load)),
    }
}

fn policy(field: &str, value: i32) -> Result<TrafficPolicy, DecodeError> {
    match field::known(field, value)? {
        v1::TrafficPolicy::Cluster => Ok(TrafficPolicy::Cluster),
        v1::TrafficPolicy::Local => Ok(TrafficPolicy::Local),
        v1::TrafficPolicy::Unspecified => Err(field::unspecified(field)),
    }
}

fn affinity(seconds: u32) -> Result<Option<u32>, DecodeError> {
    match seconds {
        0 => Ok(None),
        1..=LONGEST_AFFINITY => Ok(Some(seconds)),
        _ => Err(DecodeError::invalid(
            "session_affinity_seconds",
            format_args!("{seconds} is not in 1 to {LONGEST_AFFINITY}"),
        )),
    }
}

fn one_of_each_family(service: &Service) -> Result<(), DecodeError> {
    let [first, others @ ..] = service.cluster_ips.as_slice() else {
        return Ok(());
    };
    let differs = |ip| AddressFamily::of(ip) != AddressFamily::of(*first);
    if others.len() > 1 || !others.iter().copied().all(differs) {
        return Err(DecodeError::invalid(
            "cluster_ips",
            "more than one of a family",
        ));
    }
    Ok(())
}
