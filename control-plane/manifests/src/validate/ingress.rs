//! Ingresses.

use std::net::IpAddr;

use k8s_openapi::api::{
    core::v1::TypedLocalObjectReference,
    networking::v1::{
        HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressTLS,
    },
};

use super::{Path, Report, names, present};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_ENDS: [&str; 2] = ["/..", "/."];

pub(super) fn validate(ingress: &Ingress, report: &mut Report) {
    let at = Path::root("spec");
    let Some(spec) = &ingress.spec else {
        report.required(at, "");
        return;
    };
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        report.required(at, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = &spec.default_backend {
        validate_backend(backend, at.field("defaultBackend"), report);
    }
    let rules_at = at.field("rules");
    for (i, rule) in rules.iter().enumerate() {
        validate_rule(rule, rules_at.index(i), report);
    }
    let tls_at = at.field("tls");
    for (i, tls) in spec.tls.iter().flatten().enumerate() {
        validate_tls(tls, tls_at.index(i), report);
    }
    let Some(class) = &spec.ingress_class_name else {
        return;
    };
    report.follows(at.field("ingressClassName"), class, names::dns_subdomain);
    let annotations = ingress.metadata.annotations.as_ref();
    if let Some(annotation) = annotations.and_then(|a| a.get(CLASS_ANNOTATION))
        && annotation != class
    {
        let at = Path::root("metadata");
        let at = at.field("annotations");
        report.invalid(
            at.key(CLASS_ANNOTATION),
            annotation,
            "must match `ingressClassName` when both are specified",
        );
    }
}

fn validate_rule(rule: &IngressRule, at: Path<'_>, report: &mut Report) {
    if let Some(host) = present(rule.host.as_ref()) {
        let at = at.field("host");
        if host.parse::<IpAddr>().is_ok() {
            report.invalid(at, host, "must be a DNS name, not an IP address");
        } else {
            validate_host(host, at, report);
        }
    }
    let Some(http) = &rule.http else {
        return;
    };
    let at = at.field("http");
    let at = at.field("paths");
    if http.paths.is_empty() {
        report.required(at, "");
    }
    for (i, path) in http.paths.iter().enumerate() {
        validate_path(path, at.index(i), report);
    }
}

fn validate_host(host: &str, at: Path<'_>, report: &mut Report) {
    if host.contains('*') {
        report.follows(at, host, names::wildcard_subdomain);
    } else {
        report.follows(at, host, names::dns_subdomain);
    }
}

fn validate_path(path: &HTTPIngressPath, at: Path<'_>, report: &mut Report) {
    let value = path.path.as_deref().unwrap_or_default();
    let path_at = at.field("path");
    match path.path_type.as_str() {
        "" => report.required(at.field("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !value.starts_with('/') {
                report.invalid(path_at, value, "must be an absolute path");
            }
            for sequence in BAD_SEQUENCES.iter().filter(|s| value.contains(**s)) {
                report.invalid(path_at, value, &format!("must not contain '{sequence}'"));
            }
            for end in BAD_ENDS.iter().filter(|s| value.ends_with(**s)) {
                report.invalid(path_at, value, &format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !value.is_empty() && !value.starts_with('/') {
                report.invalid(path_at, value, "must be an absolute path");
            }
        }
        other => report.supported(at.field("pathType"), other, &PATH_TYPES),
    }
    validate_backend(&path.backend, at.field("backend"), report);
}

fn validate_backend(backend: &IngressBackend, at: Path<'_>, report: &mut Report) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            report.invalid(at, "", "cannot set both resource and service backends");
        }
        (None, None) => report.invalid(at, "", "resource or service backend is required"),
        (Some(service), None) => validate_service_backend(service, at, report),
        (None, Some(resource)) => {
            validate_resource_backend(resource, at.field("resource"), report);
        }
    }
}

fn validate_service_backend(service: &IngressServiceBackend, at: Path<'_>, report: &mut Report) {
    let service_at = at.field("service");
    if service.name.is_empty() {
        report.required(service_at.field("name"), "");
    } else {
        report.follows(
            service_at.field("name"),
            &service.name,
            names::dns_1035_label,
        );
    }
    let port = service.port.as_ref();
    let name = port.and_then(|port| present(port.name.as_ref()));
    let number = port
        .and_then(|port| port.number)
        .filter(|number| *number != 0);
    let port_at = service_at.field("port");
    match (name, number) {
        (Some(_), Some(_)) => report.invalid(at, "", "cannot set both port name & port number"),
        (None, None) => report.required(at, "port name or number is required"),
        (Some(name), None) => report.follows(port_at.field("name"), name, names::port_name),
        (None, Some(number)) => report.port(port_at.field("number"), number),
    }
}

fn validate_resource_backend(
    resource: &TypedLocalObjectReference,
    at: Path<'_>,
    report: &mut Report,
) {
    if let Some(group) = &resource.api_group {
        report.follows(at.field("apiGroup"), group, names::dns_subdomain);
    }
    for (field, value) in [("kind", &resource.kind), ("name", &resource.name)] {
        if value.is_empty() {
            report.required(at.field(field), "");
        } else {
            report.follows(at.field(field), value, names::path_segment);
        }
    }
}

fn validate_tls(tls: &IngressTLS, at: Path<'_>, report: &mut Report) {
    let hosts = at.field("hosts");
    for (i, host) in tls.hosts.iter().flatten().enumerate() {
        validate_host(host, hosts.index(i), report);
    }
    if let Some(secret) = present(tls.secret_name.as_ref()) {
        report.follows(at.field("secretName"), secret, names::dns_subdomain);
    }
}
