//! Trims a table to what the kernel here can do, and says what was lost.

use std::collections::BTreeSet;

use meshlite_snapshot::Severity;

use super::{Desired, finding};
use crate::{kernel::Capabilities, table::Scheduler};

/// Takes out protocols that the kernel lacks and replaces schedulers that it lacks.
pub(super) fn fit(desired: &mut Desired, capabilities: &Capabilities) {
    let mut findings = BTreeSet::new();
    desired.table.virtual_servers.retain(|key, server| {
        let (origin, settings) = (&server.origin, &mut server.settings);
        if !capabilities.schedulers.contains(&settings.scheduler) {
            findings.insert(finding(
                Severity::Warning,
                origin,
                "SchedulerNotSupported",
                format!(
                    "{} has no scheduler {}; {} is used",
                    capabilities.name,
                    settings.scheduler,
                    Scheduler::default()
                ),
            ));
            settings.scheduler = Scheduler::default();
        }
        let is_supported = capabilities.protocols.contains(&key.frontend.protocol);
        if !is_supported {
            findings.insert(finding(
                Severity::Error,
                origin,
                "ProtocolNotSupported",
                format!(
                    "{} is not served: {} cannot carry {}",
                    key.frontend, capabilities.name, key.frontend.protocol
                ),
            ));
        }
        is_supported
    });
    desired.findings.extend(findings);
}
