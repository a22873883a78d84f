//! Metrics that kube-proxy has for each IP family. One pass programs both: it counts for each that this node has.

use std::sync::{Arc, atomic::AtomicU64};

use meshlite_snapshot::AddressFamily;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// A metric with a value for each IP family. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ByFamily<M> {
    served: Arc<[FamilyLabel]>,
    pub(super) all: Family<FamilyLabel, M, fn() -> M>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FamilyLabel {
    ip_family: &'static str,
}

/// As kube-proxy calls it.
pub(super) const fn name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}

// === impl ByFamily ===

impl<M> ByFamily<M> {
    pub(super) fn new(served: &[AddressFamily], make: fn() -> M) -> Self {
        let label = |family: &AddressFamily| FamilyLabel {
            ip_family: name(*family),
        };
        let by_family = Self {
            served: served.iter().map(label).collect(),
            all: Family::new_with_constructor(make),
        };
        // A family that had nothing to do yet is shown all the same.
        for label in by_family.served.iter() {
            drop(by_family.all.get_or_create(label));
        }
        by_family
    }
}

impl ByFamily<Histogram> {
    pub(crate) fn observe(&self, value: f64) {
        for label in self.served.iter() {
            self.all.get_or_create(label).observe(value);
        }
    }
}

impl ByFamily<Counter> {
    pub(crate) fn count(&self, family: AddressFamily, count: usize) {
        let ip_family = name(family);
        if self.served.iter().any(|label| label.ip_family == ip_family) {
            let counter = self.all.get_or_create(&FamilyLabel { ip_family });
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
}

impl ByFamily<Gauge<f64, AtomicU64>> {
    pub(crate) fn set(&self, value: f64) {
        for label in self.served.iter() {
            self.all.get_or_create(label).set(value);
        }
    }
}
