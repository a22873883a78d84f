//! Which certificate is served for which server name.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use meshlite_snapshot::{HostMatch, Name, Resource, ResourceType, SniBinding, TlsSecret};

use super::{age::Age, keyring::Keyring, read::Request, table::shown, tls::Claim};
use crate::{
    Delta, ObjectKey,
    report::{Findings, resource_name},
    secret::Material,
};

/// The server names that are claimed, and the Secrets that serve them.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    names: BTreeMap<HostMatch, ServerName>,
    /// The server names that each Secret serves.
    serves: BTreeMap<ObjectKey, BTreeSet<HostMatch>>,
    changed_names: BTreeSet<HostMatch>,
    changed_secrets: BTreeSet<ObjectKey>,
}

#[derive(Debug, Default)]
struct ServerName {
    claimants: BTreeSet<Age>,
    /// The Secret of the first of them, as it was compiled last.
    secret: Option<ObjectKey>,
}

impl Certificates {
    pub(super) fn enter(&mut self, request: &Request) {
        for name in request.tls.names.keys() {
            let server_name = self.names.entry(name.clone()).or_default();
            server_name.claimants.insert(request.age.clone());
            self.changed_names.insert(name.clone());
        }
    }

    pub(super) fn leave(&mut self, request: &Request) {
        for name in request.tls.names.keys() {
            if let Some(server_name) = self.names.get_mut(name) {
                server_name.claimants.remove(&request.age);
            }
            self.changed_names.insert(name.clone());
        }
    }

    pub(super) fn secret_changed(&mut self, secret: &ObjectKey) {
        if self.serves.contains_key(secret) {
            self.changed_secrets.insert(secret.clone());
        }
    }

    /// Gives each server name whose claims changed to the first who claims it, and says what they find.
    pub(super) fn settle<'a>(
        &mut self,
        request: impl Fn(&ObjectKey) -> Option<&'a Request>,
        mut found: impl FnMut(HostMatch, Findings),
    ) {
        for host in mem::take(&mut self.changed_names) {
            let Some(name) = self.names.get_mut(&host) else {
                continue;
            };
            let mut findings = Findings::default();
            let claimants = name.claimants.iter().filter_map(|age| request(&age.key));
            let owner = owner(&host, claimants, &mut findings);
            let before = mem::replace(&mut name.secret, owner.clone());
            if name.claimants.is_empty() {
                self.names.remove(&host);
            }
            if before != owner {
                self.hand_over(&host, before, owner);
            }
            found(host, findings);
        }
    }

    fn hand_over(&mut self, host: &HostMatch, from: Option<ObjectKey>, to: Option<ObjectKey>) {
        if let Some(from) = from {
            if let Some(served) = self.serves.get_mut(&from) {
                served.remove(host);
                if served.is_empty() {
                    self.serves.remove(&from);
                }
            }
            self.changed_secrets.insert(from);
        }
        if let Some(to) = to {
            let served = self.serves.entry(to.clone()).or_default();
            served.insert(host.clone());
            self.changed_secrets.insert(to);
        }
    }

    /// Hands out the Secrets that changed. The default certificate is one also where it serves no name.
    pub(super) fn compile(
        &mut self,
        keyring: &Keyring,
        default: Option<&ObjectKey>,
        https: &Name,
        delta: &mut Delta,
    ) {
        for key in mem::take(&mut self.changed_secrets) {
            let Ok(name) = resource_name(&[&key.namespace, &key.name]) else {
                continue;
            };
            let served = self.serves.get(&key);
            let is_needed = served.is_some() || default == Some(&key);
            let usable = keyring.get(&key).ok().filter(|_| is_needed);
            let resource = usable.map(|(_, material)| {
                let bindings = served.into_iter().flatten().map(|host| SniBinding {
                    listener: https.clone(),
                    host: host.clone(),
                });
                Resource::TlsSecret(Arc::new(tls_secret(material, bindings.collect())))
            });
            let key = (ResourceType::TlsSecret, name);
            delta.resources.insert(key, resource);
        }
    }

    /// The default certificate's Secret changed.
    pub(super) fn default_changed(&mut self, secret: &ObjectKey) {
        self.changed_secrets.insert(secret.clone());
    }
}

/// Who owns a server name: the first that claims it. The others are told.
///
/// A name is its owner's, whether or not the owner's Secret is good: a certificate that breaks for a moment must not hand
/// the name to somebody else.
#[expect(
    single_use_lifetimes,
    reason = "it cannot be left out in an impl Trait yet"
)]
fn owner<'a>(
    host: &HostMatch,
    claimants: impl Iterator<Item = &'a Request>,
    findings: &mut Findings,
) -> Option<ObjectKey> {
    let mut first: Option<(&Request, &Claim)> = None;
    for request in claimants {
        for claim in request.tls.names.get(host).into_iter().flatten() {
            let Some((owner, chosen)) = first else {
                first = Some((request, claim));
                continue;
            };
            if chosen.secret == claim.secret {
                continue;
            }
            let who = if owner.key() == request.key() {
                "an entry before it".to_owned()
            } else {
                format!(
                    "Ingress {}, which comes first by age or else by name,",
                    owner.key()
                )
            };
            findings.about("Ingress", request.key()).error(
                claim.field(),
                "Conflict",
                format!("{who} serves {} with Secret {}", shown(host), chosen.secret),
            );
        }
    }
    first.map(|(_, claim)| claim.secret.clone())
}

fn tls_secret(material: &Material, bindings: Vec<SniBinding>) -> TlsSecret {
    TlsSecret {
        certificate_chain: material.certificate_chain.clone(),
        private_key: material.private_key.clone(),
        bindings,
    }
}
