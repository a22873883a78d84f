//! The metrics as scrapers see them: the rows of docs/metrics.md.

use meshlite_proto::{standing::Observer, subscribe::SessionStatus};
use prometheus_client::encoding::text::encode;
use tokio::sync::watch;

use super::*;
use crate::{
    admin::Scraped,
    desired::{NoLocalEndpoints, Without},
};

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

#[test]
fn service_ports_without_local_endpoints_are_shown_by_policy_for_the_families_of_this_node() {
    let (metrics, registry) = Metrics::of_families(&[AddressFamily::Ipv4]);
    let (ipv4, ipv6) = (
        Without {
            internal: 1,
            external: 2,
        },
        Without::default(),
    );
    metrics
        .no_local_endpoints
        .set(NoLocalEndpoints { ipv4, ipv6 });
    let text = encoded(&registry);
    let mut shown: Vec<_> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("kubeproxy_sync_proxy_rules_no_local_endpoints_total{")
        })
        .collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            r#"traffic_policy="external",ip_family="IPv4"} 2"#,
            r#"traffic_policy="internal",ip_family="IPv4"} 1"#,
        ]
    );
}
