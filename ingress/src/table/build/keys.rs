//! The certificates of the next table: those whose TlsSecret changed are made again.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{Name, ResourceType, Snapshot, TlsSecret};
use rustls::sign::CertifiedKey;
use tracing::warn;

use super::{Refused, Rejection, by_listener::ByListener, changed::Changed, rejection};
use crate::{certificates, table::HostIndex};

/// TlsSecrets by name, and their certificates by listener and host.
#[derive(Debug, Default)]
pub(super) struct Keys {
    kept: BTreeMap<Name, (Arc<TlsSecret>, Arc<CertifiedKey>)>,
    served: ByListener<CertifiedKey>,
    /// Some host has two: when one goes it is the other's.
    is_shared: bool,
}

impl Keys {
    /// The certificate of a TlsSecret.
    pub(super) fn named(&self, name: &Name) -> Option<&Arc<CertifiedKey>> {
        self.kept.get(name).map(|(_, key)| key)
    }

    /// What a listener shows.
    pub(super) fn of(&self, listener: &Name) -> Arc<HostIndex<Arc<CertifiedKey>>> {
        self.served.of(listener)
    }

    /// Takes changes over, and says which TlsSecrets are no certificates.
    pub(super) fn update(&mut self, snapshot: &Snapshot, changed: &Changed<'_>) -> Vec<Rejection> {
        let changed = || changed.names(ResourceType::TlsSecret);
        for name in changed() {
            if let Some((secret, key)) = self.kept.remove(name) {
                for binding in &secret.bindings {
                    self.served.take_out(&binding.listener, &binding.host, &key);
                }
            }
        }
        let mut rejections = Vec::new();
        for name in changed() {
            let Some(secret) = snapshot.tls_secrets.get(name) else {
                continue;
            };
            match certificates::certified_key(secret) {
                Ok(key) => {
                    self.is_shared |= !self.put_in(name, secret, &key);
                    self.kept.insert(name.clone(), (Arc::clone(secret), key));
                }
                Err(error) => {
                    let refused = Refused::Invalid(error.to_string());
                    rejections.push(rejection(ResourceType::TlsSecret, name, &refused));
                }
            }
        }
        if self.is_shared && changed().next().is_some() {
            self.settle();
        }
        rejections
    }

    /// Whether no other certificate has one of its hosts.
    fn put_in(&mut self, name: &Name, secret: &TlsSecret, key: &Arc<CertifiedKey>) -> bool {
        let mut is_alone = true;
        for binding in &secret.bindings {
            if !self.served.put_in(&binding.listener, &binding.host, key) {
                warn!(secret = %name, host = %binding.host, "host already has a certificate");
                is_alone = false;
            }
        }
        is_alone
    }

    /// Gives every host to the first by name. The compiler binds a host once; should it not, all clients do the same.
    fn settle(&mut self) {
        self.served.clear();
        self.is_shared = false;
        let kept = std::mem::take(&mut self.kept);
        for (name, (secret, key)) in &kept {
            self.is_shared |= !self.put_in(name, secret, key);
        }
        self.kept = kept;
    }
}
