//! Objects as they change in, changes of resources out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshlite_snapshot::{Finding, Snapshot};

use crate::{
    Change, Compiled, Delta, Effect, Inputs, ObjectKey, Settings, Slice, ingress,
    ingress_endpoint_groups, join, node, report::Findings, table,
};

/// Compiles objects as they change.
#[derive(Debug)]
pub struct Compiler {
    settings: Settings,
    objects: Inputs,
    slices: BTreeMap<ObjectKey, Arc<Slice>>,
    last: Compiled,
    last_findings: Arc<[Finding]>,
}

impl Compiler {
    /// A compiler that knows of no object.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            objects: Inputs::default(),
            slices: BTreeMap::new(),
            last: Compiled::default(),
            last_findings: Arc::default(),
        }
    }

    /// Takes in what became of one object. What it means is worked out by [`Compiler::compile`].
    pub fn apply(&mut self, change: Change) -> Effect {
        let objects = &mut self.objects;
        let is_new = match change {
            Change::Service(key, object) => put(&mut objects.services, key, object),
            Change::EndpointSlice(key, slice) => return self.apply_slice(key, slice),
            Change::Ingress(key, object) => put(&mut objects.ingresses, key, object),
            Change::IngressClass(key, object) => put(&mut objects.ingress_classes, key, object),
            Change::Secret(key, object) => put(&mut objects.secrets, key, object),
            Change::Node(key, object) => put(&mut objects.nodes, key, object),
            Change::Namespace(key, object) => put(&mut objects.namespaces, key, object),
        };
        if is_new {
            Effect::Changes
        } else {
            Effect::Nothing
        }
    }

    fn apply_slice(&mut self, key: ObjectKey, slice: Option<Arc<Slice>>) -> Effect {
        let before = self.slices.get(&key).cloned();
        let takes_away = before
            .as_deref()
            .is_some_and(|before| before.loses(slice.as_deref()));
        match put(&mut self.slices, key, slice) {
            false => Effect::Nothing,
            true if takes_away => Effect::TakesAway,
            true => Effect::Changes,
        }
    }

    /// What changed since this was last asked.
    pub fn compile(&mut self) -> Delta {
        let compiled = self.whole();
        let mut delta = Delta::default();
        for (name, resource) in compiled.snapshot.iter() {
            if self.last.snapshot.get(resource.kind(), name).as_ref() != Some(&resource) {
                delta
                    .resources
                    .insert((resource.kind(), name.clone()), Some(resource));
            }
        }
        for (name, resource) in self.last.snapshot.iter() {
            if compiled.snapshot.get(resource.kind(), name).is_none() {
                delta
                    .resources
                    .insert((resource.kind(), name.clone()), None);
            }
        }
        let (old, new) = (
            &self.last.ingress_endpoint_groups,
            &compiled.ingress_endpoint_groups,
        );
        delta
            .ingress_endpoint_groups
            .extend(new.difference(old).map(|name| (name.clone(), true)));
        delta
            .ingress_endpoint_groups
            .extend(old.difference(new).map(|name| (name.clone(), false)));
        if *self.last_findings != *compiled.findings {
            self.last_findings = compiled.findings.clone().into();
            delta.findings = Some(Arc::clone(&self.last_findings));
        }
        self.last = compiled;
        delta
    }

    /// The Secrets that served Ingresses and the settings name, whether or not they are there.
    pub fn wanted_secrets(&self) -> BTreeSet<ObjectKey> {
        let mut wanted = BTreeSet::new();
        for (key, object) in ingress::ours(&self.objects, &self.settings, &mut Findings::default())
        {
            let tls = object
                .spec
                .iter()
                .flat_map(|spec| spec.tls.iter().flatten());
            wanted.extend(tls.filter_map(|tls| {
                let name = tls.secret_name.as_deref().filter(|name| !name.is_empty())?;
                Some(ObjectKey::new(key.namespace.as_str(), name))
            }));
        }
        let default = self.settings.default_certificate.as_ref();
        wanted.extend(default.and_then(|name| {
            let (namespace, name) = name.as_str().split_once('/')?;
            Some(ObjectKey::new(namespace, name))
        }));
        wanted
    }

    /// The Ingresses of our class.
    pub fn served_ingresses(&self) -> BTreeSet<ObjectKey> {
        ingress::ours(&self.objects, &self.settings, &mut Findings::default())
            .into_iter()
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn whole(&self) -> Compiled {
        let mut findings = Findings::default();
        let (inputs, settings) = (&self.objects, &self.settings);
        let (services, endpoint_groups) = join::services(inputs, &self.slices, &mut findings);
        let ingress = ingress::compile(inputs, &services, settings, &mut findings);
        let namespaces = inputs.namespaces.keys().filter_map(|name| {
            node::namespace(name, &mut findings.about_cluster("Namespace", name))
        });
        let namespaces = table(namespaces);
        let nodes = inputs.nodes.iter().filter_map(|(name, object)| {
            node::node(name, object, &mut findings.about_cluster("Node", name))
        });
        let nodes = table(nodes);
        let snapshot = Snapshot {
            namespaces,
            nodes,
            services,
            endpoint_groups,
            tls_secrets: table(ingress.tls_secrets),
            clusters: table(ingress.clusters),
            route_tables: table(ingress.route_tables),
            listeners: table(ingress.listeners),
            ..Snapshot::default()
        };
        Compiled {
            ingress_endpoint_groups: ingress_endpoint_groups(&snapshot),
            snapshot,
            findings: findings.into_sorted(),
        }
    }
}

/// Says whether this is new.
fn put<K: Ord, T: PartialEq>(
    objects: &mut BTreeMap<K, Arc<T>>,
    key: K,
    object: Option<Arc<T>>,
) -> bool {
    match object {
        None => objects.remove(&key).is_some(),
        Some(object) => {
            if objects.get(&key) == Some(&object) {
                return false;
            }
            objects.insert(key, object);
            true
        }
    }
}
