//! Which kinds Meshlite reads, and what to say of the others.

use k8s_openapi::api::{
    core::v1::{Endpoints, Namespace, Node, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};

use super::header::Header;
use crate::{
    Problem,
    convert::{
        Converted, Deployment, LegacyIngress, LegacyIngressClass, Pod, Readable, StatefulSet,
    },
    plain::{self, NotPlain},
    unknown::{self, Notes, Strict},
};

type Reader = fn(&[u8], &Notes<'_>) -> Result<Converted, yaml_serde::Error>;

/// A kind in one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) api_version: &'static str,
    /// Reads a document that is plain and right.
    pub(crate) read_plain: fn(&[u8]) -> Result<Converted, NotPlain>,
    /// Reads any document, noting what serde would forgive.
    pub(crate) read: Reader,
    /// Whether a misspelt field can lose traffic. The others are only run by the demo.
    pub(crate) served: bool,
}

/// What to do with a document.
#[derive(Debug)]
pub(crate) enum Plan {
    Read(&'static Kind),
    /// A list; the kind of its items where they need not say.
    List(Option<&'static Kind>),
    /// Not ours.
    Skip,
    Refuse(Problem),
    /// Not ours any more: skipped, with a warning.
    SkipWith(Problem),
}

const NETWORKING: &str = "networking.k8s.io/v1";
const NETWORKING_BETA: &str = "networking.k8s.io/v1beta1";

const KINDS: &[Kind] = &[
    kind::<Service>("Service", "v1"),
    kind::<Endpoints>("Endpoints", "v1"),
    kind::<EndpointSlice>("EndpointSlice", "discovery.k8s.io/v1"),
    kind::<Ingress>("Ingress", NETWORKING),
    kind::<LegacyIngress>("Ingress", NETWORKING_BETA),
    kind::<LegacyIngress>("Ingress", "extensions/v1beta1"),
    kind::<IngressClass>("IngressClass", NETWORKING),
    kind::<LegacyIngressClass>("IngressClass", NETWORKING_BETA),
    kind::<Secret>("Secret", "v1"),
    kind::<Pod>("Pod", "v1"),
    kind::<Node>("Node", "v1"),
    kind::<Namespace>("Namespace", "v1"),
    workload::<Deployment>("Deployment"),
    workload::<StatefulSet>("StatefulSet"),
];

const fn kind<T: Readable>(name: &'static str, api_version: &'static str) -> Kind {
    Kind {
        name,
        api_version,
        read_plain: |text| plain::from_slice::<T>(text).map(T::convert),
        read: |text, notes| {
            let parser = yaml_serde::Deserializer::from_slice(text);
            T::deserialize(Strict::new(parser, notes)).map(T::convert)
        },
        served: true,
    }
}

const fn workload<T: Readable>(name: &'static str) -> Kind {
    Kind {
        served: false,
        ..kind::<T>(name, "apps/v1")
    }
}

/// What to do with an item of a list of this kind, which need not say what it is.
pub(super) fn plan_as(header: &Header, assumed: Option<&'static Kind>) -> Plan {
    match assumed {
        Some(kind) if header.kind.is_empty() && header.api_version.is_empty() => Plan::Read(kind),
        _ => plan(header),
    }
}

/// What to do with a document that says it is this.
fn plan(header: &Header) -> Plan {
    let Header { api_version, kind } = header;
    if let Some(problem) = incomplete(header) {
        return Plan::Refuse(problem);
    }
    if let Some(found) = find(kind, api_version) {
        return Plan::Read(found);
    }
    if kind == "List" && api_version == "v1" {
        return Plan::List(None);
    }
    if let Some(items) = kind
        .strip_suffix("List")
        .and_then(|item| find(item, api_version))
    {
        return Plan::List(Some(items));
    }
    if !is_kubernetes_own(api_version) {
        return Plan::Skip;
    }
    if let Some(found) = newest(kind) {
        let message = format!("{kind} is in {}, not in {api_version}", found.api_version);
        return if found.served {
            Plan::Refuse(Problem::error("apiVersion", "WrongApiVersion", message))
        } else {
            Plan::SkipWith(Problem::warning("apiVersion", "WrongApiVersion", message))
        };
    }
    match misspelt(header) {
        Some(meant) => Plan::Refuse(Problem::error(
            "kind",
            "UnknownKind",
            format!("{api_version} has no kind {kind}; did you mean {meant}?"),
        )),
        None => Plan::Skip,
    }
}

/// Whether objects of this kind, where it is one of ours, live in a namespace.
pub(super) fn is_namespaced(kind: &str) -> bool {
    newest(kind).is_some() && !matches!(kind, "IngressClass" | "Namespace" | "Node")
}

fn incomplete(header: &Header) -> Option<Problem> {
    match (header.api_version.is_empty(), header.kind.is_empty()) {
        (false, false) => None,
        (true, true) => Some(Problem::error(
            "",
            "NotAnObject",
            "neither `apiVersion` nor `kind` is set: this is no Kubernetes object",
        )),
        (true, false) => Some(Problem::error(
            "apiVersion",
            "Required",
            match newest(&header.kind) {
                Some(found) => format!(
                    "`apiVersion` is not set; {} is in {}",
                    found.name, found.api_version
                ),
                None => "`apiVersion` is not set".to_owned(),
            },
        )),
        (false, true) => Some(Problem::error("kind", "Required", "`kind` is not set")),
    }
}

fn find(kind: &str, api_version: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|known| known.name == kind && known.api_version == api_version)
}

/// The kind in the version that is served today.
fn newest(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.name == kind)
}

/// The groups of Kubernetes itself. In others, a Service may be something else.
fn is_kubernetes_own(api_version: &str) -> bool {
    match api_version.split_once('/') {
        None => api_version.starts_with('v'),
        Some((group, _)) => {
            !group.contains('.') || matches!(group, "networking.k8s.io" | "discovery.k8s.io")
        }
    }
}

/// The kind of this apiVersion that was probably meant.
fn misspelt(header: &Header) -> Option<&'static str> {
    let candidates: Vec<&'static str> = KINDS
        .iter()
        .filter(|known| known.api_version == header.api_version)
        .map(|known| known.name)
        .chain((header.api_version == "v1").then_some("List"))
        .collect();
    unknown::misspelt(&header.kind, &candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(api_version: &str, kind: &str) -> String {
        let header = Header {
            api_version: api_version.into(),
            kind: kind.into(),
        };
        match plan(&header) {
            Plan::Read(kind) => format!("read {} {}", kind.api_version, kind.name),
            Plan::List(items) => format!("list of {}", items.map_or("anything", |kind| kind.name)),
            Plan::Skip => "skip".into(),
            Plan::Refuse(problem) => format!("refuse: {}", problem.message),
            Plan::SkipWith(problem) => format!("skip: {}", problem.message),
        }
    }

    #[test]
    fn known_kinds_are_read_and_others_skipped() {
        assert_eq!(plan_of("v1", "Service"), "read v1 Service");
        assert_eq!(plan_of("v1", "List"), "list of anything");
        assert_eq!(plan_of("v1", "ServiceList"), "list of Service");
        for (api_version, kind) in [
            ("v1", "ConfigMap"),
            ("v1", "ServiceAccount"),
            ("policy/v1beta1", "PodSecurityPolicy"),
            ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
            ("serving.knative.dev/v1", "Service"),
            ("batch/v1", "Job"),
            ("apps/v1", "DaemonSet"),
        ] {
            assert_eq!(plan_of(api_version, kind), "skip", "{api_version} {kind}");
        }
    }

    #[test]
    fn a_wrong_version_names_the_right_one() {
        assert_eq!(
            plan_of("apps/v1", "Service"),
            "refuse: Service is in v1, not in apps/v1"
        );
        assert_eq!(
            plan_of("v1", "Ingress"),
            "refuse: Ingress is in networking.k8s.io/v1, not in v1"
        );
        assert_eq!(
            plan_of("extensions/v1beta1", "Deployment"),
            "skip: Deployment is in apps/v1, not in extensions/v1beta1"
        );
    }

    #[test]
    fn a_misspelt_kind_is_refused() {
        assert_eq!(
            plan_of("v1", "service"),
            "refuse: v1 has no kind service; did you mean Service?"
        );
        assert_eq!(
            plan_of("v1", "Sevice"),
            "refuse: v1 has no kind Sevice; did you mean Service?"
        );
    }
}
