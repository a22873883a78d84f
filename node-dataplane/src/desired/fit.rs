//! Trims a virtual server to what the kernel here can do, and says what was lost.

use meshlite_snapshot::{Finding, Severity};

use super::finding;
use crate::{
    kernel::Capabilities,
    scheduler::Scheduler,
    table::{Frontend, VirtualServer},
};

/// Replaces a scheduler that the kernel lacks. Says whether it can serve the place at all.
pub(super) fn fit(
    server: &mut VirtualServer,
    frontend: &Frontend,
    capabilities: &Capabilities,
    findings: &mut Vec<Finding>,
) -> bool {
    let (origin, settings) = (&server.origin, &mut server.settings);
    if !capabilities.schedulers.contains(&settings.scheduler) {
        findings.push(finding(
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
    let is_supported = capabilities.protocols.contains(&frontend.protocol);
    if !is_supported {
        findings.push(finding(
            Severity::Error,
            origin,
            "ProtocolNotSupported",
            format!(
                "{frontend} is not served: {} cannot carry {}",
                capabilities.name, frontend.protocol
            ),
        ));
    }
    is_supported
}
