//! An Ingress of a class that nobody has is not ours.

use crate::{client, default_backend, mesh::Mesh};

#[tokio::test(flavor = "multi_thread")]
async fn ingress_class_1_an_ingress_of_an_unknown_class_is_not_served() {
    let theirs = default_backend::MANIFEST.replace("conformance", "some-invalid-class-name");
    let ours = "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ours
spec:
  ingressClassName: conformance
  rules:
  - host: ours
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: echo-service, port: {number: 8080}}}
";
    let mesh = Mesh::new(&format!("{theirs}{ours}"), &["echo-service"]).await;
    let address = mesh.http().await;
    let answer = client::http(address, "GET", "ours", "/").await;
    answer.seen_by("echo-service");
    let answer = client::http(address, "GET", "my-host", "/").await;
    assert_eq!(answer.status, 404, "{answer:?}");
}
