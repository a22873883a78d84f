//! Builds the next [`Table`] from a snapshot, with whatever did not change taken from the last one.

mod by_listener;
mod changed;
mod clusters;
mod hosts;
mod keys;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use meshlite_proto::subscribe::{Change, RejectReason};
use meshlite_snapshot::{Listener, ListenerProtocol, Name, ResourceType, Snapshot};
use rustls::sign::CertifiedKey;

use self::{changed::Changed, clusters::Clusters, hosts::Hosts, keys::Keys};
use super::{Credential, ListenerId, ListenerTable, Places, Table, row::Row};
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

/// Builds tables: what did not change is taken from the one before, so that a change costs what it is and not what there is.
#[derive(Debug)]
pub(crate) struct Builder {
    metrics: Arc<Metrics>,
    tls: TlsConfigs,
    default_key: Arc<CertifiedKey>,
    listener_ids: BTreeMap<Name, ListenerId>,
    places: Places,
    clusters: Clusters,
    hosts: Hosts,
    keys: Keys,
    credentials: Row<Arc<Credential>>,
    /// What could not be served the last time: whether it can be now may depend on others.
    refused: BTreeSet<(ResourceType, Name)>,
    table: Arc<Table>,
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
            clusters: Clusters::default(),
            hosts: Hosts::default(),
            keys: Keys::default(),
            credentials: Row::default(),
            refused: BTreeSet::new(),
            table: Arc::default(),
        })
    }

    /// The table that was last built.
    pub(crate) fn built(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// Builds the table for this snapshot, without what is rejected. `changes` names at least all that differs from the snapshot
    /// before.
    pub(crate) fn build(&mut self, snapshot: &Snapshot, changes: &[Change]) -> Vec<Rejection> {
        let refused = std::mem::take(&mut self.refused);
        let changes = changes
            .iter()
            .map(|change| (change.topic.kind, &change.name));
        let changed: Changed<'_> = changes
            .chain(refused.iter().map(|(kind, name)| (*kind, name)))
            .collect();
        self.update_credentials(snapshot, &changed);
        self.clusters.update(snapshot, &changed, &mut self.places);
        let mut rejections = self.hosts.update(snapshot, &changed, &mut self.places);
        rejections.extend(self.keys.update(snapshot, &changed));
        let mut listeners = Row::default();
        for (name, listener) in snapshot.listeners.iter() {
            let id = self.listener_id(name);
            match self.build_listener(id, name, listener) {
                Ok(built) => listeners.set(id.0, Some(Arc::new(built))),
                Err(refused) => {
                    rejections.push(rejection(ResourceType::Listener, name, &refused));
                }
            }
        }
        let refused = rejections.iter();
        self.refused = refused
            .map(|refused| (refused.kind, refused.name.clone()))
            .collect();
        self.table = Arc::new(Table {
            listeners,
            clusters: self.clusters.row().clone(),
            credentials: self.credentials.clone(),
        });
        rejections
    }

    fn update_credentials(&mut self, snapshot: &Snapshot, changed: &Changed<'_>) {
        for name in changed.names(ResourceType::Credential) {
            let place = self.places.credential(name).0;
            let resource = snapshot.credentials.get(name);
            let credential = resource.map(|it| Credential::new(it, self.tls.provider()));
            self.credentials.set(place, credential.map(Arc::new));
        }
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

    fn build_listener(
        &mut self,
        id: ListenerId,
        name: &Name,
        listener: &Listener,
    ) -> Result<ListenerTable, Refused> {
        let asks_certificates = self.hosts.asks_certificates(name);
        let tls = match listener.protocol {
            ListenerProtocol::Http => None,
            ListenerProtocol::Https => {
                let policy = listener.tls.clone().unwrap_or_default();
                let config = self.tls.get(id, policy.min_version, false);
                let asking = asks_certificates
                    .then(|| self.tls.get(id, policy.min_version, true))
                    .transpose();
                let named = policy.default_certificate.as_ref();
                let default = named.and_then(|name| self.keys.named(name));
                Some(ListenerTls {
                    config: config.map_err(|error| Refused::Unsupported(error.to_string()))?,
                    asking: asking.map_err(|error| Refused::Unsupported(error.to_string()))?,
                    certificates: self.keys.of(name),
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
            hosts: self.hosts.of(name),
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
