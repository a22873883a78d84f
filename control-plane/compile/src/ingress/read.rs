//! One Ingress, with every field read; where it stands among others is not known here.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as k8s;
use meshlite_snapshot::{HostMatch, RoutePath, RouteTimeouts};

use super::{
    age::Age,
    backend::{Backend, Target, backend},
    class::Named,
    host,
    path::{looks_like_a_regex, path},
    tls,
};
use crate::{
    ObjectKey, annotations,
    report::{About, Findings},
};

const DEFAULT_BACKEND: &str = "spec.defaultBackend";

/// What one Ingress asks for, and what is wrong with it whatever else there is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) age: Age,
    pub(super) class: Named,
    pub(super) findings: Findings,
    pub(super) timeouts: RouteTimeouts,
    /// Its hosts, each with its paths in order. A host without paths has the default backend only.
    pub(super) hosts: BTreeMap<HostMatch, Vec<PathRule>>,
    pub(super) default_backend: Option<Backend>,
    pub(super) tls: tls::Request,
}

/// `spec.rules[rule].http.paths[index]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathRule {
    pub(super) rule: usize,
    pub(super) index: usize,
    pub(super) path: RoutePath,
    pub(super) backend: Backend,
}

impl PathRule {
    /// The field's path.
    pub(super) fn field(&self) -> String {
        path_field(self.rule, self.index)
    }

    fn backend_field(&self) -> String {
        backend_field(self.rule, self.index)
    }
}

impl Request {
    /// Reads an Ingress. What is wrong with one part of it does not touch the others.
    pub(super) fn read(key: &ObjectKey, object: &k8s::Ingress) -> Self {
        let mut findings = Findings::default();
        let mut about = findings.about("Ingress", key);
        annotations::check("Ingress", object.metadata.annotations.as_ref(), &mut about);
        let mut request = Self {
            age: Age::of(key, object),
            class: Named::by(object),
            findings: Findings::default(),
            timeouts: timeouts(object, &mut about),
            hosts: BTreeMap::new(),
            default_backend: None,
            tls: tls::Request::default(),
        };
        match &object.spec {
            Some(spec) => request.read_spec(spec, &mut about),
            None => about.error("spec", "Required", "an Ingress needs a spec"),
        }
        request.tls.read_annotations(key, object);
        request.findings = findings;
        request
    }

    fn read_spec(&mut self, spec: &k8s::IngressSpec, about: &mut About<'_>) {
        let key = &self.age.key;
        self.default_backend = spec.default_backend.as_ref().map(|written| {
            let field = || DEFAULT_BACKEND.to_owned();
            backend(key, written, field, about)
        });
        let rules = spec.rules.as_deref().unwrap_or_default();
        for (i, rule) in rules.iter().enumerate() {
            match host::host(rule.host.as_deref().unwrap_or_default()) {
                Ok(host) => {
                    let read = paths(key, i, rule, about);
                    self.hosts.entry(host).or_default().extend(read);
                }
                Err(problem) => {
                    about.error(format!("spec.rules[{i}].host"), "InvalidHost", problem);
                }
            }
        }
        if rules.is_empty() {
            if self.default_backend.is_some() {
                self.hosts.insert(HostMatch::Any, vec![]);
            } else {
                about.error(
                    "spec",
                    "Required",
                    "an Ingress needs rules or a defaultBackend",
                );
            }
        }
        let hosts: Vec<_> = self.hosts.keys().collect();
        for (i, entry) in spec.tls.iter().flatten().enumerate() {
            self.tls.read_entry(key, i, entry, &hosts, about);
        }
    }

    pub(super) const fn key(&self) -> &ObjectKey {
        &self.age.key
    }

    /// Every port of a Service that it names, each with the path of the field.
    pub(super) fn targets(&self) -> impl Iterator<Item = (String, &Target)> {
        let rules = self.hosts.values().flatten();
        let rules = rules.filter_map(|rule| Some((rule.backend_field(), rule.backend.as_ref()?)));
        let default = self.default_backend.iter().flatten();
        rules.chain(default.map(|target| (DEFAULT_BACKEND.to_owned(), target)))
    }
}

fn paths(
    key: &ObjectKey,
    rule_index: usize,
    rule: &k8s::IngressRule,
    about: &mut About<'_>,
) -> Vec<PathRule> {
    let Some(http) = &rule.http else {
        return vec![];
    };
    if http.paths.is_empty() {
        let field = format!("spec.rules[{rule_index}].http.paths");
        about.error(field, "Required", "http needs at least one path");
    }
    let mut rules = Vec::with_capacity(http.paths.len());
    for (i, entry) in http.paths.iter().enumerate() {
        let field = || path_field(rule_index, i);
        let path = match path(&entry.path_type, entry.path.as_deref()) {
            Ok(path) => path,
            Err(bad) => {
                about.error(
                    format!("{}.{}", field(), bad.field),
                    bad.reason,
                    bad.message,
                );
                continue;
            }
        };
        if looks_like_a_regex(&entry.path_type, &path) {
            about.warning(
                format!("{}.path", field()),
                "NotARegex",
                format!("{:?} is taken literally, as a prefix", path.value),
            );
        }
        rules.push(PathRule {
            rule: rule_index,
            index: i,
            path,
            backend: backend(key, &entry.backend, || backend_field(rule_index, i), about),
        });
    }
    rules
}

fn timeouts(object: &k8s::Ingress, about: &mut About<'_>) -> RouteTimeouts {
    let annotation = object
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(annotations::REQUEST_TIMEOUT));
    let response_ms = annotation.and_then(|text| match annotations::milliseconds(text) {
        Ok(ms) => Some(ms),
        Err(problem) => {
            about.error(
                annotations::field(annotations::REQUEST_TIMEOUT),
                "InvalidValue",
                format!("{text:?} {problem}"),
            );
            None
        }
    });
    RouteTimeouts {
        response_ms,
        ..RouteTimeouts::default()
    }
}

fn path_field(rule: usize, index: usize) -> String {
    format!("spec.rules[{rule}].http.paths[{index}]")
}

fn backend_field(rule: usize, index: usize) -> String {
    format!("{}.backend", path_field(rule, index))
}
