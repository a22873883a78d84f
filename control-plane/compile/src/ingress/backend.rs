//! The backend of a path: which port of which Service.

use std::{fmt, net::IpAddr};

use k8s_openapi::api::networking::v1 as k8s;
use meshlite_snapshot::{
    Cluster, LoadBalancing, Name, Protocol, Service, ServicePort, ServiceType, Table, TargetPort,
    UpstreamProtocol,
};

use crate::{
    Inputs, ObjectKey,
    report::{About, resource_name},
    values,
};

/// Where a route sends to. Without a cluster, the route answers 503.
pub(super) type Backend = Option<(Name, Cluster)>;

/// The Services that backends are looked up in.
pub(super) struct Backends<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) services: &'a Table<Service>,
}

/// A port as a backend names it.
enum PortRef<'a> {
    Number(u16),
    Name(&'a str),
}

/// A problem with a backend: the field below it, the reason and the message.
type Problem = (&'static str, &'static str, String);

impl Backends<'_> {
    /// Reads a backend. The field is the path of the backend.
    ///
    /// A cluster is named after what is written, not after what it is found to mean: a change of the Service changes the
    /// cluster and no route.
    pub(super) fn backend(
        &self,
        ingress: &ObjectKey,
        backend: &k8s::IngressBackend,
        field: impl Fn() -> String,
        about: &mut About<'_>,
    ) -> Backend {
        let mut problem = |(below, reason, message): Problem| {
            let field = field();
            about.error(format!("{field}{below}"), reason, message);
        };
        let (service, port) = match service_port(backend) {
            Ok(named) => named,
            Err(bad) => {
                problem(bad);
                return None;
            }
        };
        let name = match resource_name(&[&ingress.namespace, service, &port.to_string()]) {
            Ok(name) => name,
            Err(error) => {
                problem((".service.name", "InvalidName", error.to_string()));
                return None;
            }
        };
        let mut cluster = Cluster {
            namespace: ingress.namespace.clone(),
            service: service.to_owned(),
            port: None,
            // Until it is found, a name that no group has: an empty one would be that of an unnamed port.
            port_name: port.to_string(),
            protocol: UpstreamProtocol::default(),
            load_balancing: LoadBalancing::default(),
            external_name: None,
        };
        if let Err(bad) = self.resolve(&port, &mut cluster) {
            problem(bad);
        }
        Some((name, cluster))
    }

    /// Fills in what the Service says of the port; nothing where it says nothing.
    fn resolve(&self, port: &PortRef<'_>, cluster: &mut Cluster) -> Result<(), Problem> {
        let key = ObjectKey::new(cluster.namespace.as_str(), cluster.service.as_str());
        let name = key.to_string();
        let Some(service) = self.services.get(name.as_str()) else {
            let exists = self.inputs.services.contains_key(&key);
            return Err(if exists {
                let message =
                    format!("Service {name} is not usable; requests are answered with 503");
                (".service.name", "ServiceInvalid", message)
            } else {
                let message = format!("there is no Service {name}; requests are answered with 503");
                (".service.name", "ServiceNotFound", message)
            });
        };
        let found = find(service, port)?;
        if service.kind == ServiceType::ExternalName {
            let external_name = external_name(service)?;
            cluster.port = found.map_or_else(|| port.number(), |port| Some(target(port)));
            cluster.external_name = Some(external_name);
        } else {
            cluster.port = found.map(|port| port.port);
        }
        cluster.port_name = found.map(|port| port.name.clone()).unwrap_or_default();
        cluster.protocol = found.map(upstream_protocol).unwrap_or_default();
        Ok(())
    }
}

impl fmt::Display for PortRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl PortRef<'_> {
    const fn number(&self) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(_) => None,
        }
    }

    const fn field(&self) -> &'static str {
        match self {
            Self::Number(_) => ".service.port.number",
            Self::Name(_) => ".service.port.name",
        }
    }

    fn is(&self, port: &ServicePort) -> bool {
        match self {
            Self::Number(number) => port.port == *number,
            Self::Name(name) => port.name == *name,
        }
    }
}

/// The Service and port that a backend names.
fn service_port(backend: &k8s::IngressBackend) -> Result<(&str, PortRef<'_>), Problem> {
    let service = match (&backend.service, &backend.resource) {
        (Some(service), None) => service,
        (None, Some(resource)) => {
            let message = format!(
                "a backend of kind {} is not supported, only a service; requests are answered with 503",
                resource.kind
            );
            return Err((".resource", "UnsupportedBackend", message));
        }
        (Some(_), Some(_)) => {
            let message = "a backend has a service or a resource, not both".to_owned();
            return Err((".resource", "Forbidden", message));
        }
        (None, None) => {
            let message = "a backend needs a service".to_owned();
            return Err(("", "Required", message));
        }
    };
    let port = service.port.as_ref();
    let name = port
        .and_then(|port| port.name.as_deref())
        .filter(|name| !name.is_empty());
    let number = port
        .and_then(|port| port.number)
        .filter(|number| *number != 0);
    let port = match (name, number) {
        (None, Some(number)) => PortRef::Number(values::port(number).ok_or_else(|| {
            let message = format!("{number} is not a port");
            (".service.port.number", "InvalidPort", message)
        })?),
        (Some(name), None) if values::is_port_name(name) => PortRef::Name(name),
        (Some(name), None) => {
            let message = format!("{name:?} is not the name of a port");
            return Err((".service.port.name", "InvalidPort", message));
        }
        (Some(_), Some(_)) => {
            let message = "a port has a name or a number, not both".to_owned();
            return Err((".service.port", "Forbidden", message));
        }
        (None, None) => {
            let message = "a backend needs the name or the number of a port".to_owned();
            return Err((".service.port", "Required", message));
        }
    };
    Ok((&service.name, port))
}

/// The TCP port of the Service. An `ExternalName` need not list the numbers of its ports.
fn find<'a>(service: &'a Service, port: &PortRef<'_>) -> Result<Option<&'a ServicePort>, Problem> {
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
const fn target(port: &ServicePort) -> u16 {
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
