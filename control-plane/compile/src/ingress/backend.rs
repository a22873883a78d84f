//! The backend of a path as it is written: which port of which Service.

use std::{fmt, sync::Arc};

use k8s_openapi::api::networking::v1 as k8s;
use meshlite_snapshot::{Name, ServicePort};

use super::annotations::Upstream;
use crate::{
    ObjectKey,
    report::{About, resource_name},
    values,
};

/// Where a route sends to. Without a target, the route answers 503.
pub(super) type Backend = Option<Target>;

/// A port of a Service, whether or not they are there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// The cluster's name. It is made of what is written, not of what that is found to mean: a change of the Service
    /// changes the cluster and no route.
    pub(super) name: Name,
    pub(super) service: ObjectKey,
    pub(super) port: PortRef,
    /// How an Ingress wants its own requests to go there.
    pub(super) upstream: Option<Arc<Upstream>>,
}

impl Target {
    /// The same port, where requests go as an Ingress says, with a cluster of its own. None where that has no name.
    pub(super) fn with(&self, upstream: &Arc<Upstream>) -> Option<Self> {
        let port = format!("{}@{}", self.port, upstream.ingress);
        let name = resource_name(&[&self.service.namespace, &self.service.name, &port]).ok()?;
        Some(Self {
            name,
            upstream: Some(Arc::clone(upstream)),
            ..self.clone()
        })
    }
}

/// A port as a backend names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PortRef {
    /// The first that there is.
    First,
    Number(u16),
    Name(String),
}

/// A problem with a backend: the field below it, the reason and the message.
pub(super) type Problem = (&'static str, &'static str, String);

/// Reads a backend. The field is the path of the backend.
pub(super) fn backend(
    ingress: &ObjectKey,
    backend: &k8s::IngressBackend,
    field: impl Fn() -> String,
    about: &mut About<'_>,
) -> Backend {
    match target(ingress, backend) {
        Ok(target) => Some(target),
        Err((below, reason, message)) => {
            about.error(format!("{}{below}", field()), reason, message);
            None
        }
    }
}

fn target(ingress: &ObjectKey, backend: &k8s::IngressBackend) -> Result<Target, Problem> {
    let (service, port) = service_port(backend)?;
    let name = resource_name(&[&ingress.namespace, service, &port.to_string()])
        .map_err(|error| (".service.name", "InvalidName", error.to_string()))?;
    Ok(Target {
        name,
        service: ObjectKey::new(&*ingress.namespace, service),
        port,
        upstream: None,
    })
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // No port that is written has this number.
            Self::First => f.write_str("0"),
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl PortRef {
    pub(super) const fn number(&self) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(_) | Self::First => None,
        }
    }

    pub(super) const fn field(&self) -> &'static str {
        match self {
            Self::Number(_) => ".service.port.number",
            Self::Name(_) => ".service.port.name",
            Self::First => "",
        }
    }

    pub(super) fn is(&self, port: &ServicePort) -> bool {
        match self {
            Self::Number(number) => port.port == *number,
            Self::Name(name) => port.name == *name,
            Self::First => true,
        }
    }
}

/// The Service and port that a backend names.
fn service_port(backend: &k8s::IngressBackend) -> Result<(&str, PortRef), Problem> {
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
        (Some(name), None) if values::is_port_name(name) => PortRef::Name(name.to_owned()),
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
