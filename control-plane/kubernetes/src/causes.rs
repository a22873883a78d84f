//! Errors with their causes, for logs.

use std::{error::Error, fmt::Write as _};

/// An error and what caused it: the last cause is often the only one that says anything.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            // Writing to a String does not fail.
            write!(text, ": {cause}").unwrap_or_default();
        }
        source = error.source();
    }
    text
}
