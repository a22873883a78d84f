//! `v1beta1` Ingress of `extensions` and `networking.k8s.io`, removed in Kubernetes 1.22.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        core::v1::TypedLocalObjectReference,
        networking::v1::{
            HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
            IngressServiceBackend, IngressSpec, IngressStatus, IngressTLS, ServiceBackendPort,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use serde::Deserialize;

use super::{Converted, Readable};
use crate::{Object, Problem};

/// An Ingress as it was written before `networking.k8s.io/v1`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LegacyIngress {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<LegacySpec>,
    status: Option<IngressStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacySpec {
    ingress_class_name: Option<String>,
    backend: Option<LegacyBackend>,
    rules: Option<Vec<LegacyRule>>,
    tls: Option<Vec<IngressTLS>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyRule {
    host: Option<String>,
    http: Option<LegacyHttp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyHttp {
    #[serde(default)]
    paths: Vec<LegacyPath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyPath {
    path: Option<String>,
    path_type: Option<String>,
    backend: LegacyBackend,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LegacyBackend {
    service_name: Option<String>,
    service_port: Option<IntOrString>,
    resource: Option<TypedLocalObjectReference>,
}

/// With warnings about what it should become.
impl Readable for LegacyIngress {
    fn convert(self) -> Converted {
        let Self {
            api_version,
            kind,
            metadata,
            spec,
            status,
        } = self;
        let mut problems = vec![Problem::warning(
            "apiVersion",
            "LegacyApiVersion",
            format!(
                "{api_version} {kind} was removed in Kubernetes 1.22; read as networking.k8s.io/v1, where a path without pathType \
             is ImplementationSpecific"
            ),
        )];
        let ingress = Ingress {
            metadata,
            spec: spec.map(|spec| convert_spec(spec, &mut problems)),
            status,
        };
        (Object::Ingress(Arc::new(ingress)), problems)
    }
}

fn convert_spec(spec: LegacySpec, problems: &mut Vec<Problem>) -> IngressSpec {
    let LegacySpec {
        ingress_class_name,
        backend,
        rules,
        tls,
    } = spec;
    IngressSpec {
        default_backend: backend.map(|backend| convert_backend(backend, "spec.backend", problems)),
        ingress_class_name,
        rules: rules.map(|rules| {
            rules
                .into_iter()
                .enumerate()
                .map(|(index, rule)| convert_rule(rule, index, problems))
                .collect()
        }),
        tls,
    }
}

fn convert_rule(rule: LegacyRule, index: usize, problems: &mut Vec<Problem>) -> IngressRule {
    let LegacyRule { host, http } = rule;
    let mut convert_path = |(number, path)| {
        let LegacyPath {
            path,
            path_type,
            backend,
        } = path;
        let field = format!("spec.rules[{index}].http.paths[{number}].backend");
        HTTPIngressPath {
            backend: convert_backend(backend, &field, problems),
            path,
            path_type: path_type.unwrap_or_else(|| "ImplementationSpecific".to_owned()),
        }
    };
    IngressRule {
        host,
        http: http.map(|http| HTTPIngressRuleValue {
            paths: http
                .paths
                .into_iter()
                .enumerate()
                .map(&mut convert_path)
                .collect(),
        }),
    }
}

fn convert_backend(
    backend: LegacyBackend,
    field: &str,
    problems: &mut Vec<Problem>,
) -> IngressBackend {
    let LegacyBackend {
        service_name,
        service_port,
        resource,
    } = backend;
    let has_service = service_name.is_some() || service_port.is_some();
    IngressBackend {
        resource,
        service: has_service.then(|| IngressServiceBackend {
            name: service_name.unwrap_or_default(),
            port: service_port.map(|port| convert_port(port, field, problems)),
        }),
    }
}

/// A number is a number and a name a name. A number in quotes was a name that no port can have: it was meant as a
/// number.
fn convert_port(port: IntOrString, field: &str, problems: &mut Vec<Problem>) -> ServiceBackendPort {
    let (number, name) = match port {
        IntOrString::Int(number) => (Some(number), None),
        IntOrString::String(text) => match text.parse::<i32>() {
            Ok(number) => {
                problems.push(Problem::warning(
                    format!("{field}.servicePort"),
                    "QuotedNumber",
                    format!("\"{text}\" in quotes is a port name; read as the number {number}"),
                ));
                (Some(number), None)
            }
            Err(_) => (None, Some(text)),
        },
    };
    ServiceBackendPort { name, number }
}
