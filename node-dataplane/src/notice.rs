//! What is said to somebody who sets a node up, or clears it.

use std::fmt;

/// One thing that was done, found or not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// In a line.
    pub text: String,
    /// Whether it was to be done and is not.
    pub is_failure: bool,
}

impl Notice {
    /// Of what is as it should be, or does no harm.
    pub(crate) fn of(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            is_failure: false,
        }
    }

    /// Of what was to be done and is not.
    pub(crate) fn failure(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            is_failure: true,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
