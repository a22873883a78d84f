//! Builds the next [`Table`] from a snapshot, with whatever did not change taken from the last one.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use meshlite_proto::subscribe::RejectReason;
use meshlite_snapshot::{
    Credential as CredentialResource, EndpointGroup, Listener, ListenerProtocol, Name,
    ResourceType, RouteTable, Snapshot, Table as Resources, TlsSecret,
};
use rustls::sign::CertifiedKey;
use tokio::time::Instant;

use super::{
    Cluster, ClusterId, Credential, HostIndex, ListenerId, ListenerTable, PathIndex, Places, Table,
};
use crate::{
    certificates::{self, ListenerTls, TlsConfigs},
    metrics::Metrics,
};

/// A resource that cannot be served as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) kind: ResourceType,
    pub(crate) name: Name,
    pub(crate) reason: RejectReason,
    pub(crate) message: String,
}

/// Why a resource is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// A field has a value that is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// It asks for something that this version does not do.
    #[error("{0}")]
    Unsupported(String),
}

/// Builds tables, and keeps what it made by the identity of what it was made from.
#[derive(Debug)]
pub(crate) struct Builder {
    metrics: Arc<Metrics>,
    tls: TlsConfigs,
    default_key: Arc<CertifiedKey>,
    listener_ids: BTreeMap<Name, ListenerId>,
    places: Places,
    clusters: BTreeMap<Name, Kept>,
    hosts: BTreeMap<Name, (Arc<RouteTable>, Arc<PathIndex>)>,
    keys: BTreeMap<Name, (Arc<TlsSecret>, Arc<CertifiedKey>)>,
    credentials: BTreeMap<Name, (Arc<CredentialResource>, Arc<Credential>)>,
    /// What the rest was last built from.
    snapshot: Snapshot,
    indexes: BTreeMap<Name, Arc<HostIndex<Arc<PathIndex>>>>,
    certificates: BTreeMap<Name, Arc<HostIndex<Arc<CertifiedKey>>>>,
    table: Arc<Table>,
}

/// A cluster of the last table.
#[derive(Debug)]
struct Kept {
    place: ClusterId,
    cluster: Arc<Cluster>,
    source: Arc<meshlite_snapshot::Cluster>,
}

impl Builder {
    /// `swapped` is where the tables will be swapped in; certificates are looked up there.
    pub(crate) fn new(
        swapped: Arc<ArcSwap<Table>>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, certificates::TlsError> {
        Ok(Self {
            metrics,
            tls: TlsConfigs::new(swapped),
            default_key: certificates::self_signed()?,
            listener_ids: BTreeMap::new(),
            places: Places::default(),
            clusters: BTreeMap::new(),
            hosts: BTreeMap::new(),
            keys: BTreeMap::new(),
            credentials: BTreeMap::new(),
            snapshot: Snapshot::default(),
            indexes: BTreeMap::new(),
            certificates: BTreeMap::new(),
            table: Arc::default(),
        })
    }

    /// The table that was last built.
    pub(crate) fn built(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// Builds the table for this snapshot, without what is rejected.
    pub(crate) fn build(&mut self, snapshot: &Snapshot) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        self.build_clusters(snapshot);
        if !self.snapshot.route_tables.is_same(&snapshot.route_tables) {
            self.build_hosts(snapshot, &mut rejections);
        }
        if !self.snapshot.tls_secrets.is_same(&snapshot.tls_secrets) {
            self.build_certificates(snapshot, &mut rejections);
        }
        if !self.snapshot.credentials.is_same(&snapshot.credentials) {
            self.build_credentials(snapshot);
        }
        let mut table = Table {
            listeners: Vec::new(),
            clusters: vec![None; self.places.cluster_count()],
            credentials: vec![None; self.places.credential_count()],
        };
        for (name, listener) in snapshot.listeners.iter() {
            let id = self.listener_id(name);
            match self.build_listener(id, name, listener) {
                Ok(built) => {
                    if table.listeners.len() <= id.0 {
                        table.listeners.resize(id.0 + 1, None);
                    }
                    if let Some(place) = table.listeners.get_mut(id.0) {
                        *place = Some(Arc::new(built));
                    }
                }
                Err(refused) => {
                    rejections.push(rejection(ResourceType::Listener, name, &refused));
                }
            }
        }
        for kept in self.clusters.values() {
            if let Some(place) = table.clusters.get_mut(kept.place.0) {
                *place = Some(Arc::clone(&kept.cluster));
            }
        }
        for (name, (_, credential)) in &self.credentials {
            let id = self.places.credential(name);
            if let Some(place) = table.credentials.get_mut(id.0) {
                *place = Some(Arc::clone(credential));
            }
        }
        self.snapshot = snapshot.clone();
        self.table = Arc::new(table);
        rejections
    }

    /// The listener's place, which it has from the first time that it is named.
    pub(crate) fn listener_id(&mut self, name: &Name) -> ListenerId {
        let next = ListenerId(self.listener_ids.len());
        *self.listener_ids.entry(name.clone()).or_insert(next)
    }

    /// Gives a listener's place to another name that has none yet.
    pub(crate) fn rename_listener(&mut self, old: &Name, new: &Name) -> bool {
        if self.listener_ids.contains_key(new) {
            return false;
        }
        let place = self.listener_ids.remove(old);
        place.is_some_and(|place| self.listener_ids.insert(new.clone(), place).is_none())
    }

    fn build_clusters(&mut self, snapshot: &Snapshot) {
        let old = &self.snapshot;
        let same_groups = old.endpoint_groups.is_same(&snapshot.endpoint_groups);
        let same_credentials = old.credentials.is_same(&snapshot.credentials);
        if same_groups && same_credentials && old.clusters.is_same(&snapshot.clusters) {
            return;
        }
        let changed = changed_services(&old.endpoint_groups, &snapshot.endpoint_groups);
        let same_clusters = old.clusters.is_same(&snapshot.clusters);
        let now = Instant::now();
        if !same_clusters {
            self.clusters
                .retain(|name, _| snapshot.clusters.contains_key(name));
        }
        for (name, resource) in snapshot.clusters.iter() {
            let is_as_it_was = (same_credentials || resource.tls.is_none())
                && !changed.contains(&(resource.namespace.as_str(), resource.service.as_str()));
            // What else is the same needs no look-up by name: an endpoint that changes leaves most of ten thousand alone.
            if same_clusters && is_as_it_was {
                continue;
            }
            let previous = self.clusters.get(name);
            if let Some(kept) = previous
                && Arc::ptr_eq(&kept.source, resource)
                && is_as_it_was
            {
                continue;
            }
            let previous = previous.map(|kept| &kept.cluster);
            let cluster = Cluster::new(name, resource, snapshot, previous, now);
            let kept = Kept {
                place: self.places.cluster(name),
                cluster,
                source: Arc::clone(resource),
            };
            self.clusters.insert(name.clone(), kept);
        }
    }

    fn build_hosts(&mut self, snapshot: &Snapshot, rejections: &mut Vec<Rejection>) {
        // Both are in the order of names, so one walk along them finds what each had.
        let mut before = std::mem::take(&mut self.hosts).into_iter().peekable();
        let mut hosts = Vec::with_capacity(snapshot.route_tables.len());
        let mut indexes: BTreeMap<Name, HostIndex<Arc<PathIndex>>> = BTreeMap::new();
        for (name, resource) in snapshot.route_tables.iter() {
            while before.next_if(|(old, _)| old < name).is_some() {}
            let kept = before.next_if(|(old, _)| old == name);
            let kept = kept.filter(|(_, (source, _))| Arc::ptr_eq(source, resource));
            let paths = match kept {
                Some((_, (_, paths))) => paths,
                None => match PathIndex::new(resource, &mut self.places) {
                    Ok(paths) => Arc::new(paths),
                    Err(refused) => {
                        rejections.push(rejection(ResourceType::RouteTable, name, &refused));
                        continue;
                    }
                },
            };
            for listener in &resource.listeners {
                let index = indexes.entry(listener.clone()).or_default();
                if index.insert(&resource.host, Arc::clone(&paths)).is_err() {
                    let message =
                        format!("another RouteTable serves {} on {listener}", resource.host);
                    let refused = Refused::Invalid(message);
                    rejections.push(rejection(ResourceType::RouteTable, name, &refused));
                }
            }
            hosts.push((name.clone(), (Arc::clone(resource), paths)));
        }
        self.hosts = hosts.into_iter().collect();
        self.indexes = indexes
            .into_iter()
            .map(|(listener, index)| (listener, Arc::new(index)))
            .collect();
    }

    fn build_credentials(&mut self, snapshot: &Snapshot) {
        self.credentials
            .retain(|name, _| snapshot.credentials.contains_key(name));
        for (name, resource) in snapshot.credentials.iter() {
            let kept = self.credentials.get(name);
            if kept.is_some_and(|(source, _)| Arc::ptr_eq(source, resource)) {
                continue;
            }
            self.places.credential(name);
            let credential = Credential::new(resource, self.tls.provider());
            self.credentials
                .insert(name.clone(), (Arc::clone(resource), Arc::new(credential)));
        }
    }

    fn build_certificates(&mut self, snapshot: &Snapshot, rejections: &mut Vec<Rejection>) {
        self.keys
            .retain(|name, _| snapshot.tls_secrets.contains_key(name));
        let mut indexes: BTreeMap<Name, HostIndex<Arc<CertifiedKey>>> = BTreeMap::new();
        for (name, secret) in snapshot.tls_secrets.iter() {
            let kept = self
                .keys
                .get(name)
                .filter(|(source, _)| Arc::ptr_eq(source, secret));
            let key = match kept {
                Some((_, key)) => Arc::clone(key),
                None => match certificates::certified_key(secret) {
                    Ok(key) => key,
                    Err(error) => {
                        self.keys.remove(name);
                        let refused = Refused::Invalid(error.to_string());
                        rejections.push(rejection(ResourceType::TlsSecret, name, &refused));
                        continue;
                    }
                },
            };
            self.keys
                .insert(name.clone(), (Arc::clone(secret), Arc::clone(&key)));
            for binding in &secret.bindings {
                let index = indexes.entry(binding.listener.clone()).or_default();
                // The compiler binds a host once; should it not, the first name wins on every client alike.
                if index.insert(&binding.host, Arc::clone(&key)).is_err() {
                    tracing::warn!(secret = %name, host = %binding.host, "host already has a certificate");
                }
            }
        }
        self.certificates = indexes
            .into_iter()
            .map(|(listener, index)| (listener, Arc::new(index)))
            .collect();
    }

    fn build_listener(
        &mut self,
        id: ListenerId,
        name: &Name,
        listener: &Listener,
    ) -> Result<ListenerTable, Refused> {
        let hosts = self.indexes.get(name).cloned().unwrap_or_default();
        let asks_certificates = hosts.any(|paths| paths.client_auth().is_some());
        let tls = match listener.protocol {
            ListenerProtocol::Http => None,
            ListenerProtocol::Https => {
                let policy = listener.tls.clone().unwrap_or_default();
                let config = self.tls.get(id, policy.min_version, false);
                let asking = asks_certificates
                    .then(|| self.tls.get(id, policy.min_version, true))
                    .transpose();
                let named = policy.default_certificate.as_ref();
                let default = named
                    .and_then(|name| self.keys.get(name))
                    .map(|(_, key)| key);
                Some(ListenerTls {
                    config: config.map_err(|error| Refused::Unsupported(error.to_string()))?,
                    asking: asking.map_err(|error| Refused::Unsupported(error.to_string()))?,
                    certificates: self.certificates.get(name).cloned().unwrap_or_default(),
                    default: Arc::clone(default.unwrap_or(&self.default_key)),
                })
            }
        };
        Ok(ListenerTable {
            name: name.clone(),
            port: listener.port,
            port_value: HeaderValue::from(listener.port),
            tls,
            metrics: self.metrics.listener(name),
            hosts,
            asks_certificates,
        })
    }
}

fn rejection(kind: ResourceType, name: &Name, refused: &Refused) -> Rejection {
    Rejection {
        kind,
        name: name.clone(),
        reason: match refused {
            Refused::Invalid(_) => RejectReason::Invalid,
            Refused::Unsupported(_) => RejectReason::Unsupported,
        },
        message: refused.to_string(),
    }
}

/// The Services (by namespace and name) whose groups differ between two snapshots.
fn changed_services<'a>(
    old: &'a Resources<EndpointGroup>,
    new: &'a Resources<EndpointGroup>,
) -> BTreeSet<(&'a str, &'a str)> {
    let mut changed = BTreeSet::new();
    if old.is_same(new) {
        return changed;
    }
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    loop {
        // Most are the same: that takes no comparison of their names.
        while let (Some((_, gone)), Some((_, come))) = (olds.peek(), news.peek())
            && Arc::ptr_eq(gone, come)
        {
            olds.next();
            news.next();
        }
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return changed,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let gone = if order.is_le() { olds.next() } else { None };
        let come = if order.is_ge() { news.next() } else { None };
        if let (Some((_, gone)), Some((_, come))) = (gone, come)
            && Arc::ptr_eq(gone, come)
        {
            continue;
        }
        for (_, group) in gone.into_iter().chain(come) {
            changed.insert((group.namespace.as_str(), group.service.as_str()));
        }
    }
}
