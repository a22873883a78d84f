//! The Kubernetes objects that Meshlite reads, as one type.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{Endpoints, Namespace, Node, Pod, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressClass},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use meshlite_snapshot::ObjectRef;

/// An object of a kind that Meshlite reads. Legacy forms were converted: every variant is the newest version.
///
/// Shared, because what is admitted unchanged goes to the compiler without a copy.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is its kind")]
pub enum Object {
    Service(Arc<Service>),
    Endpoints(Arc<Endpoints>),
    EndpointSlice(Arc<EndpointSlice>),
    Ingress(Arc<Ingress>),
    IngressClass(Arc<IngressClass>),
    Secret(Arc<Secret>),
    Pod(Arc<Pod>),
    Node(Arc<Node>),
    Namespace(Arc<Namespace>),
    Deployment(Arc<Deployment>),
    StatefulSet(Arc<StatefulSet>),
}

/// One expression for every variant's object.
macro_rules! each {
    ($object:expr, $inner:ident => $result:expr) => {
        match $object {
            Object::Service($inner) => $result,
            Object::Endpoints($inner) => $result,
            Object::EndpointSlice($inner) => $result,
            Object::Ingress($inner) => $result,
            Object::IngressClass($inner) => $result,
            Object::Secret($inner) => $result,
            Object::Pod($inner) => $result,
            Object::Node($inner) => $result,
            Object::Namespace($inner) => $result,
            Object::Deployment($inner) => $result,
            Object::StatefulSet($inner) => $result,
        }
    };
}

impl Object {
    /// The kind, as written in a manifest.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "Service",
            Self::Endpoints(_) => "Endpoints",
            Self::EndpointSlice(_) => "EndpointSlice",
            Self::Ingress(_) => "Ingress",
            Self::IngressClass(_) => "IngressClass",
            Self::Secret(_) => "Secret",
            Self::Pod(_) => "Pod",
            Self::Node(_) => "Node",
            Self::Namespace(_) => "Namespace",
            Self::Deployment(_) => "Deployment",
            Self::StatefulSet(_) => "StatefulSet",
        }
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(&self) -> bool {
        !matches!(
            self,
            Self::IngressClass(_) | Self::Node(_) | Self::Namespace(_)
        )
    }

    /// Name, namespace, labels.
    pub fn metadata(&self) -> &ObjectMeta {
        each!(self, object => &object.metadata)
    }

    /// Name, namespace, labels.
    pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
        each!(self, object => &mut Arc::make_mut(object).metadata)
    }

    /// The object's name; empty where it has none.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// The object's namespace; empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        if self.is_namespaced() {
            self.metadata().namespace.as_deref().unwrap_or("default")
        } else {
            ""
        }
    }

    /// How a finding names this object.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(Cow::Borrowed(self.kind()), self.namespace(), self.name())
    }
}
