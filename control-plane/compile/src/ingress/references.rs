//! The Services and Secrets that Ingresses name, and what is wrong with those.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::{cluster::cluster, keyring::Keyring, read::Request};
use crate::{
    ObjectKey,
    join::Services,
    report::{About, Book, Findings, Unit},
};

/// Who names what.
#[derive(Debug, Default)]
pub(super) struct References {
    by_service: Named,
    by_secret: Named,
    changed: BTreeSet<ObjectKey>,
}

/// The Ingresses that name an object.
type Named = BTreeMap<ObjectKey, BTreeSet<ObjectKey>>;

impl References {
    pub(super) fn enter(&mut self, request: &Request) {
        let key = request.key();
        for service in services(request) {
            let by = self.by_service.entry(service.clone()).or_default();
            by.insert(key.clone());
        }
        for secret in secrets(request) {
            let by = self.by_secret.entry(secret.clone()).or_default();
            by.insert(key.clone());
        }
        self.changed.insert(key.clone());
    }

    pub(super) fn leave(&mut self, request: &Request) {
        let key = request.key();
        for service in services(request) {
            remove(&mut self.by_service, service, key);
        }
        for secret in secrets(request) {
            remove(&mut self.by_secret, secret, key);
        }
        self.changed.insert(key.clone());
    }

    pub(super) fn service_changed(&mut self, service: &ObjectKey) {
        let by = self.by_service.get(service).into_iter().flatten();
        self.changed.extend(by.cloned());
    }

    pub(super) fn secret_changed(&mut self, secret: &ObjectKey) {
        let by = self.by_secret.get(secret).into_iter().flatten();
        self.changed.extend(by.cloned());
    }

    /// Every Secret that is named.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_secret.keys()
    }

    /// Finds out what is wrong with what is named, where that may have changed.
    pub(super) fn compile<'a>(
        &mut self,
        request: impl Fn(&ObjectKey) -> Option<&'a Request>,
        services: &Services,
        keyring: &Keyring,
        external_names: bool,
        book: &mut Book,
    ) {
        for key in mem::take(&mut self.changed) {
            let mut findings = Findings::default();
            if let Some(request) = request(&key) {
                let mut about = findings.about("Ingress", request.key());
                check_services(request, services, external_names, &mut about);
                check_secrets(request, keyring, &mut about);
            }
            book.replace(Unit::References(key), findings);
        }
    }
}

fn services(request: &Request) -> BTreeSet<&ObjectKey> {
    request
        .targets()
        .map(|(_, target)| &target.service)
        .collect()
}

fn secrets(request: &Request) -> BTreeSet<&ObjectKey> {
    let asked = request.asked.secrets.iter().map(|(_, part)| &part.secret);
    request.tls.secrets.iter().chain(asked).collect()
}

fn remove(named: &mut Named, what: &ObjectKey, by: &ObjectKey) {
    if let Some(naming) = named.get_mut(what) {
        naming.remove(by);
        if naming.is_empty() {
            named.remove(what);
        }
    }
}

fn check_services(
    request: &Request,
    services: &Services,
    external_names: bool,
    about: &mut About<'_>,
) {
    for (field, target) in request.targets() {
        if let (_, Err((below, reason, message))) = cluster(target, services, external_names) {
            about.error(format!("{field}{below}"), reason, message);
        }
    }
}

fn check_secrets(request: &Request, keyring: &Keyring, about: &mut About<'_>) {
    for (index, secret) in &request.tls.entries {
        if let Err((reason, problem)) = keyring.get(secret) {
            about.error(
                format!("spec.tls[{index}].secretName"),
                reason,
                format!("{problem}; the default certificate is served"),
            );
        }
    }
    for (field, asked) in &request.asked.secrets {
        if let Err((reason, problem)) = keyring.check(&asked.secret, asked.part) {
            let message = format!("{problem}; what needs it is closed");
            about.error(field, reason, message);
        }
    }
}
