//! A value, read as what the type asks for.

use serde::{Deserializer, de::Visitor, forward_to_deserialize_any};

use super::{
    NotPlain,
    access::{Entries, Items},
    cursor::Cursor,
    scalar::{Any, Scalar},
};

/// Deeper than any object.
const MAX_DEPTH: u8 = 60;

/// A value that is about to be read.
#[derive(Debug)]
pub(super) struct Value<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    place: Place<'t>,
    depth: u8,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
enum Place<'t> {
    /// The document.
    Root,
    /// Behind the colon of a key in this column.
    Behind(usize),
    /// In the lines below a key in this column.
    Below(usize),
    /// Behind the dash of an item.
    Item,
    /// Already read, to see whether it is null.
    Read(Scalar<'t>),
}

impl<'c, 't> Value<'c, 't> {
    pub(super) const fn root(cursor: &'c mut Cursor<'t>) -> Self {
        Self {
            cursor,
            place: Place::Root,
            depth: 0,
        }
    }

    pub(super) const fn of_key(cursor: &'c mut Cursor<'t>, column: usize, depth: u8) -> Self {
        Self {
            cursor,
            place: Place::Behind(column),
            depth,
        }
    }

    pub(super) const fn of_item(cursor: &'c mut Cursor<'t>, depth: u8) -> Self {
        Self {
            cursor,
            place: Place::Item,
            depth,
        }
    }

    /// Whether lines that belong to a key in this column follow.
    fn has_lines(&self, column: usize) -> bool {
        !self.cursor.is_at_end()
            && (self.cursor.column() > column
                || self.cursor.column() == column && self.cursor.is_at_dash())
    }

    /// The rest of the line. None where there is nothing, so that the value is below or null.
    fn line(&mut self) -> Result<Option<&'t [u8]>, NotPlain> {
        match self.place {
            Place::Behind(_) | Place::Item => {
                let line = self.cursor.rest_of_line()?;
                Ok(Some(line).filter(|line| !line.is_empty()))
            }
            Place::Root | Place::Below(_) | Place::Read(_) => Err(NotPlain),
        }
    }

    fn scalar(&mut self) -> Result<Scalar<'t>, NotPlain> {
        match self.place {
            Place::Read(scalar) => Ok(scalar),
            _ => Scalar::new(self.line()?.ok_or(NotPlain)?),
        }
    }

    fn deeper(&self) -> Result<u8, NotPlain> {
        (self.depth < MAX_DEPTH)
            .then_some(self.depth + 1)
            .ok_or(NotPlain)
    }

    fn map<V: Visitor<'t>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let depth = self.deeper()?;
        let parent = match self.place {
            Place::Behind(column) => match self.line()? {
                Some(b"{}") => return visitor.visit_map(Entries::empty(self.cursor)),
                Some(_) => return Err(NotPlain),
                None => Some(column),
            },
            Place::Below(column) => Some(column),
            Place::Root | Place::Item => None,
            Place::Read(_) => return Err(NotPlain),
        };
        let column = self.cursor.column();
        let is_below = parent.is_none_or(|parent| column > parent);
        if !is_below || self.cursor.is_at_end() || self.cursor.is_at_dash() {
            return Err(NotPlain);
        }
        let mut entries = Entries::new(self.cursor, column, depth);
        let value = visitor.visit_map(&mut entries)?;
        entries.ended().map(|()| value)
    }

    fn seq<V: Visitor<'t>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let depth = self.deeper()?;
        let parent = match self.place {
            Place::Behind(column) => match self.line()? {
                Some(b"[]") => return visitor.visit_seq(Items::empty(self.cursor)),
                Some(_) => return Err(NotPlain),
                None => column,
            },
            Place::Below(column) => column,
            Place::Root | Place::Item | Place::Read(_) => return Err(NotPlain),
        };
        let column = self.cursor.column();
        if column < parent || self.cursor.is_at_end() || !self.cursor.is_at_dash() {
            return Err(NotPlain);
        }
        let mut items = Items::new(self.cursor, column, depth);
        let value = visitor.visit_seq(&mut items)?;
        items.ended().map(|()| value)
    }
}

/// Methods that read a number.
macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
            visitor.visit_i64(self.scalar()?.integer().ok_or(NotPlain)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = NotPlain;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
        if let Place::Behind(column) = self.place
            && self.cursor.is_line_empty()
        {
            self.cursor.rest_of_line()?;
            if !self.has_lines(column) {
                return visitor.visit_unit();
            }
            self.place = Place::Below(column);
        }
        let scalar = match self.place {
            Place::Below(_) if self.cursor.is_at_dash() => return self.seq(visitor),
            Place::Root | Place::Below(_) => return self.map(visitor),
            Place::Item if self.cursor.is_at_key() => return self.map(visitor),
            Place::Behind(_) | Place::Item => match self.line()?.ok_or(NotPlain)? {
                b"{}" => return visitor.visit_map(Entries::empty(self.cursor)),
                b"[]" => return visitor.visit_seq(Items::empty(self.cursor)),
                line => Scalar::new(line)?,
            },
            Place::Read(scalar) => scalar,
        };
        match scalar.any().ok_or(NotPlain)? {
            Any::Bool(value) => visitor.visit_bool(value),
            Any::Unsigned(value) => visitor.visit_u64(value),
            Any::Negative(value) => visitor.visit_i64(value),
            Any::Text => visitor.visit_borrowed_str(scalar.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_bool(self.scalar()?.bool().ok_or(NotPlain)?)
    }

    integers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let scalar = self.scalar()?;
        if scalar.is_text() {
            visitor.visit_borrowed_str(scalar.text)
        } else {
            Err(NotPlain)
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, NotPlain> {
        let Place::Behind(column) = self.place else {
            return visitor.visit_some(self);
        };
        if self.cursor.is_line_empty() {
            self.cursor.rest_of_line()?;
            if !self.has_lines(column) {
                return visitor.visit_none();
            }
            self.place = Place::Below(column);
        } else if self.cursor.may_be_null() {
            let scalar = self.scalar()?;
            if scalar.is_null() {
                return visitor.visit_none();
            }
            self.place = Place::Read(scalar);
        }
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        self.map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        visitor.visit_newtype_struct(self)
    }

    /// An unknown field.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, NotPlain> {
        Err(NotPlain)
    }

    forward_to_deserialize_any! {
        i128 u8 u16 u32 u64 u128 char bytes byte_buf unit_struct tuple tuple_struct identifier
    }
}
