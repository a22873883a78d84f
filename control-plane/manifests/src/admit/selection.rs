//! What the selectors of Services find, and why one finds nothing.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PodTemplateSpec, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{ObjectRef, SourceLocation};

use super::{catalog::Catalog, pods::PodEntry};

/// Something with labels that a selector can find.
pub(super) trait Selectable {
    fn namespace(&self) -> &str;
    fn labels(&self) -> Option<&BTreeMap<String, String>>;
}

/// Things by namespace and label.
#[derive(Debug)]
pub(super) struct Index<'a, T> {
    by_label: BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a T>>,
}

/// A selector: what must be there, and not empty.
pub(super) type Selector = BTreeMap<String, String>;

/// A Deployment or StatefulSet, which would make Pods if something ran them.
#[derive(Debug)]
pub(super) struct Template<'a> {
    pub(super) kind: &'static str,
    pub(super) key: &'a ObjectKey,
    pub(super) source: &'a SourceLocation,
    pub(super) replicas: Option<i32>,
    metadata: Option<&'a ObjectMeta>,
}

impl Selectable for PodEntry<'_> {
    fn namespace(&self) -> &str {
        &self.key.namespace
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.pod.metadata.labels.as_ref()
    }
}

impl Selectable for Template<'_> {
    fn namespace(&self) -> &str {
        &self.key.namespace
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata?.labels.as_ref()
    }
}

impl Template<'_> {
    pub(super) fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.kind, &self.key.namespace, &self.key.name)
    }
}

/// Every Deployment and StatefulSet.
pub(super) fn templates<'c>(catalog: &'c Catalog<'_>) -> Vec<Template<'c>> {
    let metadata = |template: &'c PodTemplateSpec| template.metadata.as_ref();
    let deployments = catalog.deployments.iter().map(|(key, entry)| Template {
        kind: "Deployment",
        key,
        source: entry.source,
        replicas: entry.object.spec.replicas,
        metadata: metadata(&entry.object.spec.template),
    });
    let sets = catalog.stateful_sets.iter().map(|(key, entry)| Template {
        kind: "StatefulSet",
        key,
        source: entry.source,
        replicas: entry.object.spec.replicas,
        metadata: metadata(&entry.object.spec.template),
    });
    deployments.chain(sets).collect()
}

impl<'a, T: Selectable> Index<'a, T> {
    pub(super) fn new(things: &'a [T]) -> Self {
        let mut by_label: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for thing in things {
            for (key, value) in thing.labels().into_iter().flatten() {
                let label = (thing.namespace(), key.as_str(), value.as_str());
                by_label.entry(label).or_default().push(thing);
            }
        }
        Self { by_label }
    }

    /// What has every label of the selector, in order. An empty selector finds nothing.
    pub(super) fn select(&self, namespace: &str, selector: &Selector) -> Vec<&'a T> {
        self.select_without(namespace, selector, None)
    }

    /// As if the selector did not have this key.
    pub(super) fn select_without(
        &self,
        namespace: &str,
        selector: &Selector,
        without: Option<&str>,
    ) -> Vec<&'a T> {
        let wanted = || {
            selector
                .iter()
                .filter(|(key, _)| Some(key.as_str()) != without)
        };
        let mut fewest: Option<&Vec<&'a T>> = None;
        for (key, value) in wanted() {
            match self
                .by_label
                .get(&(namespace, key.as_str(), value.as_str()))
            {
                None => return Vec::new(),
                Some(things) if fewest.is_none_or(|f| things.len() < f.len()) => {
                    fewest = Some(things);
                }
                Some(_) => {}
            }
        }
        let has_all = |thing: &&&T| {
            thing
                .labels()
                .is_some_and(|labels| wanted().all(|(k, v)| labels.get(k) == Some(v)))
        };
        fewest
            .into_iter()
            .flatten()
            .filter(has_all)
            .copied()
            .collect()
    }
}

/// Why a selector finds no Pod, as a sentence.
pub(super) fn explain_nothing(
    key: &ObjectKey,
    selector: &Selector,
    pods: &Index<'_, PodEntry<'_>>,
    templates: &Index<'_, Template<'_>>,
) -> String {
    let namespace = key.namespace.as_str();
    if let Some(template) = templates.select(namespace, selector).first() {
        let who = template.reference();
        return if template.replicas == Some(0) {
            format!("selects 0 Pods: {who} has 0 replicas")
        } else {
            format!("selects 0 Pods: {who} would match, but file mode runs no Pods")
        };
    }
    let keys = || selector.keys().map(String::as_str);
    // A key that belongs to the Service itself is the likelier mistake.
    let (fields, labels): (Vec<_>, Vec<_>) = keys().partition(|key| is_service_field(key));
    for key in fields.iter().chain(&labels).filter(|_| selector.len() > 1) {
        let found = pods.select_without(namespace, selector, Some(key)).len();
        let template = templates.select_without(namespace, selector, Some(key));
        let instead = match template.first() {
            _ if found > 0 => found.to_string(),
            Some(template) => template.reference().to_string(),
            None => continue,
        };
        let hint = if is_service_field(key) {
            ": mis-indented?"
        } else {
            ""
        };
        return format!("selects 0 Pods; without `{key}`, {instead}{hint}");
    }
    if let Some(field) = fields.first() {
        return format!(
            "selects 0 Pods; the key `{field}` of its selector is a field of Services: mis-indented?"
        );
    }
    let labels: Vec<_> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!(
        "selects 0 Pods: nothing in namespace {namespace} has the labels {}",
        labels.join(",")
    )
}

/// A field of `spec` or of a whole Service, as a selector by mistake swallows it.
fn is_service_field(key: &str) -> bool {
    const FIELDS: [&str; 24] = [
        "apiVersion",
        "kind",
        "metadata",
        "status",
        "allocateLoadBalancerNodePorts",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalName",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "internalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "ports",
        "publishNotReadyAddresses",
        "selector",
        "sessionAffinity",
        "sessionAffinityConfig",
        "trafficDistribution",
        "type",
    ];
    FIELDS.contains(&key)
}

/// The selector of a Service, if it has one that is not empty.
pub(super) fn selector(service: &Service) -> Option<&Selector> {
    let selector = service.spec.as_ref()?.selector.as_ref()?;
    (!selector.is_empty()).then_some(selector)
}
