//! What a turn of the compiler changes.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{Finding, Name, Resource, ResourceType};

/// What changed since the compiler was last asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// What these resources are now; some may be as before. None: gone.
    pub resources: BTreeMap<(ResourceType, Name), Option<Resource>>,
    /// The EndpointGroups that entered (true) or left (false) the scope `ingress`.
    pub ingress_endpoint_groups: BTreeMap<Name, bool>,
    /// All findings, sorted, each once and without sources, where they differ from those before.
    pub findings: Option<Arc<[Finding]>>,
}

impl Delta {
    /// Adds what changed after this.
    pub fn merge(&mut self, later: Self) {
        let Self {
            resources,
            ingress_endpoint_groups,
            findings,
        } = later;
        self.resources.extend(resources);
        self.ingress_endpoint_groups.extend(ingress_endpoint_groups);
        if findings.is_some() {
            self.findings = findings;
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
            && self.ingress_endpoint_groups.is_empty()
            && self.findings.is_none()
    }
}
