//! Why bytes or a message are not a value.

use std::fmt::Display;

use meshlite_snapshot::ResourceType;

use crate::session::RejectReason;

/// Why bytes or a message are not a value. Each variant is what the sender is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a message of the type.
    #[error("not a {kind}: {why}")]
    Malformed {
        /// The type that they should be.
        kind: ResourceType,
        /// Where decoding stopped.
        why: String,
    },
    /// A field is missing or has a value that is not allowed.
    #[error("{field}: {why}")]
    Invalid {
        /// The field, as a path.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field has a value that this build does not know, probably because the sender is newer.
    #[error("{field}: {value} is not known here")]
    Unsupported {
        /// The field, as a path.
        field: String,
        /// Its value.
        value: String,
    },
}

impl DecodeError {
    /// What the sender is told in one word.
    pub fn reason(&self) -> RejectReason {
        match self {
            Self::Malformed { .. } => RejectReason::Malformed,
            Self::Invalid { .. } => RejectReason::Invalid,
            Self::Unsupported { .. } => RejectReason::Unsupported,
        }
    }

    pub(super) fn invalid(field: &str, why: impl Display) -> Self {
        Self::Invalid {
            field: field.to_owned(),
            why: why.to_string(),
        }
    }

    pub(super) fn unsupported(field: &str, value: impl Display) -> Self {
        Self::Unsupported {
            field: field.to_owned(),
            value: value.to_string(),
        }
    }

    /// The same error, of a field within `outer`.
    pub(super) fn within(mut self, outer: impl Display) -> Self {
        match &mut self {
            Self::Malformed { .. } => {}
            Self::Invalid { field, .. } | Self::Unsupported { field, .. } => {
                *field = format!("{outer}.{field}");
            }
        }
        self
    }
}
