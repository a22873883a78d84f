//! An Ingress with nothing but a default backend: it gets every request unchanged.

use std::net::Ipv4Addr;

use crate::{
    client::{self, USER_AGENT},
    mesh::Mesh,
};

pub(crate) const MANIFEST: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: default-backend
spec:
  ingressClassName: conformance
  defaultBackend:
    service:
      name: echo-service
      port:
        number: 8080
";

/// One row of the outline. A host of none is the ingress's own address.
async fn default_backend(method: &str, host: Option<&str>, path: &str) {
    let mesh = Mesh::new(MANIFEST, &["echo-service"]).await;
    let address = mesh.http().await;
    let own = Ipv4Addr::LOCALHOST.to_string();
    let host = host.unwrap_or(&own);
    let answer = client::http(address, method, host, &format!("/{path}")).await;
    let seen = answer.seen_by("echo-service");
    assert_eq!(answer.proto, "HTTP/1.1");
    for header in ["content-length", "content-type", "date", "server"] {
        assert!(
            answer.headers.contains_key(header),
            "{header} of {answer:?}"
        );
    }
    assert_eq!(seen["method"], method);
    assert_eq!(seen["path"], format!("/{path}"));
    assert_eq!(seen["proto"], "HTTP/1.1");
    assert_eq!(seen["host"], host);
    assert_eq!(seen["headers"]["user-agent"], USER_AGENT);
}

macro_rules! default_backend {
    ($($name:ident: $method:literal $host:expr, $path:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            default_backend($method, $host, $path).await;
        })*
    };
}

default_backend! {
    default_backend_1_get_of_a_host: "GET" Some("my-host"), "";
    default_backend_2_get_of_a_path: "GET" Some("my-host"), "sub-path";
    default_backend_3_post_to_another_host: "POST" Some("some-host"), "";
    default_backend_4_put_without_a_host: "PUT" None, "resource";
    default_backend_5_delete: "DELETE" Some("some-host"), "resource";
    default_backend_6_patch: "PATCH" Some("my-host"), "resource";
}
