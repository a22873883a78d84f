//! Which object each published resource comes from, and when it last changed: kept up to date from the change log.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_compile::ObjectKey;
use meshlite_proto::decode;
use meshlite_snapshot::{
    HostMatch, Name, Node, ObjectRef, Resource, ResourceType, RouteTable, ServiceType, Topic,
};

use crate::publish::View;

/// What the index is made of.
const TOPICS: [Topic; 4] = [
    Topic::all(ResourceType::Node),
    Topic::all(ResourceType::Service),
    Topic::all(ResourceType::TlsSecret),
    Topic::all(ResourceType::RouteTable),
];

/// Resources by the objects that they are made of.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The epoch and the generation that it is at.
    at: Option<(String, u64)>,
    /// The Services that are reached from outside the cluster, and when each last changed.
    pub(super) services: BTreeMap<ObjectKey, u64>,
    /// When the routes or certificates of an Ingress last changed.
    pub(super) ingresses: BTreeMap<ObjectKey, u64>,
    pub(super) nodes: BTreeMap<Name, Node>,
    tables: BTreeMap<Name, Table>,
    /// The hosts that a certificate is served for.
    secrets: BTreeMap<Name, BTreeSet<HostMatch>>,
}

#[derive(Debug)]
struct Table {
    host: HostMatch,
    owners: BTreeSet<ObjectKey>,
    clusters: BTreeSet<Name>,
}

impl Index {
    /// Brings it to what is published.
    pub(super) fn update(&mut self, view: &View) {
        let known = self
            .at
            .take()
            .filter(|(epoch, generation)| epoch == view.epoch() && view.reaches(*generation));
        let from = known.map(|(_, generation)| generation);
        if from.is_none() {
            *self = Self::default();
        }
        // Tables last: certificates that come with them are then known.
        let mut changes = view.changes(&TOPICS, from);
        changes.sort_by_key(|change| change.topic.kind == ResourceType::TlsSecret);
        for change in changes {
            let kind = change.topic.kind;
            let body = change.content.map(|content| content.body.bytes());
            // What this process encoded, it can decode.
            let resource = body.and_then(|body| decode::body(kind, &body).ok());
            self.change(kind, change.name, resource, change.generation);
        }
        self.at = Some((view.epoch().to_owned(), view.generation()));
    }

    fn change(
        &mut self,
        kind: ResourceType,
        name: &Name,
        resource: Option<Resource>,
        generation: u64,
    ) {
        match (kind, resource) {
            (_, Some(Resource::Node(node))) => {
                self.nodes.insert(name.clone(), Node::clone(&node));
            }
            (ResourceType::Node, None) => {
                self.nodes.remove(name);
            }
            (_, Some(Resource::Service(service))) => {
                let key = ObjectKey::new(service.namespace.as_str(), service.name.as_str());
                let is_outside = matches!(
                    service.kind,
                    ServiceType::NodePort | ServiceType::LoadBalancer
                );
                if is_outside && service.l4 {
                    self.services.insert(key, generation);
                } else {
                    self.services.remove(&key);
                }
            }
            (ResourceType::Service, None) => {
                self.services
                    .retain(|key, _| key.to_string() != name.as_str());
            }
            (_, Some(Resource::RouteTable(table))) => {
                let table = Table::of(&table);
                self.touch(table.owners.clone(), generation);
                let before = self.tables.insert(name.clone(), table);
                self.touch(
                    before.map(|table| table.owners).unwrap_or_default(),
                    generation,
                );
            }
            (ResourceType::RouteTable, None) => {
                let before = self.tables.remove(name);
                self.touch(
                    before.map(|table| table.owners).unwrap_or_default(),
                    generation,
                );
            }
            (ResourceType::TlsSecret, resource) => {
                let hosts = match resource {
                    Some(Resource::TlsSecret(secret)) => secret
                        .bindings
                        .iter()
                        .map(|binding| binding.host.clone())
                        .collect(),
                    _ => BTreeSet::new(),
                };
                let before = self.secrets.insert(name.clone(), hosts.clone());
                let all: BTreeSet<_> = before.into_iter().flatten().chain(hosts).collect();
                self.touch(self.owners_of_hosts(&all), generation);
                if self.secrets.get(name).is_some_and(BTreeSet::is_empty) {
                    self.secrets.remove(name);
                }
            }
            _ => {}
        }
    }

    fn touch(&mut self, owners: BTreeSet<ObjectKey>, generation: u64) {
        for owner in owners {
            let changed = self.ingresses.entry(owner).or_default();
            *changed = generation.max(*changed);
        }
    }

    fn owners_of_hosts(&self, hosts: &BTreeSet<HostMatch>) -> BTreeSet<ObjectKey> {
        let tables = self
            .tables
            .values()
            .filter(|table| hosts.contains(&table.host));
        tables
            .flat_map(|table| table.owners.iter().cloned())
            .collect()
    }

    /// The objects that suffer where a data plane does not take this resource.
    pub(super) fn concerned(&self, kind: ResourceType, name: &str) -> BTreeSet<ObjectRef> {
        let ingress = |key: ObjectKey| ObjectRef::new("Ingress", key.namespace, key.name);
        match kind {
            ResourceType::RouteTable => {
                let table = self.tables.get(name);
                let owners = table.map(|table| table.owners.clone()).unwrap_or_default();
                owners.into_iter().map(ingress).collect()
            }
            ResourceType::TlsSecret => {
                let hosts = self.secrets.get(name);
                let owners = hosts
                    .map(|hosts| self.owners_of_hosts(hosts))
                    .unwrap_or_default();
                let secret = subject(kind, name);
                owners.into_iter().map(ingress).chain(secret).collect()
            }
            ResourceType::Cluster => {
                let tables = self
                    .tables
                    .values()
                    .filter(|table| table.clusters.contains(name));
                let owners = tables.flat_map(|table| table.owners.iter().cloned());
                owners.map(ingress).chain(subject(kind, name)).collect()
            }
            _ => subject(kind, name).into_iter().collect(),
        }
    }
}

/// The object that a resource is named after, where there is one.
fn subject(kind: ResourceType, name: &str) -> Option<ObjectRef> {
    let mut parts = name.split('/');
    let (first, second) = (parts.next()?, parts.next());
    Some(match kind {
        ResourceType::Service
        | ResourceType::EndpointGroup
        | ResourceType::Weights
        | ResourceType::Cluster => ObjectRef::new("Service", first, second?),
        ResourceType::TlsSecret | ResourceType::Credential => {
            ObjectRef::new("Secret", first, second?)
        }
        // A listener belongs to a class: `class/http`.
        ResourceType::Listener => ObjectRef::new("IngressClass", "", first),
        ResourceType::Node => ObjectRef::new("Node", "", first),
        ResourceType::Namespace => ObjectRef::new("Namespace", "", first),
        ResourceType::RouteTable => return None,
    })
}

impl Table {
    fn of(table: &RouteTable) -> Self {
        let owners = table.routes.iter().map(|route| &route.owner);
        let backends = table.routes.iter().flat_map(|route| &route.backends);
        Self {
            host: table.host.clone(),
            owners: owners
                .filter(|owner| owner.kind == "Ingress")
                .map(|owner| ObjectKey::new(owner.namespace.as_str(), owner.name.as_str()))
                .collect(),
            clusters: backends.map(|backend| backend.cluster.clone()).collect(),
        }
    }
}
