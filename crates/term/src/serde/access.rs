//! The elements of containers, as serde's visitors ask for them.
//!
//! Each access reads on from its [`Reader`] and adds its step to the path of an error that comes
//! from inside. A visitor that stops early is an error, found by `finish`: whatever comes after the
//! container would otherwise be read from the wrong place.

use serde::de::{self, DeserializeSeed, Visitor, value::BorrowedStrDeserializer};
use serde::forward_to_deserialize_any;

use super::de::{Reader, visit_text};
use super::describe::{count, describe, step};
use super::error::{DeserializeError as Error, Step};
use super::own::TermKind;
use crate::codec::{AtomText, Cursor, Head, ListTail, RawPid, RawPort, RawReference, View, WALKED};

#[cold]
fn too_many(wanted: usize, what: &str) -> Error {
    let wanted = count(wanted, "element");
    Error::mismatch(format!("a {what} of {wanted}"), "a longer one")
}

/// The elements of a list, in one piece or several.
pub(crate) struct List<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Elements left in this piece.
    left: usize,
    index: usize,
    rest: Rest<'a>,
    wants_tail: bool,
}

/// What comes after the elements left.
enum Rest<'a> {
    /// The tail, which may be another piece.
    Ahead,
    /// The elements of a `STRING_EXT`.
    Bytes(&'a [u8]),
    /// The tail of an improper list, for a visitor that wants it.
    Tail,
    End,
}

impl<'r, 'a> List<'r, 'a> {
    pub(crate) fn new(reader: &'r mut Reader<'a>, left: usize) -> Self {
        Self {
            reader,
            left,
            index: 0,
            rest: Rest::Ahead,
            wants_tail: false,
        }
    }

    pub(crate) fn of_bytes(reader: &'r mut Reader<'a>, bytes: &'a [u8]) -> Self {
        Self {
            rest: Rest::Bytes(bytes),
            ..Self::new(reader, 0)
        }
    }

    /// For the visitor of terms: after the last element of an improper list it is told `None`, and
    /// when it asks once more, the tail.
    pub(crate) fn with_tail(reader: &'r mut Reader<'a>, left: usize) -> Self {
        Self {
            wants_tail: true,
            ..Self::new(reader, left)
        }
    }

    /// Goes to the next element: false if there is none, or those left are bytes.
    #[inline]
    fn advance(&mut self) -> Result<bool, Error> {
        while matches!(self.rest, Rest::Ahead) {
            if let Some(left) = self.left.checked_sub(1) {
                self.left = left;
                return Ok(true);
            }
            self.read_tail()?;
        }
        Ok(false)
    }

    #[inline]
    fn read_tail(&mut self) -> Result<(), Error> {
        match self.reader.cursor.list_tail().expect(WALKED) {
            ListTail::Nil => self.rest = Rest::End,
            ListTail::More(more) => self.left = more,
            ListTail::Improper => return self.read_rare_tail(),
        }
        Ok(())
    }

    #[inline(never)]
    fn read_rare_tail(&mut self) -> Result<(), Error> {
        let start = self.reader.cursor;
        match self.reader.head() {
            Head::String(bytes) => self.rest = Rest::Bytes(bytes),
            _ if self.wants_tail => {
                self.reader.cursor = start;
                self.rest = Rest::Tail;
            }
            _ => {
                let found = describe(start, self.reader.atoms);
                let found = format!("an improper list that ends in {found}");
                return Err(Error::mismatch("a list that ends in []", found));
            }
        }
        Ok(())
    }

    fn element<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
        byte: Option<u8>,
    ) -> Result<Option<T::Value>, Error> {
        let index = self.index;
        self.index += 1;
        let element = match byte {
            None => seed.deserialize(&mut *self.reader),
            Some(byte) => seed.deserialize(&mut Reader::of_byte(byte)),
        };
        match element {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.inside(Step::Index(index))),
        }
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if self.advance()? || matches!(self.rest, Rest::Bytes([_, ..])) {
            return Err(too_many(self.index, "list"));
        }
        Ok(())
    }
}

impl<'a> de::SeqAccess<'a> for List<'_, 'a> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.advance()? {
            return self.element(seed, None);
        }
        match self.rest {
            Rest::Bytes([first, rest @ ..]) => {
                self.rest = Rest::Bytes(rest);
                self.element(seed, Some(*first))
            }
            Rest::Tail if self.wants_tail => {
                self.wants_tail = false;
                Ok(None)
            }
            Rest::Tail => {
                self.rest = Rest::End;
                self.element(seed, None)
            }
            Rest::Ahead | Rest::Bytes([]) | Rest::End => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        match self.rest {
            Rest::Bytes(bytes) => Some(bytes.len()),
            _ => Some(self.left),
        }
    }
}

/// The next so many terms.
pub(crate) struct Tuple<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
    index: usize,
}

impl<'r, 'a> Tuple<'r, 'a> {
    pub(crate) fn new(reader: &'r mut Reader<'a>, len: usize) -> Self {
        Self {
            reader,
            left: len,
            index: 0,
        }
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.left {
            0 => Ok(()),
            _ => Err(too_many(self.index, "tuple")),
        }
    }
}

impl<'a> de::SeqAccess<'a> for Tuple<'_, 'a> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let index = self.index;
        self.index += 1;
        match seed.deserialize(&mut *self.reader) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.inside(Step::Index(index))),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Which keys of a map are shown to the visitor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Any,
    /// Those that can be the name of a field. (An integer would be taken for a field's number.)
    Fields,
}

/// The pairs of a map.
pub(crate) struct MapPairs<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
    keys: Keys,
    key: Cursor<'a>,
    is_at_value: bool,
}

impl<'r, 'a> MapPairs<'r, 'a> {
    pub(crate) fn new(reader: &'r mut Reader<'a>, left: usize, keys: Keys) -> Self {
        let key = reader.cursor;
        Self {
            reader,
            left,
            keys,
            key,
            is_at_value: false,
        }
    }

    /// Goes to the next key that is shown: false if there is none.
    #[inline]
    fn advance(&mut self) -> bool {
        if self.is_at_value {
            self.reader.skip();
            self.is_at_value = false;
        }
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.key = self.reader.cursor;
            if self.keys == Keys::Any || self.key.is_at_atom() || self.key.is_at_binary() {
                return true;
            }
            self.reader.skip();
            self.reader.skip();
        }
        false
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if self.advance() {
            return Err(Error::mismatch("a smaller map", "more pairs than wanted"));
        }
        Ok(())
    }
}

impl<'a> de::MapAccess<'a> for MapPairs<'_, 'a> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.advance() {
            return Ok(None);
        }
        self.is_at_value = true;
        match seed.deserialize(&mut *self.reader) {
            Ok(key) => Ok(Some(key)),
            Err(error) if self.keys == Keys::Fields => Err(error),
            Err(error) => Err(error.inside(Step::Name("(key)".to_owned()))),
        }
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.is_at_value = false;
        seed.deserialize(&mut *self.reader)
            .map_err(|error| error.inside(Step::Name(step(self.key, self.reader.atoms))))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A list of `{Key, Value}` and `Key`, which is `{Key, true}`, as a map.
pub(crate) struct PropertyList<'r, 'a> {
    list: List<'r, 'a>,
    key: Cursor<'a>,
    value: Property,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Property {
    Read,
    Ahead,
    True,
}

/// The atom `true`, encoded: the value of a property that is an atom.
static TRUE: [u8; 6] = *b"\x77\x04true";

impl<'r, 'a> PropertyList<'r, 'a> {
    pub(crate) fn new(reader: &'r mut Reader<'a>, left: usize) -> Self {
        let key = reader.cursor;
        Self {
            list: List::new(reader, left),
            key,
            value: Property::Read,
        }
    }

    /// Goes to the key of the next property.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.value == Property::Ahead {
            self.list.reader.skip();
        }
        self.value = Property::Read;
        if !self.list.advance()? {
            return match self.list.rest {
                Rest::Bytes([byte, ..]) => Err(self.refuse(format!("the integer {byte}"))),
                _ => Ok(false),
            };
        }
        let reader = &mut *self.list.reader;
        let start = reader.cursor;
        if start.is_at_atom() {
            self.value = Property::True;
        } else if let Head::Tuple(2) = reader.head() {
            self.value = Property::Ahead;
        } else {
            let found = describe(start, reader.atoms);
            return Err(self.refuse(found));
        }
        self.list.index += 1;
        self.key = self.list.reader.cursor;
        Ok(true)
    }

    #[cold]
    fn refuse(&self, found: String) -> Error {
        Error::mismatch("{Key, Value} or an atom in a property list", found)
            .inside(Step::Index(self.list.index))
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        match self.advance()? {
            true => Err(too_many(self.list.index - 1, "property list")),
            false => Ok(()),
        }
    }
}

impl<'a> de::MapAccess<'a> for PropertyList<'_, 'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.advance()? {
            return Ok(None);
        }
        match seed.deserialize(&mut *self.list.reader) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(error.inside(Step::Name("(key)".to_owned()))),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = match std::mem::replace(&mut self.value, Property::Read) {
            Property::True => seed.deserialize(&mut Reader::new(View::of(&TRUE, &[]))),
            _ => seed.deserialize(&mut *self.list.reader),
        };
        value.map_err(|error| error.inside(Step::Name(step(self.key, self.list.reader.atoms))))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.left)
    }
}

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
        match super::names::Special::of(name) {
            None => visitor.visit_unit(),
            Some(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match super::names::Special::of(name) {
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
