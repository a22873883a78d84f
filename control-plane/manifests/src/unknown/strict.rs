//! A serde adapter around the YAML reader that notices what serde forgives.
//!
//! It wraps every deserializer, visitor and access on the way down.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor},
};

use super::{key::Key, notes::Notes, path::Path, seen::Seen, text::Text};

/// A deserializer that writes to [`Notes`].
#[derive(Debug)]
pub(crate) struct Strict<'n, D> {
    inner: D,
    notes: &'n Notes<'n>,
    path: Path<'n>,
    /// The fields of the struct that this value is in.
    siblings: &'static [&'static str],
}

impl<'n, D> Strict<'n, D> {
    /// Reads a whole document.
    pub(crate) const fn new(inner: D, notes: &'n Notes<'n>) -> Self {
        Self {
            inner,
            notes,
            path: Path::Root,
            siblings: &[],
        }
    }

    const fn watch<V>(&self, visitor: V, fields: &'static [&'static str]) -> Watch<'n, V> {
        Watch {
            inner: visitor,
            notes: self.notes,
            path: self.path,
            siblings: self.siblings,
            fields,
        }
    }
}

/// Deserializer methods that only wrap the visitor.
macro_rules! wrap {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let watch = self.watch(visitor, &[]);
            self.inner.$method(watch)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    wrap! {
        deserialize_any deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char
        deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit
        deserialize_seq deserialize_map deserialize_identifier
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(Text {
            inner: visitor,
            notes: self.notes,
        })
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_string(Text {
            inner: visitor,
            notes: self.notes,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, fields);
        self.inner.deserialize_struct(name, fields, watch)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, &[]);
        self.inner.deserialize_newtype_struct(name, watch)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, &[]);
        self.inner.deserialize_tuple(len, watch)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, &[]);
        self.inner.deserialize_tuple_struct(name, len, watch)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    /// Only a field that its struct does not have is read as anything.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.notes.unknown(&self.path, self.siblings);
        self.inner.deserialize_ignored_any(visitor)
    }
}

// === impl Watch ===

/// A visitor that passes the adapter on to what it visits.
struct Watch<'n, V> {
    inner: V,
    notes: &'n Notes<'n>,
    path: Path<'n>,
    siblings: &'static [&'static str],
    fields: &'static [&'static str],
}

impl<'n, V> Watch<'n, V> {
    fn deeper<D>(self, inner: D) -> (V, Strict<'n, D>) {
        let strict = Strict {
            inner,
            notes: self.notes,
            path: self.path,
            siblings: self.siblings,
        };
        (self.inner, strict)
    }
}

/// Visitor methods for scalars, which are passed on as they are.
macro_rules! pass {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    pass! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128) visit_f64(f64)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let (visitor, strict) = self.deeper(deserializer);
        visitor.visit_some(strict)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        let (visitor, strict) = self.deeper(deserializer);
        visitor.visit_newtype_struct(strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Elements {
            inner: access,
            notes: self.notes,
            path: self.path,
            index: 0,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Entries {
            inner: access,
            notes: self.notes,
            path: self.path,
            fields: self.fields,
            seen: Seen::default(),
            key: String::new(),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(access)
    }
}

// === impl Elements ===

/// The elements of a sequence.
struct Elements<'n, A> {
    inner: A,
    notes: &'n Notes<'n>,
    path: Path<'n>,
    index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        let path = Path::Index {
            parent: &self.path,
            index: self.index,
        };
        self.index += 1;
        let seed = Seed {
            inner: seed,
            notes: self.notes,
            path,
            siblings: &[],
        };
        self.inner
            .next_element_seed(seed)
            .inspect_err(|_| self.notes.failed(&path))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

// === impl Entries ===

/// The entries of a mapping.
struct Entries<'n, A> {
    inner: A,
    notes: &'n Notes<'n>,
    path: Path<'n>,
    fields: &'static [&'static str],
    seen: Seen,
    /// The key of the value that comes next.
    key: String,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut hash = 0;
        let result = self.inner.next_key_seed(Key {
            inner: seed,
            hash: &mut hash,
            text: &mut self.key,
        });
        if let Ok(Some(_)) = result
            && !self.seen.insert(hash)
        {
            self.notes.duplicate(&Path::Key {
                parent: &self.path,
                key: &self.key,
                is_field: !self.fields.is_empty(),
            });
        }
        result
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let path = Path::Key {
            parent: &self.path,
            key: &self.key,
            is_field: !self.fields.is_empty(),
        };
        let seed = Seed {
            inner: seed,
            notes: self.notes,
            path,
            siblings: self.fields,
        };
        self.inner
            .next_value_seed(seed)
            .inspect_err(|_| self.notes.failed(&path))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

// === impl Seed ===

/// What reads a value, with the adapter around its deserializer.
struct Seed<'n, T> {
    inner: T,
    notes: &'n Notes<'n>,
    path: Path<'n>,
    siblings: &'static [&'static str],
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.inner.deserialize(Strict {
            inner: deserializer,
            notes: self.notes,
            path: self.path,
            siblings: self.siblings,
        })
    }
}
