//! Text, as opposed to what YAML reads as something else.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};

use super::notes::Notes;

/// A visitor for text: a bare number or boolean is none.
pub(super) struct Text<'n, V> {
    pub(super) inner: V,
    pub(super) notes: &'n Notes<'n>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Text<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.inner.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        match bare(value) {
            Bare::Text => self.inner.visit_borrowed_str(value),
            _ if self.notes.is_said_to_be_text(value) => self.inner.visit_borrowed_str(value),
            Bare::Null => self.inner.visit_borrowed_str(""),
            Bare::Other(unexpected) => Err(E::invalid_type(unexpected, &self)),
        }
    }
}

/// What a scalar without quotes is.
enum Bare<'v> {
    Text,
    Null,
    Other(Unexpected<'v>),
}

fn bare(value: &str) -> Bare<'_> {
    let first = value.bytes().next().unwrap_or_default();
    if !matches!(
        first,
        b'0'..=b'9' | b'+' | b'-' | b'.' | b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F'
    ) {
        return Bare::Text;
    }
    match value {
        "~" | "null" | "Null" | "NULL" => Bare::Null,
        "true" | "True" | "TRUE" => Bare::Other(Unexpected::Bool(true)),
        "false" | "False" | "FALSE" => Bare::Other(Unexpected::Bool(false)),
        _ if first.is_ascii_alphabetic() => Bare::Text,
        _ => match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(number), _) => Bare::Other(Unexpected::Signed(number)),
            (_, Ok(number)) if number.is_finite() => Bare::Other(Unexpected::Float(number)),
            _ => Bare::Text,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_booleans_and_nulls_are_no_text() {
        for value in ["0", "-1", "+1", "1.5", ".5", "1e3", "true", "False", "007"] {
            assert!(matches!(bare(value), Bare::Other(_)), "{value}");
        }
        for value in ["null", "~"] {
            assert!(matches!(bare(value), Bare::Null), "{value}");
        }
        for value in [
            "", "a", "1.2.3", "1a", "-", "nan", "infinity", "truely", "no", "/",
        ] {
            assert!(matches!(bare(value), Bare::Text), "{value}");
        }
    }
}
