//! What is used of a Secret besides certificates of our own: users, and authorities of clients' certificates.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::{certificates::Authorities, policy::Htpasswd};

/// The parts of a Secret, ready for use. What it does not have is refused where it is needed.
#[derive(Debug)]
pub(crate) struct Credential {
    users: Option<Htpasswd>,
    authorities: Option<Authorities>,
}

impl Credential {
    pub(super) fn new(
        credential: &meshlite_snapshot::Credential,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let users = credential.htpasswd.as_ref();
        Self {
            users: users.map(|users| Htpasswd::parse(&users.0)),
            authorities: Authorities::new(&credential.authorities, provider),
        }
    }

    pub(crate) fn users(&self) -> Option<&Htpasswd> {
        self.users.as_ref()
    }

    pub(crate) fn authorities(&self) -> Option<&Authorities> {
        self.authorities.as_ref()
    }
}
