//! The objects of the cluster as an API server writes them: Services, their EndpointSlices, Nodes and Namespaces.

use std::fmt::Write as _;

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Services, each with one EndpointSlice.
    pub(crate) services: u32,
    /// Endpoints in each slice.
    pub(crate) endpoints: u32,
    /// Nodes, with a data plane on each.
    pub(crate) nodes: u32,
}

const NAMESPACES: u32 = 200;

/// A collection of the API, as its path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Collection {
    Services,
    EndpointSlices,
    Nodes,
    Namespaces,
    /// Those that the control plane watches and this cluster has none of.
    Empty,
}

impl Collection {
    /// The collection that a request path names.
    pub(crate) fn of(path: &str) -> Option<Self> {
        Some(match path.rsplit('/').next()? {
            "services" => Self::Services,
            "endpointslices" => Self::EndpointSlices,
            "nodes" => Self::Nodes,
            "namespaces" => Self::Namespaces,
            "ingresses" | "ingressclasses" | "secrets" => Self::Empty,
            _ => return None,
        })
    }

    /// `kind` and `apiVersion` of what it holds.
    pub(crate) const fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Services => ("Service", "v1"),
            Self::EndpointSlices => ("EndpointSlice", "discovery.k8s.io/v1"),
            Self::Nodes => ("Node", "v1"),
            Self::Namespaces => ("Namespace", "v1"),
            Self::Empty => ("Ingress", "networking.k8s.io/v1"),
        }
    }

    /// Every object of it.
    pub(crate) fn objects(self, size: Size) -> Vec<String> {
        match self {
            Self::Services => (0..size.services).map(service).collect(),
            Self::EndpointSlices => (0..size.services)
                .map(|number| slice(number, size.endpoints, 1, "", true))
                .collect(),
            Self::Nodes => (0..size.nodes).map(node).collect(),
            Self::Namespaces => (0..NAMESPACES)
                .map(|number| namespace(&namespace_of(number)))
                .chain([namespace("kube-system")])
                .collect(),
            Self::Empty => vec![],
        }
    }
}

/// The name of a node.
pub(crate) fn node_name(number: u32) -> String {
    format!(
        "ip-10-{:03}-{:03}.eu-central-1.compute.internal",
        number / 250,
        number % 250
    )
}

fn namespace_of(number: u32) -> String {
    format!("team-{:03}", number % NAMESPACES)
}

pub(crate) fn namespace(name: &str) -> String {
    format!(
        r#"{{"kind":"Namespace","apiVersion":"v1","metadata":{{"name":"{name}","uid":"namespace-{name}","resourceVersion":"1"}}}}"#
    )
}

fn node(number: u32) -> String {
    let name = node_name(number);
    let (high, low) = (number / 250, number % 250);
    format!(
        r#"{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"{name}","uid":"node-{number}","resourceVersion":"1","labels":{{"topology.kubernetes.io/zone":"zone-{zone}"}}}},"spec":{{"podCIDR":"10.{pods}.{low}.0/24","podCIDRs":["10.{pods}.{low}.0/24"]}},"status":{{"addresses":[{{"type":"InternalIP","address":"172.16.{high}.{low}"}}]}}}}"#,
        zone = number % 3,
        pods = 200 + high,
    )
}

fn service(number: u32) -> String {
    let namespace = namespace_of(number);
    let vip = format!(
        "10.{}.{}.{}",
        96 + number / 65_536,
        number / 256 % 256,
        number % 256
    );
    format!(
        r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"service-{number:05}","namespace":"{namespace}","uid":"service-{number}","resourceVersion":"1","labels":{{"app":"service-{number:05}"}}}},"spec":{{"type":"ClusterIP","clusterIP":"{vip}","clusterIPs":["{vip}"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster","sessionAffinity":"None","selector":{{"app":"service-{number:05}"}},"ports":[{{"name":"http","port":80,"protocol":"TCP","targetPort":8080}},{{"name":"metrics","port":9090,"protocol":"TCP","targetPort":9090}}]}},"status":{{"loadBalancer":{{}}}}}}"#
    )
}

/// One slice; its first endpoint is ready or not. `trigger` is when that came to be, as an RFC 3339 timestamp; empty for none.
pub(crate) fn slice(
    number: u32,
    endpoints: u32,
    version: u64,
    trigger: &str,
    ready: bool,
) -> String {
    let namespace = namespace_of(number);
    let annotations = if trigger.is_empty() {
        String::new()
    } else {
        format!(
            r#""annotations":{{"endpoints.kubernetes.io/last-change-trigger-time":"{trigger}"}},"#
        )
    };
    let mut text = format!(
        r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"service-{number:05}-x7k2p","namespace":"{namespace}","uid":"slice-{number}","resourceVersion":"{version}",{annotations}"labels":{{"kubernetes.io/service-name":"service-{number:05}","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}}}},"addressType":"IPv4","ports":[{{"name":"http","port":8080,"protocol":"TCP"}},{{"name":"metrics","port":9090,"protocol":"TCP"}}],"endpoints":["#
    );
    for endpoint in 0..endpoints {
        let pod = number * endpoints + endpoint;
        let ready = ready || endpoint > 0;
        let comma = if endpoint > 0 { "," } else { "" };
        let _ok = write!(
            text,
            r#"{comma}{{"addresses":["10.{a}.{b}.{c}"],"conditions":{{"ready":{ready},"serving":{ready},"terminating":false}},"nodeName":"{node}","zone":"zone-{zone}","targetRef":{{"kind":"Pod","name":"service-{number:05}-6c9f7d5b8-{pod:05x}","namespace":"{namespace}","uid":"pod-{pod}"}}}}"#,
            a = 128 + pod / 65_536,
            b = pod / 256 % 256,
            c = pod % 256,
            node = node_name(pod % 5_000),
            zone = pod % 3,
        );
    }
    text.push_str("]}");
    text
}
