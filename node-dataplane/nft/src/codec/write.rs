//! Writes netlink messages and attributes to the end of a buffer.

use super::uapi::{Command, LIST_ELEM, NLA_F_NESTED};
use crate::{Family, Name};

/// Messages and attributes begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 4;
/// Bytes of `struct nlmsghdr` and `struct nfgenmsg`.
pub(crate) const HEADERS: usize = 20;

/// A message that is being written.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    /// Whether an attribute is longer than its header can say.
    overlong: bool,
}

/// A message was longer than netlink can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlong;

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
}

impl<'a> Writer<'a> {
    /// Writes the headers of netlink and nfnetlink.
    pub(crate) fn begin(out: &'a mut Vec<u8>, header: Header) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&header.kind.to_ne_bytes());
        out.extend_from_slice(&header.flags.to_ne_bytes());
        out.extend_from_slice(&header.sequence.to_ne_bytes());
        // The sender's port: the kernel fills it in.
        out.extend_from_slice(&[0; 4]);
        // The second is `NFNETLINK_V0`.
        out.extend_from_slice(&[header.family, 0]);
        out.extend_from_slice(&header.resource.to_be_bytes());
        Self {
            out,
            start,
            overlong: false,
        }
    }

    /// Bytes of the message so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Fills in the message's length.
    pub(crate) fn end(self) -> Result<(), Overlong> {
        let length = u32::try_from(self.len()).map_err(|_too_long| Overlong)?;
        if let Some(field) = self.out[self.start..].first_chunk_mut() {
            *field = length.to_ne_bytes();
        }
        if self.overlong { Err(Overlong) } else { Ok(()) }
    }

    /// Writes an attribute.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.out.extend_from_slice(value);
        self.close(start);
    }

    /// Writes an attribute that has attributes in it.
    pub(crate) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        let start = self.open(kind | NLA_F_NESTED);
        inner(self);
        self.close(start);
    }

    /// Writes one of a list.
    pub(crate) fn item(&mut self, inner: impl FnOnce(&mut Self)) {
        self.nest(LIST_ELEM, inner);
    }

    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(crate) fn put_u64(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A string with the NUL that the kernel wants.
    pub(crate) fn put_name(&mut self, kind: u16, name: &Name) {
        self.put_str(kind, name.as_str());
    }

    pub(crate) fn put_str(&mut self, kind: u16, text: &str) {
        let start = self.open(kind);
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(0);
        self.close(start);
    }

    /// Begins an attribute. Says where.
    fn open(&mut self, kind: u16) -> usize {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 2]);
        self.out.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    /// Fills in the length of the attribute at `start`, and pads.
    fn close(&mut self, start: usize) {
        match u16::try_from(self.out.len() - start) {
            Ok(length) => {
                if let Some(field) = self.out[start..].first_chunk_mut() {
                    *field = length.to_ne_bytes();
                }
            }
            Err(_) => self.overlong = true,
        }
        let padded = self.out.len().next_multiple_of(ALIGNMENT);
        self.out.resize(padded, 0);
    }
}
