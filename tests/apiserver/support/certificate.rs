//! Certificates for Ingresses.

use k8s_openapi::ByteString;
use serde_json::json;

/// The manifest of a TLS Secret for a host, with a certificate of its own each time.
pub(crate) fn manifest(name: &str, host: &str) -> String {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let data = json!({
        "tls.crt": ByteString(made.cert.pem().into_bytes()),
        "tls.key": ByteString(made.signing_key.serialize_pem().into_bytes()),
    });
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "NAMESPACE"},
        "type": "kubernetes.io/tls",
        "data": data,
    })
    .to_string()
}
