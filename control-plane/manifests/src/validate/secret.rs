//! Secrets: keys, and for `kubernetes.io/tls` a certificate and a private key.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{Path, Report, names};

const TLS: &str = "kubernetes.io/tls";
const MAX_BYTES: usize = 1024 * 1024;

pub(super) fn default(secret: &mut Secret) {
    if secret.type_.as_ref().is_none_or(String::is_empty) {
        secret.type_ = Some("Opaque".to_owned());
    }
    if let Some(texts) = secret.string_data.take() {
        let data = secret.data.get_or_insert_default();
        data.extend(
            texts
                .into_iter()
                .map(|(key, text)| (key, ByteString(text.into_bytes()))),
        );
    }
}

pub(super) fn validate(secret: &Secret, report: &mut Report) {
    let at = Path::root("data");
    let mut bytes = 0;
    for (key, value) in secret.data.iter().flatten() {
        bytes += value.0.len();
        report.follows(at.key(key), key, names::config_key);
    }
    report.no_longer_than(at, bytes, MAX_BYTES);
    if secret.type_.as_deref() == Some(TLS) {
        validate_pem(secret, "tls.crt", report, |pem| {
            CertificateDer::from_pem_slice(pem).map(drop)
        });
        validate_pem(secret, "tls.key", report, |pem| {
            PrivateKeyDer::from_pem_slice(pem).map(drop)
        });
    }
}

/// Only that it is PEM: whether certificate and key are good and belong together is the compiler's to say.
fn validate_pem(
    secret: &Secret,
    key: &str,
    report: &mut Report,
    first: impl Fn(&[u8]) -> Result<(), rustls_pki_types::pem::Error>,
) {
    let at = Path::root("data");
    let at = at.key(key);
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        None => report.required(at, ""),
        Some(value) => {
            if let Err(error) = first(&value.0) {
                // The value is a secret: say only what is wrong with it.
                report.not_shown(at, &format!("must be PEM: {error}"));
            }
        }
    }
}
