//! Collects what is wrong with the objects while they are compiled.

mod book;

use meshlite_snapshot::{Finding, InvalidName, Name, ObjectRef, Severity};

use crate::ObjectKey;

pub(crate) use self::book::{Book, Unit};

/// Every finding so far, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Where findings about this object go.
    pub(crate) fn about<'a>(&'a mut self, kind: &'static str, key: &'a ObjectKey) -> About<'a> {
        About {
            findings: self,
            kind,
            namespace: &key.namespace,
            name: &key.name,
        }
    }

    /// Where findings about this cluster-scoped object go.
    pub(crate) fn about_cluster<'a>(&'a mut self, kind: &'static str, name: &'a str) -> About<'a> {
        About {
            findings: self,
            kind,
            namespace: "",
            name,
        }
    }

    /// Adds what was found before.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Each finding once, sorted.
    pub(crate) fn into_sorted(self) -> Vec<Finding> {
        let mut findings = self.0;
        findings.sort();
        findings.dedup();
        findings
    }
}

/// The findings about one object. Costs nothing where nothing is wrong.
#[derive(Debug)]
pub(crate) struct About<'a> {
    findings: &'a mut Findings,
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
}

impl About<'_> {
    /// The field is not served as written.
    pub(crate) fn error(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.push(Severity::Error, field.into(), reason, message.into());
    }

    /// The field is served, but probably not as meant.
    pub(crate) fn warning(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.push(Severity::Warning, field.into(), reason, message.into());
    }

    /// The resource name of these parts, or a finding that there is none.
    pub(crate) fn resource_name(&mut self, parts: &[&str]) -> Option<Name> {
        match resource_name(parts) {
            Ok(name) => Some(name),
            Err(error) => {
                self.error("metadata.name", "InvalidName", error.to_string());
                None
            }
        }
    }

    fn push(&mut self, severity: Severity, field: String, reason: &'static str, message: String) {
        self.findings.0.push(Finding {
            severity,
            object: ObjectRef::new(self.kind, self.namespace, self.name),
            field,
            reason: reason.into(),
            message,
            source: None,
        });
    }
}

/// The name made of these parts. A part with a `/` would be two, and might be another resource's.
pub(crate) fn resource_name(parts: &[&str]) -> Result<Name, InvalidName> {
    let joined = parts.join("/");
    if parts.iter().any(|part| part.contains('/')) {
        return Err(InvalidName::Segments(joined));
    }
    Name::new(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_out_once_and_sorted() {
        let mut findings = Findings::default();
        for name in ["b", "a", "b"] {
            let key = ObjectKey::new("default", name);
            findings
                .about("Service", &key)
                .warning("spec", "Odd", "is odd");
        }
        let names: Vec<_> = findings
            .into_sorted()
            .into_iter()
            .map(|finding| finding.object.name)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_part_with_a_slash_is_no_name() {
        assert!(resource_name(&["default", "web", "web-1"]).is_ok());
        assert!(resource_name(&["default", "web/x", "1"]).is_err());
        assert!(resource_name(&["default", ""]).is_err());
    }
}
