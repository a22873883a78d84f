//! What stands behind the netlink header of an answer: the header of nfnetlink, and attributes.

use super::{Malformed, read::Attributes};
use crate::Family;

/// Bytes of `struct nfgenmsg`.
const NF_HEADER: usize = 4;

/// An object as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    family: u8,
    attributes: Attributes<'a>,
}

impl<'a> Payload<'a> {
    /// Reads the header.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&[family, ..], attributes) = Attributes::behind::<NF_HEADER>(bytes)?;
        Ok(Self { family, attributes })
    }

    pub(crate) fn attributes(self) -> Attributes<'a> {
        self.attributes
    }

    pub(crate) fn family(self) -> Result<Family, Malformed> {
        let value = u32::from(self.family);
        Family::from_number(value).ok_or(Malformed::Value {
            attribute: "nfgen_family",
            value,
        })
    }
}
