//! Service ports that a traffic policy leaves without an endpoint here, by policy and IP family.

use std::sync::Arc;

use meshlite_snapshot::AddressFamily;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};

use super::by_family;
use crate::desired::{NoLocalEndpoints, Without};

/// How many there are. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct WithoutLocal {
    /// As they are shown.
    pub(super) all: Family<PolicyLabel, Gauge>,
    /// The values of this node's families, which nobody has to look up.
    served: Arc<[(AddressFamily, Gauges)]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PolicyLabel {
    traffic_policy: &'static str,
    ip_family: &'static str,
}

#[derive(Debug)]
struct Gauges {
    internal: Gauge,
    external: Gauge,
}

// === impl WithoutLocal ===

impl WithoutLocal {
    pub(super) fn new(families: &[AddressFamily]) -> Self {
        let all = Family::<PolicyLabel, Gauge>::default();
        let of = |traffic_policy, family| {
            let ip_family = by_family::name(family);
            let label = PolicyLabel {
                traffic_policy,
                ip_family,
            };
            all.get_or_create(&label).clone()
        };
        let gauges = |family: &AddressFamily| {
            let internal = of("internal", *family);
            let external = of("external", *family);
            (*family, Gauges { internal, external })
        };
        let served = families.iter().map(gauges).collect();
        Self { all, served }
    }

    pub(crate) fn set(&self, none: NoLocalEndpoints) {
        for (family, gauges) in self.served.iter() {
            let Without { internal, external } = match family {
                AddressFamily::Ipv4 => none.ipv4,
                AddressFamily::Ipv6 => none.ipv6,
            };
            gauges.internal.set(internal.into());
            gauges.external.set(external.into());
        }
    }
}
