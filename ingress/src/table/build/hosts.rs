//! The hosts of the next table: those whose RouteTable changed are made again.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{Name, ResourceType, Snapshot};

use super::{Refused, Rejection, by_listener::ByListener, changed::Changed, rejection};
use crate::table::{HostIndex, PathIndex, Places};

/// RouteTables by name, and by listener and host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    kept: BTreeMap<Name, Arc<PathIndex>>,
    served: ByListener<PathIndex>,
    /// Hosts of a listener that have a rule for the certificates of their clients.
    asking: BTreeMap<Name, usize>,
}

impl Hosts {
    /// What a listener serves.
    pub(super) fn of(&self, listener: &Name) -> Arc<HostIndex<Arc<PathIndex>>> {
        self.served.of(listener)
    }

    /// Whether some host of a listener has a rule for the certificates of its clients.
    pub(super) fn asks_certificates(&self, listener: &Name) -> bool {
        self.asking.get(listener).is_some_and(|count| *count > 0)
    }

    #[cfg(test)]
    pub(super) fn named(&self, name: &str) -> Option<&Arc<PathIndex>> {
        self.kept.get(name)
    }

    /// Takes changes over, and says which RouteTables cannot be served as they are.
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        changed: &Changed<'_>,
        places: &mut Places,
    ) -> Vec<Rejection> {
        let changed = || changed.names(ResourceType::RouteTable);
        // All go before one comes: a host may go from one to another.
        for name in changed() {
            if let Some(paths) = self.kept.remove(name) {
                self.take_out(&paths);
            }
        }
        let mut rejections = Vec::new();
        let mut is_shared = false;
        for name in changed() {
            let Some(resource) = snapshot.route_tables.get(name) else {
                continue;
            };
            match PathIndex::new(resource, places) {
                Ok(paths) => {
                    let paths = Arc::new(paths);
                    is_shared |= !self.put_in(&paths).is_empty();
                    self.kept.insert(name.clone(), paths);
                }
                Err(refused) => {
                    rejections.push(rejection(ResourceType::RouteTable, name, &refused));
                }
            }
        }
        if is_shared {
            rejections.extend(self.settle());
        }
        rejections
    }

    fn take_out(&mut self, paths: &Arc<PathIndex>) {
        let source = paths.source();
        for listener in &source.listeners {
            if self.served.take_out(listener, &source.host, paths)
                && paths.client_auth().is_some()
                && let Some(count) = self.asking.get_mut(listener)
            {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Gives a RouteTable its host on its listeners. Those where another one has it are given back.
    fn put_in<'a>(&mut self, paths: &'a Arc<PathIndex>) -> Vec<&'a Name> {
        let source = paths.source();
        let mut taken = Vec::new();
        for listener in &source.listeners {
            if !self.served.put_in(listener, &source.host, paths) {
                taken.push(listener);
            } else if paths.client_auth().is_some() {
                *self.asking.entry(listener.clone()).or_default() += 1;
            }
        }
        taken
    }

    /// Gives every host to the first of those that want it, by name and not by who came first.
    fn settle(&mut self) -> Vec<Rejection> {
        self.served.clear();
        self.asking.clear();
        let kept = std::mem::take(&mut self.kept);
        let mut rejections = Vec::new();
        for (name, paths) in &kept {
            for listener in self.put_in(paths) {
                let host = &paths.source().host;
                let message = format!("another RouteTable serves {host} on {listener}");
                let refused = Refused::Invalid(message);
                rejections.push(rejection(ResourceType::RouteTable, name, &refused));
            }
        }
        self.kept = kept;
        rejections
    }
}
