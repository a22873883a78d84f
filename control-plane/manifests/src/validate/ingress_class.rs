//! Classes of Ingresses.

use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference};

use super::{Path, Report, names, present};

const MAX_CONTROLLER_BYTES: usize = 250;

pub(super) fn default(class: &mut IngressClass) {
    let parameters = class
        .spec
        .as_mut()
        .and_then(|spec| spec.parameters.as_mut());
    if let Some(parameters) = parameters {
        parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
    }
}

pub(super) fn validate(class: &IngressClass, report: &mut Report) {
    let at = Path::root("spec");
    let spec = class.spec.as_ref();
    let controller_at = at.field("controller");
    match present(spec.and_then(|spec| spec.controller.as_ref())) {
        None => report.required(controller_at, ""),
        Some(controller) => {
            report.no_longer_than(controller_at, controller.len(), MAX_CONTROLLER_BYTES);
            report.follows(controller_at, controller, names::domain_prefixed_path);
        }
    }
    if let Some(parameters) = spec.and_then(|spec| spec.parameters.as_ref()) {
        validate_parameters(parameters, at.field("parameters"), report);
    }
}

fn validate_parameters(
    parameters: &IngressClassParametersReference,
    at: Path<'_>,
    report: &mut Report,
) {
    if let Some(group) = &parameters.api_group {
        report.follows(at.field("apiGroup"), group, names::dns_subdomain);
    }
    for (field, value) in [("kind", &parameters.kind), ("name", &parameters.name)] {
        if value.is_empty() {
            report.required(at.field(field), "");
        } else {
            report.follows(at.field(field), value, names::path_segment);
        }
    }
    let namespace_at = at.field("namespace");
    match (parameters.scope.as_deref(), &parameters.namespace) {
        (Some("Namespace"), None) => {
            report.required(namespace_at, "`parameters.scope` is set to 'Namespace'");
        }
        (Some("Namespace"), Some(namespace)) => {
            report.follows(namespace_at, namespace, names::dns_label);
        }
        (Some("Cluster"), Some(_)) => {
            report.forbidden(namespace_at, "`parameters.scope` is set to 'Cluster'");
        }
        (scope, _) => report.supported(
            at.field("scope"),
            scope.unwrap_or("Cluster"),
            &["Cluster", "Namespace"],
        ),
    }
}
