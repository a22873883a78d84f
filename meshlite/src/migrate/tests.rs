//! What is said about Ingresses, as people and tools read it.

use super::{
    ingresses,
    review::{Report, review},
};

/// All that it needs is served as it is.
const SAME: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations:
    cert-manager.io/cluster-issuer: letsencrypt
    nginx.ingress.kubernetes.io/rewrite-target: /$2
    nginx.ingress.kubernetes.io/ssl-redirect: "true"
    nginx.ingress.kubernetes.io/proxy-body-size: 8m
    nginx.ingress.kubernetes.io/proxy-buffering: "on"
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: users
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: shop}]
  rules:
  - host: shop.example.com
    http:
      paths:
      - {pathType: ImplementationSpecific, path: /api(/|$)(.*), backend: {service: {name: api, port: {number: 80}}}}
      - {pathType: Prefix, path: /, backend: {service: {name: web, port: {name: http}}}}
"#;

/// Nearly everything about it is otherwise.
const OTHERWISE: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: old
  namespace: shop
  annotations:
    kubernetes.io/ingress.class: nginx
    nginx.ingress.kubernetes.io/configuration-snippet: 'more_set_headers "X-Frame-Options: DENY";'
    nginx.ingress.kubernetes.io/ssl-passthrough: "true"
    nginx.ingress.kubernetes.io/whitelist-source-range: everybody
    nginx.ingress.kubernetes.io/auth-secret: ops/users
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/limit-connections: "5"
    nginx.ingress.kubernetes.io/rewrite-targt: /
spec:
  tls: [{hosts: [old.example.com]}]
  rules:
  - host: old.example.com
    http:
      paths:
      - {pathType: Exact, path: /my-path/, backend: {service: {name: web, port: {number: 80}}}}
      - {pathType: Prefix, path: /their-path/, backend: {service: {name: web, port: {number: 80}}}}
      - {pathType: ImplementationSpecific, path: /static, backend: {resource: {kind: Bucket, name: files}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: old-canary
  namespace: shop
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"
    nginx.ingress.kubernetes.io/canary-weight: "10"
    nginx.ingress.kubernetes.io/proxy-read-timeout: "5"
spec:
  ingressClassName: nginx
  rules:
  - host: old.example.com
    http:
      paths:
      - {pathType: Exact, path: /my-path/, backend: {service: {name: next, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
"#;

fn report(text: &str, nginx_compat: bool) -> Report {
    review(&ingresses("-", text.as_bytes()).unwrap(), nginx_compat)
}

#[test]
fn what_stays_as_it_is_is_said_and_is_no_difference() {
    let report = report(SAME, true);
    insta::assert_snapshot!(report.print());
    assert!(report.is_same());
}

#[test]
fn what_becomes_otherwise_is_said_with_what_to_do() {
    let report = report(OTHERWISE, false);
    insta::assert_snapshot!(report.print());
    assert!(!report.is_same());
}

#[test]
fn tools_read_it_as_json() {
    let report = report(OTHERWISE, true);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn the_defaults_of_ingress_nginx_are_a_difference_unless_they_are_asked_for() {
    let tls = SAME.replace(
        "nginx.ingress.kubernetes.io/ssl-redirect",
        "example.com/other",
    );
    assert!(!report(&tls, false).is_same());
    assert!(report(&tls, true).is_same());
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_left_out() {
    let bad = SAME.replace("pathType: Prefix", "pathType: Wrong");
    let error = ingresses("web.yaml", bad.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("web.yaml"), "{error}");
    assert!(ingresses("-", b"kind: Ingress\n  x: [").is_err());
}
