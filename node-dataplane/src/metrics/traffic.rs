//! What the user-space proxy counts.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

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

    pub(super) fn register(&self, registry: &mut Registry) {
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
