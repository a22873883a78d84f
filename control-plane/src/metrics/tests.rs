//! The metrics as scrapers see them: the rows of docs/metrics.md.

use prometheus_client::encoding::text::encode;

use super::*;

#[test]
fn every_metric_is_documented_with_its_type_and_labels() {
    let metrics = Metrics::default();
    let by_type = ByType {
        r#type: ResourceType::Service.as_str(),
    };
    metrics.resources.get_or_create(&by_type).set(1);
    metrics.bytes.get_or_create(&by_type).set(1);
    metrics.nack(ResourceType::Service);
    metrics.commit(v1::CommitMode::Full, 1);
    metrics.clients(v1::Role::L4Node, 1);
    let severity = "error".to_owned();
    let reason = "PortConflict".to_owned();
    let by_reason = ByReason { severity, reason };
    metrics.findings.get_or_create(&by_reason).set(1);
    metrics.refused("role");
    metrics.leads("meshlite", true);
    metrics.wrote("Event", None);
    metrics.loads_dropped("unknown", 1);
    let skipped = BTreeMap::from([("Job".to_owned(), 1)]);
    metrics.source(&BTreeMap::from([("Service", 1)]), &skipped);
    let registry = metrics.registry();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let rows = meshlite_golden::metrics("control plane", &registry, &text);
    meshlite_golden::rows("docs/metrics.md", "control plane", &rows);
}
