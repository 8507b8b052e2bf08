//! What serde has no notion of, for the visitors of this crate's own types (see `own`).

use serde::de::{self, DeserializeSeed, Visitor};
use serde::forward_to_deserialize_any;

use super::access::Tuple;
use super::error::DeserializeError as Error;
use super::own::TermKind;
use super::reader::{Reader, visit_text};
use crate::codec::{AtomText, RawPid, RawPort, RawReference};

/// A term that serde has no notion of, for the visitor of terms: its kind and the reader.
pub(crate) struct TermAccess<'r, 'a> {
    pub(crate) reader: &'r mut Reader<'a>,
    pub(crate) kind: TermKind,
    pub(crate) arity: usize,
}

impl<'r, 'a> de::EnumAccess<'a> for TermAccess<'r, 'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let kind = de::value::U8Deserializer::new(self.kind as u8);
        Ok((seed.deserialize(kind)?, self))
    }
}

impl<'a> de::VariantAccess<'a> for TermAccess<'_, 'a> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Err(de::Error::custom("a term of this kind has a value"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Tuple::new(self.reader, self.arity))
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(de::Error::custom("a term of this kind has no fields"))
    }
}

/// The parts of an identifier, in the order in which `parts` writes them.
pub(crate) struct PartsAccess<'a> {
    parts: [Part<'a>; 4],
    next: usize,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Number(u64),
    Words(&'a [u8]),
    Node(AtomText<'a>),
    None,
}

impl<'a> PartsAccess<'a> {
    pub(crate) fn pid(pid: RawPid<AtomText<'a>>) -> Self {
        let number = |number: u32| Part::Number(number.into());
        Self::of([
            number(pid.id),
            number(pid.serial),
            number(pid.creation),
            Part::Node(pid.node),
        ])
    }

    pub(crate) fn port(port: RawPort<AtomText<'a>>) -> Self {
        Self::of([
            Part::Number(port.id),
            Part::Number(port.creation.into()),
            Part::Node(port.node),
            Part::None,
        ])
    }

    pub(crate) fn reference(reference: RawReference<'a, AtomText<'a>>) -> Self {
        Self::of([
            Part::Number(reference.creation.into()),
            Part::Words(reference.words),
            Part::Node(reference.node),
            Part::None,
        ])
    }

    fn of(parts: [Part<'a>; 4]) -> Self {
        Self { parts, next: 0 }
    }
}

impl<'a> de::SeqAccess<'a> for PartsAccess<'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.parts.get(self.next) {
            None | Some(Part::None) => Ok(None),
            Some(part) => {
                self.next += 1;
                seed.deserialize(*part).map(Some)
            }
        }
    }
}

impl<'a> de::Deserializer<'a> for Part<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Part::Number(number) => visitor.visit_u64(number),
            Part::Node(node) => visit_text(node, visitor),
            Part::Words(words) => {
                let words = words
                    .chunks_exact(4)
                    .map(|word| u32::from_be_bytes(word.try_into().expect("chunks of four")));
                visitor.visit_seq(de::value::SeqDeserializer::new(words))
            }
            Part::None => visitor.visit_unit(),
        }
    }

    forward_to_deserialize_any! { <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
