//! `networking.k8s.io/v1beta1` IngressClass, removed in Kubernetes 1.22.

use std::sync::Arc;

use k8s_openapi::{
    api::networking::v1::{IngressClass, IngressClassSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::Deserialize;

use crate::{Object, Problem, parse::typed, unknown::Notes};

/// An IngressClass as it was written before `networking.k8s.io/v1`: the same fields, another version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Legacy {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<IngressClassSpec>,
}

/// Reads a legacy IngressClass as one of `networking.k8s.io/v1`, with a warning. Parameters without a scope are
/// those of the cluster.
pub(crate) fn ingress_class(
    text: &[u8],
    notes: &Notes<'_>,
) -> Result<(Object, Vec<Problem>), yaml_serde::Error> {
    let Legacy {
        api_version,
        kind,
        metadata,
        mut spec,
    } = typed(text, notes)?;
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
    Ok((Object::IngressClass(Arc::new(class)), vec![problem]))
}
