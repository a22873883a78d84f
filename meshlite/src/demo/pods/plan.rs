//! Which Pods workloads ask for: names as Kubernetes makes them, and the ports to serve. Pure.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::core::v1::PodSpec,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use meshlite_manifests::admit::{self, Workload, WorkloadKind};
use meshlite_snapshot::{Protocol, Version};

/// What Kubernetes makes random names of: no vowels, so no words.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// More Pods than these are not started for one workload: each holds a socket per port.
const MAX_REPLICAS: u32 = 500;

/// A Pod that is to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlannedPod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) spec: PodSpec,
    /// The ports of its containers, and those that Services target by number.
    pub(super) ports: BTreeSet<(Protocol, u16)>,
    labels: ObjectMeta,
    owner: Option<OwnerReference>,
}

// === impl PlannedPod ===

impl PlannedPod {
    /// The template's labels and annotations under the Pod's own name.
    pub(super) fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: self.labels.labels.clone(),
            annotations: self.labels.annotations.clone(),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

/// The Pods of all workloads, in the order of the workloads. The same workloads give the same names.
pub(super) fn plan(workloads: &[Workload]) -> Vec<PlannedPod> {
    let mut names = BTreeSet::new();
    let mut pods = Vec::new();
    for workload in workloads {
        for index in 0..workload.replicas.min(MAX_REPLICAS) {
            let pod = pod(workload, index);
            // A StatefulSet's `web-0` and a Pod of that name cannot both be.
            if names.insert((pod.namespace.clone(), pod.name.clone())) {
                pods.push(pod);
            }
        }
    }
    pods
}

fn pod(workload: &Workload, index: u32) -> PlannedPod {
    let mut spec = workload.template.spec.clone().unwrap_or_default();
    let (name, owner_kind) = match workload.kind {
        WorkloadKind::Pod => (workload.name.clone(), None),
        WorkloadKind::StatefulSet => {
            let name = format!("{}-{index}", workload.name);
            spec.hostname = Some(name.clone());
            spec.subdomain.clone_from(&workload.service_name);
            (name, Some("StatefulSet"))
        }
        WorkloadKind::Deployment => (replica_name(workload, index), Some("ReplicaSet")),
    };
    let mut ports = served_ports(&spec);
    // Whoever asks over UDP for a TCP port of the demo gets an answer too, so that both can be tried.
    let udp: Vec<_> = ports
        .iter()
        .chain(&workload.target_ports)
        .filter(|(protocol, _)| *protocol == Protocol::Tcp)
        .map(|(_, port)| (Protocol::Udp, *port))
        .collect();
    ports.extend(&workload.target_ports);
    ports.extend(udp);
    PlannedPod {
        namespace: workload.namespace.clone(),
        owner: owner_kind.map(|kind| OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            name: match workload.kind {
                WorkloadKind::Deployment => {
                    format!("{}-{}", workload.name, template_hash(workload))
                }
                WorkloadKind::StatefulSet | WorkloadKind::Pod => workload.name.clone(),
            },
            ..OwnerReference::default()
        }),
        name,
        spec,
        ports,
        labels: workload.template.metadata.clone().unwrap_or_default(),
    }
}

/// What the containers can serve in a demo: TCP and UDP.
fn served_ports(spec: &PodSpec) -> BTreeSet<(Protocol, u16)> {
    admit::container_ports(spec)
        .filter_map(|port| {
            let number = u16::try_from(port.container_port)
                .ok()
                .filter(|port| *port > 0)?;
            match port.protocol.as_deref() {
                None | Some("" | "TCP") => Some((Protocol::Tcp, number)),
                Some("UDP") => Some((Protocol::Udp, number)),
                Some(_) => None,
            }
        })
        .collect()
}

/// A replica of a Deployment: `web-6c5d9f7b8-x7k2p`. A changed template gives new names, as a rollout does.
fn replica_name(workload: &Workload, index: u32) -> String {
    let hash = template_hash(workload);
    let key = format!("{}/{}-{hash}/{index}", workload.namespace, workload.name);
    format!(
        "{}-{hash}-{}",
        workload.name,
        safe_encode(Version::of(key.as_bytes()), 5)
    )
}

fn template_hash(workload: &Workload) -> String {
    let template = serde_json::to_vec(&workload.template).unwrap_or_default();
    safe_encode(Version::of(&template), 9)
}

fn safe_encode(hash: Version, length: usize) -> String {
    let mut rest = hash.0;
    (0..length)
        .map(|_| {
            let digit = usize::try_from(rest % 27).unwrap_or_default();
            rest /= 27;
            char::from(SAFE.get(digit).copied().unwrap_or(b'b'))
        })
        .collect()
}
