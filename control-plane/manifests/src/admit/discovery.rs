//! The EndpointSlices of all Services: written by hand, made of Pods, mirrored from Endpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{ObjectRef, SourceLocation};

use super::{
    Sources,
    catalog::Catalog,
    endpoints::{self, Zones},
    findings::Findings,
    mirror,
    pods::{self, PodEntry},
    selection::{self, Index, Selector, Template},
    slices::{MANAGED_BY, SERVICE_NAME, SLICE_CONTROLLER, Slices},
};

/// Every slice by key.
pub(super) type SliceMap = BTreeMap<ObjectKey, Arc<EndpointSlice>>;

/// What the controllers know and what they have made so far.
struct Controllers<'c> {
    catalog: &'c Catalog<'c>,
    pods: Index<'c, PodEntry<'c>>,
    templates: Index<'c, Template<'c>>,
    zones: Zones<'c>,
    /// The slices of each Service that were read.
    written: BTreeMap<ObjectKey, Vec<&'c ObjectKey>>,
    slices: SliceMap,
    /// Deployments and StatefulSets that Services select and nothing runs, with those Services.
    not_run: BTreeMap<ObjectRef, NotRun<'c>>,
    /// Pods already said to be unready.
    unready: BTreeSet<ObjectKey>,
}

/// A template that would make Pods, and the Services that would have them.
struct NotRun<'c> {
    template: &'c Template<'c>,
    services: Vec<String>,
}

/// Runs the controllers once.
pub(super) fn slices(
    catalog: &Catalog<'_>,
    services: &BTreeMap<ObjectKey, Arc<Service>>,
    pods: &[PodEntry<'_>],
    sources: &mut Sources,
    findings: &mut Findings,
) -> SliceMap {
    let templates = selection::templates(catalog);
    let mut controllers = Controllers {
        catalog,
        pods: Index::new(pods),
        templates: Index::new(&templates),
        zones: Zones::new(&catalog.nodes),
        written: written(catalog),
        slices: catalog
            .slices
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(entry.object)))
            .collect(),
        not_run: BTreeMap::new(),
        unready: BTreeSet::new(),
    };
    for (key, entry) in &catalog.services {
        if let Some(service) = services.get(key) {
            controllers.sync(key, service, entry.source, sources, findings);
        }
    }
    for (key, entry) in &catalog.endpoints {
        let service = services.get(key);
        if service.is_none() && catalog.services.contains_key(key) {
            // It was refused, which is said there.
            continue;
        }
        let has_slices = controllers.written_for(key).is_some();
        let service = service.map(|service| &**service);
        if let Some(made) = mirror::slices(key, entry, service, has_slices, findings) {
            controllers.add(made, entry.source, sources);
        }
    }
    controllers.report_not_run(findings);
    controllers.slices
}

fn written<'c>(catalog: &'c Catalog<'_>) -> BTreeMap<ObjectKey, Vec<&'c ObjectKey>> {
    let mut written: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, entry) in &catalog.slices {
        let labels = entry.object.metadata.labels.as_ref();
        if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) {
            let service = ObjectKey::new(&key.namespace, service);
            written.entry(service).or_default().push(key);
        }
    }
    written
}

impl<'c> Controllers<'c> {
    fn written_for(&self, service: &ObjectKey) -> Option<&Vec<&'c ObjectKey>> {
        self.written.get(service)
    }

    /// One Service, as the endpoint controller sees it.
    fn sync(
        &mut self,
        key: &ObjectKey,
        service: &Service,
        source: &SourceLocation,
        sources: &mut Sources,
        findings: &mut Findings,
    ) {
        let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
        if kind == Some("ExternalName") {
            return;
        }
        let reference = || ObjectRef::new("Service", &key.namespace, &key.name);
        let Some(selector) = selection::selector(service) else {
            if self.written_for(key).is_none() && !self.catalog.endpoints.contains_key(key) {
                let message = "has no selector, and no Endpoints or EndpointSlice is its own, so it has no endpoints: add one, or a selector";
                findings.warning(reference(), source, "spec.selector", "NoEndpoints", message);
            }
            return;
        };
        let selected = self.pods.select(&key.namespace, selector);
        let running = selected.iter().any(|pod| pods::has_status(pod.pod));
        if !running && self.written_for(key).is_none() {
            self.note_templates(key, selector);
            if selected.is_empty() {
                let message =
                    selection::explain_nothing(key, selector, &self.pods, &self.templates);
                findings.warning(
                    reference(),
                    source,
                    "spec.selector",
                    "SelectsNothing",
                    message,
                );
            }
        }
        if running {
            self.remove_own(key);
            let unready = &mut self.unready;
            endpoints::report(key, service, source, &selected, unready, findings);
            let made = endpoints::slices(key, service, &selected, &self.zones);
            self.add(made, source, sources);
        }
    }

    /// Slices that this controller made in the cluster that they were read from: it makes them anew.
    fn remove_own(&mut self, service: &ObjectKey) {
        let Some(keys) = self.written_for(service).cloned() else {
            return;
        };
        for key in keys {
            let labels = self
                .slices
                .get(key)
                .and_then(|slice| slice.metadata.labels.as_ref());
            let manager = labels.and_then(|labels| labels.get(MANAGED_BY));
            if manager.is_some_and(|manager| manager == SLICE_CONTROLLER) {
                self.slices.remove(key);
            }
        }
    }

    /// Remembers what would be this Service's Pods if something ran it.
    fn note_templates(&mut self, key: &ObjectKey, selector: &Selector) {
        for template in self.templates.select(&key.namespace, selector) {
            if template.replicas != Some(0) {
                let not_run = self.not_run.entry(template.reference());
                let not_run = not_run.or_insert(NotRun {
                    template,
                    services: Vec::new(),
                });
                not_run.services.push(key.to_string());
            }
        }
    }

    fn report_not_run(&self, findings: &mut Findings) {
        for (reference, NotRun { template, services }) in &self.not_run {
            let (services, verb) = match services.as_slice() {
                [one] => (format!("Service {one}"), "has"),
                many => (format!("Services {}", many.join(", ")), "have"),
            };
            let message = format!(
                "file mode runs no Pods, so {services} {verb} no endpoints; `meshlite demo` runs them"
            );
            findings.warning(
                reference.clone(),
                template.source,
                "",
                "PodsNotRunning",
                message,
            );
        }
    }

    fn add(&mut self, made: Slices<'_>, source: &SourceLocation, sources: &mut Sources) {
        for (key, slice) in made.into_slices(|key| !self.slices.contains_key(key)) {
            let reference = ObjectRef::new("EndpointSlice", &key.namespace, &key.name);
            sources.insert(reference, source.clone());
            self.slices.insert(key, Arc::new(slice));
        }
    }
}
