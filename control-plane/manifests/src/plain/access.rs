//! The entries of a mapping and the items of a sequence.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, value::BorrowedStrDeserializer};

use super::{NotPlain, cursor::Cursor, value::Value};
use crate::unknown::{Seen, hash};

/// The entries of a mapping whose keys stand in one column.
#[derive(Debug)]
pub(super) struct Entries<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    column: usize,
    depth: u8,
    /// `{}`
    is_empty: bool,
    seen: Seen,
}

impl<'c, 't> Entries<'c, 't> {
    pub(super) fn new(cursor: &'c mut Cursor<'t>, column: usize, depth: u8) -> Self {
        Self {
            cursor,
            column,
            depth,
            is_empty: false,
            seen: Seen::default(),
        }
    }

    pub(super) fn empty(cursor: &'c mut Cursor<'t>) -> Self {
        Self {
            is_empty: true,
            ..Self::new(cursor, 0, 0)
        }
    }

    /// Whether a key stands here that is one of this mapping. A deeper line would go on with the value before.
    fn has_next(&self) -> Result<bool, NotPlain> {
        if self.is_empty || self.cursor.is_at_end() || self.cursor.column() < self.column {
            return Ok(false);
        }
        if self.cursor.column() > self.column || self.cursor.is_at_dash() {
            return Err(NotPlain);
        }
        Ok(true)
    }

    /// Whether all of it was read.
    pub(super) fn ended(&self) -> Result<(), NotPlain> {
        if self.has_next()? {
            return Err(NotPlain);
        }
        Ok(())
    }
}

impl<'t> MapAccess<'t> for Entries<'_, 't> {
    type Error = NotPlain;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, NotPlain> {
        if !self.has_next()? {
            return Ok(None);
        }
        let key = self.cursor.key()?;
        if !self.seen.insert(hash(key)) {
            return Err(NotPlain);
        }
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<T::Value, NotPlain> {
        seed.deserialize(Value::of_key(self.cursor, self.column, self.depth))
    }
}

/// The items of a sequence whose dashes stand in one column.
#[derive(Debug)]
pub(super) struct Items<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    column: usize,
    depth: u8,
    /// `[]`
    is_empty: bool,
}

impl<'c, 't> Items<'c, 't> {
    pub(super) const fn new(cursor: &'c mut Cursor<'t>, column: usize, depth: u8) -> Self {
        Self {
            cursor,
            column,
            depth,
            is_empty: false,
        }
    }

    pub(super) const fn empty(cursor: &'c mut Cursor<'t>) -> Self {
        Self {
            is_empty: true,
            ..Self::new(cursor, 0, 0)
        }
    }

    /// Whether the dash of an item of this sequence stands here. A deeper line would go on with the item before.
    fn has_next(&self) -> Result<bool, NotPlain> {
        if self.is_empty || self.cursor.is_at_end() || self.cursor.column() < self.column {
            return Ok(false);
        }
        if self.cursor.column() > self.column {
            return Err(NotPlain);
        }
        Ok(self.cursor.is_at_dash())
    }

    /// Whether all of it was read.
    pub(super) fn ended(&self) -> Result<(), NotPlain> {
        if self.has_next()? {
            return Err(NotPlain);
        }
        Ok(())
    }
}

impl<'t> SeqAccess<'t> for Items<'_, 't> {
    type Error = NotPlain;

    fn next_element_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, NotPlain> {
        if !self.has_next()? {
            return Ok(None);
        }
        self.cursor.step_over_dash()?;
        seed.deserialize(Value::of_item(self.cursor, self.depth))
            .map(Some)
    }
}
