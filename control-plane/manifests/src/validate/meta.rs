//! Metadata of every object: name, namespace, labels and annotations.

use std::collections::BTreeMap;

use super::{
    Path, Report,
    names::{self, Rule},
};
use crate::Object;

const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

pub(super) fn default_and_validate(object: &mut Object, report: &mut Report) {
    let namespaced = object.is_namespaced();
    let rule = name_rule(object);
    let meta = object.metadata_mut();
    let at = Path::root("metadata");
    match meta.name.as_deref() {
        None | Some("") => report.required(
            at.field("name"),
            if meta.generate_name.is_some() {
                "in file mode an object needs a name: `generateName` is not served"
            } else {
                "name is required"
            },
        ),
        Some(name) => report.follows(at.field("name"), name, rule),
    }
    if !namespaced {
        meta.namespace = None;
    } else if meta.namespace.as_ref().is_none_or(String::is_empty) {
        meta.namespace = Some("default".to_owned());
    } else if let Some(namespace) = &meta.namespace {
        report.follows(at.field("namespace"), namespace, names::dns_label);
    }
    if let Some(labels) = &meta.labels {
        validate_labels(labels, at.field("labels"), report);
    }
    if let Some(annotations) = &meta.annotations {
        let at = at.field("annotations");
        let mut bytes = 0;
        for (key, value) in annotations {
            bytes += key.len() + value.len();
            let lower = key.to_ascii_lowercase();
            report.follows(at, &lower, names::qualified_name);
        }
        report.no_longer_than(at, bytes, MAX_ANNOTATION_BYTES);
    }
}

/// Labels, or a selector of them.
pub(super) fn validate_labels(
    labels: &BTreeMap<String, String>,
    at: Path<'_>,
    report: &mut Report,
) {
    for (key, value) in labels {
        report.follows(at, key, names::qualified_name);
        report.follows(at.key(key), value, names::label_value);
    }
}

fn name_rule(object: &Object) -> Rule {
    match object {
        Object::Service(_) => names::dns_1035_label,
        Object::Namespace(_) => names::dns_label,
        _ => names::dns_subdomain,
    }
}
