//! What one check has to say about one object, before it is known where the object was read.

use std::borrow::Cow;

use meshlite_snapshot::{Finding, ObjectRef, Severity, SourceLocation};

/// Something wrong with an object, without the object's name and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is. An object with an [`Severity::Error`] is not served.
    pub severity: Severity,
    /// The field, as a path: `spec.ports[1].nodePort`. Empty for the whole object.
    pub field: String,
    /// One word in CamelCase, as in a Kubernetes Event.
    pub reason: Cow<'static, str>,
    /// What happened and what to do, as a sentence.
    pub message: String,
}

impl Problem {
    /// The object cannot be served as written.
    pub fn error(
        field: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            field: field.into(),
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// The object is served, but probably not as meant.
    pub fn warning(
        field: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(field, reason, message)
        }
    }

    /// This problem as a finding about `object`, read at `source`.
    pub fn at(self, object: ObjectRef, source: Option<SourceLocation>) -> Finding {
        Finding {
            severity: self.severity,
            object,
            field: self.field,
            reason: self.reason,
            message: self.message,
            source,
        }
    }
}
