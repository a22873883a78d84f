//! From a snapshot and the facts of this node to the table that should be programmed. Pure.
//!
//! What was derived is kept and changed by Service: a change costs what the Services cost that it touches. They touch
//! each other in two ways, each with an index of its own: by claiming the same place ([`claims`]), and by having an
//! endpoint that is a virtual address ([`loops`]).

mod claims;
mod endpoints;
mod findings;
mod fit;
mod health_checks;
mod loops;
mod service;
mod share;
mod surroundings;
mod update;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use meshlite_snapshot::{
    AddressFamily, Finding, Name, ObjectRef, ResourceType, Severity, Snapshot,
};
use serde::Serialize;

use self::{
    claims::Claims, findings::Findings, health_checks::HealthPorts, loops::Endpoints, share::Share,
    surroundings::Surroundings, update::Due,
};
use crate::{
    facts::Facts,
    kernel::Capabilities,
    table::{Frontend, Key, Origin, Table, VirtualServer},
};

/// What this node should do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Desired {
    table: Table,
    health_checks: HealthPorts,
    findings: Findings,
    no_local_endpoints: NoLocalEndpoints,
    surroundings: Surroundings,
    shares: BTreeMap<Name, Share>,
    claims: Claims,
    /// None until everything was derived for the first time.
    endpoints: Option<Endpoints>,
    /// What is wrong with who claims a place, where something is.
    contested: BTreeMap<Frontend, Vec<Finding>>,
    /// What is wrong with what is served at a place, where something is.
    trimmed: BTreeMap<Frontend, Vec<Finding>>,
    due: Due,
}

/// What a table is derived from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) facts: &'a Facts,
    pub(crate) capabilities: &'a Capabilities,
    /// Endpoints that do not answer.
    pub(crate) dead: &'a BTreeSet<SocketAddr>,
}

/// Which sources are not what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    services: BTreeSet<Name>,
    /// Services of which only endpoints or weights are others: they claim what they did.
    backed: BTreeSet<Name>,
    endpoints: BTreeSet<SocketAddr>,
    surroundings: bool,
    everything: bool,
}

/// What of the table became different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Virtual servers.
    pub(crate) keys: BTreeSet<Key>,
    /// Who is inside, or a Pod.
    pub(crate) inside: bool,
    /// Findings.
    pub(crate) findings: bool,
    /// What health checks answer.
    pub(crate) health_checks: bool,
}

/// What a `healthCheckNodePort` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HealthCheck {
    /// The Service's namespace.
    pub(crate) namespace: String,
    /// The Service's name.
    pub(crate) name: String,
    /// Ready endpoints on this node.
    pub(crate) local_endpoints: usize,
}

/// Service ports without a local endpoint, by the policy that asks for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoLocalEndpoints {
    pub(crate) ipv4: Without,
    pub(crate) ipv6: Without,
}

/// Those of one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Without {
    pub(crate) internal: u32,
    pub(crate) external: u32,
}

// === impl Touched ===

#[cfg(test)]
impl Touched {
    fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.inside |= other.inside;
        self.findings |= other.findings;
        self.health_checks |= other.health_checks;
    }
}

// === impl NoLocalEndpoints ===

impl NoLocalEndpoints {
    fn of(&mut self, family: AddressFamily) -> &mut Without {
        match family {
            AddressFamily::Ipv4 => &mut self.ipv4,
            AddressFamily::Ipv6 => &mut self.ipv6,
        }
    }

    /// Counts what a Service has `now` for what it had `before`.
    fn replace(&mut self, before: Self, now: Self) {
        for (total, before, now) in [
            (&mut self.ipv4, before.ipv4, now.ipv4),
            (&mut self.ipv6, before.ipv6, now.ipv6),
        ] {
            total.internal = total.internal + now.internal - before.internal;
            total.external = total.external + now.external - before.external;
        }
    }
}

// === impl Desired ===

impl Desired {
    /// What the sources ask of this node.
    #[cfg(test)]
    pub(crate) fn new(sources: Sources<'_>) -> Self {
        let mut desired = Self::default();
        desired.update(sources, &Changed::everything());
        desired
    }

    /// Just this table, whatever asks for it.
    #[cfg(test)]
    pub(crate) fn of_table(table: Table) -> Self {
        Self {
            table,
            ..Self::default()
        }
    }

    /// The virtual servers.
    pub(crate) const fn table(&self) -> &Table {
        &self.table
    }

    /// The virtual servers of a Service, where it has the place.
    pub(crate) fn servers_of(&self, service: &Name) -> impl Iterator<Item = (Key, &VirtualServer)> {
        let claims = self.shares.get(service).into_iter();
        let claims = claims.flat_map(|share| &share.claims);
        let held = claims.filter(|claim| self.claims.holds(claim));
        held.flat_map(|claim| [Key::everyone(claim.frontend), Key::inside(claim.frontend)])
            .filter_map(|key| Some((key, self.table.virtual_servers.get(&key)?)))
    }

    /// What load balancers may ask, by port.
    pub(crate) const fn health_checks(&self) -> &BTreeMap<u16, HealthCheck> {
        self.health_checks.answers()
    }

    /// What could not be served as it was asked for, sorted, each once.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// Service ports whose traffic policy leaves them no endpoint here though there are some elsewhere.
    pub(crate) const fn no_local_endpoints(&self) -> NoLocalEndpoints {
        self.no_local_endpoints
    }

    /// Load balancers should leave this node alone: it is being taken away.
    pub(crate) const fn node_leaving(&self) -> bool {
        self.surroundings.leaving
    }
}

// === impl Touched ===

impl Touched {
    /// Whether nothing became different.
    fn is_empty(&self) -> bool {
        let Self {
            keys,
            inside,
            findings,
            health_checks,
        } = self;
        keys.is_empty() && !inside && !findings && !health_checks
    }
}

// === impl Changed ===

impl Changed {
    /// Nothing is known of what was.
    pub(crate) fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// This host's addresses are others.
    pub(crate) fn addresses() -> Self {
        Self {
            surroundings: true,
            ..Self::default()
        }
    }

    /// These endpoints answer again, or do not any more.
    pub(crate) fn liveness(endpoints: BTreeSet<SocketAddr>) -> Self {
        Self {
            endpoints,
            ..Self::default()
        }
    }

    /// A resource is new, different or gone.
    pub(crate) fn resource(&mut self, kind: ResourceType, name: &Name) {
        match kind {
            ResourceType::Service => {
                self.services.insert(name.clone());
            }
            ResourceType::Weights => {
                self.backed.insert(name.clone());
            }
            // Mostly the Service itself was named already, or another group of it.
            ResourceType::EndpointGroup if self.names(name.parent()) => {}
            ResourceType::EndpointGroup => self.backed.extend(service_of(name)),
            ResourceType::Node => self.surroundings = true,
            ResourceType::Namespace
            | ResourceType::Listener
            | ResourceType::RouteTable
            | ResourceType::Cluster
            | ResourceType::TlsSecret
            | ResourceType::Credential => {}
        }
    }

    /// Whether something of this Service is named already.
    fn names(&self, service: &str) -> bool {
        self.services.contains(service) || self.backed.contains(service)
    }
}

/// The Service whose endpoints a group has.
fn service_of(group: &Name) -> Option<Name> {
    let (service, _) = group.as_str().rsplit_once('/')?;
    Name::new(service).ok()
}

/// A finding about a Service port.
pub(crate) fn finding(
    severity: Severity,
    origin: &Origin,
    reason: &'static str,
    message: String,
) -> Finding {
    let name = &origin.service_port;
    Finding {
        severity,
        object: ObjectRef::new("Service", &*name.namespace, &*name.service),
        field: origin.kind.field().to_owned(),
        reason: reason.into(),
        message,
        source: None,
    }
}

#[cfg(test)]
mod tests;
