//! What is wrong with the input, now: published as a whole, logged once when it appears and once when it is gone.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{Finding, ObjectRef, Severity};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::metrics::Metrics;

/// Where readers find the findings, sorted.
pub(crate) type Findings = watch::Receiver<Arc<[Finding]>>;

/// The one writer of findings.
#[derive(Debug)]
pub(crate) struct FindingBook {
    findings: watch::Sender<Arc<[Finding]>>,
    metrics: Arc<Metrics>,
}

/// What makes a finding the same although the lines above it moved.
type Identity<'a> = (
    Severity,
    &'a ObjectRef,
    &'a str,
    &'a str,
    &'a str,
    Option<&'a str>,
);

impl FindingBook {
    /// No findings.
    pub(crate) fn new(metrics: Arc<Metrics>) -> (Self, Findings) {
        let (findings, readers) = watch::channel(Arc::default());
        (Self { findings, metrics }, readers)
    }

    /// All findings.
    pub(crate) fn current(&self) -> Arc<[Finding]> {
        Arc::clone(&self.findings.borrow())
    }

    /// Replaces all findings.
    pub(crate) fn replace(&mut self, mut findings: Vec<Finding>) {
        findings.sort();
        findings.dedup();
        let before = Arc::clone(&self.findings.borrow());
        if *before == *findings {
            return;
        }
        let (new, gone) = differences(&before, &findings);
        new.into_iter().for_each(log_new);
        gone.into_iter().for_each(log_resolved);
        self.metrics.findings(&findings);
        self.findings.send_replace(findings.into());
    }
}

/// What appeared and what is gone, from one set of findings to another.
fn differences<'a>(
    before: &'a [Finding],
    after: &'a [Finding],
) -> (Vec<&'a Finding>, Vec<&'a Finding>) {
    let by_identity =
        |all: &'a [Finding]| -> BTreeMap<_, _> { all.iter().map(|f| (identity(f), f)).collect() };
    let (old, new) = (by_identity(before), by_identity(after));
    let missing_in = |from: &BTreeMap<Identity<'a>, &'a Finding>,
                      other: &BTreeMap<Identity<'a>, &'a Finding>| {
        from.iter()
            .filter(|(identity, _)| !other.contains_key(*identity))
            .map(|(_, finding)| *finding)
            .collect()
    };
    (missing_in(&new, &old), missing_in(&old, &new))
}

fn identity(finding: &Finding) -> Identity<'_> {
    (
        finding.severity,
        &finding.object,
        &finding.field,
        &finding.reason,
        &finding.message,
        finding.source.as_ref().map(|source| source.file.as_str()),
    )
}

fn log_new(finding: &Finding) {
    let Finding {
        severity,
        object,
        field,
        reason,
        message,
        source,
    } = finding;
    let source = source.as_ref().map(tracing::field::display);
    match severity {
        Severity::Error => {
            error!(%object, field, %reason, detail = message, source, "manifest is not served as written");
        }
        Severity::Warning => {
            warn!(%object, field, %reason, detail = message, source, "manifest may not mean what it says");
        }
    }
}

fn log_resolved(finding: &Finding) {
    let Finding {
        severity,
        object,
        field,
        reason,
        message: _,
        source: _,
    } = finding;
    info!(%object, field, %reason, %severity, "finding is resolved");
}

#[cfg(test)]
mod tests {
    use meshlite_snapshot::SourceLocation;

    use super::*;

    fn finding(name: &str, line: u32) -> Finding {
        Finding {
            severity: Severity::Error,
            object: ObjectRef::new("Service", "default", name),
            field: "spec".into(),
            reason: "Invalid".into(),
            message: "no".into(),
            source: Some(SourceLocation {
                file: "a.yaml".into(),
                document: 1,
                line,
            }),
        }
    }

    #[test]
    fn a_finding_that_moved_to_another_line_is_not_new() {
        let before = [finding("a", 1), finding("b", 9)];
        let after = [finding("a", 4), finding("c", 9)];
        let (new, gone) = differences(&before, &after);
        assert_eq!(new, [&after[1]]);
        assert_eq!(gone, [&before[1]]);
    }

    #[test]
    fn readers_see_the_whole_sorted_set_and_wake_only_on_change() {
        let (mut book, mut readers) = FindingBook::new(Arc::new(Metrics::default()));
        book.replace(vec![finding("b", 1), finding("a", 1), finding("a", 1)]);
        assert!(readers.has_changed().unwrap());
        let seen = Arc::clone(&readers.borrow_and_update());
        assert_eq!(*seen, [finding("a", 1), finding("b", 1)]);
        book.replace(vec![finding("a", 1), finding("b", 1)]);
        assert!(!readers.has_changed().unwrap());
    }
}
