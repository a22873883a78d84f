//! A resource's body as it is kept between publication and commit.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

/// Shorter bodies are kept as they are: there is little in them that repeats.
const PACKED: usize = 512;
/// The fastest of zstd's ordinary levels. In one body there is not enough for a higher one to find more.
const LEVEL: i32 = 1;

/// The body of a resource, compressed where that saves memory: nearly all of what is published is endpoints, whose names
/// repeat. Equal bodies are equal, as one body is always compressed the same way. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    kept: Bytes,
    /// Of what was published, in bytes.
    len: usize,
    is_packed: bool,
}

thread_local! {
    /// Made once for each thread that publishes: they are large. None where there is no memory for one.
    static PACKER: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

impl Body {
    pub(super) fn new(bytes: Bytes) -> Self {
        let len = bytes.len();
        let packed = (len >= PACKED).then(|| packed(&bytes)).flatten();
        let is_packed = packed.is_some();
        Self {
            kept: packed.unwrap_or(bytes),
            len,
            is_packed,
        }
    }

    /// Its length as it is sent, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// It as it is sent.
    pub(crate) fn bytes(&self) -> Bytes {
        if !self.is_packed {
            return self.kept.clone();
        }
        let unpacked = UNPACKER.with_borrow_mut(|unpacker| {
            let bytes = unpacker.as_mut()?.decompress(&self.kept, self.len).ok()?;
            Some(Bytes::from(bytes))
        });
        // What was packed here can be unpacked here.
        unpacked.unwrap_or_default()
    }

    /// Whether the two are one in memory.
    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kept.as_ptr() == other.kept.as_ptr()
    }
}

/// These bytes compressed, where that makes them fewer.
fn packed(bytes: &[u8]) -> Option<Bytes> {
    PACKER.with_borrow_mut(|packer| {
        let packed = packer.as_mut()?.compress(bytes).ok()?;
        // A copy, as what it was compressed into has room for more than there was.
        (packed.len() < bytes.len()).then(|| Bytes::copy_from_slice(&packed))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_repeat_are_kept_once() {
        let names = (0..25).map(|n| format!("ip-10-0-0-{n}.eu-central-1.compute.internal"));
        let bytes = Bytes::from(names.collect::<String>());
        let body = Body::new(bytes.clone());
        assert!(
            body.kept.len() * 3 < body.len(),
            "{} bytes",
            body.kept.len()
        );
        assert_eq!(body.bytes(), bytes);
    }

    proptest! {
        #[test]
        fn a_body_comes_out_as_it_went_in(bytes in prop::collection::vec(prop_oneof![Just(7), any::<u8>()], 0..3000)) {
            let bytes = Bytes::from(bytes);
            let body = Body::new(bytes.clone());
            prop_assert_eq!(body.len(), bytes.len());
            prop_assert_eq!(&Body::new(bytes.clone()), &body);
            prop_assert_eq!(body.bytes(), bytes);
        }
    }
}
