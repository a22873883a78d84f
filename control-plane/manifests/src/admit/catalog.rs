//! Every object by key, each once.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Endpoints, Namespace, Node, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{ObjectRef, SourceLocation};

use super::findings::Findings;
use crate::{ManifestFile, Object};

/// An object and where it was read.
#[derive(Debug)]
pub(super) struct Entry<'a, T> {
    pub(super) object: &'a Arc<T>,
    pub(super) source: &'a SourceLocation,
}

/// Objects of one kind; those of the cluster have an empty namespace.
pub(super) type Kind<'a, T> = BTreeMap<ObjectKey, Entry<'a, T>>;

/// The objects of all files. Of one that is there twice the first by file name and document counts.
#[derive(Debug, Default)]
pub(super) struct Catalog<'a> {
    pub(super) services: Kind<'a, Service>,
    pub(super) endpoints: Kind<'a, Endpoints>,
    pub(super) slices: Kind<'a, EndpointSlice>,
    pub(super) ingresses: Kind<'a, Ingress>,
    pub(super) ingress_classes: Kind<'a, IngressClass>,
    pub(super) secrets: Kind<'a, Secret>,
    pub(super) pods: Kind<'a, Pod>,
    pub(super) nodes: Kind<'a, Node>,
    pub(super) namespaces: Kind<'a, Namespace>,
    pub(super) deployments: Kind<'a, Deployment>,
    pub(super) stateful_sets: Kind<'a, StatefulSet>,
}

impl<'a> Catalog<'a> {
    pub(super) fn new(files: &'a [Arc<ManifestFile>], findings: &mut Findings) -> Self {
        let mut catalog = Self::default();
        for located in super::in_order(files) {
            let (key, source) = (
                ObjectKey::new(located.object.namespace(), located.object.name()),
                &located.source,
            );
            let clash = match &located.object {
                Object::Service(object) => put(&mut catalog.services, key, object, source),
                Object::Endpoints(object) => put(&mut catalog.endpoints, key, object, source),
                Object::EndpointSlice(object) => put(&mut catalog.slices, key, object, source),
                Object::Ingress(object) => put(&mut catalog.ingresses, key, object, source),
                Object::IngressClass(object) => {
                    put(&mut catalog.ingress_classes, key, object, source)
                }
                Object::Secret(object) => put(&mut catalog.secrets, key, object, source),
                Object::Pod(object) => put(&mut catalog.pods, key, object, source),
                Object::Node(object) => put(&mut catalog.nodes, key, object, source),
                Object::Namespace(object) => put(&mut catalog.namespaces, key, object, source),
                Object::Deployment(object) => put(&mut catalog.deployments, key, object, source),
                Object::StatefulSet(object) => put(&mut catalog.stateful_sets, key, object, source),
            };
            if let Some(clash) = clash {
                report(&clash, located.object.reference(), source, findings);
            }
        }
        catalog
    }

    /// Every namespace that an object is in.
    pub(super) fn used_namespaces(&self) -> impl Iterator<Item = &str> {
        fn of<'c, T>(kind: &'c Kind<'_, T>) -> impl Iterator<Item = &'c str> {
            let mut last = "";
            kind.keys().filter_map(move |key| {
                let new = key.namespace != last;
                last = &key.namespace;
                new.then_some(last)
            })
        }
        of(&self.services)
            .chain(of(&self.endpoints))
            .chain(of(&self.slices))
            .chain(of(&self.ingresses))
            .chain(of(&self.secrets))
            .chain(of(&self.pods))
            .chain(of(&self.deployments))
            .chain(of(&self.stateful_sets))
    }
}

/// The place of the object that came first, and whether both are the same.
struct Clash<'a> {
    first: &'a SourceLocation,
    same: bool,
}

fn put<'a, T: PartialEq>(
    kind: &mut Kind<'a, T>,
    key: ObjectKey,
    object: &'a Arc<T>,
    source: &'a SourceLocation,
) -> Option<Clash<'a>> {
    use std::collections::btree_map::Entry as Slot;
    match kind.entry(key) {
        Slot::Vacant(slot) => {
            slot.insert(Entry { object, source });
            None
        }
        Slot::Occupied(slot) => Some(Clash {
            first: slot.get().source,
            same: slot.get().object == object,
        }),
    }
}

fn report(clash: &Clash<'_>, object: ObjectRef, source: &SourceLocation, findings: &mut Findings) {
    let first = clash.first;
    if clash.same {
        let message = format!("the same as at {first}; one of them can go");
        findings.warning(object, source, "", "DuplicateObject", message);
    } else {
        let message = format!("is already at {first}, which is served; this one is not");
        findings.error(object, source, "", "DuplicateObject", message);
    }
}
