//! Pods, and what makes them: read only as far as it makes them endpoints.
//!
//! A Pod of Kubernetes is made of two hundred types, nearly all of them for what runs in it. Those are known here by
//! the names of their fields alone, so that a misspelt one is still noticed.

use std::sync::Arc;

use k8s_openapi::{
    api::{apps::v1 as apps, core::v1 as core},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use serde::Deserialize;

use super::{Converted, Readable, unread::Unread};
use crate::Object;

/// A struct that is read, with the fields that are known but passed over.
macro_rules! partly {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
        .. $($(#[$unread_meta:meta])* $unread:ident)*
    })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Default, PartialEq, Deserialize)]
            #[serde(default, rename_all = "camelCase")]
            pub(crate) struct $name {
                $($(#[$field_meta])* $field: $type,)*
                $($(#[$unread_meta])* $unread: Unread,)*
            }
        )*
    };
}

partly! {
    Pod {
        metadata: ObjectMeta,
        spec: Option<PodSpec>,
        status: Option<PodStatus>,
        .. api_version kind
    }

    Deployment {
        metadata: ObjectMeta,
        spec: Option<DeploymentSpec>,
        .. api_version kind status
    }

    StatefulSet {
        metadata: ObjectMeta,
        spec: Option<StatefulSetSpec>,
        .. api_version kind status
    }

    DeploymentSpec {
        replicas: Option<i32>,
        selector: Option<LabelSelector>,
        template: Option<PodTemplateSpec>,
        .. min_ready_seconds paused progress_deadline_seconds revision_history_limit strategy
    }

    StatefulSetSpec {
        replicas: Option<i32>,
        selector: Option<LabelSelector>,
        service_name: Option<String>,
        template: Option<PodTemplateSpec>,
        .. min_ready_seconds ordinals persistent_volume_claim_retention_policy pod_management_policy
        revision_history_limit update_strategy volume_claim_templates
    }

    PodTemplateSpec {
        metadata: Option<ObjectMeta>,
        spec: Option<PodSpec>,
        ..
    }

    PodSpec {
        containers: Option<Vec<Container>>,
        hostname: Option<String>,
        init_containers: Option<Vec<Container>>,
        node_name: Option<String>,
        subdomain: Option<String>,
        .. active_deadline_seconds affinity automount_service_account_token dns_config dns_policy
        enable_service_links ephemeral_containers eviction_responders host_aliases
        #[serde(rename = "hostIPC")] host_ipc
        host_network
        #[serde(rename = "hostPID")] host_pid
        host_users hostname_override image_pull_secrets node_selector os overhead preemption_policy priority
        priority_class_name readiness_gates resource_claims resources restart_policy runtime_class_name scheduler_name
        scheduling_gates scheduling_group security_context service_account service_account_name
        #[serde(rename = "setHostnameAsFQDN")] set_hostname_as_fqdn
        share_process_namespace termination_grace_period_seconds tolerations topology_spread_constraints volumes
    }

    Container {
        ports: Option<Vec<core::ContainerPort>>,
        restart_policy: Option<String>,
        .. args command env env_from image image_pull_policy lifecycle liveness_probe name readiness_probe
        resize_policy resources restart_policy_rules security_context startup_probe stdin stdin_once
        termination_message_path termination_message_policy tty volume_devices volume_mounts working_dir
    }

    PodStatus {
        conditions: Option<Vec<core::PodCondition>>,
        phase: Option<String>,
        #[serde(rename = "podIP")] pod_ip: Option<String>,
        #[serde(rename = "podIPs")] pod_ips: Option<Vec<core::PodIP>>,
        .. allocated_resources container_statuses ephemeral_container_statuses extended_resource_claim_status
        #[serde(rename = "hostIP")] host_ip
        #[serde(rename = "hostIPs")] host_ips
        init_container_statuses message node_allocatable_resource_claim_statuses nominated_node_name
        observed_generation qos_class reason resize resource_claim_statuses resources start_time volume_health
    }
}

impl Readable for Pod {
    fn convert(self) -> Converted {
        let pod = core::Pod {
            metadata: self.metadata,
            spec: self.spec.map(Into::into),
            status: self.status.map(Into::into),
        };
        (Object::Pod(Arc::new(pod)), Vec::new())
    }
}

impl Readable for Deployment {
    fn convert(self) -> Converted {
        let spec = self.spec.unwrap_or_default();
        let deployment = apps::Deployment {
            metadata: self.metadata,
            spec: apps::DeploymentSpec {
                replicas: spec.replicas,
                selector: spec.selector.unwrap_or_default(),
                template: spec.template.map(Into::into).unwrap_or_default(),
                ..apps::DeploymentSpec::default()
            },
            status: None,
        };
        (Object::Deployment(Arc::new(deployment)), Vec::new())
    }
}

impl Readable for StatefulSet {
    fn convert(self) -> Converted {
        let spec = self.spec.unwrap_or_default();
        let set = apps::StatefulSet {
            metadata: self.metadata,
            spec: apps::StatefulSetSpec {
                replicas: spec.replicas,
                selector: spec.selector.unwrap_or_default(),
                service_name: spec.service_name,
                template: spec.template.map(Into::into).unwrap_or_default(),
                ..apps::StatefulSetSpec::default()
            },
            status: None,
        };
        (Object::StatefulSet(Arc::new(set)), Vec::new())
    }
}

impl From<PodTemplateSpec> for core::PodTemplateSpec {
    fn from(template: PodTemplateSpec) -> Self {
        Self {
            metadata: template.metadata,
            spec: template.spec.map(Into::into),
        }
    }
}

impl From<PodSpec> for core::PodSpec {
    fn from(spec: PodSpec) -> Self {
        let containers =
            |read: Vec<Container>| read.into_iter().map(Into::into).collect::<Vec<_>>();
        Self {
            containers: spec.containers.map(containers).unwrap_or_default(),
            hostname: spec.hostname,
            init_containers: spec.init_containers.map(containers),
            node_name: spec.node_name,
            subdomain: spec.subdomain,
            ..Self::default()
        }
    }
}

impl From<Container> for core::Container {
    fn from(container: Container) -> Self {
        Self {
            ports: container.ports,
            restart_policy: container.restart_policy,
            ..Self::default()
        }
    }
}

impl From<PodStatus> for core::PodStatus {
    fn from(status: PodStatus) -> Self {
        Self {
            conditions: status.conditions,
            phase: status.phase,
            pod_ip: status.pod_ip,
            pod_ips: status.pod_ips,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
