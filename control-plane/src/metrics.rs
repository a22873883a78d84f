//! What a scraper sees of this control plane.

use std::{collections::BTreeMap, time::Duration};

use meshlite_kubernetes::WriteError;
use meshlite_proto::v1;
use meshlite_snapshot::{Finding, ResourceType, Topic};
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

use crate::publish::View;

/// Every metric of the control plane. All of them begin with `meshlite_`, but for the one that client-go named.
#[derive(Debug)]
pub(crate) struct Metrics {
    generation: Gauge,
    resources: Family<ByType, Gauge>,
    bytes: Family<ByType, Gauge>,
    compile: Histogram,
    /// One for each commit that was made, however many clients it was sent to.
    encode: Histogram,
    compressions: Counter,
    commits: Family<ByMode, Counter>,
    nacks: Family<ByType, Counter>,
    clients: Family<ByRole, Gauge>,
    digest_mismatches: Counter,
    findings: Family<ByReason, Gauge>,
    convergence: Histogram,
    /// Sampled with each heartbeat.
    lag: Histogram,
    sent: Counter,
    refused: Family<ByCause, Counter>,
    leads: Family<ByName, Gauge>,
    writes: Family<ByResult, Counter>,
    source_objects: Family<ByKind, Gauge>,
    skipped_documents: Family<ByKind, Gauge>,
    balanced: Gauge,
    loads_dropped: Family<ByCause, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByType {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMode {
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRole {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    severity: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCause {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByName {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            generation: Gauge::default(),
            resources: Family::default(),
            bytes: Family::default(),
            // 0.1 ms to 1.6 s
            compile: Histogram::new(exponential_buckets(0.0001, 2.0, 15)),
            // 10 us to 2.6 s
            encode: Histogram::new(exponential_buckets(0.000_01, 4.0, 10)),
            compressions: Counter::default(),
            commits: Family::default(),
            nacks: Family::default(),
            clients: Family::default(),
            digest_mismatches: Counter::default(),
            findings: Family::default(),
            // 1 ms to 33 s
            convergence: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            // 0, then 1 to 16,384
            lag: Histogram::new(std::iter::once(0.0).chain(exponential_buckets(1.0, 4.0, 8))),
            sent: Counter::default(),
            refused: Family::default(),
            leads: Family::default(),
            writes: Family::default(),
            source_objects: Family::default(),
            skipped_documents: Family::default(),
            balanced: Gauge::default(),
            loads_dropped: Family::default(),
        }
    }
}

impl Metrics {
    /// A registry with all of them.
    pub(crate) fn registry(&self) -> Registry {
        let mut root = Registry::default();
        root.register(
            "leader_election_master_status",
            "Whether this replica holds the Lease of this name (1) or not (0)",
            self.leads.clone(),
        );
        let registry = root.sub_registry_with_prefix("meshlite");
        self.register_snapshot(registry);
        registry.register(
            "commit",
            "Commits sent to data planes",
            self.commits.clone(),
        );
        registry.register(
            "nack",
            "Resources that data planes rejected",
            self.nacks.clone(),
        );
        registry.register("clients", "Connected data planes", self.clients.clone());
        registry.register(
            "digest_mismatch",
            "Times that a data plane held something else than was published",
            self.digest_mismatches.clone(),
        );
        registry.register_with_unit(
            "convergence",
            "From the publication of a change until a data plane had installed it",
            Unit::Seconds,
            self.convergence.clone(),
        );
        registry.register(
            "findings",
            "What is wrong with the input",
            self.findings.clone(),
        );
        registry.register(
            "client_lag_generations",
            "Generations that a data plane is behind, sampled every ten seconds",
            self.lag.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Commits sent to data planes, as they travel",
            Unit::Bytes,
            self.sent.clone(),
        );
        registry.register(
            "control_plane_refused",
            "Calls that were refused",
            self.refused.clone(),
        );
        registry.register(
            "control_plane_writes",
            "Writes to the API server",
            self.writes.clone(),
        );
        registry.register(
            "source_objects",
            "Objects read from manifests",
            self.source_objects.clone(),
        );
        registry.register(
            "skipped_documents",
            "Documents of kinds that are not served",
            self.skipped_documents.clone(),
        );
        registry.register(
            "services_balanced_by_load",
            "Services whose weights follow what nodes report of their endpoints",
            self.balanced.clone(),
        );
        registry.register(
            "load_reports_dropped",
            "Reports of an endpoint's connections that did not count",
            self.loads_dropped.clone(),
        );
        root
    }

    fn register_snapshot(&self, registry: &mut Registry) {
        registry.register(
            "snapshot_generation",
            "Publications that changed something, since start",
            self.generation.clone(),
        );
        registry.register(
            "snapshot_resources",
            "Resources published",
            self.resources.clone(),
        );
        registry.register_with_unit(
            "snapshot",
            "Size of the published resources, encoded",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register_with_unit(
            "compile_duration",
            "From admitted objects to resources",
            Unit::Seconds,
            self.compile.clone(),
        );
        registry.register_with_unit(
            "commit_encode_duration",
            "From resources to the bytes of a commit, once for all clients that need the same",
            Unit::Seconds,
            self.encode.clone(),
        );
        registry.register(
            "commit_compressions",
            "Commits that were compressed, once for all clients that need the same",
            self.compressions.clone(),
        );
    }

    /// A snapshot was published.
    pub(crate) fn published(&self, view: &View) {
        self.generation.set(signed(view.generation()));
        for kind in ResourceType::ALL {
            let label = ByType {
                r#type: kind.as_str(),
            };
            let topic = Topic::all(kind);
            let count = signed(view.state(topic).count);
            self.resources.get_or_create(&label).set(count);
            let bytes = signed(view.bytes(topic));
            self.bytes.get_or_create(&label).set(bytes);
        }
    }

    /// The compiler ran for so long.
    pub(crate) fn compiled(&self, took: Duration) {
        self.compile.observe(took.as_secs_f64());
    }

    /// A commit was made for whoever needs it, in so long.
    pub(crate) fn encoded(&self, took: Duration, is_compressed: bool) {
        self.encode.observe(took.as_secs_f64());
        if is_compressed {
            self.compressions.inc();
        }
    }

    /// A commit with so many bytes of data was sent.
    pub(crate) fn commit(&self, mode: v1::CommitMode, bytes: usize) {
        let mode = match mode {
            v1::CommitMode::Full => "full",
            v1::CommitMode::Delta => "delta",
            v1::CommitMode::Buckets => "buckets",
            v1::CommitMode::Unspecified => return,
        };
        self.commits.get_or_create(&ByMode { mode }).inc();
        self.sent.inc_by(bytes as u64);
    }

    /// A client is so many generations behind now.
    pub(crate) fn lag(&self, generations: u64) {
        let bounded = u32::try_from(generations).unwrap_or(u32::MAX);
        self.lag.observe(bounded.into());
    }

    /// A client rejected a resource of this type.
    pub(crate) fn nack(&self, kind: ResourceType) {
        let label = ByType {
            r#type: kind.as_str(),
        };
        self.nacks.get_or_create(&label).inc();
    }

    /// A client holds something else than was published.
    pub(crate) fn digest_mismatch(&self) {
        self.digest_mismatches.inc();
    }

    /// A change reached a client so long after it was published.
    pub(crate) fn converged(&self, took: Duration) {
        self.convergence.observe(took.as_secs_f64());
    }

    /// A call was refused, for this reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ByCause { reason }).inc();
    }

    /// Whether this process holds the Lease of this name.
    pub(crate) fn leads(&self, lease: &str, leads: bool) {
        let name = lease.to_owned();
        let gauge = self.leads.get_or_create(&ByName { name });
        gauge.set(leads.into());
    }

    /// A status or an Event was written, or not.
    pub(crate) fn wrote(&self, kind: &'static str, error: Option<&WriteError>) {
        let result = error.map_or("ok", WriteError::as_str);
        self.writes.get_or_create(&ByResult { kind, result }).inc();
    }

    /// So many Services are balanced by load.
    pub(crate) fn balanced(&self, services: usize) {
        self.balanced.set(signed(services as u64));
    }

    /// So many reports of an endpoint's connections do not count, for this reason.
    pub(crate) fn loads_dropped(&self, reason: &'static str, count: usize) {
        if count > 0 {
            let dropped = self.loads_dropped.get_or_create(&ByCause { reason });
            dropped.inc_by(count as u64);
        }
    }

    /// Clients came (1) or went (-1).
    pub(crate) fn clients(&self, role: v1::Role, change: i64) {
        let role = match role {
            v1::Role::L4Node => "l4_node",
            v1::Role::Ingress => "ingress",
            v1::Role::Unspecified => "unspecified",
        };
        self.clients.get_or_create(&ByRole { role }).inc_by(change);
    }

    /// These are all findings.
    pub(crate) fn findings(&self, findings: &[Finding]) {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for finding in findings {
            let key = (finding.severity.to_string(), finding.reason.to_string());
            *counts.entry(key).or_default() += 1;
        }
        self.findings.clear();
        for ((severity, reason), count) in counts {
            let label = ByReason { severity, reason };
            self.findings.get_or_create(&label).set(signed(count));
        }
    }

    /// This is all that was read from the source.
    pub(crate) fn source(
        &self,
        objects: &BTreeMap<&'static str, u32>,
        skipped: &BTreeMap<String, u32>,
    ) {
        fn replace<K: AsRef<str>>(family: &Family<ByKind, Gauge>, counts: &BTreeMap<K, u32>) {
            family.clear();
            for (kind, count) in counts {
                let kind = kind.as_ref().to_owned();
                family.get_or_create(&ByKind { kind }).set((*count).into());
            }
        }
        replace(&self.source_objects, objects);
        replace(&self.skipped_documents, skipped);
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
