//! What the compiler is given: objects by key, and settings.

use std::{collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::api::{
    core::v1::{Namespace, Node, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass},
};
use meshlite_snapshot::Name;

use crate::Factors;

/// Objects as an API server admits them: validated, defaulted, with addresses and node ports allocated.
///
/// Endpoints come as EndpointSlices only: Pods and Endpoints were turned into slices by the endpoint controllers of the
/// cluster, or of file mode.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is its kind")]
pub struct Inputs {
    pub services: BTreeMap<ObjectKey, Arc<Service>>,
    pub endpoint_slices: BTreeMap<ObjectKey, Arc<EndpointSlice>>,
    pub ingresses: BTreeMap<ObjectKey, Arc<Ingress>>,
    pub ingress_classes: BTreeMap<String, Arc<IngressClass>>,
    pub secrets: BTreeMap<ObjectKey, Arc<Secret>>,
    pub nodes: BTreeMap<String, Arc<Node>>,
    pub namespaces: BTreeMap<String, Arc<Namespace>>,
    /// Observed: what load asks for, of Services that are balanced by it.
    pub factors: BTreeMap<ObjectKey, Arc<Factors>>,
}

/// The key of a namespaced object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// The key of this name in this namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// How this control plane compiles. Every replica must have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The ingress class served by name, also through the annotation `kubernetes.io/ingress.class`; it names the
    /// listeners too.
    pub ingress_class: String,
    /// An IngressClass with this `spec.controller` is ours.
    pub ingress_controller: String,
    /// Serve Ingresses that name no class. File mode does.
    pub watch_ingress_without_class: bool,
    /// The port that the ingress binds for HTTP; clients connect to 80.
    pub http_proxy_port: u16,
    /// The port that the ingress binds for HTTPS; clients connect to 443.
    pub https_proxy_port: u16,
    /// The TlsSecret for unknown server names (`namespace/name`); none for one that the ingress makes itself.
    pub default_certificate: Option<Name>,
    /// Serve Ingresses with ingress-nginx's defaults where they write nothing: redirects to HTTPS on hosts with TLS, bodies
    /// of at most 1 MiB, its timeouts and retries.
    pub nginx_compat: bool,
    /// Let routes send to Services of type ExternalName: whoever may write a Service then chooses hosts that the ingress
    /// connects to.
    pub external_names: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ingress_class: "meshlite".into(),
            ingress_controller: "meshlite.io/ingress".into(),
            watch_ingress_without_class: false,
            http_proxy_port: 8080,
            https_proxy_port: 8443,
            default_certificate: None,
            nginx_compat: false,
            external_names: false,
        }
    }
}
