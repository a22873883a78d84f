//! What is wrong on this node, after a pass.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_snapshot::{Finding, Severity};
use tracing::{info, warn};

use super::mirror::Mirror;
use crate::{
    desired::{Desired, finding},
    kernel::KernelError,
    table::{Key, Origin},
};

/// Findings that one pass writes to the log.
const MOST_LOGGED: usize = 20;

/// What the loop itself finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Problems {
    /// Virtual servers with a step that failed, until one of theirs succeeds.
    pub(super) failures: BTreeMap<Key, KernelError>,
    /// Wanted virtual servers that are somebody else's.
    pub(super) conflicts: BTreeSet<Key>,
    /// What else is wrong with Services on this node.
    pub(super) others: Vec<Finding>,
}

/// Everything that is wrong, sorted, each once.
pub(super) fn collect(desired: &Desired, mirror: &Mirror, problems: &Problems) -> Vec<Finding> {
    let mut findings = problems.others.clone();
    findings.extend(desired.findings().cloned());
    let origin_of = |key: &Key| -> Option<&Origin> {
        let wanted = desired.table().virtual_servers.get(key);
        let found = || mirror.observed().virtual_servers.get(key)?.origin.as_ref();
        wanted.map(|server| &server.origin).or_else(found)
    };
    let mut add = |key, severity, reason, message| {
        if let Some(origin) = origin_of(key) {
            findings.push(finding(severity, origin, reason, message));
        }
    };
    for (key, error) in &problems.failures {
        add(key, Severity::Error, "NotProgrammed", error.to_string());
    }
    for key in &problems.conflicts {
        let message =
            format!("{key} is programmed by somebody else on this node and was left alone");
        add(key, Severity::Error, "ForeignVirtualServer", message);
    }
    for (key, bound) in mirror.moved() {
        let wanted = key.frontend.socket_address();
        let message =
            format!("{wanted} is served on {bound}: this process may not bind ports below 1024");
        add(key, Severity::Warning, "PortMoved", message);
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Logs what was not wrong before, and what is not wrong any more. Both are sorted.
pub(super) fn log_changes(before: &[Finding], after: &[Finding]) {
    for Finding {
        object,
        field,
        reason,
        message,
        ..
    } in missing(after, before).take(MOST_LOGGED)
    {
        warn!(%object, field, %reason, detail = message, "Service is not served as it was asked for");
    }
    for Finding {
        object,
        field,
        reason,
        ..
    } in missing(before, after).take(MOST_LOGGED)
    {
        info!(%object, field, %reason, "finding no longer holds");
    }
    let not_logged = missing(after, before).count().saturating_sub(MOST_LOGGED);
    if not_logged > 0 {
        warn!(not_logged, "there are more findings: see /virtualservers");
    }
}

/// What `from` has and `other` has not.
fn missing<'a>(from: &'a [Finding], other: &'a [Finding]) -> impl Iterator<Item = &'a Finding> {
    from.iter()
        .filter(|finding| other.binary_search(finding).is_err())
}
