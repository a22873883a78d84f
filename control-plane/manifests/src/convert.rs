//! What was read as the object that it is today. Versions that no API server has any more become those that replaced
//! them; what nobody needs of a Pod is left out.

mod ingress;
mod ingress_class;
mod pod;
mod unread;

use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{Endpoints, Namespace, Node, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use serde::de::DeserializeOwned;

use crate::{Object, Problem};

pub(crate) use ingress::LegacyIngress;
pub(crate) use ingress_class::LegacyIngressClass;
pub(crate) use pod::{Deployment, Pod, StatefulSet};

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
    Service Endpoints EndpointSlice Ingress IngressClass Secret Node Namespace
}
