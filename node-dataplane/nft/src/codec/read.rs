//! Reads netlink attributes out of bytes that may be anything.

use std::time::Duration;

use super::{
    Malformed,
    uapi::{LIST_ELEM, NLA_TYPE_MASK},
    write::ALIGNMENT,
};
use crate::{Name, UserData};

const HEADER: usize = 4;

/// The attributes in a run of bytes, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

/// Goes through them. Ends after the first that does not fit.
pub(crate) struct AttributesIter<'a>(&'a [u8]);

/// One attribute: its kind without flags, and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
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
            return Some(Err(Malformed::Cut {
                length: HEADER,
                left: bytes.len(),
            }));
        };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(value) = bytes.get(HEADER..length) else {
            return Some(Err(Malformed::Cut {
                length,
                left: bytes.len(),
            }));
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
    /// The first of a kind.
    pub(crate) fn find(self, kind: u16) -> Result<Option<Attribute<'a>>, Malformed> {
        for attribute in self {
            let attribute = attribute?;
            if attribute.kind == kind {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }

    /// The first of a kind, which must be there.
    pub(crate) fn need(self, kind: u16, name: &'static str) -> Result<Attribute<'a>, Malformed> {
        self.find(kind)?.ok_or(Malformed::Missing(name))
    }

    /// What is in the first of a kind; nothing where there is none.
    pub(crate) fn inside(self, kind: u16) -> Result<Self, Malformed> {
        Ok(self.find(kind)?.map_or(Self(&[]), Attribute::nested))
    }

    /// The items of the list that these are.
    pub(crate) fn items(self) -> impl Iterator<Item = Result<Self, Malformed>> {
        self.into_iter().filter_map(|attribute| match attribute {
            Ok(attribute) if attribute.kind == LIST_ELEM => Some(Ok(attribute.nested())),
            Ok(_other) => None,
            Err(malformed) => Some(Err(malformed)),
        })
    }

    /// A number; `None` where it is not there.
    pub(crate) fn u32(self, kind: u16, name: &'static str) -> Result<Option<u32>, Malformed> {
        self.find(kind)?
            .map(|attribute| attribute.u32(name))
            .transpose()
    }

    /// A number that must be there.
    pub(crate) fn need_u32(self, kind: u16, name: &'static str) -> Result<u32, Malformed> {
        self.need(kind, name)?.u32(name)
    }

    /// A number; `None` where it is not there.
    pub(crate) fn u64(self, kind: u16, name: &'static str) -> Result<Option<u64>, Malformed> {
        self.find(kind)?
            .map(|attribute| attribute.u64(name))
            .transpose()
    }

    /// Milliseconds; `None` where there are none or it is not there.
    pub(crate) fn milliseconds(
        self,
        kind: u16,
        name: &'static str,
    ) -> Result<Option<Duration>, Malformed> {
        let number = self.u64(kind, name)?.filter(|number| *number > 0);
        Ok(number.map(Duration::from_millis))
    }

    /// A name that must be there.
    pub(crate) fn name(self, kind: u16, name: &'static str) -> Result<Name, Malformed> {
        self.need(kind, name)?.name(name)
    }

    /// Bytes that the kernel keeps for us.
    pub(crate) fn user_data(self, kind: u16) -> Result<UserData, Malformed> {
        let attribute = self.find(kind)?;
        Ok(attribute.map_or_else(UserData::default, |a| UserData::new(a.value)))
    }
}

impl<'a> Attribute<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.value
    }

    pub(crate) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// A value of exactly so many bytes.
    fn array<const N: usize>(self, attribute: &'static str) -> Result<[u8; N], Malformed> {
        let length = self.value.len();
        self.value
            .try_into()
            .map_err(|_not_n_bytes| Malformed::Size { attribute, length })
    }

    pub(crate) fn u8(self, name: &'static str) -> Result<u8, Malformed> {
        self.array(name).map(u8::from_ne_bytes)
    }

    pub(crate) fn u32(self, name: &'static str) -> Result<u32, Malformed> {
        self.array(name).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(self, name: &'static str) -> Result<u64, Malformed> {
        self.array(name).map(u64::from_be_bytes)
    }

    /// A string, up to its NUL if it has one.
    pub(crate) fn str(self, attribute: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.value.split(|b| *b == 0).next().unwrap_or_default();
        str::from_utf8(bytes).map_err(|_not_text| Malformed::Name { attribute })
    }

    pub(crate) fn name(self, attribute: &'static str) -> Result<Name, Malformed> {
        let text = self.str(attribute)?;
        text.parse()
            .map_err(|_no_name| Malformed::Name { attribute })
    }
}
