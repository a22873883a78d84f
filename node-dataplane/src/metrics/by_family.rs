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
    /// As it is shown.
    pub(super) all: Family<FamilyLabel, M, fn() -> M>,
    /// The values of this node's families, which nobody has to look up.
    served: Arc<[(AddressFamily, M)]>,
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

impl<M: Clone> ByFamily<M> {
    pub(super) fn new(families: &[AddressFamily], make: fn() -> M) -> Self {
        let all = Family::new_with_constructor(make);
        let value = |family: &AddressFamily| {
            let ip_family = name(*family);
            let value: &M = &all.get_or_create(&FamilyLabel { ip_family });
            (*family, value.clone())
        };
        // One that had nothing to do yet is shown all the same.
        let served = families.iter().map(value).collect();
        Self { all, served }
    }
}

#[cfg(test)]
impl<M> ByFamily<M> {
    /// The values of this node's families.
    pub(crate) fn of_each(&self) -> impl Iterator<Item = &M> {
        self.served.iter().map(|(_, value)| value)
    }
}

impl ByFamily<Histogram> {
    pub(crate) fn observe(&self, value: f64) {
        for (_, histogram) in self.served.iter() {
            histogram.observe(value);
        }
    }
}

impl ByFamily<Counter> {
    pub(crate) fn count(&self, family: AddressFamily, count: usize) {
        let mut served = self.served.iter();
        if let Some((_, counter)) = served.find(|(served, _)| *served == family) {
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
}

impl ByFamily<Gauge<f64, AtomicU64>> {
    pub(crate) fn set(&self, value: f64) {
        for (_, gauge) in self.served.iter() {
            gauge.set(value);
        }
    }
}
