//! One exact host with a certificate, and a wildcard, which stands for one label.

use rustls_pki_types::CertificateDer;

use crate::{client, mesh::Mesh};

const MANIFEST: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: host-rules
spec:
  ingressClassName: conformance
  tls:
  - hosts: [foo.bar.com]
    secretName: conformance-tls
  rules:
  - host: \"*.foo.com\"
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: wildcard-foo-com
            port:
              number: 8080
  - host: foo.bar.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: foo-bar-com
            port:
              name: http
";

/// The planes, with a self-signed certificate for foo.bar.com.
async fn mesh() -> (Mesh, CertificateDer<'static>) {
    let signed = rcgen::generate_simple_self_signed(["foo.bar.com".to_owned()]).unwrap();
    let data = serde_json::json!({
        "tls.crt": signed.cert.pem(),
        "tls.key": signed.signing_key.serialize_pem(),
    });
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: conformance-tls}}\n\
         type: kubernetes.io/tls\nstringData: {data}\n"
    );
    let services = ["wildcard-foo-com", "foo-bar-com"];
    let mesh = Mesh::new(&format!("{MANIFEST}{secret}"), &services).await;
    (mesh, signed.cert.der().clone())
}

async fn is_served(host: &str, service: &str) {
    let (mesh, _) = mesh().await;
    let answer = client::http(mesh.http().await, "GET", host, "/").await;
    assert_eq!(answer.seen_by(service)["host"], host);
}

async fn is_not_served(host: &str) {
    let (mesh, _) = mesh().await;
    let answer = client::http(mesh.http().await, "GET", host, "/").await;
    assert_eq!(answer.status, 404, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_rules_1_https_is_served_with_the_hosts_certificate() {
    let (mesh, certificate) = mesh().await;
    let answer = client::https(mesh.https().await, certificate, "foo.bar.com", "/").await;
    assert_eq!(answer.seen_by("foo-bar-com")["host"], "foo.bar.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_rules_2_a_host_with_a_certificate_is_served_without_tls_too() {
    is_served("foo.bar.com", "foo-bar-com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_rules_3_a_sibling_of_an_exact_host_is_not_served() {
    is_not_served("subdomain.bar.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_rules_4_a_wildcard_matches_one_label() {
    is_served("bar.foo.com", "wildcard-foo-com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_rules_5_a_wildcard_does_not_match_two_labels() {
    is_not_served("baz.bar.foo.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_rules_6_a_wildcard_does_not_match_its_own_domain() {
    is_not_served("foo.com").await;
}
