//! The clusters of the next table: those whose resource, endpoints or credentials changed are made again, with what was known of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshlite_snapshot::{Name, ResourceType, Snapshot};
use tokio::time::Instant;

use super::changed::Changed;
use crate::table::{Cluster, Places, row::Row};

/// Clusters by name and by place.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    kept: BTreeMap<Name, Kept>,
    row: Row<Arc<Cluster>>,
}

/// A cluster of the last table.
#[derive(Debug)]
struct Kept {
    cluster: Arc<Cluster>,
    speaks_tls: bool,
}

impl Clusters {
    /// The clusters by place. Cheap to clone.
    pub(super) fn row(&self) -> &Row<Arc<Cluster>> {
        &self.row
    }

    /// Takes changes over.
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        changed: &Changed<'_>,
        places: &mut Places,
    ) {
        let now = Instant::now();
        for name in self.concerned(snapshot, changed) {
            let place = places.cluster(&name).0;
            let Some(resource) = snapshot.clusters.get(&name) else {
                self.kept.remove(&name);
                self.row.set(place, None);
                continue;
            };
            let previous = self.kept.get(&name).map(|kept| &kept.cluster);
            let cluster = Cluster::new(&name, resource, snapshot, previous, now);
            if previous.is_none_or(|previous| !Arc::ptr_eq(previous, &cluster)) {
                self.row.set(place, Some(Arc::clone(&cluster)));
            }
            let kept = Kept {
                cluster,
                speaks_tls: resource.tls.is_some(),
            };
            self.kept.insert(name, kept);
        }
    }

    /// The clusters that may be different now.
    fn concerned(&self, snapshot: &Snapshot, changed: &Changed<'_>) -> BTreeSet<Name> {
        let mut concerned: BTreeSet<_> = changed.names(ResourceType::Cluster).cloned().collect();
        let mut last = "";
        for group in changed.names(ResourceType::EndpointGroup) {
            let service = group.parent();
            // The groups of one Service follow each other.
            if service != std::mem::replace(&mut last, service) {
                let of_it = snapshot.clusters_of(service);
                concerned.extend(of_it.map(|(name, _)| name.clone()));
            }
        }
        if changed.names(ResourceType::Credential).next().is_some() {
            let secured = self.kept.iter().filter(|(_, kept)| kept.speaks_tls);
            concerned.extend(secured.map(|(name, _)| name.clone()));
        }
        concerned
    }
}
