//! Which Ingresses are ours: by class, by annotation, by default.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as k8s;

use crate::{Settings, report::About};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// What an Ingress says of its class. The field comes before the annotation, as with other controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `spec.ingressClassName`.
    Field(String),
    /// The annotation of old, which names no object.
    Annotation(String),
    Nothing,
}

/// Every `IngressClass`, and which of them are ours.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: BTreeMap<String, Class>,
    ours_is_default: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    is_ours: bool,
    is_default: bool,
}

impl Named {
    pub(super) fn by(object: &k8s::Ingress) -> Self {
        let spec = object.spec.as_ref();
        if let Some(name) = spec.and_then(|spec| spec.ingress_class_name.clone()) {
            return Self::Field(name);
        }
        match annotation(object.metadata.annotations.as_ref(), CLASS_ANNOTATION) {
            Some(name) if !name.is_empty() => Self::Annotation(name.to_owned()),
            _ => Self::Nothing,
        }
    }
}

impl Classes {
    /// Takes in what became of a class. Says whether it matters.
    pub(super) fn put(
        &mut self,
        name: String,
        object: Option<&k8s::IngressClass>,
        settings: &Settings,
    ) -> bool {
        let class = object.map(|object| Class {
            is_ours: is_ours(object, settings),
            is_default: annotation(object.metadata.annotations.as_ref(), DEFAULT_CLASS)
                == Some("true"),
        });
        let before = match class {
            Some(class) => self.classes.insert(name, class),
            None => self.classes.remove(&name),
        };
        let mut classes = self.classes.values();
        self.ours_is_default = classes.any(|class| class.is_ours && class.is_default);
        before != class
    }

    /// The names of those that are ours.
    pub(super) fn ours(&self) -> impl Iterator<Item = &str> {
        let ours = self.classes.iter().filter(|(_, class)| class.is_ours);
        ours.map(|(name, _)| name.as_str())
    }

    /// Whether an Ingress that names this class is ours to serve.
    pub(super) fn serves(&self, named: &Named, settings: &Settings, about: &mut About<'_>) -> bool {
        match named {
            Named::Field(name) => self.serves_class(name, settings, about),
            Named::Annotation(name) => *name == settings.ingress_class,
            Named::Nothing => settings.watch_ingress_without_class || self.ours_is_default,
        }
    }

    fn serves_class(&self, name: &str, settings: &Settings, about: &mut About<'_>) -> bool {
        if let Some(class) = self.classes.get(name) {
            return class.is_ours;
        }
        let by_name = name == settings.ingress_class;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectKey, report::Findings};

    #[test]
    fn the_class_and_the_controller_are_those_of_the_settings() {
        let settings = Settings {
            ingress_class: "inside".into(),
            ingress_controller: "example.com/inside".into(),
            ..Settings::default()
        };
        let of = |controller: &str| k8s::IngressClass {
            spec: Some(k8s::IngressClassSpec {
                controller: Some(controller.to_owned()),
                ..k8s::IngressClassSpec::default()
            }),
            ..k8s::IngressClass::default()
        };
        let mut classes = Classes::default();
        let ours = of(&settings.ingress_controller);
        assert!(classes.put("edge".into(), Some(&ours), &settings));
        assert!(!classes.put("edge".into(), Some(&ours), &settings));
        let defaults = of(&Settings::default().ingress_controller);
        classes.put("outside".into(), Some(&defaults), &settings);
        assert_eq!(classes.ours().collect::<Vec<_>>(), ["edge"]);
        let (key, mut findings) = (ObjectKey::new("default", "a"), Findings::default());
        for (named, is_served) in [
            (Named::Field("inside".into()), true),
            (Named::Field("edge".into()), true),
            (Named::Field("outside".into()), false),
            (Named::Field("meshlite".into()), false),
            (Named::Annotation("inside".into()), true),
            (Named::Annotation("meshlite".into()), false),
            (Named::Nothing, false),
        ] {
            let mut about = findings.about("Ingress", &key);
            let served = classes.serves(&named, &settings, &mut about);
            assert_eq!(served, is_served, "{named:?}");
        }
    }
}
