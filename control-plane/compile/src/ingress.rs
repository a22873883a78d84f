//! Ingresses: each is read on its own, then each host gets one table from all that speak of it.

mod age;
mod annotations;
mod backend;
mod certificates;
mod class;
mod cluster;
mod credentials;
mod host;
mod hosts;
mod keyring;
mod listeners;
mod path;
mod read;
mod references;
mod regex;
mod table;
mod tls;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Secret, networking::v1 as k8s};

use self::{
    certificates::Certificates,
    class::Classes,
    credentials::Credentials,
    hosts::{Clusters, Hosts},
    keyring::Keyring,
    listeners::Listeners,
    read::Request,
    references::References,
};
use crate::{
    Delta, ObjectKey, Settings,
    join::Services,
    report::{Book, Findings, Unit},
    values,
};

/// Ingresses, their classes and Secrets as they are, and which of them changed since they were compiled.
#[derive(Debug)]
pub(crate) struct Ingresses {
    settings: Settings,
    /// None where the class cannot name any: then nothing is served.
    listeners: Option<Listeners>,
    classes: Classes,
    keyring: Keyring,
    requests: BTreeMap<ObjectKey, Arc<Request>>,
    /// Those of our class, as they were compiled last.
    served: BTreeMap<ObjectKey, Arc<Request>>,
    references: References,
    hosts: Hosts,
    clusters: Clusters,
    certificates: Certificates,
    credentials: Credentials,
    changed: BTreeSet<ObjectKey>,
    /// Whether any Ingress may have become ours, or foreign.
    classes_changed: bool,
    listeners_changed: bool,
}

impl Ingresses {
    pub(crate) fn new(settings: Settings, book: &mut Book) -> Self {
        let mut findings = Findings::default();
        let listeners = Listeners::new(&settings, &mut findings);
        book.replace(Unit::Listeners, findings);
        Self {
            settings,
            listeners,
            classes: Classes::default(),
            keyring: Keyring::default(),
            requests: BTreeMap::new(),
            served: BTreeMap::new(),
            references: References::default(),
            hosts: Hosts::default(),
            clusters: Clusters::default(),
            certificates: Certificates::default(),
            credentials: Credentials::default(),
            changed: BTreeSet::new(),
            classes_changed: false,
            listeners_changed: true,
        }
    }

    /// Takes in what became of an Ingress. Says whether it matters.
    pub(crate) fn put(&mut self, key: ObjectKey, object: Option<&k8s::Ingress>) -> bool {
        let request = object.map(|object| Request::read(&key, object, &self.settings));
        if self.requests.get(&key).map(|held| &**held) == request.as_ref() {
            return false;
        }
        match request {
            Some(request) => self.requests.insert(key.clone(), Arc::new(request)),
            None => self.requests.remove(&key),
        };
        self.changed.insert(key);
        true
    }

    /// Takes in what became of an `IngressClass`. Says whether it matters.
    pub(crate) fn put_class(&mut self, name: String, object: Option<&k8s::IngressClass>) -> bool {
        let matters = self.classes.put(name, object, &self.settings);
        self.classes_changed |= matters;
        matters
    }

    /// The names of the classes that are ours.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.ours()
    }

    /// Takes in what became of a Secret. Says whether it matters.
    pub(crate) fn put_secret(&mut self, key: &ObjectKey, object: Option<&Secret>) -> bool {
        if !self.keyring.put(key, object) {
            return false;
        }
        self.references.secret_changed(key);
        self.certificates.secret_changed(key);
        self.credentials.secret_changed(key);
        let default = self.listeners.as_ref().and_then(Listeners::default_secret);
        self.listeners_changed |= default == Some(key);
        true
    }

    /// A Service means something else, or is gone, or is there.
    pub(crate) fn service_changed(&mut self, service: &ObjectKey) {
        self.references.service_changed(service);
        self.clusters.service_changed(service);
    }

    /// Whether a route can send to the Service.
    pub(crate) fn reach(&self, service: &ObjectKey) -> bool {
        self.clusters.reach(service)
    }

    /// The Secrets that served Ingresses and the settings name.
    pub(crate) fn wanted_secrets(&self) -> BTreeSet<ObjectKey> {
        let default = self.listeners.as_ref().and_then(Listeners::default_secret);
        let named = self.references.secrets().chain(default);
        // Nothing can have another name, so nobody needs to look for it.
        let can_be = |key: &&ObjectKey| {
            [&key.namespace, &key.name]
                .into_iter()
                .all(|part| values::is_dns_subdomain(part))
        };
        named.filter(can_be).cloned().collect()
    }

    /// The Ingresses of our class.
    pub(crate) fn served(&self) -> BTreeSet<ObjectKey> {
        self.served.keys().cloned().collect()
    }

    /// Hands out what changed, and names the Services that came into the reach of routes or went out of it.
    pub(crate) fn compile(
        &mut self,
        services: &Services,
        delta: &mut Delta,
        book: &mut Book,
    ) -> BTreeSet<ObjectKey> {
        // Without listeners no route would lead anywhere.
        if self.listeners.is_none() {
            return BTreeSet::new();
        }
        self.choose(book);
        let served = &self.served;
        let request = |key: &ObjectKey| served.get(key).map(|request| &**request);
        self.references.compile(
            request,
            services,
            &self.keyring,
            self.settings.external_names,
            book,
        );
        self.certificates.settle(request, |host, findings| {
            book.replace(Unit::ServerName(host), findings);
        });
        let Some(listeners) = &self.listeners else {
            return BTreeSet::new();
        };
        let clusters = &mut self.clusters;
        self.hosts
            .compile(listeners, request, clusters, delta, |host, findings| {
                book.replace(Unit::Host(host), findings);
            });
        let default = listeners.default_secret();
        if mem::take(&mut self.listeners_changed) {
            listeners.compile(&self.settings, &self.keyring, delta, book);
            if let Some(default) = default {
                self.certificates.default_changed(default);
            }
        }
        self.certificates
            .compile(&self.keyring, default, &listeners.https, delta);
        self.credentials.compile(&self.keyring, delta);
        let external_names = self.settings.external_names;
        self.clusters.compile(services, external_names, delta)
    }

    /// Finds out which of the Ingresses that changed are ours.
    fn choose(&mut self, book: &mut Book) {
        let mut changed = mem::take(&mut self.changed);
        if mem::take(&mut self.classes_changed) {
            changed.extend(self.requests.keys().cloned());
        }
        for key in changed {
            let mut findings = Findings::default();
            let now = self.requests.get(&key).filter(|request| {
                let mut about = findings.about("Ingress", &key);
                self.classes
                    .serves(&request.class, &self.settings, &mut about)
            });
            let now = now.cloned();
            if let Some(request) = &now {
                findings.extend(&request.findings);
            }
            book.replace(Unit::Ingress(key.clone()), findings);
            let before = match &now {
                Some(now) => self.served.insert(key, Arc::clone(now)),
                None => self.served.remove(&key),
            };
            if before == now {
                continue;
            }
            if let Some(before) = before {
                self.hosts.leave(&before);
                self.certificates.leave(&before);
                self.credentials.leave(&before);
                self.references.leave(&before);
            }
            if let Some(now) = now {
                self.hosts.enter(&now);
                self.certificates.enter(&now);
                self.credentials.enter(&now);
                self.references.enter(&now);
            }
        }
    }
}
