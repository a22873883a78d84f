//! One Service, complete.

mod addresses;
mod ports;

use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::{
    AddressFamily, Balance, IpFamilyPolicy, Name, Service, ServiceType, TrafficDistribution,
    TrafficPolicy,
};

use crate::{ObjectKey, annotations, report::About, values};

const PROXIED_BY_ANOTHER: &str = "service.kubernetes.io/service-proxy-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// `sessionAffinityConfig.clientIP.timeoutSeconds` where it is absent.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;
const MAX_AFFINITY_SECONDS: u32 = 86_400;
/// Every scheduler that Linux has.
const IPVS_SCHEDULERS: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
];

/// What this Service means; nothing where nobody can say what it is.
pub(crate) fn service(
    key: &ObjectKey,
    object: &k8s::Service,
    about: &mut About<'_>,
) -> Option<(Name, Service)> {
    let name = about.resource_name(&[&key.namespace, &key.name])?;
    let Some(spec) = &object.spec else {
        about.error("spec", "Required", "a Service needs a spec");
        return None;
    };
    let kind = kind(spec, about)?;
    annotations::check("Service", object.metadata.annotations.as_ref(), about);

    let external = kind == ServiceType::ExternalName;
    let headless = !external && is_headless(spec);
    let cluster_ips = if external || headless {
        vec![]
    } else {
        addresses::cluster_ips(spec, about)
    };
    let (load_balancer, load_balancer_source_ranges) = if kind == ServiceType::LoadBalancer {
        addresses::load_balancer(spec, object.status.as_ref(), about)
    } else {
        (vec![], vec![])
    };
    let external_traffic_policy = traffic_policy(
        spec.external_traffic_policy.as_deref(),
        "spec.externalTrafficPolicy",
        about,
    );
    let service = Service {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        kind,
        l4: !cluster_ips.is_empty() && !is_left_alone(object),
        headless,
        ip_families: ip_families(spec, &cluster_ips, about),
        cluster_ips,
        ip_family_policy: ip_family_policy(spec, about),
        external_ips: addresses::external_ips(spec, about),
        load_balancer,
        load_balancer_ip: addresses::load_balancer_ip(spec, about),
        load_balancer_class: values::non_empty(spec.load_balancer_class.as_ref()),
        load_balancer_source_ranges,
        allocate_load_balancer_node_ports: spec.allocate_load_balancer_node_ports.unwrap_or(true),
        ports: ports::ports(spec, kind, about),
        session_affinity_seconds: session_affinity(spec, about),
        internal_traffic_policy: traffic_policy(
            spec.internal_traffic_policy.as_deref(),
            "spec.internalTrafficPolicy",
            about,
        ),
        health_check_node_port: health_check_node_port(spec, kind, external_traffic_policy, about),
        external_traffic_policy,
        traffic_distribution: traffic_distribution(spec, about),
        publish_not_ready_addresses: spec.publish_not_ready_addresses.unwrap_or(false),
        external_name: external.then(|| external_name(spec, about)).flatten(),
        ipvs_scheduler: ipvs_scheduler(object, about),
        balance: balance(object, about),
    };
    Some((name, service))
}

fn kind(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> Option<ServiceType> {
    match spec.type_.as_deref() {
        None | Some("ClusterIP") => Some(ServiceType::ClusterIP),
        Some("NodePort") => Some(ServiceType::NodePort),
        Some("LoadBalancer") => Some(ServiceType::LoadBalancer),
        Some("ExternalName") => Some(ServiceType::ExternalName),
        Some(other) => {
            let types = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
            about.error(
                "spec.type",
                "UnsupportedValue",
                values::unsupported(other, &types),
            );
            None
        }
    }
}

fn is_headless(spec: &k8s::ServiceSpec) -> bool {
    let listed = spec.cluster_ips.as_deref().and_then(<[String]>::first);
    spec.cluster_ip.as_ref().or(listed).map(String::as_str) == Some("None")
}

/// Whether a label asks L4 proxies like ours not to serve the Service.
fn is_left_alone(object: &k8s::Service) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|labels| {
        labels.contains_key(PROXIED_BY_ANOTHER) || labels.contains_key(HEADLESS)
    })
}

fn ip_families(
    spec: &k8s::ServiceSpec,
    cluster_ips: &[std::net::IpAddr],
    about: &mut About<'_>,
) -> Vec<AddressFamily> {
    let listed = spec.ip_families.as_deref().unwrap_or_default();
    if listed.is_empty() {
        return cluster_ips.iter().copied().map(AddressFamily::of).collect();
    }
    let mut families = Vec::with_capacity(listed.len());
    for (i, text) in listed.iter().enumerate() {
        match values::family(text) {
            Some(family) if families.contains(&family) => about.error(
                format!("spec.ipFamilies[{i}]"),
                "Duplicate",
                format!("{text} is listed before"),
            ),
            Some(family) => families.push(family),
            None => about.error(
                format!("spec.ipFamilies[{i}]"),
                "UnsupportedValue",
                values::unsupported(text, &["IPv4", "IPv6"]),
            ),
        }
    }
    families
}

fn ip_family_policy(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> IpFamilyPolicy {
    match spec.ip_family_policy.as_deref() {
        None | Some("SingleStack") => IpFamilyPolicy::SingleStack,
        Some("PreferDualStack") => IpFamilyPolicy::PreferDualStack,
        Some("RequireDualStack") => IpFamilyPolicy::RequireDualStack,
        Some(other) => {
            let policies = ["SingleStack", "PreferDualStack", "RequireDualStack"];
            about.error(
                "spec.ipFamilyPolicy",
                "UnsupportedValue",
                values::unsupported(other, &policies),
            );
            IpFamilyPolicy::default()
        }
    }
}

fn traffic_policy(text: Option<&str>, field: &str, about: &mut About<'_>) -> TrafficPolicy {
    match text {
        None | Some("Cluster") => TrafficPolicy::Cluster,
        Some("Local") => TrafficPolicy::Local,
        Some(other) => {
            about.error(
                field,
                "UnsupportedValue",
                format!(
                    "{}; Cluster is used",
                    values::unsupported(other, &["Cluster", "Local"])
                ),
            );
            TrafficPolicy::Cluster
        }
    }
}

fn traffic_distribution(
    spec: &k8s::ServiceSpec,
    about: &mut About<'_>,
) -> Option<TrafficDistribution> {
    match spec.traffic_distribution.as_deref()? {
        "PreferSameZone" | "PreferClose" => Some(TrafficDistribution::PreferSameZone),
        "PreferSameNode" => Some(TrafficDistribution::PreferSameNode),
        other => {
            let known = ["PreferSameZone", "PreferSameNode", "PreferClose"];
            about.warning(
                "spec.trafficDistribution",
                "UnsupportedValue",
                values::unsupported(other, &known),
            );
            None
        }
    }
}

fn session_affinity(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> Option<u32> {
    match spec.session_affinity.as_deref() {
        None | Some("None") => return None,
        Some("ClientIP") => {}
        Some(other) => {
            about.error(
                "spec.sessionAffinity",
                "UnsupportedValue",
                values::unsupported(other, &["ClientIP", "None"]),
            );
            return None;
        }
    }
    let timeout = spec
        .session_affinity_config
        .as_ref()
        .and_then(|config| config.client_ip.as_ref())
        .and_then(|client_ip| client_ip.timeout_seconds);
    let Some(timeout) = timeout else {
        return Some(DEFAULT_AFFINITY_SECONDS);
    };
    if let Ok(seconds @ 1..=MAX_AFFINITY_SECONDS) = u32::try_from(timeout) {
        return Some(seconds);
    }
    about.error(
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        "InvalidValue",
        format!(
            "{timeout} is not between 1 and {MAX_AFFINITY_SECONDS}; {DEFAULT_AFFINITY_SECONDS} is used"
        ),
    );
    Some(DEFAULT_AFFINITY_SECONDS)
}

fn health_check_node_port(
    spec: &k8s::ServiceSpec,
    kind: ServiceType,
    policy: TrafficPolicy,
    about: &mut About<'_>,
) -> Option<u16> {
    let number = spec.health_check_node_port.filter(|number| *number != 0)?;
    if kind != ServiceType::LoadBalancer || policy != TrafficPolicy::Local {
        return None;
    }
    let port = values::port(number);
    if port.is_none() {
        about.error(
            "spec.healthCheckNodePort",
            "InvalidPort",
            format!("{number} is not a port"),
        );
    }
    port
}

fn external_name(spec: &k8s::ServiceSpec, about: &mut About<'_>) -> Option<String> {
    let name = values::non_empty(spec.external_name.as_ref());
    if name.is_none() {
        about.error(
            "spec.externalName",
            "Required",
            "a Service of type ExternalName needs the name that it stands for",
        );
    }
    name
}

fn ipvs_scheduler(object: &k8s::Service, about: &mut About<'_>) -> Option<String> {
    let annotations = object.metadata.annotations.as_ref()?;
    let scheduler = annotations.get(annotations::IPVS_SCHEDULER)?;
    if IPVS_SCHEDULERS.contains(&scheduler.as_str()) {
        return Some(scheduler.clone());
    }
    about.error(
        annotations::field(annotations::IPVS_SCHEDULER),
        "UnsupportedValue",
        values::unsupported(scheduler, &IPVS_SCHEDULERS),
    );
    None
}

fn balance(object: &k8s::Service, about: &mut About<'_>) -> Option<Balance> {
    let annotations = object.metadata.annotations.as_ref()?;
    let by = annotations.get(annotations::BALANCE)?;
    if by == "load" {
        return Some(Balance::Load);
    }
    about.error(
        annotations::field(annotations::BALANCE),
        "UnsupportedValue",
        values::unsupported(by, &["load"]),
    );
    None
}
