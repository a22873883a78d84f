//! TLS secrets.

use meshlite_snapshot::{PrivateKey, SniBinding, TlsSecret};

use super::{DecodeError, credential, field, route};
use crate::v1;

pub(super) fn secret(from: v1::TlsSecret) -> Result<TlsSecret, DecodeError> {
    Ok(TlsSecret {
        certificate_chain: credential::certificates("certificate_chain", from.certificate_chain)?,
        private_key: PrivateKey(from.private_key),
        bindings: field::each("bindings", from.bindings, |from| {
            Ok(SniBinding {
                listener: field::name("listener", &from.listener)?,
                host: route::host(field::required("host", from.host)?)?,
            })
        })?,
    })
}
