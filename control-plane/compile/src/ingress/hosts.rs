//! One table for each host, and the clusters that all tables send to.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use meshlite_snapshot::{HostMatch, Resource, ResourceType, RouteTable};

use super::{Listeners, age::Age, backend::Target, cluster::cluster, read::Request, table};
use crate::{
    Delta, ObjectKey,
    join::Services,
    report::{Findings, resource_name},
};

/// The hosts that Ingresses speak of.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    hosts: BTreeMap<HostMatch, Host>,
    changed: BTreeSet<HostMatch>,
}

#[derive(Debug, Default)]
struct Host {
    speakers: BTreeSet<Age>,
    /// As it was compiled last.
    targets: BTreeSet<Target>,
}

/// The clusters that tables send to, by Service, each with the number of those tables.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    used: BTreeMap<ObjectKey, BTreeMap<Target, usize>>,
    changed: BTreeSet<Target>,
}

// === impl Hosts ===

impl Hosts {
    pub(super) fn enter(&mut self, request: &Request) {
        for name in request.hosts.keys() {
            let host = self.hosts.entry(name.clone()).or_default();
            host.speakers.insert(request.age.clone());
            self.changed.insert(name.clone());
        }
    }

    pub(super) fn leave(&mut self, request: &Request) {
        for name in request.hosts.keys() {
            if let Some(host) = self.hosts.get_mut(name) {
                host.speakers.remove(&request.age);
            }
            self.changed.insert(name.clone());
        }
    }

    /// Hands out the tables of the hosts that changed, and says what they find.
    pub(super) fn compile<'a>(
        &mut self,
        listeners: &Listeners,
        request: impl Fn(&ObjectKey) -> Option<&'a Request>,
        clusters: &mut Clusters,
        delta: &mut Delta,
        mut found: impl FnMut(HostMatch, Findings),
    ) {
        for name in mem::take(&mut self.changed) {
            let Some(host) = self.hosts.get_mut(&name) else {
                continue;
            };
            let speakers = host.speakers.iter();
            let requests: Vec<_> = speakers.filter_map(|age| request(&age.key)).collect();
            let mut findings = Findings::default();
            let table = table::table(&name, &requests, &mut findings);
            clusters.exchange(&host.targets, &table.targets);
            host.targets = table.targets;
            let table = (!requests.is_empty()).then(|| RouteTable {
                listeners: vec![listeners.http.clone(), listeners.https.clone()],
                host: name.clone(),
                routes: table.routes,
                client_auth: table.client_auth,
            });
            match (
                resource_name(&[&listeners.class, &name.to_string()]),
                requests.first(),
            ) {
                (Ok(name), _) => {
                    let table = table.map(|table| Resource::RouteTable(Arc::new(table)));
                    let key = (ResourceType::RouteTable, name);
                    delta.resources.insert(key, table);
                }
                (Err(error), Some(oldest)) => {
                    let mut about = findings.about("Ingress", oldest.key());
                    about.error("metadata.name", "InvalidName", error.to_string());
                }
                (Err(_), None) => {}
            }
            if host.speakers.is_empty() {
                self.hosts.remove(&name);
            }
            found(name, findings);
        }
    }
}

// === impl Clusters ===

impl Clusters {
    /// A table sends to other targets than before.
    fn exchange(&mut self, before: &BTreeSet<Target>, after: &BTreeSet<Target>) {
        for target in after.difference(before) {
            let targets = self.used.entry(target.service.clone()).or_default();
            *targets.entry(target.clone()).or_default() += 1;
            self.changed.insert(target.clone());
        }
        for target in before.difference(after) {
            let Some(targets) = self.used.get_mut(&target.service) else {
                continue;
            };
            if let Some(count) = targets.get_mut(target) {
                *count -= 1;
                if *count == 0 {
                    targets.remove(target);
                }
            }
            if targets.is_empty() {
                self.used.remove(&target.service);
            }
            self.changed.insert(target.clone());
        }
    }

    pub(super) fn service_changed(&mut self, service: &ObjectKey) {
        let targets = self.used.get(service).into_iter().flatten();
        self.changed
            .extend(targets.map(|(target, _)| target.clone()));
    }

    fn is_used(&self, target: &Target) -> bool {
        let targets = self.used.get(&target.service);
        targets.is_some_and(|targets| targets.contains_key(target))
    }

    /// Whether a route can send to the Service.
    pub(super) fn reach(&self, service: &ObjectKey) -> bool {
        self.used.contains_key(service)
    }

    /// Hands out what changed, and names the Services that came into the reach of routes or went out of it.
    pub(super) fn compile(
        &mut self,
        services: &Services,
        external_names: bool,
        delta: &mut Delta,
    ) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        let (used, unused): (Vec<_>, Vec<_>) = mem::take(&mut self.changed)
            .into_iter()
            .partition(|target| self.is_used(target));
        // What is gone comes first: what is sent to otherwise than before has the same name.
        for Target { name, service, .. } in unused {
            delta.resources.insert((ResourceType::Cluster, name), None);
            touched.insert(service);
        }
        for target in used {
            let (cluster, _) = cluster(&target, services, external_names);
            let cluster = Resource::Cluster(Arc::new(cluster));
            let Target { name, service, .. } = target;
            delta
                .resources
                .insert((ResourceType::Cluster, name), Some(cluster));
            touched.insert(service);
        }
        touched
    }
}
