//! Drops what nobody needs from an object as it arrives: most of a cluster's bytes are history, reports and images.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Namespace, Node, NodeStatus, Secret, Service, ServiceStatus, Taint},
        networking::v1::{Ingress, IngressClass},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

/// Copies of whole objects, written by kubectl; and what we write ourselves, which must not look like a change.
const UNUSED_ANNOTATIONS: [&str; 2] = [LAST_APPLIED, crate::programmed::ANNOTATION];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object that can lose what is not needed to compile it.
pub(crate) trait Trim {
    fn trim(&mut self);
}

impl Trim for Service {
    fn trim(&mut self) {
        metadata(&mut self.metadata);
        if let Some(ServiceStatus {
            conditions,
            load_balancer: _,
        }) = &mut self.status
        {
            *conditions = None;
        }
    }
}

impl Trim for Ingress {
    fn trim(&mut self) {
        metadata(&mut self.metadata);
        // What we write there ourselves must not look like a change.
        self.status = None;
    }
}

impl Trim for IngressClass {
    fn trim(&mut self) {
        metadata(&mut self.metadata);
    }
}

impl Trim for Secret {
    fn trim(&mut self) {
        metadata(&mut self.metadata);
        self.metadata.annotations = None;
        self.metadata.labels = None;
    }
}

impl Trim for Node {
    fn trim(&mut self) {
        metadata(&mut self.metadata);
        self.metadata.annotations = None;
        if let Some(taints) = self.spec.as_mut().and_then(|spec| spec.taints.as_mut()) {
            for Taint { time_added, .. } in taints {
                *time_added = None;
            }
        }
        // Images, conditions with heartbeats, capacities: a hundred times as much as the addresses.
        self.status = self.status.take().map(|status| NodeStatus {
            addresses: status.addresses,
            ..NodeStatus::default()
        });
    }
}

impl Trim for Namespace {
    fn trim(&mut self) {
        metadata(&mut self.metadata);
        self.metadata.annotations = None;
        self.metadata.labels = None;
        self.spec = None;
        self.status = None;
    }
}

fn metadata(metadata: &mut ObjectMeta) {
    let ObjectMeta {
        annotations,
        labels,
        name,
        namespace,
        creation_timestamp,
        deletion_timestamp,
        ..
    } = std::mem::take(metadata);
    let used = |mut annotations: BTreeMap<String, String>| {
        for unused in UNUSED_ANNOTATIONS {
            annotations.remove(unused);
        }
        (!annotations.is_empty()).then_some(annotations)
    };
    *metadata = ObjectMeta {
        annotations: annotations.and_then(used),
        labels,
        name,
        namespace,
        creation_timestamp,
        deletion_timestamp,
        ..ObjectMeta::default()
    };
}

#[cfg(test)]
mod tests {
    use k8s_openapi::serde_json::{self, json};

    use super::*;

    #[test]
    fn a_heartbeat_of_a_node_is_no_change() {
        let node = |version: &str, heartbeat: &str| {
            let mut node: Node = serde_json::from_value(json!({
                "metadata": {"name": "n", "resourceVersion": version, "managedFields": [{"manager": "kubelet"}]},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                    "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}],
                    "images": [{"names": ["a"], "sizeBytes": 1}],
                },
            }))
            .unwrap();
            node.trim();
            node
        };
        let before = node("1", "2026-01-01T00:00:00Z");
        assert_eq!(before, node("2", "2026-01-01T00:00:10Z"));
        assert_eq!(
            before.status.unwrap().addresses.unwrap()[0].address,
            "192.0.2.1"
        );
    }

    #[test]
    fn what_kubectl_and_the_server_keep_for_themselves_is_dropped_and_the_rest_stays() {
        let mut ingress: Ingress = serde_json::from_value(json!({
            "metadata": {
                "name": "i", "namespace": "d", "uid": "u", "generation": 3,
                "annotations": {LAST_APPLIED: "{}", "meshlite.io/programmed": "1 of 2", "meshlite.io/a": "b"},
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"ingressClassName": "meshlite"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        }))
        .unwrap();
        ingress.trim();
        let left = serde_json::to_value(&ingress).unwrap();
        assert_eq!(
            left,
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "i", "namespace": "d", "annotations": {"meshlite.io/a": "b"}},
                "spec": {"ingressClassName": "meshlite"},
            })
        );
    }
}
