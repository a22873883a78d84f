//! What has come on a connection and was not read yet. Pure.

use bytes::{Bytes, BytesMut};

use super::MAX_HEAD;

/// What has come on a connection and was not read yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) bytes: Bytes,
    /// How much of it is known to be less than a head.
    partial: usize,
}

impl Buffer {
    /// More has come.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
            return;
        }
        let mut joined = BytesMut::from(std::mem::take(&mut self.bytes));
        joined.extend_from_slice(&bytes);
        self.bytes = joined.freeze();
    }

    /// Takes a head out of the buffer with `parse`; none where it is not all there, which it then is not asked again before more
    /// has come.
    pub(crate) fn next_head<T, E>(
        &mut self,
        parse: impl FnOnce(&mut Bytes) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        if self.bytes.is_empty() || !self.may_have_head() {
            return Ok(None);
        }
        let head = parse(&mut self.bytes)?;
        self.partial = if head.is_some() { 0 } else { self.bytes.len() };
        Ok(head)
    }

    /// Whether a head may have ended since the last look: who sends one byte at a time makes nobody read it as often.
    fn may_have_head(&self) -> bool {
        let new = self.bytes.get(self.partial.saturating_sub(3)..);
        let new = new.unwrap_or_default();
        self.partial == 0
            || self.bytes.len() > MAX_HEAD
            || new.windows(2).any(|bytes| bytes == b"\n\n")
            || new.windows(3).any(|bytes| bytes == b"\n\r\n")
    }
}
