//! Kubernetes objects in, resources and findings out: pure, total, deterministic.
//!
//! ```text
//! Services, EndpointSlices, Ingresses, IngressClasses, Secrets, Nodes, Namespaces ─> compile ─> Snapshot + findings
//! ```
//!
//! Input: objects as an API server admits them ([`Inputs`]). Output: [`Compiled`]. The same objects give the same
//! value on every replica; a bad object yields findings and never stops the rest. No clock, no randomness, no history.

mod annotations;
mod endpoints;
mod ingress;
mod inputs;
mod join;
mod node;
mod report;
mod secret;
mod service;
mod values;

pub use inputs::{Inputs, ObjectKey, Settings};

use std::{collections::BTreeSet, sync::Arc};

use meshlite_snapshot::{Finding, Name, Snapshot, Table};

use report::Findings;

/// What the objects mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Every resource.
    pub snapshot: Snapshot,
    /// The EndpointGroups that a route refers to: what the scope `ingress` holds.
    pub ingress_endpoint_groups: BTreeSet<Name>,
    /// What is wrong with the objects, sorted, without sources: whoever read the objects knows where they came from.
    pub findings: Vec<Finding>,
}

/// What these objects mean.
pub fn compile(inputs: &Inputs, settings: &Settings) -> Compiled {
    let mut findings = Findings::default();
    let (services, endpoint_groups) = join::services(inputs, &mut findings);
    let ingress = ingress::compile(inputs, &services, settings, &mut findings);
    let namespaces = inputs
        .namespaces
        .keys()
        .filter_map(|name| node::namespace(name, &mut findings.about_cluster("Namespace", name)));
    let namespaces = table(namespaces);
    let nodes = inputs.nodes.iter().filter_map(|(name, object)| {
        node::node(name, object, &mut findings.about_cluster("Node", name))
    });
    let nodes = table(nodes);
    let snapshot = Snapshot {
        namespaces,
        nodes,
        services,
        endpoint_groups,
        tls_secrets: table(ingress.tls_secrets),
        clusters: table(ingress.clusters),
        route_tables: table(ingress.route_tables),
        listeners: table(ingress.listeners),
        ..Snapshot::default()
    };
    Compiled {
        ingress_endpoint_groups: ingress_endpoint_groups(&snapshot),
        snapshot,
        findings: findings.into_sorted(),
    }
}

/// The groups of every Service that a route can send to.
fn ingress_endpoint_groups(snapshot: &Snapshot) -> BTreeSet<Name> {
    let services: BTreeSet<_> = snapshot
        .clusters
        .values()
        .map(|cluster| (cluster.namespace.as_str(), cluster.service.as_str()))
        .collect();
    services
        .into_iter()
        .flat_map(|(namespace, service)| snapshot.endpoint_groups_of(namespace, service))
        .map(|(name, _)| name.clone())
        .collect()
}

fn table<T>(resources: impl IntoIterator<Item = (Name, T)>) -> Table<T> {
    let shared = resources
        .into_iter()
        .map(|(name, resource)| (name, Arc::new(resource)));
    Arc::new(shared.collect())
}
