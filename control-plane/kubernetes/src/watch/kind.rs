//! The kinds that are watched: where each is served, and what one object of it becomes.

use std::sync::Arc;

use k8s_openapi::{
    Resource,
    api::{
        core::v1::{Namespace, Node, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressClass},
    },
};
use meshlite_compile::{Change, Interner, ObjectKey, Slice};
use serde::de::DeserializeOwned;

use crate::trim::Trim;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is its kind")]
pub enum Kind {
    Namespace,
    Node,
    Service,
    EndpointSlice,
    IngressClass,
    Ingress,
    /// Watched by its metadata: contents are fetched one by one.
    Secret,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Namespace,
        Self::Node,
        Self::Service,
        Self::EndpointSlice,
        Self::IngressClass,
        Self::Ingress,
        Self::Secret,
    ];

    /// Its name, as it is written in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => Namespace::KIND,
            Self::Node => Node::KIND,
            Self::Service => Service::KIND,
            Self::EndpointSlice => EndpointSlice::KIND,
            Self::IngressClass => IngressClass::KIND,
            Self::Ingress => Ingress::KIND,
            Self::Secret => Secret::KIND,
        }
    }

    pub(super) const fn is_namespaced(self) -> bool {
        match self {
            Self::Namespace | Self::Node | Self::IngressClass => false,
            Self::Service | Self::EndpointSlice | Self::Ingress | Self::Secret => true,
        }
    }

    /// The plural that URLs and RBAC rules use.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Namespace => Namespace::URL_PATH_SEGMENT,
            Self::Node => Node::URL_PATH_SEGMENT,
            Self::Service => Service::URL_PATH_SEGMENT,
            Self::EndpointSlice => EndpointSlice::URL_PATH_SEGMENT,
            Self::IngressClass => IngressClass::URL_PATH_SEGMENT,
            Self::Ingress => Ingress::URL_PATH_SEGMENT,
            Self::Secret => Secret::URL_PATH_SEGMENT,
        }
    }

    /// The API group; empty for the core.
    pub(super) const fn group(self) -> &'static str {
        match self {
            Self::Namespace | Self::Node | Self::Service | Self::Secret => "",
            Self::EndpointSlice => EndpointSlice::GROUP,
            Self::IngressClass | Self::Ingress => Ingress::GROUP,
        }
    }

    /// Where objects of it are listed; in all namespaces without one.
    pub(super) fn path(self, namespace: Option<&str>) -> String {
        let root = match self.group() {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        let plural = self.plural();
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{plural}"),
        }
    }

    /// What an object with this text becomes. A Secret's metadata become that it is not known any more.
    pub(super) fn read(
        self,
        key: &ObjectKey,
        text: &str,
        names: &mut Interner,
    ) -> serde_json::Result<Change> {
        let (own, name) = (key.clone(), key.name.clone());
        Ok(match self {
            Self::Namespace => Change::Namespace(name, Some(trimmed(text)?)),
            Self::Node => Change::Node(name, Some(trimmed(text)?)),
            Self::Service => Change::Service(own, Some(trimmed(text)?)),
            Self::EndpointSlice => {
                let slice: EndpointSlice = serde_json::from_str(text)?;
                Change::EndpointSlice(own, Some(Arc::new(Slice::read(&slice, names))))
            }
            Self::IngressClass => Change::IngressClass(name, Some(trimmed(text)?)),
            Self::Ingress => Change::Ingress(own, Some(trimmed(text)?)),
            Self::Secret => Change::Secret(own, None),
        })
    }

    pub(super) fn gone(self, key: ObjectKey) -> Change {
        match self {
            Self::Namespace => Change::Namespace(key.name, None),
            Self::Node => Change::Node(key.name, None),
            Self::Service => Change::Service(key, None),
            Self::EndpointSlice => Change::EndpointSlice(key, None),
            Self::IngressClass => Change::IngressClass(key.name, None),
            Self::Ingress => Change::Ingress(key, None),
            Self::Secret => Change::Secret(key, None),
        }
    }
}

pub(super) fn trimmed<T: DeserializeOwned + Trim>(text: &str) -> serde_json::Result<Arc<T>> {
    let mut object: T = serde_json::from_str(text)?;
    object.trim();
    Ok(Arc::new(object))
}
