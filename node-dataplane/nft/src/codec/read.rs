//! Reads attributes as nftables has them: numbers in network byte order, lists, names.

use std::time::Duration;

pub(crate) use meshlite_netlink::{Attribute, Attributes};

use super::{Malformed, uapi::LIST_ELEM};
use crate::{Name, UserData};

/// What attributes of nftables are read for.
pub(crate) trait AttributesExt<'a>: Sized {
    /// The items of the list that these are.
    fn items(self) -> impl Iterator<Item = Result<Self, Malformed>>;

    /// A number; `None` where it is not there.
    fn u32(self, kind: u16, name: &'static str) -> Result<Option<u32>, Malformed>;

    /// A number that must be there.
    fn need_u32(self, kind: u16, name: &'static str) -> Result<u32, Malformed>;

    /// A number; `None` where it is not there.
    fn u64(self, kind: u16, name: &'static str) -> Result<Option<u64>, Malformed>;

    /// Milliseconds; `None` where there are none or it is not there.
    fn milliseconds(self, kind: u16, name: &'static str) -> Result<Option<Duration>, Malformed>;

    /// A name that must be there.
    fn name(self, kind: u16, name: &'static str) -> Result<Name, Malformed>;

    /// Bytes that the kernel keeps for us.
    fn user_data(self, kind: u16) -> Result<UserData, Malformed>;
}

impl<'a> AttributesExt<'a> for Attributes<'a> {
    fn items(self) -> impl Iterator<Item = Result<Self, Malformed>> {
        self.into_iter().filter_map(|attribute| match attribute {
            Ok(attribute) if attribute.kind == LIST_ELEM => Some(Ok(attribute.nested())),
            Ok(_other) => None,
            Err(malformed) => Some(Err(malformed)),
        })
    }

    fn u32(self, kind: u16, name: &'static str) -> Result<Option<u32>, Malformed> {
        let attribute = self.find(kind)?;
        attribute.map(|a| a.u32_be(name)).transpose()
    }

    fn need_u32(self, kind: u16, name: &'static str) -> Result<u32, Malformed> {
        self.need(kind, name)?.u32_be(name)
    }

    fn u64(self, kind: u16, name: &'static str) -> Result<Option<u64>, Malformed> {
        let attribute = self.find(kind)?;
        attribute.map(|a| a.u64_be(name)).transpose()
    }

    fn milliseconds(self, kind: u16, name: &'static str) -> Result<Option<Duration>, Malformed> {
        let number = self.u64(kind, name)?.filter(|number| *number > 0);
        Ok(number.map(Duration::from_millis))
    }

    fn name(self, kind: u16, name: &'static str) -> Result<Name, Malformed> {
        let text = self.need(kind, name)?.str(name)?;
        text.parse()
            .map_err(|_no_name| Malformed::Text { attribute: name })
    }

    fn user_data(self, kind: u16) -> Result<UserData, Malformed> {
        let attribute = self.find(kind)?;
        Ok(attribute.map_or_else(UserData::default, |a| UserData::new(a.bytes())))
    }
}
