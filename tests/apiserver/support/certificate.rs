//! Certificates for Ingresses, and of CAs.

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

/// The certificate and the key, in PEM, of a CA whose time is over.
pub(crate) fn ended_ca() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}
