//! One Ingress, with every field read; where it stands among others is not known here.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as k8s;
use meshlite_snapshot::{HostMatch, RoutePath, RouteTimeouts};

use super::{
    backend::{Backend, Backends},
    host,
    path::{looks_like_a_regex, path},
};
use crate::{ObjectKey, annotations, report::About};

/// What one Ingress asks for.
pub(super) struct Request<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) timeouts: RouteTimeouts,
    /// Its hosts, each with its paths in order. A host without paths has the default backend only.
    pub(super) hosts: BTreeMap<HostMatch, Vec<PathRule>>,
    pub(super) default_backend: Option<Backend>,
    pub(super) tls: Vec<TlsRequest<'a>>,
}

/// `spec.rules[rule].http.paths[index]`.
pub(super) struct PathRule {
    pub(super) rule: usize,
    pub(super) index: usize,
    pub(super) path: RoutePath,
    pub(super) backend: Backend,
}

/// `spec.tls[index]`, where it names a Secret.
pub(super) struct TlsRequest<'a> {
    pub(super) index: usize,
    pub(super) secret: &'a str,
    /// The hosts, with their index where they are listed.
    pub(super) hosts: Vec<(Option<usize>, HostMatch)>,
}

impl PathRule {
    /// The field's path.
    pub(super) fn field(&self) -> String {
        path_field(self.rule, self.index)
    }
}

impl TlsRequest<'_> {
    /// The path of one of its hosts, or of the whole where none is listed.
    pub(super) fn host_field(&self, host: Option<usize>) -> String {
        let index = self.index;
        match host {
            Some(host) => format!("spec.tls[{index}].hosts[{host}]"),
            None => format!("spec.tls[{index}]"),
        }
    }
}

/// Reads an Ingress. What is wrong with one part of it does not touch the others.
pub(super) fn ingress<'a>(
    key: &'a ObjectKey,
    object: &'a k8s::Ingress,
    backends: &Backends<'_>,
    about: &mut About<'_>,
) -> Request<'a> {
    annotations::check("Ingress", object.metadata.annotations.as_ref(), about);
    let mut request = Request {
        key,
        timeouts: timeouts(object, about),
        hosts: BTreeMap::new(),
        default_backend: None,
        tls: vec![],
    };
    let Some(spec) = &object.spec else {
        about.error("spec", "Required", "an Ingress needs a spec");
        return request;
    };
    request.default_backend = spec.default_backend.as_ref().map(|backend| {
        let field = || "spec.defaultBackend".to_owned();
        backends.backend(key, backend, field, about)
    });
    let rules = spec.rules.as_deref().unwrap_or_default();
    for (i, rule) in rules.iter().enumerate() {
        match host::host(rule.host.as_deref().unwrap_or_default()) {
            Ok(host) => {
                let read = paths(key, i, rule, backends, about);
                request.hosts.entry(host).or_default().extend(read);
            }
            Err(problem) => about.error(format!("spec.rules[{i}].host"), "InvalidHost", problem),
        }
    }
    if rules.is_empty() {
        if request.default_backend.is_some() {
            request.hosts.insert(HostMatch::Any, vec![]);
        } else {
            about.error(
                "spec",
                "Required",
                "an Ingress needs rules or a defaultBackend",
            );
        }
    }
    for (i, tls) in spec.tls.iter().flatten().enumerate() {
        request
            .tls
            .extend(tls_request(i, tls, &request.hosts, about));
    }
    request
}

fn paths(
    key: &ObjectKey,
    rule_index: usize,
    rule: &k8s::IngressRule,
    backends: &Backends<'_>,
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
        let backend_field = || format!("{}.backend", field());
        rules.push(PathRule {
            rule: rule_index,
            index: i,
            path,
            backend: backends.backend(key, &entry.backend, backend_field, about),
        });
    }
    rules
}

fn tls_request<'a>(
    index: usize,
    tls: &'a k8s::IngressTLS,
    rule_hosts: &BTreeMap<HostMatch, Vec<PathRule>>,
    about: &mut About<'_>,
) -> Option<TlsRequest<'a>> {
    let listed = tls.hosts.as_deref().unwrap_or_default();
    let mut hosts = Vec::with_capacity(listed.len());
    for (i, text) in listed.iter().enumerate() {
        match host::host(text) {
            Ok(HostMatch::Any) => about.error(
                format!("spec.tls[{index}].hosts[{i}]"),
                "InvalidHost",
                "a host of tls has a name",
            ),
            Ok(host) => hosts.push((Some(i), host)),
            Err(problem) => about.error(
                format!("spec.tls[{index}].hosts[{i}]"),
                "InvalidHost",
                problem,
            ),
        }
    }
    if listed.is_empty() {
        hosts.extend(rule_hosts.keys().map(|host| (None, host.clone())));
    }
    // Without a Secret, TLS is terminated with the default certificate, as it is anyway.
    let secret = tls.secret_name.as_deref().filter(|name| !name.is_empty())?;
    Some(TlsRequest {
        index,
        secret,
        hosts,
    })
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
        idle_ms: None,
    }
}

fn path_field(rule: usize, index: usize) -> String {
    format!("spec.rules[{rule}].http.paths[{index}]")
}
