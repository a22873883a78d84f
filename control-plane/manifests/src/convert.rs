//! What was read as the object that it is today. Versions that no API server has any more become those that replaced
//! them.

mod ingress;
mod ingress_class;

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Endpoints, Namespace, Node, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use serde::de::DeserializeOwned;

use crate::{Object, Problem};

pub(crate) use ingress::LegacyIngress;
pub(crate) use ingress_class::LegacyIngressClass;

/// An object, and what its conversion has to say.
pub(crate) type Converted = (Object, Vec<Problem>);

/// A type that a document is read as.
pub(crate) trait Readable: DeserializeOwned {
    /// The object that it is today.
    fn convert(self) -> Converted;
}

macro_rules! current {
    ($($kind:ident)*) => {
        $(impl Readable for $kind {
            fn convert(self) -> Converted {
                (Object::$kind(Arc::new(self)), Vec::new())
            }
        })*
    };
}

current! {
    Service Endpoints EndpointSlice Ingress IngressClass Secret Pod Node Namespace Deployment StatefulSet
}
