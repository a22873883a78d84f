//! From a snapshot and the facts of this node to the table that should be programmed. Pure.

mod endpoints;
mod fit;
mod loops;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;
use meshlite_snapshot::{Finding, ObjectRef, Severity, Snapshot};
use serde::Serialize;

use self::{endpoints::Place, service::Claim};
use crate::{
    facts::{Facts, LOOPBACK},
    kernel::Capabilities,
    table::{Frontend, Key, LocalDetector, Origin, Table},
};

/// What this node should do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Desired {
    /// The virtual servers.
    pub(crate) table: Table,
    /// What load balancers may ask, by port.
    pub(crate) health_checks: BTreeMap<u16, HealthCheck>,
    /// What could not be served as it was asked for.
    pub(crate) findings: Vec<Finding>,
    /// Service ports whose traffic policy leaves them no endpoint here though there are some elsewhere.
    pub(crate) no_local_endpoints: NoLocalEndpoints,
    /// Load balancers should leave this node alone: it is being taken away.
    pub(crate) node_leaving: bool,
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
    pub(crate) internal: u32,
    pub(crate) external: u32,
}

impl Desired {
    /// What `snapshot` asks of this node, within what its kernel can do.
    pub(crate) fn new(snapshot: &Snapshot, facts: &Facts, capabilities: &Capabilities) -> Self {
        let node = snapshot.nodes.get(facts.node_name.as_str());
        let place = Place {
            node: &facts.node_name,
            zone: node.and_then(|node| node.zone.as_deref()),
        };
        let mut desired = Self {
            node_leaving: node.is_some_and(|node| node.leaving),
            ..Self::default()
        };
        desired.table.pods = pods(snapshot, facts);
        desired.table.inside = Arc::new(inside(&desired.table.pods, facts));
        let pods = desired.table.pods.clone();
        let mut claims = Vec::new();
        for (name, service) in snapshot.services.iter().filter(|(_, service)| service.l4) {
            let view = service::View {
                service,
                groups: snapshot
                    .endpoint_groups_of(&service.namespace, &service.name)
                    .map(|(_, group)| group)
                    .collect(),
                weights: snapshot.weights.get(name).map(AsRef::as_ref),
                place,
                facts,
                pods: &pods,
                capabilities,
            };
            view.claim(&mut claims, &mut desired);
        }
        desired.settle(claims);
        loops::cut(&mut desired, facts);
        fit::fit(&mut desired, capabilities);
        desired
    }

    /// Gives each place to one Service port: kinds of address by precedence, then Services by name.
    fn settle(&mut self, mut claims: Vec<Claim>) {
        claims.sort_by(|a, b| (a.frontend, a.rank()).cmp(&(b.frontend, b.rank())));
        let mut taken: Option<(Frontend, Origin)> = None;
        for claim in claims {
            let origin = claim.origin();
            match &taken {
                Some((frontend, winner)) if *frontend == claim.frontend => {
                    if winner.service_port != origin.service_port {
                        self.findings.push(conflict(&claim, winner));
                    }
                }
                _ => {
                    taken = Some((claim.frontend, origin.clone()));
                    let servers = &mut self.table.virtual_servers;
                    servers.insert(Key::everyone(claim.frontend), claim.everyone);
                    if let Some(inside) = claim.inside {
                        servers.insert(Key::inside(claim.frontend), inside);
                    }
                }
            }
        }
    }
}

/// Who counts as a Pod: whom the configuration says, else who has an address of a node's Pod networks.
fn pods(snapshot: &Snapshot, facts: &Facts) -> LocalDetector {
    if let Some(configured) = &facts.pods {
        return configured.clone();
    }
    let networks = snapshot.nodes.values().flat_map(|node| &node.pod_cidrs);
    let networks: BTreeSet<_> = networks.copied().collect();
    if networks.is_empty() {
        LocalDetector::None
    } else {
        LocalDetector::Cidrs(Arc::new(networks))
    }
}

/// Pods as far as networks tell, and this node itself.
fn inside(pods: &LocalDetector, facts: &Facts) -> BTreeSet<IpNet> {
    let pods = match pods {
        LocalDetector::Cidrs(networks) => Some(networks),
        LocalDetector::None | LocalDetector::Interface(_) | LocalDetector::InterfacePrefix(_) => {
            None
        }
    };
    let pods = pods.into_iter().flat_map(|networks| networks.iter());
    LOOPBACK
        .into_iter()
        .chain(pods.copied())
        .chain(facts.local_addresses.iter().copied().map(IpNet::from))
        .collect()
}

fn conflict(loser: &Claim, winner: &Origin) -> Finding {
    let origin = loser.origin();
    finding(
        Severity::Error,
        origin,
        "AddressConflict",
        format!(
            "{} is already served for the {:?} of Service {}; this Service gets no traffic there",
            loser.frontend, winner.kind, winner.service_port
        ),
    )
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
