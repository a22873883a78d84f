//! Objects as they change in, changes of resources out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshlite_snapshot::{Name, Namespace, Node, Resource, ResourceType};

use crate::{
    Bases, Change, Delta, Effect, ObjectKey, Settings,
    ingress::Ingresses,
    join::Join,
    node,
    report::{Book, Findings, Unit},
    singles::Singles,
};

/// Compiles objects as they change: a change costs the objects that it speaks of and what depends on them, never a walk
/// over all objects.
///
/// What it handed out is not kept, so its memory is that of the objects, packed.
#[derive(Debug)]
pub struct Compiler {
    book: Book,
    namespaces: Singles<Namespace>,
    nodes: Singles<Node>,
    join: Join,
    ingresses: Ingresses,
    /// The groups in the scope `ingress`, as they were handed out.
    in_scope: BTreeSet<Name>,
}

impl Compiler {
    /// A compiler that knows of no object.
    pub fn new(settings: Settings) -> Self {
        let mut book = Book::default();
        Self {
            ingresses: Ingresses::new(settings, &mut book),
            book,
            namespaces: Singles::default(),
            nodes: Singles::default(),
            join: Join::default(),
            in_scope: BTreeSet::new(),
        }
    }

    /// Takes in what became of one object: reads it alone. What depends on it is worked out by [`Compiler::compile`].
    pub fn apply(&mut self, change: Change) -> Effect {
        let differs = match change {
            Change::Service(key, object) => {
                let effect = self
                    .join
                    .put_service(&key, object.as_deref(), &mut self.book);
                if effect != Effect::Nothing {
                    self.ingresses.service_changed(&key);
                }
                return effect;
            }
            Change::EndpointSlice(key, slice) => return self.join.put_slice(key, slice),
            Change::Factors(key, factors) => return self.join.put_factors(key, factors),
            Change::Ingress(key, object) => self.ingresses.put(key, object.as_deref()),
            Change::IngressClass(name, object) => self.ingresses.put_class(name, object.as_deref()),
            Change::Secret(key, object) => self.ingresses.put_secret(&key, object.as_deref()),
            Change::Node(name, object) => {
                let mut findings = Findings::default();
                let mut about = findings.about_cluster("Node", &name);
                let node = object.and_then(|object| node::node(&name, &object, &mut about));
                let differs = self.nodes.put(&name, node.map(|(_, node)| node));
                self.book.replace(Unit::Node(name), findings) || differs
            }
            Change::Namespace(name, object) => {
                let mut findings = Findings::default();
                let mut about = findings.about_cluster("Namespace", &name);
                let namespace = object.and_then(|_| node::namespace(&name, &mut about));
                let namespace = namespace.map(|(_, namespace)| namespace);
                let differs = self.namespaces.put(&name, namespace);
                self.book.replace(Unit::Namespace(name), findings) || differs
            }
        };
        if differs {
            Effect::Changes
        } else {
            Effect::Nothing
        }
    }

    /// What changed since this was last asked.
    pub fn compile(&mut self) -> Delta {
        let mut delta = Delta::default();
        let (namespaces, nodes) = (&mut self.namespaces, &mut self.nodes);
        namespaces.compile(ResourceType::Namespace, Resource::Namespace, &mut delta);
        nodes.compile(ResourceType::Node, Resource::Node, &mut delta);
        let regrouped = self.join.compile(&mut delta, &mut self.book);
        let services = self.join.services();
        let touched = self.ingresses.compile(services, &mut delta, &mut self.book);
        let mut scope = BTreeMap::new();
        for group in regrouped {
            if let Some(before) = group.before {
                scope.insert(before, false);
            }
            if let Some((service, name)) = group.after {
                scope.insert(name, self.ingresses.reach(&service));
            }
        }
        for service in touched {
            let is_in = self.ingresses.reach(&service);
            let groups = self.join.groups_of(&service);
            scope.extend(groups.map(|name| (name.clone(), is_in)));
        }
        scope.retain(|name, is_in| {
            if *is_in {
                self.in_scope.insert(name.clone())
            } else {
                self.in_scope.remove(name)
            }
        });
        delta.ingress_endpoint_groups = scope;
        delta.findings = self.book.news();
        delta
    }

    /// The Secrets that served Ingresses name (for TLS, CAs of clients and passwords) and that the settings name, whether
    /// or not they are there. As of the last [`Compiler::compile`].
    pub fn wanted_secrets(&self) -> BTreeSet<ObjectKey> {
        self.ingresses.wanted_secrets()
    }

    /// The Services that are balanced by load, with their endpoints' weights as they are written. As of the last
    /// [`Compiler::compile`].
    pub fn balanced(&self) -> BTreeMap<ObjectKey, Arc<Bases>> {
        self.join.balanced().clone()
    }

    /// The Ingresses of our class. As of the last [`Compiler::compile`].
    pub fn served_ingresses(&self) -> BTreeSet<ObjectKey> {
        self.ingresses.served()
    }

    /// The names of the `IngressClass`es of our controller. As of the last [`Compiler::apply`].
    pub fn served_classes(&self) -> BTreeSet<String> {
        self.ingresses.classes().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests;
