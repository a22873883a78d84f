//! Fields of heads and trailers, and what some of them say. Pure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Malformed;

/// Fields that were found in these bytes.
pub(crate) fn fields_of(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        append(
            &mut headers,
            field.name.as_bytes(),
            bytes.slice_ref(field.value),
        )?;
    }
    Some(headers)
}

/// Adds a field; none where that is not one.
pub(super) fn append(headers: &mut HeaderMap, name: &[u8], value: Bytes) -> Option<()> {
    let name = HeaderName::from_bytes(name).ok()?;
    let value = HeaderValue::from_maybe_shared(value).ok()?;
    headers.append(name, value);
    Some(())
}

/// Writes a field.
pub(crate) fn put_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes how long a body is.
pub(crate) fn put_length(length: u64, out: &mut Vec<u8>) {
    put_field(
        b"content-length",
        itoa::Buffer::new().format(length).as_bytes(),
        out,
    );
}

/// Whether a list such as that of `Connection` names this option, which is in lower case.
pub(crate) fn has_option(value: &[u8], option: &str) -> bool {
    let mut options = value.split(|byte| *byte == b',');
    options.any(|named| named.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// Whether a value of `Connection` names no other field.
pub(crate) fn names_nothing(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
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

/// What `Content-Length` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaidLength {
    pub(crate) bytes: u64,
    /// It was said once, and as a number.
    pub(crate) is_plain: bool,
}

/// What the values of `Content-Length` say, perhaps several times.
pub(crate) fn length(
    values: impl Iterator<Item: AsRef<[u8]>>,
) -> Result<Option<SaidLength>, Malformed> {
    let mut said: Option<SaidLength> = None;
    for value in values {
        for digits in value.as_ref().split(|byte| *byte == b',') {
            let bytes = number(digits.trim_ascii()).ok_or(Malformed::ContentLength)?;
            if said.is_some_and(|said| said.bytes != bytes) {
                return Err(Malformed::ContentLength);
            }
            said = Some(SaidLength {
                bytes,
                is_plain: said.is_none(),
            });
        }
    }
    Ok(said)
}

/// Leaves what `Content-Length` says in the head once.
pub(crate) fn only_length(headers: &mut HeaderMap) -> Result<(), Malformed> {
    let said = length(headers.get_all(header::CONTENT_LENGTH).iter())?;
    if let Some(said) = said.filter(|said| !said.is_plain) {
        headers.insert(header::CONTENT_LENGTH, said.bytes.into());
    }
    Ok(())
}
