//! Writes netlink messages and attributes to the end of a buffer.

use super::uapi::{GENL_VERSION, NLA_F_NESTED};

/// Messages and attributes begin at multiples of this.
pub(super) const ALIGNMENT: usize = 4;

/// A message that is being written; its length is filled in by [`end`](Self::end).
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// Writes the headers of netlink and generic netlink.
    pub(super) fn begin(
        out: &'a mut Vec<u8>,
        kind: u16,
        flags: u16,
        sequence: u32,
        command: u8,
    ) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&flags.to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        // The sender's port: the kernel fills it in.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[command, GENL_VERSION, 0, 0]);
        Self { out, start }
    }

    /// Fills in the message's length.
    pub(super) fn end(self) {
        // Saturating: the kernel refuses a wrong length, where a wrapped one would be another message.
        let length = u32::try_from(self.out.len() - self.start).unwrap_or(u32::MAX);
        if let Some(field) = self.out[self.start..].first_chunk_mut() {
            *field = length.to_ne_bytes();
        }
    }

    /// Writes an attribute.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 2]);
        self.out.extend_from_slice(&kind.to_ne_bytes());
        self.out.extend_from_slice(value);
        self.close(start);
    }

    /// Writes an attribute that has attributes in it.
    pub(super) fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 2]);
        self.out
            .extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        inner(self);
        self.close(start);
    }

    pub(super) fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    pub(super) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A port, which travels in network byte order.
    pub(super) fn put_port(&mut self, kind: u16, port: u16) {
        self.put(kind, &port.to_be_bytes());
    }

    /// A string with the NUL that the kernel wants.
    pub(super) fn put_string(&mut self, kind: u16, value: &str) {
        let mut bytes = [0; 16];
        let length = value.len().min(15);
        bytes[..length].copy_from_slice(&value.as_bytes()[..length]);
        self.put(kind, &bytes[..=length]);
    }

    /// Fills in the length of the attribute at `start`, and pads.
    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.out.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.out[start..].first_chunk_mut() {
            *field = length.to_ne_bytes();
        }
        let padded = self.out.len().next_multiple_of(ALIGNMENT);
        self.out.resize(padded, 0);
    }
}
