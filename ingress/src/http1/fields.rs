//! Fields of heads and trailers, and what some of them say. Pure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields that there is room for beside those of the message: headers are added to most.
const ROOM: usize = 8;

/// Fields that were found in these bytes.
pub(crate) fn fields_of(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len() + ROOM);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).ok()?;
        headers.append(name, value);
    }
    Some(headers)
}

/// Whether a list such as that of `Connection` names this option, which is in lower case.
pub(crate) fn has_option(value: &[u8], option: &str) -> bool {
    let mut options = value.split(|byte| *byte == b',');
    options.any(|named| named.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// Whether a value of `Connection` leaves the connection open; where it says both, it does not.
pub(crate) fn stays_open(value: &[u8]) -> Option<bool> {
    // What most of them say.
    if value.eq_ignore_ascii_case(b"keep-alive") {
        return Some(true);
    }
    if has_option(value, "close") {
        return Some(false);
    }
    has_option(value, "keep-alive").then_some(true)
}

/// A number of bytes: digits and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
