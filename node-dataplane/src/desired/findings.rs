//! What could not be served as it was asked for: each finding once, however often it is found.

use std::collections::BTreeMap;

use meshlite_snapshot::Finding;

/// Findings, and how often each was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings(BTreeMap<Finding, usize>);

// === impl Findings ===

impl Findings {
    /// Replaces what was found at one place. Says whether that makes a difference.
    pub(super) fn replace(&mut self, before: &[Finding], after: &[Finding]) -> bool {
        if before == after {
            return false;
        }
        for finding in after {
            *self.0.entry(finding.clone()).or_default() += 1;
        }
        for finding in before {
            if let Some(times) = self.0.get_mut(finding) {
                *times -= 1;
                if *times == 0 {
                    self.0.remove(finding);
                }
            }
        }
        true
    }

    /// Sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.keys()
    }
}
