//! How often the health server was asked.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// How often the health server was asked, by the status that it answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeMetrics {
    pub(crate) healthz: Family<CodeLabel, Counter>,
    pub(crate) livez: Family<CodeLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CodeLabel {
    pub(crate) code: u16,
}

// === impl ProbeMetrics ===

impl ProbeMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Answers of the health server, by status";
        registry.register("proxy_healthz", help, self.healthz.clone());
        registry.register("proxy_livez", help, self.livez.clone());
    }
}
