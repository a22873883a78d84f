//! Reads netlink attributes out of bytes that may be anything.

use super::{Malformed, uapi::NLA_TYPE_MASK, write::ALIGNMENT};

const HEADER: usize = 4;

/// The attributes in a run of bytes, one after the other. Ends after the first that does not fit.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

/// One attribute: its kind without flags, and its value.
#[derive(Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    value: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let &[l0, l1, k0, k1, ..] = bytes else {
            return Some(Err(Malformed::cut(HEADER, bytes.len())));
        };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(value) = bytes.get(HEADER..length) else {
            return Some(Err(Malformed::cut(length, bytes.len())));
        };
        // The last one need not be padded.
        self.0 = bytes
            .get(length.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        let kind = u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK;
        Some(Ok(Attribute { kind, value }))
    }
}

impl<'a> Attribute<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        self.value
    }

    pub(super) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// A value of exactly so many bytes.
    pub(super) fn array<const N: usize>(self, name: &'static str) -> Result<[u8; N], Malformed> {
        self.value
            .try_into()
            .map_err(|_not_n_bytes| Malformed::Size {
                attribute: name,
                length: self.value.len(),
            })
    }

    pub(super) fn u8(self, name: &'static str) -> Result<u8, Malformed> {
        self.array(name).map(u8::from_ne_bytes)
    }

    pub(super) fn u16(self, name: &'static str) -> Result<u16, Malformed> {
        self.array(name).map(u16::from_ne_bytes)
    }

    pub(super) fn u32(self, name: &'static str) -> Result<u32, Malformed> {
        self.array(name).map(u32::from_ne_bytes)
    }

    pub(super) fn u64(self, name: &'static str) -> Result<u64, Malformed> {
        self.array(name).map(u64::from_ne_bytes)
    }

    pub(super) fn port(self, name: &'static str) -> Result<u16, Malformed> {
        self.array(name).map(u16::from_be_bytes)
    }

    /// A string, up to its NUL if it has one.
    pub(super) fn str(self, name: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.value.split(|b| *b == 0).next().unwrap_or_default();
        str::from_utf8(bytes).map_err(|_not_text| Malformed::Text { attribute: name })
    }
}
