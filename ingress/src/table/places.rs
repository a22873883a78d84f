//! Places of clusters and credentials, which stay the same in every table.

use std::collections::BTreeMap;

use meshlite_snapshot::Name;

/// A cluster's place in every [`Table`](super::Table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterId(pub(super) usize);

/// A credential's place in every [`Table`](super::Table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CredentialId(pub(super) usize);

/// The places that were given. Names are few and come back, so a place is never given to another name.
#[derive(Debug, Default)]
pub(crate) struct Places {
    clusters: BTreeMap<Name, usize>,
    credentials: BTreeMap<Name, usize>,
}

impl Places {
    /// The place of a cluster, whether there is one of this name or not.
    pub(crate) fn cluster(&mut self, name: &Name) -> ClusterId {
        ClusterId(place(&mut self.clusters, name))
    }

    /// The place of a credential, whether there is one of this name or not.
    pub(crate) fn credential(&mut self, name: &Name) -> CredentialId {
        CredentialId(place(&mut self.credentials, name))
    }

    pub(super) fn cluster_name(&self, id: ClusterId) -> Option<&Name> {
        let mut clusters = self.clusters.iter();
        clusters
            .find(|(_, place)| **place == id.0)
            .map(|(name, _)| name)
    }
}

fn place(places: &mut BTreeMap<Name, usize>, name: &Name) -> usize {
    let next = places.len();
    if let Some(place) = places.get(name) {
        return *place;
    }
    places.insert(name.clone(), next);
    next
}
