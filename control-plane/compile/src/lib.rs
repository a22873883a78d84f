//! Kubernetes objects in, resources and findings out: pure, total, deterministic.
//!
//! ```text
//! Services, EndpointSlices, Ingresses, IngressClasses, Secrets, Nodes, Namespaces, observed load
//!     ─> Change ─> Compiler ─> Delta: resources, the scope `ingress`, findings
//! ```
//!
//! Input: objects as an API server admits them, as they change ([`Change`]) or all at once ([`Inputs`]). Output: what
//! changes of the resources ([`Delta`]), or all of them ([`Compiled`]). The same objects give the same resources on every
//! replica, whatever they were before; a bad object yields findings and never stops the rest. No clock, no randomness.

mod annotations;
mod change;
mod compiler;
mod delta;
mod endpoints;
mod ingress;
mod inputs;
mod join;
mod node;
mod report;
mod secret;
mod service;
mod singles;
mod slice;
mod values;
mod weights;

pub use annotations::ingress as ingress_annotations;
pub use change::{Change, Effect};
pub use compiler::Compiler;
pub use delta::Delta;
pub use inputs::{Inputs, ObjectKey, Settings};
pub use slice::{Interner, Slice};
pub use weights::{Bases, Factors};

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

/// What these objects mean, to a compiler that has seen nothing else.
pub fn compile(inputs: &Inputs, settings: &Settings) -> Compiled {
    let mut compiler = Compiler::new(settings.clone());
    for change in inputs.changes_since(&Inputs::default(), &mut Interner::default()) {
        compiler.apply(change);
    }
    let mut compiled = Compiled::default();
    compiled.take(compiler.compile());
    compiled
}

impl Compiled {
    /// Takes in what changed.
    pub fn take(&mut self, delta: Delta) {
        for ((kind, name), resource) in delta.resources {
            match resource {
                Some(resource) => self.snapshot.insert(name, resource),
                None => self.snapshot.remove(kind, &name),
            }
        }
        for (name, is_in) in delta.ingress_endpoint_groups {
            if is_in {
                self.ingress_endpoint_groups.insert(name);
            } else {
                self.ingress_endpoint_groups.remove(&name);
            }
        }
        if let Some(findings) = delta.findings {
            self.findings = findings.to_vec();
        }
    }
}
