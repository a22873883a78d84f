//! What a demo runs: the Pods that a folder of manifests asks for.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::PodTemplateSpec;

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
    found.into_values().collect()
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
    })
}
