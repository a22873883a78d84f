//! The cluster that a backend's Service and port mean.

use std::net::IpAddr;

use meshlite_snapshot::{
    Cluster, Protocol, Service, ServicePort, ServiceType, TargetPort, UpstreamProtocol,
};

use super::{
    annotations::Upstream,
    backend::{PortRef, Problem, Target},
};
use crate::{ObjectKey, join::Services, values};

/// The cluster of a target, and why it is one without endpoints, if so.
pub(super) fn cluster(
    target: &Target,
    services: &Services,
    external_names: bool,
) -> (Cluster, Result<(), Problem>) {
    let mut cluster = Cluster {
        namespace: target.service.namespace.clone(),
        service: target.service.name.clone(),
        port: None,
        // Until it is found, a name that no group has: an empty one would be that of an unnamed port.
        port_name: target.port.to_string(),
        ..Cluster::default()
    };
    let found = resolve(target, services, external_names, &mut cluster);
    if let Some(upstream) = &target.upstream {
        apply(upstream, target, services, &mut cluster);
    }
    (cluster, found)
}

/// Sends requests as an Ingress says.
fn apply(upstream: &Upstream, target: &Target, services: &Services, cluster: &mut Cluster) {
    cluster.protocol = upstream.protocol.unwrap_or(cluster.protocol);
    cluster.load_balancing = upstream.load_balancing.unwrap_or(cluster.load_balancing);
    cluster.hash_by.clone_from(&upstream.hash_by);
    cluster.sticky.clone_from(&upstream.sticky);
    cluster.send_proxy_protocol = upstream.send_proxy_protocol;
    cluster.tls.clone_from(&upstream.tls);
    if let Some(tls) = &mut cluster.tls
        && tls.verify
        && tls.server_name.is_none()
    {
        let ObjectKey { namespace, name } = &target.service;
        tls.server_name = Some(format!("{name}.{namespace}.svc"));
    }
    if upstream.via_service
        && let Some(Some(service)) = services.get(&target.service)
    {
        cluster.virtual_ips.clone_from(&service.cluster_ips);
    }
}

/// Fills in what the Service says of the port; nothing where it says nothing.
fn resolve(
    target: &Target,
    services: &Services,
    external_names: bool,
    cluster: &mut Cluster,
) -> Result<(), Problem> {
    let Target {
        service: key, port, ..
    } = target;
    let problem = |reason, what: &str| {
        let message = format!("{what}; requests are answered with 503");
        Err((".service.name", reason, message))
    };
    let service = match services.get(key) {
        None => return problem("ServiceNotFound", &format!("there is no Service {key}")),
        Some(None) => return problem("ServiceInvalid", &format!("Service {key} is not usable")),
        Some(Some(service)) => service,
    };
    if service.kind == ServiceType::ExternalName && !external_names {
        let what = format!("Service {key} is an ExternalName, which needs --external-names");
        return problem("ExternalNameForbidden", &what);
    }
    let found = find(service, port)?;
    if service.kind == ServiceType::ExternalName {
        let external_name = external_name(service)?;
        cluster.port = found.map_or_else(|| port.number(), |port| Some(target_port(port)));
        cluster.external_name = Some(external_name);
    } else {
        cluster.port = found.map(|port| port.port);
    }
    cluster.port_name = found.map(|port| port.name.clone()).unwrap_or_default();
    cluster.protocol = found.map(upstream_protocol).unwrap_or_default();
    Ok(())
}

/// The TCP port of the Service. An `ExternalName` need not list the numbers of its ports.
fn find<'a>(service: &'a Service, port: &PortRef) -> Result<Option<&'a ServicePort>, Problem> {
    let named = |candidate: &&ServicePort| port.is(candidate);
    let tcp = |candidate: &&ServicePort| candidate.protocol == Protocol::Tcp;
    if let Some(found) = service.ports.iter().filter(named).find(tcp) {
        return Ok(Some(found));
    }
    if let Some(found) = service.ports.iter().find(named) {
        let message = format!(
            "port {} of Service {}/{} is {}; HTTP needs TCP",
            found.port, service.namespace, service.name, found.protocol
        );
        return Err((port.field(), "PortNotTCP", message));
    }
    if service.kind == ServiceType::ExternalName && port.number().is_some() {
        return Ok(None);
    }
    let ports: Vec<_> = service.ports.iter().map(shown).collect();
    let message = format!(
        "Service {}/{} has no such port, but {}; requests are answered with 503",
        service.namespace,
        service.name,
        if ports.is_empty() {
            "none at all".to_owned()
        } else {
            ports.join(", ")
        }
    );
    Err((port.field(), "PortNotFound", message))
}

fn shown(port: &ServicePort) -> String {
    if port.name.is_empty() {
        port.port.to_string()
    } else {
        format!("{} ({})", port.port, port.name)
    }
}

/// The port to connect to at the host behind an `ExternalName`.
const fn target_port(port: &ServicePort) -> u16 {
    match port.target_port {
        TargetPort::Number(number) => number,
        TargetPort::Name(_) => port.port,
    }
}

/// The host behind an `ExternalName`, unless it is the ingress itself: whoever can write a Service could reach what
/// listens on the ingress's loopback only.
fn external_name(service: &Service) -> Result<String, Problem> {
    let written = service.external_name.as_deref().unwrap_or_default();
    let name = written
        .strip_suffix('.')
        .unwrap_or(written)
        .to_ascii_lowercase();
    let problem = if let Some(address) = values::ip(&name) {
        is_own(address).then_some("an address of the ingress itself")
    } else if !values::is_dns_subdomain(&name) || ends_in_a_number(&name) {
        Some("not a DNS name")
    } else if is_localhost(&name) {
        Some("a name of the ingress itself")
    } else {
        None
    };
    match problem {
        None => Ok(name),
        Some(problem) => Err((
            ".service.name",
            "ExternalNameForbidden",
            format!(
                "Service {}/{} stands for {written:?}, which is {problem}; requests are answered with 503",
                service.namespace, service.name
            ),
        )),
    }
}

fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// Whether resolvers might take the name for an address, as they do with `127.1` and `0x7f000001`.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit())
}

fn is_localhost(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last == "localhost"
        || last == "localdomain"
        || name == "ip6-localhost"
        || name == "ip6-loopback"
}

/// What the Service says is spoken on the port (KEP-3726).
fn upstream_protocol(port: &ServicePort) -> UpstreamProtocol {
    match port.app_protocol.as_deref() {
        // gRPC cannot be spoken over HTTP/1.1.
        Some("kubernetes.io/h2c" | "grpc") => UpstreamProtocol::H2c,
        Some("https" | "kubernetes.io/wss") => UpstreamProtocol::Https,
        _ => UpstreamProtocol::Http1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_of_addresses_are_recognised() {
        for address in [
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0x1",
            "127.0.0.0x1",
        ] {
            assert!(ends_in_a_number(address), "{address}");
        }
        assert!(!ends_in_a_number("1.2.3.example"));
    }

    #[test]
    fn names_of_the_ingress_itself_are_recognised() {
        for own in ["localhost", "a.localhost", "localhost.localdomain"] {
            assert!(is_localhost(own), "{own}");
        }
        for other in ["localhost.example.com", "mylocalhost", "example.com"] {
            assert!(!is_localhost(other), "{other}");
        }
    }
}
