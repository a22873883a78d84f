//! What is wrong with the input, as data: object, field, reason.

use std::{borrow::Cow, fmt};

use serde::Serialize;

/// Something a user should know about one of their objects. It never stops anything else from being served.
///
/// In order, errors come first, and then what comes first in its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where the object was read; none from an API server.
    pub source: Option<SourceLocation>,
    /// The object.
    pub object: ObjectRef,
    /// The field, as a path: `spec.ports[1].nodePort`. Empty for the whole object.
    pub field: String,
    /// One word in CamelCase, as in a Kubernetes Event.
    pub reason: Cow<'static, str>,
    /// What happened and what to do, as a sentence.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// The object, or part of it, is not served as written.
    Error,
    /// It is served, but probably not as meant.
    Warning,
}

/// An object, as a user would name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectRef {
    /// The object's kind; empty where it could not be read.
    pub kind: Cow<'static, str>,
    /// Its namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Its name; empty where it could not be read.
    pub name: String,
}

impl ObjectRef {
    /// A namespaced object.
    pub fn new(
        kind: impl Into<Cow<'static, str>>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// A document of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourceLocation {
    /// The file, relative to the folder that was named.
    pub file: String,
    /// The document within the file, from 1.
    pub document: u32,
    /// The line within the file, from 1.
    pub line: u32,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind.is_empty() {
            "document"
        } else {
            self.kind.as_ref()
        };
        match (self.namespace.is_empty(), self.name.is_empty()) {
            (_, true) => f.write_str(kind),
            (true, false) => write!(f, "{kind} {}", self.name),
            (false, false) => write!(f, "{kind} {}/{}", self.namespace, self.name),
        }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{} (document {})",
            self.file, self.line, self.document
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        write!(f, "{}: {}: ", self.severity, self.object)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}: {}", self.reason, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_place_object_field_reason_message() {
        let finding = Finding {
            severity: Severity::Error,
            object: ObjectRef::new("Service", "kong", "kong-proxy"),
            field: "spec.ports[1].nodeport".into(),
            reason: "UnknownField".into(),
            message: "unknown field; did you mean nodePort?".into(),
            source: Some(SourceLocation {
                file: "kong.yaml".into(),
                document: 2,
                line: 14,
            }),
        };
        assert_eq!(
            finding.to_string(),
            "kong.yaml:14 (document 2): error: Service kong/kong-proxy: spec.ports[1].nodeport: UnknownField: \
             unknown field; did you mean nodePort?"
        );
    }
}
