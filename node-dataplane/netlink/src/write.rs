//! Writes netlink messages and attributes to the end of a buffer.

/// Messages and attributes begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 4;
/// Bytes of an attribute's header.
const HEADER: usize = 4;
/// Nothing that is written at once is longer than an IPv6 address, in bytes.
const LONGEST_ARRAY: usize = 16;
/// The type's flag of an attribute that has attributes in it.
const NLA_F_NESTED: u16 = 0x8000;

/// A message that is being written; its length is filled in by [`end`](Self::end).
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    /// Whether an attribute is longer than its header can say.
    overlong: bool,
}

/// A message was longer than netlink can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlong;

/// The netlink header of a request, but for its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of message.
    pub kind: u16,
    /// [Flags](crate::flags).
    pub flags: u16,
    /// Comes back in every message of the answer.
    pub sequence: u32,
}

impl<'a> Writer<'a> {
    /// Writes the headers: netlink's, and the family's own, of a multiple of four bytes.
    pub fn begin(out: &'a mut Vec<u8>, header: Header, own: &[u8]) -> Self {
        let start = out.len();
        let [k0, k1] = header.kind.to_ne_bytes();
        let [f0, f1] = header.flags.to_ne_bytes();
        let [s0, s1, s2, s3] = header.sequence.to_ne_bytes();
        // The length is filled in by the end, and the sender's port, the last four, by the kernel.
        out.extend_from_slice(&[0, 0, 0, 0, k0, k1, f0, f1, s0, s1, s2, s3, 0, 0, 0, 0]);
        out.extend_from_slice(own);
        Self {
            out,
            start,
            overlong: false,
        }
    }

    /// Bytes of the message so far.
    #[expect(clippy::len_without_is_empty, reason = "it has headers from the start")]
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Fills in the message's length.
    pub fn end(self) -> Result<(), Overlong> {
        // A wrong length the kernel refuses, where a wrapped one would be another message.
        let length = u32::try_from(self.len());
        if let Some(field) = self.out[self.start..].first_chunk_mut() {
            *field = length.unwrap_or(u32::MAX).to_ne_bytes();
        }
        if self.overlong || length.is_err() {
            Err(Overlong)
        } else {
            Ok(())
        }
    }

    /// Writes an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.out.extend_from_slice(value);
        self.close(start);
    }

    /// Writes an attribute of so many bytes, at once: nearly all are numbers and addresses.
    #[inline]
    pub fn put_array<const N: usize>(&mut self, kind: u16, value: [u8; N]) {
        const { assert!(N <= LONGEST_ARRAY) }
        let mut attribute = [0; HEADER + LONGEST_ARRAY];
        if let Some(to) = attribute.first_chunk_mut() {
            *to = header(HEADER + N, kind);
        }
        if let Some(to) = attribute[HEADER..].first_chunk_mut() {
            *to = value;
        }
        let padded = (HEADER + N).next_multiple_of(ALIGNMENT);
        self.out.extend_from_slice(&attribute[..padded]);
    }

    /// Writes an attribute that has attributes in it.
    #[inline]
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        let start = self.open(kind | NLA_F_NESTED);
        inner(self);
        self.close(start);
    }

    /// A number in the machine's byte order.
    #[inline]
    pub fn put_u16_ne(&mut self, kind: u16, value: u16) {
        self.put_array(kind, value.to_ne_bytes());
    }

    /// A number in network byte order, such as a port.
    #[inline]
    pub fn put_u16_be(&mut self, kind: u16, value: u16) {
        self.put_array(kind, value.to_be_bytes());
    }

    /// A number in the machine's byte order.
    #[inline]
    pub fn put_u32_ne(&mut self, kind: u16, value: u32) {
        self.put_array(kind, value.to_ne_bytes());
    }

    /// A number in network byte order.
    #[inline]
    pub fn put_u32_be(&mut self, kind: u16, value: u32) {
        self.put_array(kind, value.to_be_bytes());
    }

    /// A number in network byte order.
    #[inline]
    pub fn put_u64_be(&mut self, kind: u16, value: u64) {
        self.put_array(kind, value.to_be_bytes());
    }

    /// A string, with the NUL that the kernel wants.
    pub fn put_str(&mut self, kind: u16, text: &str) {
        let start = self.open(kind);
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(0);
        self.close(start);
    }

    /// Begins an attribute. Says where.
    fn open(&mut self, kind: u16) -> usize {
        let start = self.out.len();
        self.out.extend_from_slice(&header(0, kind));
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
        if padded > self.out.len() {
            self.out.resize(padded, 0);
        }
    }
}

/// The header of an attribute that is so long with it.
fn header(length: usize, kind: u16) -> [u8; HEADER] {
    let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes();
    let [k0, k1] = kind.to_ne_bytes();
    [l0, l1, k0, k1]
}
