//! The credentials that Ingresses refer to: what of Secrets is handed out besides certificates that are served.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use meshlite_snapshot::{Credential, Name, Resource, ResourceType};

use super::{
    annotations::{Part, SecretPart},
    keyring::Keyring,
    read::Request,
};
use crate::{Delta, ObjectKey};

/// The parts of Secrets that are referred to, each by so many annotations.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    used: BTreeMap<ObjectKey, BTreeMap<SecretPart, usize>>,
    changed: BTreeSet<(ObjectKey, Name)>,
}

impl Credentials {
    pub(super) fn enter(&mut self, request: &Request) {
        for (_, part) in &request.asked.secrets {
            let parts = self.used.entry(part.secret.clone()).or_default();
            *parts.entry(part.clone()).or_default() += 1;
            self.touch(part);
        }
    }

    pub(super) fn leave(&mut self, request: &Request) {
        for (_, part) in &request.asked.secrets {
            self.touch(part);
            let Some(parts) = self.used.get_mut(&part.secret) else {
                continue;
            };
            if let Some(count) = parts.get_mut(part) {
                *count -= 1;
                if *count == 0 {
                    parts.remove(part);
                }
            }
            if parts.is_empty() {
                self.used.remove(&part.secret);
            }
        }
    }

    pub(super) fn secret_changed(&mut self, secret: &ObjectKey) {
        for part in self.used.get(secret).into_iter().flat_map(BTreeMap::keys) {
            self.changed.insert((secret.clone(), part.name.clone()));
        }
    }

    fn touch(&mut self, part: &SecretPart) {
        let name = (part.secret.clone(), part.name.clone());
        self.changed.insert(name);
    }

    /// Hands out those that changed, with nothing that nobody refers to.
    pub(super) fn compile(&mut self, keyring: &Keyring, delta: &mut Delta) {
        for (secret, name) in mem::take(&mut self.changed) {
            let parts = self.used.get(&secret).into_iter().flat_map(BTreeMap::keys);
            let parts = parts.filter(|part| part.name == name);
            let credential = credential(keyring, parts);
            let resource = credential.map(|held| Resource::Credential(Arc::new(held)));
            let key = (ResourceType::Credential, name);
            delta.resources.insert(key, resource);
        }
    }
}

/// The parts that are there; none where there is none.
#[expect(
    single_use_lifetimes,
    reason = "it cannot be left out in an impl Trait yet"
)]
fn credential<'a>(
    keyring: &Keyring,
    parts: impl Iterator<Item = &'a SecretPart>,
) -> Option<Credential> {
    let mut credential = Credential::default();
    for SecretPart { secret, part, .. } in parts {
        let Ok(contents) = keyring.contents(secret) else {
            continue;
        };
        match part {
            Part::Passwords => credential.htpasswd = contents.passwords.clone().ok(),
            Part::Users => credential.htpasswd = contents.users.clone().ok(),
            Part::Authorities => {
                credential.authorities = contents.authorities.clone().unwrap_or_default();
            }
            Part::Identity => credential.identity = contents.identity(),
        }
    }
    (credential != Credential::default()).then_some(credential)
}
