//! Writes messages as nftables has them: the header of nfnetlink, numbers in network byte order, lists, names.

pub(crate) use meshlite_netlink::{Overlong, Writer};

use super::uapi::{Command, LIST_ELEM};
use crate::{Family, Name};

/// Bytes of `struct nlmsghdr` and `struct nfgenmsg`.
pub(crate) const HEADERS: usize = 20;

/// The headers of a message but for its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) family: u8,
    pub(crate) resource: u16,
}

impl Header {
    /// Of a message of nftables. `None`: about all families.
    pub(crate) fn of(command: Command, flags: u16, sequence: u32, family: Option<Family>) -> Self {
        let family = family.map_or(0, Family::number);
        Self {
            kind: command.message_type(),
            flags,
            sequence,
            family: u8::try_from(family).unwrap_or(0),
            resource: 0,
        }
    }

    /// Begins the message.
    pub(crate) fn begin(self, out: &mut Vec<u8>) -> Writer<'_> {
        let header = meshlite_netlink::Header {
            kind: self.kind,
            flags: self.flags,
            sequence: self.sequence,
        };
        let [r0, r1] = self.resource.to_be_bytes();
        // The second is `NFNETLINK_V0`.
        Writer::begin(out, header, &[self.family, 0, r0, r1])
    }
}

/// What messages of nftables are written with.
pub(crate) trait WriterExt {
    /// Writes one of a list.
    fn item(&mut self, inner: impl FnOnce(&mut Self));

    fn put_u32(&mut self, kind: u16, value: u32);

    fn put_u64(&mut self, kind: u16, value: u64);

    fn put_name(&mut self, kind: u16, name: &Name);
}

impl WriterExt for Writer<'_> {
    fn item(&mut self, inner: impl FnOnce(&mut Self)) {
        self.nest(LIST_ELEM, inner);
    }

    fn put_u32(&mut self, kind: u16, value: u32) {
        self.put_u32_be(kind, value);
    }

    fn put_u64(&mut self, kind: u16, value: u64) {
        self.put_u64_be(kind, value);
    }

    fn put_name(&mut self, kind: u16, name: &Name) {
        self.put_str(kind, name.as_str());
    }
}
