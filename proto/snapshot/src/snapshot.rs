//! A whole snapshot: every resource by type and name.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    Cluster, Credential, EndpointGroup, Listener, Name, Namespace, Node, Resource, ResourceType,
    RouteTable, Service, Table, TlsSecret, Weights,
};

/// What the mesh should be, or the part of it that one client subscribed to. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field is its type")]
pub struct Snapshot {
    pub namespaces: Table<Namespace>,
    pub nodes: Table<Node>,
    pub services: Table<Service>,
    pub endpoint_groups: Table<EndpointGroup>,
    pub weights: Table<Weights>,
    pub tls_secrets: Table<TlsSecret>,
    pub credentials: Table<Credential>,
    pub clusters: Table<Cluster>,
    pub route_tables: Table<RouteTable>,
    pub listeners: Table<Listener>,
}

impl Snapshot {
    /// Puts a resource in, in place of one of the same type and name.
    pub fn insert(&mut self, name: Name, resource: Resource) {
        match resource {
            Resource::Service(value) => self.services.insert(name, value),
            Resource::EndpointGroup(value) => self.endpoint_groups.insert(name, value),
            Resource::Node(value) => self.nodes.insert(name, value),
            Resource::Namespace(value) => self.namespaces.insert(name, value),
            Resource::Weights(value) => self.weights.insert(name, value),
            Resource::Listener(value) => self.listeners.insert(name, value),
            Resource::RouteTable(value) => self.route_tables.insert(name, value),
            Resource::Cluster(value) => self.clusters.insert(name, value),
            Resource::TlsSecret(value) => self.tls_secrets.insert(name, value),
            Resource::Credential(value) => self.credentials.insert(name, value),
        }
    }

    /// Takes a resource out, if it is there.
    pub fn remove(&mut self, kind: ResourceType, name: &Name) {
        match kind {
            ResourceType::Service => self.services.remove(name),
            ResourceType::EndpointGroup => self.endpoint_groups.remove(name),
            ResourceType::Node => self.nodes.remove(name),
            ResourceType::Namespace => self.namespaces.remove(name),
            ResourceType::Weights => self.weights.remove(name),
            ResourceType::Listener => self.listeners.remove(name),
            ResourceType::RouteTable => self.route_tables.remove(name),
            ResourceType::Cluster => self.clusters.remove(name),
            ResourceType::TlsSecret => self.tls_secrets.remove(name),
            ResourceType::Credential => self.credentials.remove(name),
        }
    }

    /// The resource of this type and name.
    pub fn get(&self, kind: ResourceType, name: &Name) -> Option<Resource> {
        match kind {
            ResourceType::Service => self.services.get(name).cloned().map(Resource::Service),
            ResourceType::EndpointGroup => self
                .endpoint_groups
                .get(name)
                .cloned()
                .map(Resource::EndpointGroup),
            ResourceType::Node => self.nodes.get(name).cloned().map(Resource::Node),
            ResourceType::Namespace => self.namespaces.get(name).cloned().map(Resource::Namespace),
            ResourceType::Weights => self.weights.get(name).cloned().map(Resource::Weights),
            ResourceType::Listener => self.listeners.get(name).cloned().map(Resource::Listener),
            ResourceType::RouteTable => self
                .route_tables
                .get(name)
                .cloned()
                .map(Resource::RouteTable),
            ResourceType::Cluster => self.clusters.get(name).cloned().map(Resource::Cluster),
            ResourceType::TlsSecret => self.tls_secrets.get(name).cloned().map(Resource::TlsSecret),
            ResourceType::Credential => self
                .credentials
                .get(name)
                .cloned()
                .map(Resource::Credential),
        }
    }

    /// Every resource of one type, by name.
    pub fn of_type(&self, kind: ResourceType) -> Box<dyn Iterator<Item = (&Name, Resource)> + '_> {
        fn all<T>(
            table: &Table<T>,
            wrap: fn(Arc<T>) -> Resource,
        ) -> Box<dyn Iterator<Item = (&Name, Resource)> + '_> {
            Box::new(
                table
                    .iter()
                    .map(move |(name, value)| (name, wrap(Arc::clone(value)))),
            )
        }
        match kind {
            ResourceType::Service => all(&self.services, Resource::Service),
            ResourceType::EndpointGroup => all(&self.endpoint_groups, Resource::EndpointGroup),
            ResourceType::Node => all(&self.nodes, Resource::Node),
            ResourceType::Namespace => all(&self.namespaces, Resource::Namespace),
            ResourceType::Weights => all(&self.weights, Resource::Weights),
            ResourceType::Listener => all(&self.listeners, Resource::Listener),
            ResourceType::RouteTable => all(&self.route_tables, Resource::RouteTable),
            ResourceType::Cluster => all(&self.clusters, Resource::Cluster),
            ResourceType::TlsSecret => all(&self.tls_secrets, Resource::TlsSecret),
            ResourceType::Credential => all(&self.credentials, Resource::Credential),
        }
    }

    /// Every resource, in the order of [`ResourceType::ALL`], by name within a type.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Resource)> {
        ResourceType::ALL
            .into_iter()
            .flat_map(|kind| self.of_type(kind))
    }

    /// The endpoint groups of one Service, by name.
    pub fn endpoint_groups_of<'a>(
        &'a self,
        namespace: &str,
        service: &str,
    ) -> impl Iterator<Item = (&'a Name, &'a Arc<EndpointGroup>)> + use<'a> {
        let prefix = [namespace, "/", service, "/"].concat();
        self.endpoint_groups.beginning_with(prefix)
    }

    /// The clusters of one Service, which is `namespace/name`, by name.
    pub fn clusters_of<'a>(
        &'a self,
        service: &str,
    ) -> impl Iterator<Item = (&'a Name, &'a Arc<Cluster>)> + use<'a> {
        self.clusters.beginning_with([service, "/"].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AddressFamily;

    fn group(service: &str, slice: &str) -> (Name, Resource) {
        let group = EndpointGroup {
            namespace: "default".into(),
            service: service.into(),
            slice: slice.into(),
            address_family: AddressFamily::Ipv4,
            ports: vec![],
            endpoints: vec![],
        };
        (
            Name::part("default", service, slice).unwrap(),
            Resource::EndpointGroup(Arc::new(group)),
        )
    }

    #[test]
    fn the_groups_of_a_service_are_not_those_of_one_whose_name_begins_alike() {
        let mut snapshot = Snapshot::default();
        for (service, slice) in [
            ("web", "web-2"),
            ("web", "web-1"),
            ("web-2", "web-2-1"),
            ("we", "we-1"),
        ] {
            let (name, resource) = group(service, slice);
            snapshot.insert(name, resource);
        }
        let names: Vec<_> = snapshot
            .endpoint_groups_of("default", "web")
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["default/web/web-1", "default/web/web-2"]);
    }

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut snapshot = Snapshot::default();
        let (name, resource) = group("web", "web-1");
        snapshot.insert(name.clone(), resource.clone());
        let before = snapshot.clone();
        snapshot.remove(ResourceType::EndpointGroup, &name);
        assert_eq!(
            before.get(ResourceType::EndpointGroup, &name),
            Some(resource)
        );
        assert_eq!(snapshot.get(ResourceType::EndpointGroup, &name), None);
        assert_eq!(before.iter().count(), 1);
    }
}
