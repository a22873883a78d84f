//! Credentials.

use bytes::Bytes;
use meshlite_snapshot::Credential;

use crate::v1;

pub(super) fn credential(credential: &Credential) -> v1::Credential {
    let identity = credential.identity.as_ref();
    v1::Credential {
        htpasswd: credential.htpasswd.as_ref().map(|lines| lines.0.clone()),
        authorities: credential.authorities.clone(),
        identity: identity.map(|identity| v1::UpstreamIdentity {
            certificate_chain: identity.certificate_chain.clone(),
            private_key: identity.private_key.0.clone(),
        }),
    }
}

/// Leaves out what is secret; whether it is there stays to be seen.
pub(super) fn redact(credential: &mut v1::Credential) {
    if let Some(lines) = &mut credential.htpasswd {
        *lines = Bytes::new();
    }
    if let Some(identity) = &mut credential.identity {
        identity.private_key = Bytes::new();
    }
}
