//! The line of a field, found by reading the document once more with a reader that stops there.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Above this size the first line of the document has to do.
const MAX_BYTES: usize = 256 * 1024;

/// The line of a field in a document that can be read, from 1; of what it should be in where it is missing.
pub(super) fn line_of(text: &[u8], field: &str) -> Option<u32> {
    find(text, field, 0)
}

/// The line of a key that is there for the second time.
pub(super) fn second_line_of(text: &[u8], field: &str) -> Option<u32> {
    find(text, field, 1)
}

fn find(text: &[u8], field: &str, skip: usize) -> Option<u32> {
    if field.is_empty() || text.len() > MAX_BYTES {
        return None;
    }
    let steps = steps(field);
    let probe = Probe { rest: &steps, skip };
    let error = probe
        .deserialize(yaml_serde::Deserializer::from_slice(text))
        .err()?;
    u32::try_from(error.location()?.line()).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Step<'f> {
    Key(&'f str),
    Index(usize),
}

/// `spec.ports[1].nodePort` or `metadata.annotations[example.com/a]`.
fn steps(field: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = field;
    while !rest.is_empty() {
        let bracketed = rest
            .strip_prefix('[')
            .and_then(|inside| inside.split_once(']'));
        let (step, after) = if let Some((inside, after)) = bracketed {
            let key = || Step::Key(inside.trim_matches('"'));
            (inside.parse().map_or_else(|_| key(), Step::Index), after)
        } else {
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, c)| matches!(c, '.' | '['))
                .map_or(rest.len(), |(at, _)| at);
            let (key, after) = rest.split_at(end);
            (Step::Key(key), after)
        };
        steps.push(step);
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

/// Follows the steps, and fails where they end, which is how the line gets out.
#[derive(Clone, Copy)]
struct Probe<'f> {
    rest: &'f [Step<'f>],
    /// How many keys at the end of the steps do not count.
    skip: usize,
}

const HERE: &str = "here";

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Scalars: there is nothing below them.
macro_rules! scalars {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: Error>(self, _: $type) -> Result<(), E> {
            Err(E::custom(HERE))
        })*
    };
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HERE)
    }

    scalars! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(E::custom(HERE))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let [Step::Key(wanted), rest @ ..] = self.rest {
            let mut skip = self.skip;
            let key = |is_last| KeyProbe { wanted, is_last };
            while let Some(is_wanted) = map.next_key_seed(key(rest.is_empty() && skip == 0))? {
                if is_wanted && rest.is_empty() {
                    skip = skip.saturating_sub(1);
                    map.next_value::<IgnoredAny>()?;
                } else if is_wanted {
                    let skip = self.skip;
                    map.next_value_seed(Probe { rest, skip })?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Err(A::Error::custom(HERE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        if let [Step::Index(wanted), rest @ ..] = self.rest {
            let mut before = 0;
            while before < *wanted && sequence.next_element::<IgnoredAny>()?.is_some() {
                before += 1;
            }
            sequence.next_element_seed(Probe { rest, ..self })?;
        }
        Err(A::Error::custom(HERE))
    }
}

/// Whether a key is the wanted one; fails on the last.
#[derive(Clone, Copy)]
struct KeyProbe<'f> {
    wanted: &'f str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for KeyProbe<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyProbe<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        if key == self.wanted && self.is_last {
            return Err(E::custom(HERE));
        }
        Ok(key == self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"kind: Service\nmetadata:\n  annotations:\n    example.com/a: x\nspec:\n  ports:\n  - port: 80\n  \
        - name: b\n    nodeport: 1\n";

    #[test]
    fn a_field_is_found_on_its_line() {
        for (field, line) in [
            ("kind", 1),
            ("metadata", 2),
            ("metadata.annotations[example.com/a]", 4),
            ("spec.ports[0].port", 7),
            ("spec.ports[1]", 8),
            ("spec.ports[1].nodeport", 9),
        ] {
            assert_eq!(line_of(TEXT, field), Some(line), "{field}");
        }
    }

    #[test]
    fn a_missing_field_is_where_it_should_be() {
        assert_eq!(line_of(TEXT, "metadata.name"), Some(3));
        assert_eq!(line_of(TEXT, "spec.ports[1].port"), Some(8));
        assert_eq!(line_of(TEXT, "spec.ports[7].port"), Some(7));
        assert_eq!(line_of(TEXT, ""), None);
    }

    #[test]
    fn the_second_of_two_keys_is_found() {
        let text = b"a:\n  b: 1\n  c: 2\n  b: 3\n";
        assert_eq!(line_of(text, "a.b"), Some(2));
        assert_eq!(second_line_of(text, "a.b"), Some(4));
    }

    #[test]
    fn odd_fields_do_no_harm() {
        for field in [".", "[", "]", "[]", "..", "a[", "a[1", "[x].y", "é.ü[3]"] {
            line_of(TEXT, field);
        }
    }
}
