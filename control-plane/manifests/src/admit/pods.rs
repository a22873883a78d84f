//! Pods: which of them a selector finds, and which can be endpoints.

use k8s_openapi::api::core::v1::Pod;

/// Whether anything ran this Pod: a manifest as a user writes it has no status.
pub(super) fn has_status(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| {
        status.phase.is_some() || status.pod_ip.is_some() || status.pod_ips.is_some()
    })
}
