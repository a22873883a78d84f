//! What the ingress counts. Handles are resolved when a table is built; requests only add.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use meshlite_snapshot::Name;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::respond::Refusal;

/// Upper bounds of the duration buckets in seconds; one more is without bound.
const BOUNDS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics of one ingress.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Requests,
    refusals: Family<ReasonLabels, Counter>,
    duration: Durations,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) connections_calmed: Counter,
    pub(crate) access_log_dropped: Counter,
    pub(crate) spans_dropped: Counter,
    pub(crate) upstream_connects: Counter,
    pub(crate) upstream_connect_failures: Counter,
    pub(crate) upstream_retries: Counter,
    pub(crate) generation: Gauge,
}

/// The counters of each listener that there was.
#[derive(Clone, Debug, Default)]
struct Requests(Arc<Mutex<BTreeMap<Name, Arc<ListenerMetrics>>>>);

/// The counters of one listener, with a part for each worker.
#[derive(Debug)]
pub(crate) struct ListenerMetrics(Box<[Classes]>);

/// Requests by class of status.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Classes([AtomicU64; CLASSES.len()]);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// A histogram with a part for each worker, so that no two cores write the same cache line.
#[derive(Clone, Debug)]
struct Durations(Arc<[Shard]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            requests: Requests::default(),
            refusals: Family::default(),
            duration: Durations((0..workers).map(|_| Shard::default()).collect()),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            connections_calmed: Counter::default(),
            access_log_dropped: Counter::default(),
            spans_dropped: Counter::default(),
            upstream_connects: Counter::default(),
            upstream_connect_failures: Counter::default(),
            upstream_retries: Counter::default(),
            generation: Gauge::default(),
        }
    }

    /// Makes every metric visible to scrapers.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("meshlite_ingress");
        registry.register(
            "requests",
            "Requests answered, by listener and class of status",
            self.requests.clone(),
        );
        registry.register(
            "refusals",
            "Requests that the ingress answered itself, by reason",
            self.refusals.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time from a request's head to its response's head",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "connections",
            "Open client connections",
            self.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections of clients that had too many",
            self.connections_refused.clone(),
        );
        registry.register(
            "connections_calmed",
            "HTTP/2 connections ended because their client took back too many requests",
            self.connections_calmed.clone(),
        );
        registry.register(
            "access_log_dropped_lines",
            "Lines of the access log that nobody took in time",
            self.access_log_dropped.clone(),
        );
        registry.register(
            "traces_dropped",
            "Traced requests whose spans no collector took",
            self.spans_dropped.clone(),
        );
        registry.register(
            "upstream_connects",
            "Connections made to endpoints",
            self.upstream_connects.clone(),
        );
        registry.register(
            "upstream_connect_failures",
            "Connections to endpoints that could not be made",
            self.upstream_connect_failures.clone(),
        );
        registry.register(
            "upstream_retries",
            "Requests sent again on another connection or to another endpoint",
            self.upstream_retries.clone(),
        );
        registry.register(
            "table_generation",
            "Generation of the snapshot that is served",
            self.generation.clone(),
        );
    }

    /// The counters of a listener, the same ones each time.
    pub(crate) fn listener(&self, name: &Name) -> Arc<ListenerMetrics> {
        let workers = self.duration.0.len();
        let mut listeners = self.requests.lock();
        let made = listeners.entry(name.clone()).or_insert_with(|| {
            let parts = (0..workers).map(|_| Classes::default()).collect();
            Arc::new(ListenerMetrics(parts))
        });
        Arc::clone(made)
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        let reason = refusal.label();
        self.refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    pub(crate) fn observe(&self, worker: usize, took: Duration) {
        if let Some(shard) = self.duration.0.get(worker) {
            shard.observe(took);
        }
    }
}

// === impl ListenerMetrics ===

impl ListenerMetrics {
    pub(crate) fn count(&self, worker: usize, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let part = self.0.get(worker);
        if let Some(counter) = part.and_then(|Classes(part)| part.get(class)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Requests ===

impl Requests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<ListenerMetrics>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeMetric for Requests {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (name, listener) in self.lock().iter() {
            for (class, code) in CLASSES.into_iter().enumerate() {
                let of_class = |Classes(part): &Classes| {
                    part.get(class)
                        .map_or(0, |count| count.load(Ordering::Relaxed))
                };
                let total: u64 = listener.0.iter().map(of_class).sum();
                let listener = name.to_string();
                let labels = RequestLabels { listener, code };
                let mut family = encoder.encode_family(&labels)?;
                family.encode_counter::<NoLabelSet, _, u64>(&total, None)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

// === impl Durations ===

impl Shard {
    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut buckets: Vec<(f64, u64)> = BOUNDS
            .into_iter()
            .chain([f64::INFINITY])
            .map(|bound| (bound, 0))
            .collect();
        let mut sum = Duration::ZERO;
        for shard in self.0.iter() {
            for ((_, total), bucket) in buckets.iter_mut().zip(&shard.buckets) {
                *total += bucket.load(Ordering::Relaxed);
            }
            sum += Duration::from_micros(shard.sum_micros.load(Ordering::Relaxed));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Open(Gauge<i64, AtomicI64>);

impl Open {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use meshlite_proto::{standing::Observer, subscribe::SessionStatus};
    use tokio::sync::watch;

    use super::*;
    use crate::admin::Scraped;

    #[test]
    fn what_workers_count_is_summed() {
        let metrics = Metrics::new(2);
        let name = Name::new("meshlite/http").unwrap();
        metrics.listener(&name).count(0, StatusCode::NOT_FOUND);
        metrics.listener(&name).count(1, StatusCode::NOT_FOUND);
        metrics.refuse(Refusal::NoRoute);
        metrics.observe(0, Duration::from_millis(1));
        metrics.observe(1, Duration::from_mins(1));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "meshlite_ingress_requests_total{listener=\"meshlite/http\",code=\"4xx\"} 2",
            "meshlite_ingress_requests_total{listener=\"meshlite/http\",code=\"2xx\"} 0",
            "meshlite_ingress_refusals_total{reason=\"no_route\"} 1",
            "meshlite_ingress_request_duration_seconds_count 2",
            "meshlite_ingress_request_duration_seconds_bucket{le=\"0.0005\"} 0",
            "meshlite_ingress_request_duration_seconds_bucket{le=\"0.001\"} 1",
            "meshlite_ingress_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "meshlite_ingress_request_duration_seconds_sum 60.001",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
    }

    #[tokio::test]
    async fn every_metric_is_documented_with_its_type_and_labels() {
        let encoded = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        let metrics = Metrics::new(1);
        metrics.listener(&Name::new("meshlite/http").unwrap());
        metrics.refuse(Refusal::NoRoute);
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut rows = meshlite_golden::metrics("ingress", &registry, &encoded(&registry));
        registry = Registry::default();
        let (_status, reported) = watch::channel(SessionStatus::default());
        registry.register_collector(Box::new(Scraped(Observer::new(reported))));
        rows.extend(meshlite_golden::metrics(
            "ingress",
            &registry,
            &encoded(&registry),
        ));
        meshlite_golden::rows("docs/metrics.md", "ingress", &rows);
    }
}
