//! Problems in Kubernetes' own words.

use std::fmt::Debug;

use meshlite_snapshot::Severity;

use super::Path;
use crate::Problem;

/// What is wrong with one object, in the order in which it was found.
#[derive(Default)]
pub(super) struct Report(Vec<Problem>);

impl Report {
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.0
    }

    /// A field that must be there is not.
    pub(super) fn required(&mut self, at: Path<'_>, detail: &str) {
        self.error(at, "FieldValueRequired", with("Required value", detail));
    }

    /// A value that means nothing.
    pub(super) fn invalid(&mut self, at: Path<'_>, value: impl Debug, detail: &str) {
        let message = with(&format!("Invalid value: {value:?}"), detail);
        self.error(at, "FieldValueInvalid", message);
    }

    /// A value that means nothing and must not be printed.
    pub(super) fn not_shown(&mut self, at: Path<'_>, detail: &str) {
        self.error(at, "FieldValueInvalid", with("Invalid value", detail));
    }

    /// A value outside an enumeration.
    pub(super) fn supported(&mut self, at: Path<'_>, value: &str, supported: &[&str]) {
        if supported.contains(&value) {
            return;
        }
        let quoted: Vec<_> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!(
            "Unsupported value: {value:?}: supported values: {}",
            quoted.join(", ")
        );
        self.error(at, "FieldValueNotSupported", message);
    }

    /// A value that must be unique is not.
    pub(super) fn duplicate(&mut self, at: Path<'_>, value: impl Debug) {
        self.error(
            at,
            "FieldValueDuplicate",
            format!("Duplicate value: {value:?}"),
        );
    }

    /// A field that must not be there is.
    pub(super) fn forbidden(&mut self, at: Path<'_>, detail: &str) {
        self.error(at, "FieldValueForbidden", with("Forbidden", detail));
    }

    /// A list with more elements than allowed.
    pub(super) fn at_most(&mut self, at: Path<'_>, count: usize, most: usize) {
        if count > most {
            let message = format!("Too many: {count}: must have at most {most} items");
            self.error(at, "FieldValueTooMany", message);
        }
    }

    /// A value with more bytes than allowed.
    pub(super) fn no_longer_than(&mut self, at: Path<'_>, bytes: usize, most: usize) {
        if bytes > most {
            let message = format!("Too long: may not be more than {most} bytes");
            self.error(at, "FieldValueTooLong", message);
        }
    }

    /// A string that must follow a rule of [`names`](super::names).
    pub(super) fn follows(&mut self, at: Path<'_>, value: &str, rule: super::names::Rule) {
        if let Some(detail) = rule(value) {
            self.invalid(at, value, detail);
        }
    }

    /// A port number.
    pub(super) fn port(&mut self, at: Path<'_>, port: i32) {
        if !(1..=65535).contains(&port) {
            self.invalid(at, port, "must be between 1 and 65535, inclusive");
        }
    }

    /// Something that Kubernetes accepts and that is probably a mistake.
    pub(super) fn warning(
        &mut self,
        at: Path<'_>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.0
            .push(Problem::warning(at.to_string(), reason, message));
    }

    /// Takes over the problems of an object that is not served itself.
    pub(super) fn downgrade(&mut self, errors: Self) {
        self.0.extend(errors.0.into_iter().map(|problem| Problem {
            severity: Severity::Warning,
            ..problem
        }));
    }

    fn error(&mut self, at: Path<'_>, reason: &'static str, message: String) {
        self.0.push(Problem::error(at.to_string(), reason, message));
    }
}

fn with(what: &str, detail: &str) -> String {
    if detail.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {detail}")
    }
}
