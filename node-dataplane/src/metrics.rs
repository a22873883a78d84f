//! What a node counts: kube-proxy's names where they mean the same, `meshlite_…` for the rest.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Everything that a node counts. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) sync_duration: Histogram,
    pub(crate) sync_full_duration: Histogram,
    pub(crate) sync_partial_duration: Histogram,
    pub(crate) network_programming_duration: Histogram,
    pub(crate) service_changes: Counter,
    pub(crate) endpoint_changes: Counter,
    pub(crate) last_sync: Gauge<f64, AtomicU64>,
    pub(crate) last_queued: Gauge<f64, AtomicU64>,
    pub(crate) no_local_endpoints: Family<PolicyLabel, Gauge>,
    pub(crate) generation: Gauge,
    pub(crate) virtual_servers: Gauge,
    pub(crate) real_servers: Gauge,
    pub(crate) draining: Gauge,
    pub(crate) findings: Gauge,
    pub(crate) steps: Family<OutcomeLabel, Counter>,
    pub(crate) repairs: Counter,
    pub(crate) probes: ProbeMetrics,
    pub(crate) traffic: Traffic,
}

/// How often the health server was asked, by the status that it answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeMetrics {
    pub(crate) healthz: Family<CodeLabel, Counter>,
    pub(crate) livez: Family<CodeLabel, Counter>,
}

/// What the user-space proxy counts. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    connections: Counter,
    active_connections: Gauge,
    flows: Counter,
    active_flows: Gauge,
    connect_failures: Counter,
    unanswered: Counter,
    forbidden: Counter,
    datagrams_dropped: Counter,
    accept_failures: Counter,
}

/// One connection or flow; counted as active while it is held.
#[derive(Debug)]
pub(crate) struct Active(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PolicyLabel {
    pub(crate) traffic_policy: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CodeLabel {
    pub(crate) code: u16,
}

// === impl Metrics ===

impl Metrics {
    /// The metrics, and the registry that shows them.
    pub(crate) fn new() -> (Self, Registry) {
        // 1 ms to about 16 s, as kube-proxy's.
        let sync = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let metrics = Self {
            sync_duration: sync(),
            sync_full_duration: sync(),
            sync_partial_duration: sync(),
            network_programming_duration: Histogram::new(network_programming_buckets()),
            service_changes: Counter::default(),
            endpoint_changes: Counter::default(),
            last_sync: Gauge::default(),
            last_queued: Gauge::default(),
            no_local_endpoints: Family::default(),
            generation: Gauge::default(),
            virtual_servers: Gauge::default(),
            real_servers: Gauge::default(),
            draining: Gauge::default(),
            findings: Gauge::default(),
            steps: Family::default(),
            repairs: Counter::default(),
            probes: ProbeMetrics::default(),
            traffic: Traffic::default(),
        };
        let mut registry = Registry::default();
        metrics.register_kube_proxy(registry.sub_registry_with_prefix("kubeproxy"));
        let probes = registry.sub_registry_with_prefix("proxy");
        let asked = "Answers of the health server, by status";
        probes.register("healthz", asked, metrics.probes.healthz.clone());
        probes.register("livez", asked, metrics.probes.livez.clone());
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
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register_with_unit(
            "network_programming_duration",
            "From a change at its source to the table that has it",
            Unit::Seconds,
            self.network_programming_duration.clone(),
        );
        registry.register(
            "sync_proxy_rules_service_changes",
            "Changed Services",
            self.service_changes.clone(),
        );
        registry.register(
            "sync_proxy_rules_endpoint_changes",
            "Changed groups of endpoints",
            self.endpoint_changes.clone(),
        );
        registry.register_with_unit(
            "sync_proxy_rules_last_timestamp",
            "When the table was last programmed, in seconds since 1970",
            Unit::Seconds,
            self.last_sync.clone(),
        );
        registry.register_with_unit(
            "sync_proxy_rules_last_queued_timestamp",
            "When a change last arrived, in seconds since 1970",
            Unit::Seconds,
            self.last_queued.clone(),
        );
        registry.register(
            "sync_proxy_rules_no_local_endpoints_total",
            "Service ports whose traffic policy leaves them no endpoint on this node",
            self.no_local_endpoints.clone(),
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
        registry.register("steps", "Programming steps, by outcome", self.steps.clone());
        registry.register(
            "repairs",
            "Steps that were needed though nothing had been asked for",
            self.repairs.clone(),
        );
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

// === impl Traffic ===

impl Traffic {
    pub(crate) fn connection(&self) -> Active {
        self.connections.inc();
        Active::new(&self.active_connections)
    }

    pub(crate) fn flow(&self) -> Active {
        self.flows.inc();
        Active::new(&self.active_flows)
    }

    pub(crate) fn connect_failed(&self) {
        self.connect_failures.inc();
    }

    pub(crate) fn unanswered(&self) {
        self.unanswered.inc();
    }

    pub(crate) fn forbidden(&self) {
        self.forbidden.inc();
    }

    pub(crate) fn datagram_dropped(&self) {
        self.datagrams_dropped.inc();
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    #[cfg(test)]
    pub(crate) fn accept_failures(&self) -> u64 {
        self.accept_failures.get()
    }

    fn register(&self, registry: &mut Registry) {
        let counters = [
            ("connections", "TCP connections carried", &self.connections),
            ("udp_flows", "UDP flows carried", &self.flows),
            (
                "connect_failures",
                "Attempts to connect to an endpoint that failed",
                &self.connect_failures,
            ),
            (
                "unanswered_connections",
                "TCP connections for which no endpoint was found",
                &self.unanswered,
            ),
            (
                "forbidden",
                "Connections and datagrams from outside the source ranges",
                &self.forbidden,
            ),
            (
                "dropped_datagrams",
                "Datagrams for which no endpoint was found",
                &self.datagrams_dropped,
            ),
            (
                "accept_failures",
                "Failures to accept, such as for want of file descriptors",
                &self.accept_failures,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            (
                "active_connections",
                "TCP connections that are open",
                &self.active_connections,
            ),
            (
                "active_udp_flows",
                "UDP flows that are open",
                &self.active_flows,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
    }
}

// === impl Active ===

impl Active {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}
