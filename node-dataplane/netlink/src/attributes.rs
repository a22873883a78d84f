//! Reads netlink attributes out of bytes that may be anything.

use crate::{Malformed, write::ALIGNMENT};

/// Bytes of `struct nlattr`.
const HEADER: usize = 4;
/// What is left of an attribute's type without its two flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// The attributes in a run of bytes, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

/// Goes through them. Ends after the first that does not fit.
#[derive(Clone, Debug)]
pub struct AttributesIter<'a>(&'a [u8]);

/// One attribute: its kind without flags, and its value.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// What it is.
    pub kind: u16,
    value: &'a [u8],
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;
    type IntoIter = AttributesIter<'a>;

    fn into_iter(self) -> AttributesIter<'a> {
        AttributesIter(self.0)
    }
}

impl<'a> Iterator for AttributesIter<'a> {
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

impl<'a> Attributes<'a> {
    /// Those behind a header of so many bytes, and the header.
    pub fn behind<const N: usize>(payload: &'a [u8]) -> Result<(&'a [u8; N], Self), Malformed> {
        let (header, attributes) = payload
            .split_first_chunk()
            .ok_or(Malformed::cut(N, payload.len()))?;
        Ok((header, Self(attributes)))
    }

    /// The first of a kind.
    pub fn find(self, kind: u16) -> Result<Option<Attribute<'a>>, Malformed> {
        for attribute in self {
            let attribute = attribute?;
            if attribute.kind == kind {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }

    /// The first of a kind, which must be there.
    pub fn need(self, kind: u16, name: &'static str) -> Result<Attribute<'a>, Malformed> {
        self.find(kind)?.ok_or(Malformed::Missing(name))
    }

    /// What is in the first of a kind; nothing where there is none.
    pub fn inside(self, kind: u16) -> Result<Self, Malformed> {
        Ok(self.find(kind)?.map_or(Self(&[]), Attribute::nested))
    }
}

impl<'a> Attribute<'a> {
    /// Its value.
    pub fn bytes(self) -> &'a [u8] {
        self.value
    }

    /// The attributes that its value is.
    pub fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// A value of exactly so many bytes.
    pub fn array<const N: usize>(self, attribute: &'static str) -> Result<[u8; N], Malformed> {
        let length = self.value.len();
        self.value
            .try_into()
            .map_err(|_not_n_bytes| Malformed::Size { attribute, length })
    }

    /// A number of one byte.
    pub fn u8(self, name: &'static str) -> Result<u8, Malformed> {
        self.array(name).map(u8::from_ne_bytes)
    }

    /// A number in the machine's byte order.
    pub fn u16_ne(self, name: &'static str) -> Result<u16, Malformed> {
        self.array(name).map(u16::from_ne_bytes)
    }

    /// A number in network byte order, such as a port.
    pub fn u16_be(self, name: &'static str) -> Result<u16, Malformed> {
        self.array(name).map(u16::from_be_bytes)
    }

    /// A number in the machine's byte order.
    pub fn u32_ne(self, name: &'static str) -> Result<u32, Malformed> {
        self.array(name).map(u32::from_ne_bytes)
    }

    /// A number in network byte order.
    pub fn u32_be(self, name: &'static str) -> Result<u32, Malformed> {
        self.array(name).map(u32::from_be_bytes)
    }

    /// A number in the machine's byte order.
    pub fn u64_ne(self, name: &'static str) -> Result<u64, Malformed> {
        self.array(name).map(u64::from_ne_bytes)
    }

    /// A number in network byte order.
    pub fn u64_be(self, name: &'static str) -> Result<u64, Malformed> {
        self.array(name).map(u64::from_be_bytes)
    }

    /// A string, up to its NUL if it has one.
    pub fn str(self, attribute: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.value.split(|b| *b == 0).next().unwrap_or_default();
        str::from_utf8(bytes).map_err(|_not_text| Malformed::Text { attribute })
    }
}

impl Malformed {
    /// So many bytes said to be there, and so many there.
    pub fn cut(length: usize, left: usize) -> Self {
        Self::Cut { length, left }
    }
}
