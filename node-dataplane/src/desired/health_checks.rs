//! What load balancers may ask, by port: of Services that share a port by mistake the first by name has it.

use std::collections::BTreeMap;

use meshlite_snapshot::Name;

use super::HealthCheck;

/// What every port answers, and would answer for whom.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HealthPorts {
    answers: BTreeMap<u16, HealthCheck>,
    /// Sorted by name.
    wanted: BTreeMap<u16, Vec<(Name, HealthCheck)>>,
}

// === impl HealthPorts ===

impl HealthPorts {
    pub(super) const fn answers(&self) -> &BTreeMap<u16, HealthCheck> {
        &self.answers
    }

    /// Says what a Service wants, and wanted. Says whether that makes a difference.
    pub(super) fn replace(
        &mut self,
        service: &Name,
        before: Option<&(u16, HealthCheck)>,
        after: Option<&(u16, HealthCheck)>,
    ) -> bool {
        if before == after {
            return false;
        }
        if let Some((port, _)) = before {
            self.change(*port, service, None);
        }
        if let Some((port, check)) = after {
            self.change(*port, service, Some(check));
        }
        true
    }

    fn change(&mut self, port: u16, service: &Name, check: Option<&HealthCheck>) {
        let wanted = self.wanted.entry(port).or_default();
        let at = wanted.binary_search_by(|(name, _)| name.cmp(service));
        if let Ok(at) = at {
            wanted.remove(at);
        }
        if let Some(check) = check {
            let at = at.unwrap_or_else(|at| at);
            wanted.insert(at, (service.clone(), check.clone()));
        }
        if let Some((_, check)) = wanted.first() {
            self.answers.insert(port, check.clone());
        } else {
            self.wanted.remove(&port);
            self.answers.remove(&port);
        }
    }
}
