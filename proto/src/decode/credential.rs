//! Credentials.

use bytes::Bytes;
use meshlite_snapshot::{Credential, Htpasswd, PrivateKey, UpstreamIdentity};

use super::DecodeError;
use crate::v1;

pub(super) fn credential(from: v1::Credential) -> Result<Credential, DecodeError> {
    let identity = from.identity.map(|identity| {
        Ok(UpstreamIdentity {
            certificate_chain: certificates(
                "identity.certificate_chain",
                identity.certificate_chain,
            )?,
            private_key: PrivateKey(identity.private_key),
        })
    });
    Ok(Credential {
        htpasswd: from.htpasswd.map(Htpasswd),
        authorities: certificates("authorities", from.authorities)?,
        identity: identity.transpose()?,
    })
}

pub(super) fn certificates(field: &str, from: Vec<Bytes>) -> Result<Vec<Bytes>, DecodeError> {
    if from.iter().any(Bytes::is_empty) {
        return Err(DecodeError::invalid(field, "an empty certificate"));
    }
    Ok(from)
}
