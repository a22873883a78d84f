//! `networking.k8s.io/v1beta1` IngressClass, removed in Kubernetes 1.22.

use std::sync::Arc;

use k8s_openapi::{
    api::networking::v1::{IngressClass, IngressClassSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Deserialize;

use super::{Converted, Readable};
use crate::{Object, Problem};

/// An IngressClass as it was written before `networking.k8s.io/v1`: the same fields, another version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LegacyIngressClass {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<IngressClassSpec>,
}

/// With a warning. Parameters without a scope are those of the cluster.
impl Readable for LegacyIngressClass {
    fn convert(self) -> Converted {
        let Self {
            api_version,
            kind,
            metadata,
            mut spec,
        } = self;
        if let Some(parameters) = spec.as_mut().and_then(|spec| spec.parameters.as_mut()) {
            parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
        }
        let problem = Problem::warning(
            "apiVersion",
            "LegacyApiVersion",
            format!(
                "{api_version} {kind} was removed in Kubernetes 1.22; read as networking.k8s.io/v1"
            ),
        );
        let class = IngressClass { metadata, spec };
        (Object::IngressClass(Arc::new(class)), vec![problem])
    }
}
