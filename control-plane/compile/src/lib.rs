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
mod node;
mod report;
mod secret;
mod service;
mod values;

pub use inputs::{Inputs, ObjectKey, Settings};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use meshlite_snapshot::{EndpointGroup, Finding, Name, Service, ServiceType, Snapshot, Table};

use endpoints::Shared;
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
    let (services, endpoint_groups) = services(inputs, &mut findings);
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

/// Services and their endpoints, one Service at a time.
fn services(inputs: &Inputs, findings: &mut Findings) -> (Table<Service>, Table<EndpointGroup>) {
    let slices = slices_by_service(inputs, findings);
    let mut shared = Shared::default();
    let mut services = Vec::with_capacity(inputs.services.len());
    let mut groups = Vec::with_capacity(inputs.endpoint_slices.len());
    for (key, object) in &inputs.services {
        let Some((name, service)) =
            service::service(key, object, &mut findings.about("Service", key))
        else {
            continue;
        };
        for (key, slice) in slices
            .get(&(&*key.namespace, &*key.name))
            .into_iter()
            .flatten()
        {
            let mut about = findings.about("EndpointSlice", key);
            if service.kind == ServiceType::ExternalName {
                let message = "its Service is an ExternalName, which has no endpoints";
                about.warning("", "NoEndpointsWanted", message);
                continue;
            }
            groups.extend(endpoints::group(
                key,
                slice,
                &service,
                &mut shared,
                &mut about,
            ));
        }
        services.push((name, service));
    }
    (table(services), table(groups))
}

type SlicesByService<'a> = BTreeMap<(&'a str, &'a str), Vec<(&'a ObjectKey, &'a EndpointSlice)>>;

/// The slices of each Service that exists. As with kube-proxy, others have no effect.
fn slices_by_service<'a>(inputs: &'a Inputs, findings: &mut Findings) -> SlicesByService<'a> {
    let mut by_service: SlicesByService<'a> = inputs
        .services
        .keys()
        .map(|key| ((&*key.namespace, &*key.name), vec![]))
        .collect();
    for (key, slice) in &inputs.endpoint_slices {
        let Some(service) = endpoints::service_of(slice) else {
            findings.about("EndpointSlice", key).warning(
                "metadata.labels",
                "NoService",
                format!(
                    "without the label {} it has no effect",
                    endpoints::SERVICE_NAME
                ),
            );
            continue;
        };
        match by_service.get_mut(&(&*key.namespace, service)) {
            Some(slices) => slices.push((key, &**slice)),
            None => findings.about("EndpointSlice", key).warning(
                format!("metadata.labels[{}]", endpoints::SERVICE_NAME),
                "ServiceNotFound",
                format!("there is no Service {}/{service}", key.namespace),
            ),
        }
    }
    by_service
}

fn table<T>(resources: impl IntoIterator<Item = (Name, T)>) -> Table<T> {
    let shared = resources
        .into_iter()
        .map(|(name, resource)| (name, Arc::new(resource)));
    Arc::new(shared.collect())
}
