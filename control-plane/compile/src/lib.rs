//! Kubernetes objects in, resources and findings out: pure, total, deterministic.
//!
//! ```text
//! Services, EndpointSlices, Ingresses, IngressClasses, Secrets, Nodes, Namespaces ─> compile ─> Snapshot + findings
//! ```
//!
//! Input: objects as an API server admits them ([`Inputs`]). Output: [`Compiled`]. The same objects give the same
//! value on every replica; a bad object yields findings and never stops the rest. No clock, no randomness, no history.

mod inputs;

pub use inputs::{Inputs, ObjectKey, Settings};

use std::collections::BTreeSet;

use meshlite_snapshot::{Finding, Name, Snapshot};

/// What the objects mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Every resource.
    pub snapshot: Snapshot,
    /// The EndpointGroups that a route refers to: what the scope `ingress` holds.
    pub ingress_endpoint_groups: BTreeSet<Name>,
    /// What is wrong with the objects, sorted, without sources: whoever read the objects knows where they came from.
    pub findings: Vec<Finding>,
}

/// What these objects mean.
pub fn compile(_inputs: &Inputs, _settings: &Settings) -> Compiled {
    Compiled::default()
}
