//! Deployments and StatefulSets: Meshlite serves none, so what is wrong with one is a warning.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{DeploymentSpec, StatefulSetSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::{Path, Report, pod};

/// What Deployments and StatefulSets have in common.
pub(super) trait Spec {
    fn parts(&mut self) -> (Option<i32>, &LabelSelector, &mut PodTemplateSpec);
}

impl Spec for DeploymentSpec {
    fn parts(&mut self) -> (Option<i32>, &LabelSelector, &mut PodTemplateSpec) {
        (self.replicas, &self.selector, &mut self.template)
    }
}

impl Spec for StatefulSetSpec {
    fn parts(&mut self) -> (Option<i32>, &LabelSelector, &mut PodTemplateSpec) {
        (self.replicas, &self.selector, &mut self.template)
    }
}

pub(super) fn default_and_validate(spec: &mut impl Spec, report: &mut Report) {
    let (replicas, selector, template) = spec.parts();
    let at = Path::root("spec");
    let mut errors = Report::default();
    if let Some(replicas) = replicas.filter(|replicas| *replicas < 0) {
        errors.invalid(
            at.field("replicas"),
            replicas,
            "must be greater than or equal to 0",
        );
    }
    let template_at = at.field("template");
    let none = BTreeMap::new();
    let labels = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.as_ref())
        .unwrap_or(&none);
    let wanted = selector.match_labels.as_ref().unwrap_or(&none);
    if wanted
        .iter()
        .any(|(key, value)| labels.get(key) != Some(value))
    {
        let at = template_at.field("metadata");
        errors.invalid(
            at.field("labels"),
            labels,
            "`selector` does not match template `labels`",
        );
    }
    if let Some(spec) = &mut template.spec {
        pod::default_spec(spec);
        pod::validate_spec(spec, template_at.field("spec"), &mut errors);
    }
    report.downgrade(errors);
}
