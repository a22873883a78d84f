//! The metrics as scrapers see them: the rows of docs/metrics.md.

use meshlite_proto::{standing::Observer, subscribe::SessionStatus};
use prometheus_client::encoding::text::encode;
use tokio::sync::watch;

use super::*;
use crate::admin::Scraped;

fn encoded(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

#[tokio::test]
async fn every_metric_is_documented_with_its_type_and_labels() {
    let (metrics, mut registry) = Metrics::of_families(&[AddressFamily::Ipv4]);
    let code = CodeLabel { code: 200 };
    metrics.probes.healthz.get_or_create(&code).inc();
    metrics.probes.livez.get_or_create(&code).inc();
    let policy = PolicyLabel::new("internal", AddressFamily::Ipv4);
    metrics.no_local_endpoints.get_or_create(&policy).set(1);
    let mut rows = meshlite_golden::metrics("node", &registry, &encoded(&registry));
    registry = Registry::default();
    let (_status, reported) = watch::channel(SessionStatus::default());
    registry.register_collector(Box::new(Scraped(Observer::new(reported))));
    rows.extend(meshlite_golden::metrics(
        "node",
        &registry,
        &encoded(&registry),
    ));
    meshlite_golden::rows("docs/metrics.md", "node", &rows);
}
