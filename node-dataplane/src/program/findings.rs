//! What is wrong on this node, after a pass.

use meshlite_snapshot::{Finding, Severity};
use tracing::{info, warn};

use super::Settled;
use crate::{
    desired::{Desired, finding},
    table::{Key, Observed, Origin},
};

/// Findings that one pass writes to the log.
const MOST_LOGGED: usize = 20;

/// Everything that is wrong, sorted, each once.
pub(super) fn collect(desired: &Desired, settled: &Settled, others: Vec<Finding>) -> Vec<Finding> {
    let mut findings = others;
    findings.extend(desired.findings.iter().cloned());
    let origin_of = |key: &Key| -> Option<&Origin> {
        let server = desired.table.virtual_servers.get(key)?;
        Some(&server.origin)
    };
    for (key, error) in &settled.outcome.failures {
        if let Some(origin) = origin_of(key) {
            let message = error.to_string();
            findings.push(finding(Severity::Error, origin, "NotProgrammed", message));
        }
    }
    for key in &settled.conflicts {
        if let Some(origin) = origin_of(key) {
            let message =
                format!("{key} is programmed by somebody else on this node and was left alone");
            findings.push(finding(
                Severity::Error,
                origin,
                "ForeignVirtualServer",
                message,
            ));
        }
    }
    findings.extend(moved(desired, &settled.observed));
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

/// Virtual servers that listen elsewhere than they were asked to.
fn moved(desired: &Desired, observed: &Observed) -> impl Iterator<Item = Finding> {
    observed.virtual_servers.iter().filter_map(|(key, server)| {
        let origin = &desired.table.virtual_servers.get(key)?.origin;
        let (wanted, bound) = (key.frontend.socket_address(), server.bound?);
        (wanted != bound).then(|| {
            let message = format!(
                "{wanted} is served on {bound}: this process may not bind ports below 1024"
            );
            finding(Severity::Warning, origin, "PortMoved", message)
        })
    })
}
