//! A reader for YAML as manifests are nearly always written, many times faster than a YAML parser.
//!
//! ```text
//! text of a document ─> Cursor (lines) ─> Value, Entries, Items (serde) ─> a typed object
//! ```
//!
//! It understands block mappings and sequences of one-line scalars in ASCII, and nothing else. Whatever it does not
//! understand, and whatever is not exactly right (an unknown field, a key twice, a number where text belongs), it gives
//! back as [`NotPlain`] without a reason: then a complete parser reads the document. So it needs to know little of
//! YAML, but must never read a text as something else than that parser does. A property test holds it to that.

mod access;
mod cursor;
mod scalar;
mod value;

use std::{fmt, str::Utf8Error};

use serde::{Deserialize, de};

use cursor::Cursor;
use value::Value;

/// The text is not plain enough, or not right.
#[derive(Debug)]
pub(crate) struct NotPlain;

/// Reads a document.
pub(crate) fn from_slice<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, NotPlain> {
    let mut cursor = Cursor::new(text)?;
    let value = T::deserialize(Value::root(&mut cursor))?;
    if cursor.is_at_end() {
        Ok(value)
    } else {
        Err(NotPlain)
    }
}

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain YAML")
    }
}

impl std::error::Error for NotPlain {}

impl From<Utf8Error> for NotPlain {
    fn from(_: Utf8Error) -> Self {
        Self
    }
}

impl de::Error for NotPlain {
    /// The complete parser will say it better.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
