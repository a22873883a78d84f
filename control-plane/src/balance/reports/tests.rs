//! What counts of what clients report.

use std::net::IpAddr;

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn ip(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

/// Reports on `web` with so many endpoints.
fn mk_reports(endpoints: u8) -> Reports {
    let reports = Reports::new(Arc::default());
    reports.expect(web(endpoints));
    reports
}

fn web(endpoints: u8) -> Arc<Balanced> {
    let bases = (1..=endpoints).map(|n| (ip(n), 100)).collect();
    Arc::new(Balanced::from([(key("web"), Arc::new(bases))]))
}

fn mk_reporter(reports: &Reports, role: v1::Role, node: &str) -> Reporter {
    let identity = v1::ClientIdentity {
        node_name: node.to_owned(),
        ..v1::ClientIdentity::default()
    };
    reports.reporter(role, &identity)
}

fn node(reports: &Reports, name: &str) -> Reporter {
    mk_reporter(reports, v1::Role::L4Node, name)
}

fn load(service: &str, address: &str, count: u64) -> v1::EndpointLoad {
    v1::EndpointLoad {
        service: service.to_owned(),
        address: address.to_owned(),
        port: 80,
        active_connections: count,
    }
}

/// Connections of the endpoints of `web`, in order.
fn loads(counts: &[u64]) -> Vec<v1::EndpointLoad> {
    let loads = (1..).zip(counts);
    loads
        .map(|(n, count)| load("default/web", &ip(n).to_string(), *count))
        .collect()
}

fn sum(reports: &Reports) -> Vec<u64> {
    let sum = reports.sum();
    let of_web = sum.of(&key("web"));
    of_web.map_or_else(Vec::new, |loads| loads.values().copied().collect())
}

fn dropped(reports: &Reports) -> String {
    let mut text = String::new();
    let registry = reports.metrics.registry();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let lines = text.lines();
    let lines = lines.filter(|line| line.starts_with("meshlite_load_reports_dropped_total"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_last_report_of_each_node_counts_until_the_node_is_gone() {
    let reports = mk_reports(2);
    let (a, b) = (node(&reports, "a"), node(&reports, "b"));
    a.report(loads(&[5, 5]));
    a.report(loads(&[20, 5]));
    b.report(loads(&[10, 5]));
    assert_eq!(sum(&reports), [30, 10]);
    drop(b);
    assert_eq!(sum(&reports), [20, 5]);
    a.report(Vec::new());
    assert_eq!(sum(&reports), [0; 0]);
    assert!(reports.lock().nodes.is_empty());
}

#[test]
fn a_node_that_connects_again_is_not_counted_twice() {
    let reports = mk_reports(1);
    let old = node(&reports, "a");
    old.report(loads(&[5]));
    let new = node(&reports, "a");
    new.report(loads(&[7]));
    old.report(loads(&[9]));
    assert_eq!(sum(&reports), [7]);
    drop(old);
    assert_eq!(sum(&reports), [7]);
}

#[test]
fn the_ports_of_an_endpoint_are_counted_together() {
    let reports = mk_reports(1);
    let a = node(&reports, "a");
    a.report([loads(&[5]), loads(&[7])].concat());
    assert_eq!(sum(&reports), [12]);
}

#[test]
fn what_nobody_asked_about_is_dropped_and_counted() {
    let reports = mk_reports(1);
    let a = node(&reports, "a");
    a.report(vec![
        load("default/other", "10.0.0.1", 5),
        load("web", "10.0.0.1", 5),
        load("a/b/c", "10.0.0.1", 5),
        load("default/web", "10.0.0.9", 5),
        load("default/web", "nowhere", 5),
        load("default/web", "10.0.0.1", 5),
    ]);
    assert_eq!(sum(&reports), [5]);
    assert!(dropped(&reports).ends_with("{reason=\"unknown\"} 5"));
}

#[test]
fn an_ingress_may_not_report() {
    let reports = mk_reports(1);
    for role in [v1::Role::Ingress, v1::Role::Unspecified] {
        mk_reporter(&reports, role, "a").report(loads(&[5]));
    }
    assert_eq!(sum(&reports), [0; 0]);
    assert!(dropped(&reports).ends_with("{reason=\"role\"} 2"));
}

#[test]
fn a_removed_endpoint_and_a_removed_service_are_forgotten() {
    let reports = mk_reports(2);
    let a = node(&reports, "a");
    a.report(loads(&[20, 10]));
    reports.expect(web(1));
    reports.expect(web(2));
    assert_eq!(sum(&reports), [20], "another may have its address by now");
    reports.expect(Arc::default());
    reports.expect(web(2));
    assert_eq!(sum(&reports), [0; 0]);
}

#[test]
fn a_report_is_bounded_in_length_and_in_numbers() {
    let reports = mk_reports(1);
    let nodes = ["a", "b"].map(|name| node(&reports, name));
    for node in &nodes {
        node.report(vec![
            load("default/web", "10.0.0.1", u64::MAX);
            MOST_LOADS + 3
        ]);
    }
    assert_eq!(sum(&reports), [8_192_000_000]);
    assert!(dropped(&reports).ends_with("{reason=\"too_many\"} 6"));
}

#[test]
fn a_node_that_lies_counts_for_no_more_than_all_others_together() {
    let reports = mk_reports(2);
    let honest: Vec<_> = ["a", "b", "c"].map(|name| node(&reports, name)).into();
    for node in &honest {
        node.report(loads(&[1_000, 1_000]));
    }
    let liar = node(&reports, "liar");
    liar.report(loads(&[1_000_000, 0]));
    assert_eq!(sum(&reports), [9_000, 3_000]);
    // A few connections are believed whoever has them, and so is the proportion.
    drop(honest);
    liar.report(loads(&[300, 100]));
    assert_eq!(sum(&reports), [300, 100]);
    liar.report(loads(&[30_000, 10_000]));
    assert_eq!(sum(&reports), [750, 250]);
}
