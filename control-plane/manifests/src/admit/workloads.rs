//! What a demo runs: the Pods that a folder of manifests asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    api::core::v1::{PodTemplateSpec, Service},
    apimachinery::pkg::util::intstr::IntOrString,
};
use meshlite_snapshot::Protocol;

use crate::{ManifestFile, Object};

/// Something that asks for Pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many Pods it asks for.
    pub replicas: u32,
    /// What each Pod is made of.
    pub template: PodTemplateSpec,
    /// The headless Service of a StatefulSet: the subdomain of its Pods.
    pub service_name: Option<String>,
    /// Ports that Services which select its Pods target by number. In a cluster they work though no container declares
    /// them, so whoever runs the Pods should serve them too.
    pub target_ports: BTreeSet<(Protocol, u16)>,
}

/// The kinds that ask for Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Kubernetes' own names")]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    Pod,
}

/// The Deployments, StatefulSets and Pods without a status, by kind, namespace and name.
///
/// Of one that is there twice the first by file name and document counts, as in [`admit`](super::admit).
pub fn workloads(files: &[Arc<ManifestFile>]) -> Vec<Workload> {
    let mut found = BTreeMap::new();
    for located in super::in_order(files) {
        let Some(workload) = workload(&located.object) else {
            continue;
        };
        found
            .entry((
                workload.kind,
                workload.namespace.clone(),
                workload.name.clone(),
            ))
            .or_insert(workload);
    }
    let mut workloads: Vec<_> = found.into_values().collect();
    for workload in &mut workloads {
        workload.target_ports = target_ports(files, workload);
    }
    workloads
}

/// What Services that select the workload's Pods target by number.
fn target_ports(files: &[Arc<ManifestFile>], workload: &Workload) -> BTreeSet<(Protocol, u16)> {
    let labels = workload
        .template
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.labels.as_ref());
    let Some(labels) = labels else {
        return BTreeSet::new();
    };
    let selects = |service: &Service| {
        let selector = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| {
            !selector.is_empty()
                && selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
        })
    };
    files
        .iter()
        .flat_map(|file| &file.objects)
        .filter(|located| located.object.namespace() == workload.namespace)
        .filter_map(|located| match &located.object {
            Object::Service(service) if selects(service) => service.spec.as_ref(),
            _ => None,
        })
        .flat_map(|spec| spec.ports.iter().flatten())
        .filter_map(|port| {
            let number = match &port.target_port {
                Some(IntOrString::Int(number)) => *number,
                Some(IntOrString::String(_)) => return None,
                None => port.port,
            };
            let protocol = match port.protocol.as_deref() {
                None | Some("TCP") => Protocol::Tcp,
                Some("UDP") => Protocol::Udp,
                Some(_) => return None,
            };
            Some((
                protocol,
                u16::try_from(number).ok().filter(|port| *port > 0)?,
            ))
        })
        .collect()
}

fn workload(object: &Object) -> Option<Workload> {
    let (kind, replicas, template, service_name) = match object {
        Object::Deployment(deployment) => {
            let spec = &deployment.spec;
            (
                WorkloadKind::Deployment,
                spec.replicas,
                spec.template.clone(),
                None,
            )
        }
        Object::StatefulSet(set) => {
            let spec = &set.spec;
            let service = spec.service_name.clone().filter(|name| !name.is_empty());
            (
                WorkloadKind::StatefulSet,
                spec.replicas,
                spec.template.clone(),
                service,
            )
        }
        Object::Pod(pod) if !super::pods::has_status(pod) => {
            let template = PodTemplateSpec {
                metadata: Some(pod.metadata.clone()),
                spec: pod.spec.clone(),
            };
            (WorkloadKind::Pod, None, template, None)
        }
        _ => return None,
    };
    Some(Workload {
        kind,
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        replicas: u32::try_from(replicas.unwrap_or(1)).unwrap_or(0),
        template,
        service_name,
        target_ports: BTreeSet::new(),
    })
}
