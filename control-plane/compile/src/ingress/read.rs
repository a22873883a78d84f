//! One Ingress, with every field read; where it stands among others is not known here.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as k8s;
use meshlite_snapshot::{HostMatch, RoutePath};

use super::{
    age::Age,
    annotations::{self as asked, Asked, Stand},
    backend::{Backend, Target, backend},
    class::Named,
    host,
    path::{looks_like_a_regex, path},
    tls,
};
use crate::{
    ObjectKey, Settings, annotations,
    report::{About, Findings},
};

const DEFAULT_BACKEND: &str = "spec.defaultBackend";

/// What one Ingress asks for, and what is wrong with it whatever else there is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) age: Age,
    pub(super) class: Named,
    pub(super) findings: Findings,
    /// What its annotations ask for.
    pub(super) asked: Asked,
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
    pub(super) fn read(key: &ObjectKey, object: &k8s::Ingress, settings: &Settings) -> Self {
        let mut findings = Findings::default();
        let mut about = findings.about("Ingress", key);
        let annotations = object.metadata.annotations.as_ref();
        annotations::check("Ingress", annotations, &mut about);
        let hosts = rule_hosts(object.spec.as_ref());
        let mut request = Self {
            age: Age::of(key, object),
            class: Named::by(object),
            findings: Findings::default(),
            asked: asked::read(key, annotations, &hosts, settings, &mut about),
            hosts: BTreeMap::new(),
            default_backend: None,
            tls: tls::Request::default(),
        };
        match &object.spec {
            Some(spec) => request.read_spec(spec, &mut about),
            None => about.error("spec", "Required", "an Ingress needs a spec"),
        }
        request.stand_in(hosts.first());
        request.send_as_asked();
        request.findings = findings;
        request
    }

    /// Gives the hosts that no rule names what they stand for.
    fn stand_in(&mut self, first: Option<&HostMatch>) {
        let hosts = &mut self.hosts;
        self.asked
            .stands
            .retain(|host, _| !hosts.contains_key(host));
        for (host, stand) in &self.asked.stands {
            let (of, paths) = match stand {
                Stand::Alias => {
                    let Some(first) = first else { continue };
                    let paths = hosts.get(first).cloned().unwrap_or_default();
                    (first.clone(), paths)
                }
                Stand::RedirectTo(to) => (HostMatch::Exact(to.clone()), vec![]),
            };
            hosts.insert(host.clone(), paths);
            self.tls.stand_in(host, &of);
        }
    }

    /// Gives its backends clusters of their own where requests go there as it says.
    fn send_as_asked(&mut self) {
        let Some(upstream) = &self.asked.upstream else {
            return;
        };
        let rules = self.hosts.values_mut().flatten();
        let backends = rules.map(|rule| &mut rule.backend);
        for backend in backends.chain(self.default_backend.as_mut()) {
            *backend = backend.take().and_then(|target| target.with(upstream));
        }
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
                    let is_literal = !self.asked.makes_some_regexes();
                    let read = paths(key, i, rule, is_literal, about);
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
        let default = default.map(|target| (DEFAULT_BACKEND.to_owned(), target));
        let asked = self.asked.targets.iter();
        let asked = asked.map(|(field, target)| (field.clone(), target));
        rules.chain(default).chain(asked)
    }
}

fn paths(
    key: &ObjectKey,
    rule_index: usize,
    rule: &k8s::IngressRule,
    is_literal: bool,
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
        if is_literal && looks_like_a_regex(&entry.path_type, &path) {
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

/// The good hosts of the rules, in order.
fn rule_hosts(spec: Option<&k8s::IngressSpec>) -> Vec<HostMatch> {
    let rules = spec.and_then(|spec| spec.rules.as_deref());
    let hosts = rules.unwrap_or_default().iter();
    hosts
        .filter_map(|rule| host::host(rule.host.as_deref()?).ok())
        .collect()
}

fn path_field(rule: usize, index: usize) -> String {
    format!("spec.rules[{rule}].http.paths[{index}]")
}

fn backend_field(rule: usize, index: usize) -> String {
    format!("{}.backend", path_field(rule, index))
}
