//! The findings of admission, each with its source.

use meshlite_snapshot::{Finding, ObjectRef, SourceLocation};

use crate::Problem;

/// What is wrong between objects.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// An API server would refuse it.
    pub(super) fn error(
        &mut self,
        object: ObjectRef,
        source: &SourceLocation,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.add(object, source, Problem::error(field, reason, message));
    }

    /// An API server would accept it, but it is probably not what was meant.
    pub(super) fn warning(
        &mut self,
        object: ObjectRef,
        source: &SourceLocation,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.add(object, source, Problem::warning(field, reason, message));
    }

    pub(super) fn add(&mut self, object: ObjectRef, source: &SourceLocation, problem: Problem) {
        self.0.push(problem.at(object, Some(source.clone())));
    }

    /// Sorted, each once.
    pub(super) fn into_sorted(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}
