//! TLS secrets.

use meshlite_snapshot::TlsSecret;

use super::route;
use crate::v1;

pub(super) fn secret(secret: &TlsSecret) -> v1::TlsSecret {
    v1::TlsSecret {
        certificate_chain: secret.certificate_chain.clone(),
        private_key: secret.private_key.0.clone(),
        bindings: secret
            .bindings
            .iter()
            .map(|binding| v1::SniBinding {
                listener: binding.listener.to_string(),
                host: Some(route::host(&binding.host)),
            })
            .collect(),
    }
}
