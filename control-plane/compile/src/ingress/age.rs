//! Who comes first where Ingresses disagree.

use k8s_openapi::{api::networking::v1 as k8s, jiff::Timestamp};

use crate::ObjectKey;

/// Orders Ingresses by age, the oldest first, and then by name. One that does not say when it was made, as in a manifest,
/// counts as the youngest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    is_unknown: bool,
    created: Option<Timestamp>,
    pub(super) key: ObjectKey,
}

impl Age {
    pub(super) fn of(key: &ObjectKey, object: &k8s::Ingress) -> Self {
        let created = object.metadata.creation_timestamp.as_ref();
        Self {
            is_unknown: created.is_none(),
            created: created.map(|time| time.0),
            key: key.clone(),
        }
    }
}
