//! Which resources may differ from those that the last table was built from.

use std::collections::BTreeSet;

use meshlite_snapshot::{Name, ResourceType};

/// Names by type.
#[derive(Debug)]
pub(super) struct Changed<'a>(BTreeSet<(ResourceType, &'a Name)>);

impl<'a> FromIterator<(ResourceType, &'a Name)> for Changed<'a> {
    fn from_iter<I: IntoIterator<Item = (ResourceType, &'a Name)>>(changes: I) -> Self {
        Self(changes.into_iter().collect())
    }
}

impl<'a> Changed<'a> {
    /// The names of one type, in order.
    pub(super) fn names(&self, of: ResourceType) -> impl Iterator<Item = &'a Name> {
        self.0
            .iter()
            .filter(move |(kind, _)| *kind == of)
            .map(|(_, name)| *name)
    }
}
