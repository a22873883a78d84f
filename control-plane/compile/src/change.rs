//! What becomes of objects, one at a time, and what comes of it.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    core::v1::{Namespace, Node, Secret, Service},
    networking::v1::{Ingress, IngressClass},
};

use crate::{Factors, Inputs, Interner, ObjectKey, Slice};

/// What became of one object. None: it is gone.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is its kind")]
pub enum Change {
    Service(ObjectKey, Option<Arc<Service>>),
    EndpointSlice(ObjectKey, Option<Arc<Slice>>),
    Ingress(ObjectKey, Option<Arc<Ingress>>),
    IngressClass(String, Option<Arc<IngressClass>>),
    Secret(ObjectKey, Option<Arc<Secret>>),
    Node(String, Option<Arc<Node>>),
    Namespace(String, Option<Arc<Namespace>>),
    Factors(ObjectKey, Option<Arc<Factors>>),
}

/// What a change does, as far as the pace of publishing needs to know. A later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The object means what it meant before.
    Nothing,
    /// Something may have changed.
    Changes,
    /// An endpoint that gets traffic is gone, or is to get none: connections to it fail until this is published.
    TakesAway,
}

impl Inputs {
    /// What turns those objects into these. Objects behind the same pointer are the same.
    pub fn changes_since(&self, before: &Self, names: &mut Interner) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, now) in differences(&before.namespaces, &self.namespaces) {
            changes.push(Change::Namespace(key, now));
        }
        for (key, now) in differences(&before.nodes, &self.nodes) {
            changes.push(Change::Node(key, now));
        }
        for (key, now) in differences(&before.services, &self.services) {
            changes.push(Change::Service(key, now));
        }
        for (key, now) in differences(&before.endpoint_slices, &self.endpoint_slices) {
            let slice = now.map(|slice| Arc::new(Slice::read(&slice, names)));
            changes.push(Change::EndpointSlice(key, slice));
        }
        for (key, now) in differences(&before.ingress_classes, &self.ingress_classes) {
            changes.push(Change::IngressClass(key, now));
        }
        for (key, now) in differences(&before.secrets, &self.secrets) {
            changes.push(Change::Secret(key, now));
        }
        for (key, now) in differences(&before.ingresses, &self.ingresses) {
            changes.push(Change::Ingress(key, now));
        }
        for (key, now) in differences(&before.factors, &self.factors) {
            changes.push(Change::Factors(key, now));
        }
        changes
    }
}

/// The keys whose objects differ, with what is there now.
fn differences<'a, K: Ord + Clone, T: PartialEq>(
    before: &'a BTreeMap<K, Arc<T>>,
    now: &'a BTreeMap<K, Arc<T>>,
) -> impl Iterator<Item = (K, Option<Arc<T>>)> + 'a {
    let is_same = |key: &K, object: &Arc<T>| {
        before
            .get(key)
            .is_some_and(|held| Arc::ptr_eq(held, object) || held == object)
    };
    let gone = before.keys().filter(|key| !now.contains_key(key));
    let new = now
        .iter()
        .filter(move |(key, object)| !is_same(key, object));
    gone.map(|key| (key.clone(), None))
        .chain(new.map(|(key, object)| (key.clone(), Some(Arc::clone(object)))))
}
