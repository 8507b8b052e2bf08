//! Variants of enums: an atom, or a tuple that begins with one.

use serde::de::{self, DeserializeSeed, Visitor, value::BorrowedStrDeserializer};
use serde::forward_to_deserialize_any;

use super::access::Tuple;
use super::describe::describe;
use super::error::{DeserializeError as Error, Step};
use super::names::Special;
use super::reader::{Reader, visit_text};
use crate::codec::{AtomText, Cursor};

/// An atom, or a tuple that begins with one, as a variant.
pub(crate) struct Tagged<'r, 'a> {
    pub(crate) reader: &'r mut Reader<'a>,
    pub(crate) start: Cursor<'a>,
    /// The enum's name.
    pub(crate) name: &'static str,
    pub(crate) tag: AtomText<'a>,
    /// How many values follow; `None` for an atom.
    pub(crate) values: Option<usize>,
    pub(crate) is_result: bool,
}

impl<'r, 'a> Tagged<'r, 'a> {
    #[cold]
    fn mismatch(&self, expected: &str) -> Error {
        let expected = format!("{expected} ({})", self.name);
        self.reader.mismatch(self.start, expected)
    }

    /// The error that another number of values is wanted.
    #[cold]
    fn wrong_count(&self, wanted: usize) -> Error {
        let values = ", _".repeat(wanted);
        self.mismatch(&format!("{{{}{values}}}", self.tag.to_str()))
    }

    fn check(&self, wanted: usize) -> Result<(), Error> {
        match self.values {
            Some(values) if values == wanted => Ok(()),
            _ => Err(self.wrong_count(wanted)),
        }
    }

    fn step(tag: AtomText<'_>) -> Step {
        Step::Name(tag.to_str().into_owned())
    }
}

impl<'r, 'a> de::EnumAccess<'a> for Tagged<'r, 'a> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = if !self.is_result {
            seed.deserialize(Name(self.tag))
        } else if self.tag == "ok" {
            seed.deserialize(BorrowedStrDeserializer::new("Ok"))
        } else if self.tag == "error" {
            seed.deserialize(BorrowedStrDeserializer::new("Err"))
        } else {
            return Err(self.mismatch("ok, {ok, _} or {error, _}"));
        };
        match variant {
            Ok(variant) => Ok((variant, self)),
            Err(error) => {
                let found = describe(self.start, self.reader.atoms);
                Err(error.in_enum(self.name, found))
            }
        }
    }
}

impl<'r, 'a> de::VariantAccess<'a> for Tagged<'r, 'a> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<(), Error> {
        match self.values {
            None => Ok(()),
            Some(_) => Err(self.mismatch(&format!("the atom {}", self.tag.to_str()))),
        }
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Error> {
        if self.values.is_none() && self.is_result && self.tag == "ok" {
            return seed.deserialize(BareOk);
        }
        self.check(1)?;
        seed.deserialize(&mut *self.reader)
            .map_err(|error| error.inside(Self::step(self.tag)))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.check(len)?;
        let mut tuple = Tuple::new(self.reader, len);
        let value = visitor
            .visit_seq(&mut tuple)
            .map_err(|error| error.inside(Self::step(self.tag)))?;
        tuple.finish()?;
        Ok(value)
    }

    #[inline]
    fn struct_variant<V: Visitor<'a>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.check(1)?;
        self.reader
            .fields(self.name, visitor)
            .map_err(|error| error.inside(Self::step(self.tag)))
    }
}

/// The text of an atom, whatever the visitor asks for.
struct Name<'a>(AtomText<'a>);

impl<'a> de::Deserializer<'a> for Name<'a> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visit_text(self.0, visitor)
    }

    forward_to_deserialize_any! { <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// The value of an `Ok` that is written `ok`: it can only be `()`.
struct BareOk;

impl<'a> de::Deserializer<'a> for BareOk {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::mismatch("{ok, _} (Result)", "the atom ok"))
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match Special::of(name) {
            None => visitor.visit_unit(),
            Some(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match Special::of(name) {
            None => visitor.visit_newtype_struct(self),
            Some(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        seq tuple tuple_struct map struct enum identifier
    }
}

/// A tuple that begins with an atom as a map of one pair: the atom and the value after it, or a
/// list of the values. So serde's buffers hold a variant.
pub(crate) struct TaggedTuple<'r, 'a> {
    reader: &'r mut Reader<'a>,
    tag: AtomText<'a>,
    values: usize,
    state: TaggedState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TaggedState {
    Tag,
    Values,
    End,
}

impl<'r, 'a> TaggedTuple<'r, 'a> {
    pub(crate) fn new(reader: &'r mut Reader<'a>, tag: AtomText<'a>, values: usize) -> Self {
        Self {
            reader,
            tag,
            values,
            state: TaggedState::Tag,
        }
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.state != TaggedState::End {
            (0..self.values).for_each(|_| self.reader.skip());
        }
        Ok(())
    }
}

impl<'a> de::MapAccess<'a> for TaggedTuple<'_, 'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.state != TaggedState::Tag {
            return Ok(None);
        }
        self.state = TaggedState::Values;
        seed.deserialize(Name(self.tag)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.state = TaggedState::End;
        let value = match self.values {
            1 => seed.deserialize(&mut *self.reader),
            len => seed.deserialize(Values {
                reader: self.reader,
                len,
            }),
        };
        value.map_err(|error| error.inside(Tagged::step(self.tag)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(1)
    }
}

/// The values of a tagged tuple, as a sequence.
struct Values<'r, 'a> {
    reader: &'r mut Reader<'a>,
    len: usize,
}

impl<'a> de::Deserializer<'a> for Values<'_, 'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.reader.tuple(self.len, visitor)
    }

    forward_to_deserialize_any! { <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
