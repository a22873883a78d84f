//! Which Ingresses are ours: by class, by annotation, by default.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as k8s;

use crate::{Inputs, Settings, report::About};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Every `IngressClass`, and which of them are ours.
pub(super) struct Classes<'a> {
    inputs: &'a Inputs,
    settings: &'a Settings,
    without_class: bool,
}

impl<'a> Classes<'a> {
    pub(super) fn new(inputs: &'a Inputs, settings: &'a Settings) -> Self {
        let ours_is_default = inputs.ingress_classes.values().any(|class| {
            is_ours(class, settings)
                && annotation(class.metadata.annotations.as_ref(), DEFAULT_CLASS) == Some("true")
        });
        Self {
            inputs,
            settings,
            without_class: settings.watch_ingress_without_class || ours_is_default,
        }
    }

    /// Whether this Ingress is ours to serve. The field comes before the annotation, as with other controllers.
    pub(super) fn serves(&self, object: &k8s::Ingress, about: &mut About<'_>) -> bool {
        let field = object
            .spec
            .as_ref()
            .and_then(|spec| spec.ingress_class_name.as_deref());
        if let Some(name) = field {
            return self.serves_class(name, about);
        }
        match annotation(object.metadata.annotations.as_ref(), CLASS_ANNOTATION) {
            Some(name) if !name.is_empty() => name == self.settings.ingress_class,
            _ => self.without_class,
        }
    }

    fn serves_class(&self, name: &str, about: &mut About<'_>) -> bool {
        if let Some(class) = self.inputs.ingress_classes.get(name) {
            return is_ours(class, self.settings);
        }
        let by_name = name == self.settings.ingress_class;
        if !by_name {
            about.warning(
                "spec.ingressClassName",
                "IngressClassNotFound",
                format!("there is no IngressClass {name}, so Meshlite does not serve this Ingress"),
            );
        }
        by_name
    }
}

fn is_ours(class: &k8s::IngressClass, settings: &Settings) -> bool {
    let spec = class.spec.as_ref();
    spec.and_then(|spec| spec.controller.as_deref()) == Some(&settings.ingress_controller)
}

fn annotation<'a>(
    annotations: Option<&'a BTreeMap<String, String>>,
    name: &str,
) -> Option<&'a str> {
    annotations?.get(name).map(String::as_str)
}
