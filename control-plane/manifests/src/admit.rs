//! What all files mean together: duplicates, addresses and node ports, the endpoint controllers, namespaces.

mod allocations;
mod catalog;
mod discovery;
mod endpoints;
mod families;
mod findings;
mod mirror;
mod pods;
mod ranges;
mod selection;
mod services;
mod slices;
mod workloads;

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use ipnet::IpNet;
use k8s_openapi::{
    api::core::v1::{Namespace, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use meshlite_compile::{Inputs, ObjectKey};
use meshlite_snapshot::{Finding, ObjectRef, SourceLocation};

pub use allocations::{Allocations, NodePortAllocation, ServiceAllocation, UnsupportedVersion};
pub use pods::container_ports;
pub use workloads::{Workload, WorkloadKind, workloads};

use crate::{Located, ManifestFile};
use catalog::{Catalog, Kind};
use findings::Findings;
use services::AdmittedServices;

/// What an API server is told on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmitSettings {
    /// Where cluster IPs are allocated: at most one range for each family, the default family first.
    pub service_cidrs: Vec<IpNet>,
    /// Where node ports are allocated.
    pub node_port_range: RangeInclusive<u16>,
}

impl Default for AdmitSettings {
    fn default() -> Self {
        Self {
            service_cidrs: vec![IpNet::V4(ipnet::Ipv4Net::new_assert(
                std::net::Ipv4Addr::new(10, 96, 0, 0),
                12,
            ))],
            node_port_range: 30000..=32767,
        }
    }
}

/// A Pod that really runs, in place of a document of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningPod {
    /// The Pod, with its status.
    pub pod: Pod,
    /// Container port to the port that is really listened on, where they differ.
    pub ports: BTreeMap<u16, u16>,
}

/// What an API server and its controllers make of all files.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// What the compiler is given.
    pub inputs: Inputs,
    /// What is wrong between objects, sorted. Findings within one file are in [`ManifestFile::findings`].
    pub findings: Vec<Finding>,
    /// What is allocated now: `before` of the next call.
    pub allocations: Allocations,
    /// Where each object of `inputs` was read; a slice made here has the place of what it was made from.
    pub sources: BTreeMap<ObjectRef, SourceLocation>,
    /// Documents of kinds that Meshlite does not serve, by kind.
    pub skipped: BTreeMap<String, u32>,
}

/// Where each object was read.
type Sources = BTreeMap<ObjectRef, SourceLocation>;

/// Admits the objects of all files together.
///
/// Pure and total. The order of `files` does not matter: of an object that is there twice the first by file name and
/// document wins. An object that keeps existing keeps the addresses and ports that it has in `before`; what an absent
/// one held is free again, unless a file with errors may hold it.
pub fn admit(
    files: &[Arc<ManifestFile>],
    before: &Allocations,
    settings: &AdmitSettings,
    running: &[RunningPod],
) -> Admitted {
    let mut findings = Findings::default();
    let catalog = Catalog::new(files, &mut findings);
    let unreadable = files.iter().any(|file| !file.is_good());
    let AdmittedServices {
        services,
        allocations,
    } = services::allocate(
        &catalog.services,
        before,
        settings,
        unreadable,
        &mut findings,
    );
    let pods = pods::all(&catalog.pods, running);
    pods::report_without_status(&pods, &mut findings);
    let mut sources = sources(&catalog);
    let endpoint_slices =
        discovery::slices(&catalog, &services, &pods, &mut sources, &mut findings);
    let inputs = Inputs {
        services,
        endpoint_slices,
        ingresses: by_key(&catalog.ingresses),
        ingress_classes: by_name(&catalog.ingress_classes),
        secrets: by_key(&catalog.secrets),
        nodes: by_name(&catalog.nodes),
        namespaces: namespaces(&catalog, &pods),
        // Observed, not read.
        factors: BTreeMap::new(),
    };
    Admitted {
        inputs,
        findings: findings.into_sorted(),
        allocations,
        sources,
        skipped: skipped(files),
    }
}

fn by_key<T>(kind: &Kind<'_, T>) -> BTreeMap<ObjectKey, Arc<T>> {
    kind.iter()
        .map(|(key, entry)| (key.clone(), Arc::clone(entry.object)))
        .collect()
}

fn by_name<T>(kind: &Kind<'_, T>) -> BTreeMap<String, Arc<T>> {
    kind.iter()
        .map(|(key, entry)| (key.name.clone(), Arc::clone(entry.object)))
        .collect()
}

/// Declared, used, or `default`.
fn namespaces(
    catalog: &Catalog<'_>,
    pods: &[pods::PodEntry<'_>],
) -> BTreeMap<String, Arc<Namespace>> {
    let mut namespaces = by_name(&catalog.namespaces);
    let of_pods = pods.iter().map(|pod| pod.key.namespace.as_str());
    for name in catalog.used_namespaces().chain(of_pods).chain(["default"]) {
        if !namespaces.contains_key(name) {
            let namespace = Namespace {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            };
            namespaces.insert(name.to_owned(), Arc::new(namespace));
        }
    }
    namespaces
}

fn sources(catalog: &Catalog<'_>) -> Sources {
    fn of<T>(
        kind: &'static str,
        entries: &Kind<'_, T>,
    ) -> impl Iterator<Item = (ObjectRef, SourceLocation)> {
        entries.iter().map(move |(key, entry)| {
            let reference = ObjectRef::new(kind, &key.namespace, &key.name);
            (reference, entry.source.clone())
        })
    }
    of("Service", &catalog.services)
        .chain(of("EndpointSlice", &catalog.slices))
        .chain(of("Ingress", &catalog.ingresses))
        .chain(of("IngressClass", &catalog.ingress_classes))
        .chain(of("Secret", &catalog.secrets))
        .chain(of("Node", &catalog.nodes))
        .chain(of("Namespace", &catalog.namespaces))
        .collect()
}

fn skipped(files: &[Arc<ManifestFile>]) -> BTreeMap<String, u32> {
    let mut skipped = BTreeMap::new();
    for (kind, count) in files.iter().flat_map(|file| &file.skipped) {
        let total: &mut u32 = skipped.entry(kind.clone()).or_default();
        *total = total.saturating_add(*count);
    }
    skipped
}

/// Every object by file name, then in the order of the file.
fn in_order(files: &[Arc<ManifestFile>]) -> impl Iterator<Item = &Located> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.into_iter().flat_map(|file| &file.objects)
}

#[cfg(test)]
mod tests;
