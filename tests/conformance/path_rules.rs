//! Exact paths, prefixes of whole elements, both together, and trailing slashes in rules.

use crate::{client, mesh::Mesh};

const MANIFEST: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: path-rules
spec:
  ingressClassName: conformance
  rules:
  - host: exact-path-rules
    http:
      paths:
      - path: /foo
        pathType: Exact
        backend: {service: {name: foo-exact, port: {number: 8080}}}
  - host: prefix-path-rules
    http:
      paths:
      - path: /foo
        pathType: Prefix
        backend: {service: {name: foo-prefix, port: {number: 8080}}}
      - path: /aaa/bbb
        pathType: Prefix
        backend: {service: {name: aaa-slash-bbb-prefix, port: {number: 8080}}}
      - path: /aaa
        pathType: Prefix
        backend: {service: {name: aaa-prefix, port: {number: 8080}}}
  - host: mixed-path-rules
    http:
      paths:
      - path: /foo
        pathType: Prefix
        backend: {service: {name: foo-prefix, port: {number: 8080}}}
      - path: /foo
        pathType: Exact
        backend: {service: {name: foo-exact, port: {number: 8080}}}
  - host: trailing-slash-path-rules
    http:
      paths:
      - path: /aaa/bbb/
        pathType: Prefix
        backend: {service: {name: aaa-slash-bbb-slash-prefix, port: {number: 8080}}}
      - path: /foo/
        pathType: Exact
        backend: {service: {name: foo-slash-exact, port: {number: 8080}}}
";

/// One scenario; a service of none stands for 404.
async fn path_rule(host: &str, path: &str, service: Option<&str>) {
    let services = [
        "foo-exact",
        "foo-prefix",
        "aaa-slash-bbb-prefix",
        "aaa-prefix",
        "aaa-slash-bbb-slash-prefix",
        "foo-slash-exact",
    ];
    let mesh = Mesh::new(MANIFEST, &services).await;
    let answer = client::http(mesh.http().await, "GET", host, path).await;
    let Some(service) = service else {
        assert_eq!(answer.status, 404, "{answer:?}");
        return;
    };
    let seen = answer.seen_by(service);
    assert_eq!(seen["host"], host);
    assert_eq!(seen["path"], path);
}

macro_rules! path_rules {
    ($($name:ident: $host:literal $path:literal $service:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            path_rule($host, $path, $service).await;
        })*
    };
}

path_rules! {
    path_rules_01_exact_matches_its_path: "exact-path-rules" "/foo" Some("foo-exact");
    path_rules_02_exact_does_not_match_with_a_trailing_slash: "exact-path-rules" "/foo/" None;
    path_rules_03_exact_is_case_sensitive: "exact-path-rules" "/FOO" None;
    path_rules_04_exact_does_not_match_another_path: "exact-path-rules" "/bar" None;
    path_rules_05_prefix_matches_its_path: "prefix-path-rules" "/foo" Some("foo-prefix");
    path_rules_06_prefix_matches_with_a_trailing_slash: "prefix-path-rules" "/foo/" Some("foo-prefix");
    path_rules_07_prefix_is_case_sensitive: "prefix-path-rules" "/FOO" None;
    path_rules_08_the_longest_prefix_matches: "prefix-path-rules" "/aaa/bbb" Some("aaa-slash-bbb-prefix");
    path_rules_09_the_longest_prefix_matches_what_is_below_it: "prefix-path-rules" "/aaa/bbb/ccc" Some("aaa-slash-bbb-prefix");
    path_rules_10_a_shorter_prefix_matches_the_rest: "prefix-path-rules" "/aaa/ccc" Some("aaa-prefix");
    path_rules_11_prefix_matches_whole_elements_only: "prefix-path-rules" "/aaaccc" None;
    path_rules_12_prefix_matches_with_a_trailing_slash_among_longer_ones: "prefix-path-rules" "/foo/" Some("foo-prefix");
    path_rules_13_exact_wins_over_the_same_prefix: "mixed-path-rules" "/foo" Some("foo-exact");
    path_rules_14_trailing_slash_prefix_matches_without_it: "trailing-slash-path-rules" "/aaa/bbb" Some("aaa-slash-bbb-slash-prefix");
    path_rules_15_trailing_slash_prefix_matches_with_it: "trailing-slash-path-rules" "/aaa/bbb/" Some("aaa-slash-bbb-slash-prefix");
    path_rules_16_trailing_slash_exact_neither_matches_nor_redirects_without_it: "trailing-slash-path-rules" "/foo" None;
}
