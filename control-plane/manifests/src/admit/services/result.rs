//! A Service as an API server stores it: with what it got.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

use super::{
    super::families,
    slots::{Slots, Which},
};

/// The Service with its addresses and ports filled in; the same one where nothing changes.
pub(super) fn with_slots(service: &Arc<Service>, slots: &Slots) -> Arc<Service> {
    let Some(decided) = &slots.families else {
        return Arc::clone(service);
    };
    let mut service = Arc::clone(service);
    let Some(spec) = &mut Arc::make_mut(&mut service).spec else {
        return service;
    };
    if slots.headless {
        spec.cluster_ip = Some("None".to_owned());
        spec.cluster_ips = Some(vec!["None".to_owned()]);
    } else {
        let ips: Vec<_> = slots
            .addresses
            .iter()
            .filter_map(|slot| slot.got)
            .map(|ip| ip.to_string())
            .collect();
        spec.cluster_ip = ips.first().cloned();
        spec.cluster_ips = Some(ips);
    }
    // A second family that got no address is not served.
    let served = decided.order.iter().enumerate().filter(|(i, _)| {
        slots.headless
            || slots
                .addresses
                .get(*i)
                .is_some_and(|slot| slot.got.is_some())
    });
    spec.ip_families = Some(served.map(|(_, f)| families::name(*f).to_owned()).collect());
    spec.ip_family_policy = Some(decided.policy.to_owned());
    for port in spec.ports.iter_mut().flatten() {
        port.node_port = None;
    }
    spec.health_check_node_port = None;
    for slot in &slots.ports {
        let got = slot.got.map(i32::from);
        match slot.which {
            Which::HealthCheck => spec.health_check_node_port = got,
            Which::Port(i) => {
                if let Some(port) = spec.ports.as_mut().and_then(|ports| ports.get_mut(i)) {
                    port.node_port = got;
                }
            }
        }
    }
    service
}
