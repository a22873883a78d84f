//! Pods as the endpoint controller sees them.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    api::core::v1::{ContainerPort, Pod, PodSpec, PodStatus, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{AddressFamily, ObjectRef, SourceLocation};

use super::{RunningPod, catalog::Kind, findings::Findings};

/// A Pod, read or running.
#[derive(Debug)]
pub(super) struct PodEntry<'a> {
    pub(super) key: ObjectKey,
    pub(super) pod: &'a Pod,
    /// None for one that only runs.
    pub(super) source: Option<&'a SourceLocation>,
    /// Where it really listens.
    ports: Option<&'a BTreeMap<u16, u16>>,
}

/// Every Pod by key: those that run replace documents of the same name.
pub(super) fn all<'a>(documents: &Kind<'a, Pod>, running: &'a [RunningPod]) -> Vec<PodEntry<'a>> {
    let mut pods: BTreeMap<_, _> = documents
        .iter()
        .map(|(key, entry)| {
            let pod = PodEntry {
                key: key.clone(),
                pod: entry.object,
                source: Some(entry.source),
                ports: None,
            };
            (key.clone(), pod)
        })
        .collect();
    for run in running {
        let meta = &run.pod.metadata;
        let key = ObjectKey::new(
            meta.namespace.as_deref().unwrap_or("default"),
            meta.name.as_deref().unwrap_or_default(),
        );
        let source = pods.get(&key).and_then(|pod| pod.source);
        let pod = PodEntry {
            key: key.clone(),
            pod: &run.pod,
            source,
            ports: Some(&run.ports),
        };
        pods.insert(key, pod);
    }
    pods.into_values().collect()
}

/// Says which Pods cannot be endpoints because nothing ran them.
pub(super) fn report_without_status(pods: &[PodEntry<'_>], findings: &mut Findings) {
    for entry in pods.iter().filter(|entry| !has_status(entry.pod)) {
        if let Some(source) = entry.source {
            let message = "has no status, so it is no endpoint: file mode runs no Pods. `meshlite demo` runs it; or \
                           write its `status`, with `podIP` and the condition Ready";
            findings.warning(
                entry.reference(),
                source,
                "status",
                "PodNotRunning",
                message,
            );
        }
    }
}

/// Whether anything ran this Pod: a manifest as a user writes it has no status.
pub(super) fn has_status(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| {
        status.phase.is_some() || status.pod_ip.is_some() || status.pod_ips.is_some()
    })
}

impl PodEntry<'_> {
    pub(super) fn reference(&self) -> ObjectRef {
        ObjectRef::new("Pod", &self.key.namespace, &self.key.name)
    }

    /// Its address of this family, if it can be an endpoint: it has not ended and has an address.
    pub(super) fn address(&self, family: AddressFamily) -> Option<IpAddr> {
        let status = self.pod.status.as_ref()?;
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        addresses(status).find(|ip| AddressFamily::of(*ip) == family)
    }

    /// The condition Ready; none where nobody wrote it.
    pub(super) fn ready_condition(&self) -> Option<bool> {
        let conditions = self.pod.status.as_ref()?.conditions.as_ref()?;
        let ready = conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")?;
        Some(ready.status == "True")
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Its name in DNS, if it asks to be found under this Service.
    pub(super) fn hostname_in(&self, service: &str) -> Option<&str> {
        let spec = self.pod.spec.as_ref()?;
        let hostname = spec.hostname.as_deref().filter(|name| !name.is_empty())?;
        (spec.subdomain.as_deref() == Some(service)).then_some(hostname)
    }

    /// The number that a Service port means in this Pod, where it really listens; none for a name that it does not have.
    pub(super) fn target_port(&self, port: &ServicePort) -> Option<u16> {
        let number = match &port.target_port {
            None | Some(IntOrString::Int(0)) => port.port,
            Some(IntOrString::Int(number)) => *number,
            Some(IntOrString::String(name)) => {
                self.named_port(name, port.protocol.as_deref().unwrap_or("TCP"))?
            }
        };
        let number = u16::try_from(number).ok().filter(|number| *number != 0)?;
        Some(
            self.ports
                .and_then(|ports| ports.get(&number))
                .copied()
                .unwrap_or(number),
        )
    }

    fn named_port(&self, name: &str, protocol: &str) -> Option<i32> {
        container_ports(self.pod.spec.as_ref()?)
            .find(|port| {
                port.name.as_deref() == Some(name)
                    && port.protocol.as_deref().unwrap_or("TCP") == protocol
            })
            .map(|port| port.container_port)
    }
}

/// The ports of a Pod's containers, and of its init containers that keep running beside them (sidecars).
pub fn container_ports(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
}

fn addresses(status: &PodStatus) -> impl Iterator<Item = IpAddr> {
    let all = status.pod_ips.iter().flatten().map(|ip| &ip.ip);
    status
        .pod_ip
        .iter()
        .chain(all)
        .filter_map(|ip| ip.parse().ok())
}
