//! The metrics as scrapers see them.

use prometheus_client::encoding::text::encode;

use super::*;

/// Every metric, its type and its labels; kube-proxy's have kube-proxy's. Samples of counters end in `_total`.
const METRICS: &str = "\
kubeproxy_sync_proxy_rules_duration_seconds histogram ip_family
kubeproxy_sync_full_proxy_rules_duration_seconds histogram ip_family
kubeproxy_sync_partial_proxy_rules_duration_seconds histogram ip_family
kubeproxy_network_programming_duration_seconds histogram ip_family
kubeproxy_sync_proxy_rules_service_changes counter
kubeproxy_sync_proxy_rules_service_changes_pending gauge
kubeproxy_sync_proxy_rules_endpoint_changes counter
kubeproxy_sync_proxy_rules_endpoint_changes_pending gauge
kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge ip_family
kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge ip_family
kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge traffic_policy ip_family
kubeproxy_conntrack_reconciler_sync_duration_seconds histogram ip_family
kubeproxy_conntrack_reconciler_deleted_entries counter ip_family
kubeproxy_proxy_healthz counter code
kubeproxy_proxy_livez counter code
meshlite_node_snapshot_generation gauge
meshlite_node_virtual_servers gauge
meshlite_node_real_servers gauge
meshlite_node_draining_real_servers gauge
meshlite_node_findings gauge
meshlite_node_steps counter outcome
meshlite_node_repairs counter
meshlite_node_connections counter
meshlite_node_udp_flows counter
meshlite_node_connect_failures counter
meshlite_node_unanswered_connections counter
meshlite_node_forbidden counter
meshlite_node_dropped_datagrams counter
meshlite_node_accept_failures counter
meshlite_node_active_connections gauge
meshlite_node_active_udp_flows gauge
";

#[test]
fn metrics_have_the_names_types_and_labels_that_dashboards_know() {
    let (metrics, registry) = Metrics::of_families(&[AddressFamily::Ipv4, AddressFamily::Ipv6]);
    let code = CodeLabel { code: 200 };
    metrics.probes.healthz.get_or_create(&code).inc();
    metrics.probes.livez.get_or_create(&code).inc();
    let policy = PolicyLabel::new("internal", AddressFamily::Ipv4);
    metrics.no_local_endpoints.get_or_create(&policy).set(1);
    let outcome = OutcomeLabel { outcome: "ok" };
    metrics.steps.get_or_create(&outcome).inc();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let mut seen = Vec::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            seen.push(family.to_owned());
        } else if let (Some((_, rest)), Some(last)) = (line.split_once('{'), seen.last_mut()) {
            let labels = rest.split_once('}').unwrap().0.split(',');
            let names = labels.map(|label| label.split_once('=').unwrap().0);
            for name in names.filter(|name| *name != "le") {
                if !last.contains(name) {
                    last.push(' ');
                    last.push_str(name);
                }
            }
        }
    }
    assert_eq!(seen.join("\n"), METRICS.trim_end());
}
