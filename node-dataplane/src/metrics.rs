//! What a node counts: kube-proxy's names where they mean the same, `meshlite_…` for the rest.

mod by_family;
mod no_local_endpoints;
mod probes;
mod steps;
mod traffic;

use std::sync::atomic::AtomicU64;

use meshlite_snapshot::AddressFamily;
use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::facts;
use by_family::ByFamily;
use no_local_endpoints::WithoutLocal;
use steps::Steps;

pub(crate) use self::{
    probes::{CodeLabel, ProbeMetrics},
    traffic::Traffic,
};

/// Everything that a node counts. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) sync_duration: ByFamily<Histogram>,
    pub(crate) sync_full_duration: ByFamily<Histogram>,
    pub(crate) sync_partial_duration: ByFamily<Histogram>,
    pub(crate) network_programming_duration: ByFamily<Histogram>,
    pub(crate) service_changes: Changes,
    pub(crate) endpoint_changes: Changes,
    pub(crate) last_sync: ByFamily<Gauge<f64, AtomicU64>>,
    pub(crate) last_queued: ByFamily<Gauge<f64, AtomicU64>>,
    pub(crate) no_local_endpoints: WithoutLocal,
    pub(crate) conntrack_duration: ByFamily<Histogram>,
    pub(crate) conntrack_deleted: ByFamily<Counter>,
    pub(crate) generation: Gauge,
    pub(crate) virtual_servers: Gauge,
    pub(crate) real_servers: Gauge,
    pub(crate) draining: Gauge,
    pub(crate) look_duration: Histogram,
    pub(crate) findings: Gauge,
    pub(crate) steps: Steps,
    pub(crate) repairs: Counter,
    pub(crate) probes: ProbeMetrics,
    pub(crate) traffic: Traffic,
}

/// Changes that came from the control plane. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    total: Counter,
    /// Of these, those that are not programmed yet.
    pending: Gauge,
}

// === impl Metrics ===

impl Metrics {
    /// The metrics of a node with the addresses of this host, and the registry that shows them.
    pub(crate) fn new() -> (Self, Registry) {
        Self::of_families(&facts::families())
    }

    fn of_families(families: &[AddressFamily]) -> (Self, Registry) {
        // 1 ms to about 16 s, as kube-proxy's.
        let pass = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let sync = || ByFamily::new(families, pass);
        let instant = || ByFamily::new(families, Gauge::default);
        let metrics = Self {
            sync_duration: sync(),
            sync_full_duration: sync(),
            sync_partial_duration: sync(),
            network_programming_duration: ByFamily::new(families, || {
                Histogram::new(network_programming_buckets())
            }),
            service_changes: Changes::default(),
            endpoint_changes: Changes::default(),
            last_sync: instant(),
            last_queued: instant(),
            no_local_endpoints: WithoutLocal::new(families),
            conntrack_duration: sync(),
            conntrack_deleted: ByFamily::new(families, Counter::default),
            generation: Gauge::default(),
            virtual_servers: Gauge::default(),
            real_servers: Gauge::default(),
            draining: Gauge::default(),
            look_duration: pass(),
            findings: Gauge::default(),
            steps: Steps::default(),
            repairs: Counter::default(),
            probes: ProbeMetrics::default(),
            traffic: Traffic::default(),
        };
        let mut registry = Registry::default();
        let kube_proxy = registry.sub_registry_with_prefix("kubeproxy");
        metrics.register_kube_proxy(kube_proxy);
        metrics.probes.register(kube_proxy);
        let ours = registry.sub_registry_with_prefix("meshlite_node");
        metrics.register_ours(ours);
        metrics.traffic.register(ours);
        (metrics, registry)
    }

    fn register_kube_proxy(&self, registry: &mut Registry) {
        for (name, help, histogram) in [
            (
                "sync_proxy_rules_duration",
                "How long it takes to compare and program the table, or what of it changed",
                &self.sync_duration,
            ),
            (
                "sync_full_proxy_rules_duration",
                "How long it takes to read and compare the whole table, and to program what differs",
                &self.sync_full_duration,
            ),
            (
                "sync_partial_proxy_rules_duration",
                "How long it takes to program what changed",
                &self.sync_partial_duration,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.all.clone());
        }
        registry.register_with_unit(
            "network_programming_duration",
            "From a change at its source to the table that has it",
            Unit::Seconds,
            self.network_programming_duration.all.clone(),
        );
        for (name, what, changes) in [
            ("service", "Services", &self.service_changes),
            ("endpoint", "groups of endpoints", &self.endpoint_changes),
        ] {
            registry.register(
                format!("sync_proxy_rules_{name}_changes"),
                format!("Changed {what}"),
                changes.total.clone(),
            );
            registry.register(
                format!("sync_proxy_rules_{name}_changes_pending"),
                format!("Changed {what} that are not programmed yet"),
                changes.pending.clone(),
            );
        }
        for (name, help, at) in [
            (
                "sync_proxy_rules_last_timestamp",
                "When the table was last programmed, in seconds since 1970",
                &self.last_sync,
            ),
            (
                "sync_proxy_rules_last_queued_timestamp",
                "When a change last arrived, in seconds since 1970",
                &self.last_queued,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, at.all.clone());
        }
        registry.register(
            "sync_proxy_rules_no_local_endpoints_total",
            "Service ports whose traffic policy leaves them no endpoint on this node",
            self.no_local_endpoints.all.clone(),
        );
        registry.register_with_unit(
            "conntrack_reconciler_sync_duration",
            "How long it takes to find and delete flows to endpoints that do not serve any more",
            Unit::Seconds,
            self.conntrack_duration.all.clone(),
        );
        registry.register(
            "conntrack_reconciler_deleted_entries",
            "Flows that were deleted because their endpoint does not serve any more",
            self.conntrack_deleted.all.clone(),
        );
    }

    fn register_ours(&self, registry: &mut Registry) {
        let gauges = [
            (
                "snapshot_generation",
                "The snapshot that is programmed",
                &self.generation,
            ),
            (
                "virtual_servers",
                "Virtual servers that are programmed",
                &self.virtual_servers,
            ),
            (
                "real_servers",
                "Real servers that are programmed",
                &self.real_servers,
            ),
            (
                "draining_real_servers",
                "Real servers that keep old connections",
                &self.draining,
            ),
            (
                "findings",
                "What is not served as it was asked for",
                &self.findings,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "drain_look_duration",
            "How long it takes to look whether real servers keep connections still, and to take out who does not",
            Unit::Seconds,
            self.look_duration.clone(),
        );
        let steps = self.steps.all.clone();
        registry.register("steps", "Programming steps, by outcome", steps);
        registry.register(
            "repairs",
            "Steps that were needed though nothing had been asked for",
            self.repairs.clone(),
        );
    }
}

// === impl Changes ===

impl Changes {
    pub(crate) fn came(&self) {
        self.total.inc();
        self.pending.inc();
    }

    /// All that came are programmed.
    pub(crate) fn done(&self) {
        self.pending.set(0);
    }
}

/// 0.25 s to 5 min, as kube-proxy's: finer where most changes are.
fn network_programming_buckets() -> impl Iterator<Item = f64> {
    let linear = |start: u32, step: u32, count: u32| {
        (0..count).map(move |n| f64::from(start + step * n) / 1000.0)
    };
    linear(250, 250, 2)
        .chain(linear(1000, 1000, 59))
        .chain(linear(60_000, 5000, 12))
        .chain(linear(120_000, 30_000, 7))
}

#[cfg(test)]
mod tests;
