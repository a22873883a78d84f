//! Objects of versions that no API server has any more, as the versions that replaced them.

mod ingress;
mod ingress_class;

pub(crate) use ingress::ingress;
pub(crate) use ingress_class::ingress_class;
