//! One-line scalars, and what they are without quotes.

use super::NotPlain;

/// The value of a key or an item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar<'t> {
    pub(super) text: &'t str,
    pub(super) is_quoted: bool,
}

/// What a scalar is where anything may stand.
#[derive(Debug)]
pub(super) enum Any {
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Text,
}

impl<'t> Scalar<'t> {
    /// The scalar in the rest of a line.
    pub(super) fn new(line: &'t [u8]) -> Result<Self, NotPlain> {
        let text = str::from_utf8(line)?;
        match line {
            [quote @ (b'"' | b'\''), inside @ .., last] if quote == last => {
                let is_simple = inside.iter().all(|byte| byte != quote && *byte != b'\\');
                let text = text.get(1..text.len() - 1).filter(|_| is_simple);
                Ok(Self {
                    text: text.ok_or(NotPlain)?,
                    is_quoted: true,
                })
            }
            [first, rest @ ..] if begins_plain(*first, rest) && !has_colon(line) => Ok(Self {
                text,
                is_quoted: false,
            }),
            _ => Err(NotPlain),
        }
    }

    pub(super) fn is_null(self) -> bool {
        !self.is_quoted && matches!(self.text, "null" | "Null" | "NULL")
    }

    pub(super) fn bool(self) -> Option<bool> {
        match self.text {
            _ if self.is_quoted => None,
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// A number in its usual form.
    pub(super) fn integer(self) -> Option<i64> {
        let digits = self.text.strip_prefix('-').unwrap_or(self.text);
        let is_usual = !self.is_quoted
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        is_usual.then(|| self.text.parse().ok()).flatten()
    }

    /// What it is where anything may stand; none where that is not obvious.
    pub(super) fn any(self) -> Option<Any> {
        if self.is_quoted {
            return Some(Any::Text);
        }
        if let Some(value) = self.bool() {
            return Some(Any::Bool(value));
        }
        if let Some(number) = self.integer() {
            let unsigned = u64::try_from(number).map(Any::Unsigned);
            return Some(unsigned.unwrap_or(Any::Negative(number)));
        }
        self.is_text().then_some(Any::Text)
    }

    /// Whether it is text, and nothing that could be anything else.
    pub(super) fn is_text(self) -> bool {
        if self.is_quoted {
            return true;
        }
        match self.text.as_bytes() {
            [b'1'..=b'9', ..] => self.text.parse::<f64>().is_err(),
            [b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'/', ..] => {
                self.bool().is_none() && !self.is_null()
            }
            _ => false,
        }
    }
}

fn begins_plain(first: u8, rest: &[u8]) -> bool {
    first.is_ascii_alphanumeric()
        || matches!(first, b'_' | b'/')
        || first == b'-' && rest.first().is_some_and(u8::is_ascii_digit)
}

/// A colon that makes a key of what stands before it.
fn has_colon(line: &[u8]) -> bool {
    memchr::memchr_iter(b':', line).any(|at| matches!(line.get(at + 1), None | Some(b' ')))
}
