//! From Rust values to encoded terms: one pass, straight into an [`Encoder`].
//!
//! Counts that are not known before are patched into the head afterwards, and those that are known
//! are checked, since the bytes are trusted as well-formed (`I1` of `encoded`).
//!
//! Three things depend on where a value stands: what is inside a `Some`, the `()` of `Ok(())`, and
//! a text that is an atom. They are recognised by offset: newtype structs write nothing of their
//! own, so the value of `Some` is whatever is written first where `Some` left off.

use serde::ser::{self, Serialize};

use super::error::SerializeError as Error;
use super::names::{Message, Special};
use super::parts::{Parts, PartsSerializer};
use crate::codec::{Encoder, View};
use crate::limits::SERDE_DEPTH_MAX;
use crate::term::Term;

/// An offset where nothing is written.
const NOWHERE: usize = usize::MAX;

/// Writes one value into an encoder.
pub(crate) struct Serializer<'e> {
    encoder: &'e mut Encoder,
    sorted: bool,
    depth_left: usize,
    /// Where the value of the innermost `Some` begins.
    some_at: usize,
    /// Where a text is written as an atom.
    text_at: usize,
    /// Where the tuple of the innermost `Ok(..)` begins, and its value.
    ok_at: (usize, usize),
}

impl<'e> Serializer<'e> {
    pub(crate) fn new(encoder: &'e mut Encoder, sorted: bool) -> Self {
        Self {
            encoder,
            sorted,
            depth_left: SERDE_DEPTH_MAX,
            some_at: NOWHERE,
            text_at: NOWHERE,
            ok_at: (NOWHERE, NOWHERE),
        }
    }

    #[inline]
    fn enter(&mut self) -> Result<(), Error> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Error::TooDeep)?;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.depth_left += 1;
    }

    /// After bytes were taken back, an offset may come twice: forget those noted.
    fn forget_offsets(&mut self) {
        self.some_at = NOWHERE;
        self.text_at = NOWHERE;
        self.ok_at = (NOWHERE, NOWHERE);
    }

    #[inline]
    fn atom(&mut self, text: &str) -> Result<(), Error> {
        if self.some_at == self.encoder.len() {
            refuse_none(text)?;
        }
        let too_long = |_| Error::NameTooLong(text.len());
        self.encoder.atom_str(text).map_err(too_long)
    }

    /// `{name, Value}`.
    fn tagged<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.enter()?;
        self.encoder.tuple(2)?;
        self.atom(name)?;
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }

    /// `{name, ...}` of `len` values that follow.
    fn tagged_tuple(&mut self, name: &str, len: usize) -> Result<Elements<'_, 'e>, Error> {
        self.enter()?;
        self.encoder.tuple(len + 1)?;
        self.atom(name)?;
        Ok(Elements::new(self, len))
    }

    fn tuple(&mut self, len: usize) -> Result<Elements<'_, 'e>, Error> {
        self.enter()?;
        self.encoder.tuple(len)?;
        Ok(Elements::new(self, len))
    }

    fn map(&mut self, levels: usize, text_keys: TextKeys) -> Result<Pairs<'_, 'e>, Error> {
        self.enter()?;
        let at = self.encoder.len();
        self.encoder.map(0)?;
        Ok(Pairs {
            serializer: self,
            at,
            keys: 0,
            values: 0,
            levels,
            text_keys,
            key_offsets: Vec::new(),
        })
    }

    /// `{name, #{...}}`.
    fn tagged_map(&mut self, name: &str) -> Result<Pairs<'_, 'e>, Error> {
        self.enter()?;
        self.encoder.tuple(2)?;
        self.atom(name)?;
        self.map(2, TextKeys::Atoms)
    }

    /// `Ok(T)` is `{ok, T}`, but `Ok(())` is `ok`; `Err(E)` is `{error, E}`.
    fn result<T: ?Sized + Serialize>(&mut self, is_ok: bool, value: &T) -> Result<(), Error> {
        if !is_ok {
            return self.tagged("error", value);
        }
        self.enter()?;
        let start = self.encoder.len();
        self.encoder.tuple(2)?;
        self.atom("ok")?;
        self.ok_at = (start, self.encoder.len());
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }
}

#[cold]
fn refuse_none(text: &str) -> Result<(), Error> {
    match text {
        "undefined" => Err(Error::SomeReadsAsNone("undefined")),
        "nil" => Err(Error::SomeReadsAsNone("nil")),
        _ => Ok(()),
    }
}

/// True for serde's own `Result`, or an enum that looks just like it.
#[inline]
fn is_result(name: &str, variant: &str) -> bool {
    name == "Result" && matches!(variant, "Ok" | "Err")
}

impl<'s, 'e> ser::Serializer for &'s mut Serializer<'e> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'s, 'e>;
    type SerializeTuple = Elements<'s, 'e>;
    type SerializeTupleStruct = Elements<'s, 'e>;
    type SerializeTupleVariant = Elements<'s, 'e>;
    type SerializeMap = Pairs<'s, 'e>;
    type SerializeStruct = Pairs<'s, 'e>;
    type SerializeStructVariant = Pairs<'s, 'e>;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.atom(if value { "true" } else { "false" })
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.encoder.int(value);
        Ok(())
    }

    #[inline]
    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.encoder.int128(value);
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.encoder.int128(value.into());
        Ok(())
    }

    #[inline]
    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.encoder.uint128(value);
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if !value.is_finite() {
            return Err(Error::NotFinite);
        }
        self.encoder.float(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_u32(value.into())
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if self.text_at == self.encoder.len() {
            return self.atom(text);
        }
        self.serialize_bytes(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.encoder.binary(bytes)?)
    }

    fn serialize_none(self) -> Result<(), Error> {
        if self.some_at == self.encoder.len() {
            return Err(Error::NestedOption);
        }
        self.atom("undefined")
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        if self.some_at == self.encoder.len() {
            return Err(Error::NestedOption);
        }
        self.some_at = self.encoder.len();
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        let (start, value) = self.ok_at;
        if value == self.encoder.len() {
            self.encoder.truncate(start);
            self.forget_offsets();
        }
        self.atom("ok")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        match Message::of(name) {
            Some(message) => self.atom(message.name),
            None => self.serialize_unit(),
        }
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.atom(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        match Special::of(name) {
            None | Some(Special::Term) => value.serialize(self),
            Some(Special::Message(message)) => self.tagged(message.name, value),
            Some(Special::Atom) => {
                self.text_at = self.encoder.len();
                value.serialize(self)
            }
            Some(special) => {
                let mut parts = Parts::of(special);
                value.serialize(PartsSerializer::new(self.encoder, &mut parts))?;
                parts.check()
            }
        }
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if is_result(name, variant) {
            return self.result(variant == "Ok", value);
        }
        self.tagged(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        self.enter()?;
        let at = self.encoder.len();
        self.encoder.list(0)?;
        Ok(List {
            serializer: self,
            at,
            count: 0,
        })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, Error> {
        self.tuple(len)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        match Message::of(name) {
            Some(message) => self.tagged_tuple(message.name, len),
            None => self.tuple(len),
        }
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        self.tagged_tuple(variant, len)
    }

    /// serde gives a map no length where a struct has flattened fields, and gives it otherwise: the
    /// only way to know that a text is the name of a field.
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, Error> {
        self.map(
            1,
            match len {
                Some(_) => TextKeys::Binaries,
                None => TextKeys::Atoms,
            },
        )
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, Error> {
        match Message::of(name) {
            Some(message) => self.tagged_map(message.name),
            None => self.map(1, TextKeys::Atoms),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        self.tagged_map(variant)
    }
}

/// A list being written.
pub(crate) struct List<'s, 'e> {
    serializer: &'s mut Serializer<'e>,
    at: usize,
    count: usize,
}

impl ser::SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.count += 1;
        value.serialize(&mut *self.serializer)
    }

    fn end(self) -> Result<(), Error> {
        let encoder = &mut *self.serializer.encoder;
        if self.count == 0 {
            encoder.truncate(self.at);
            encoder.nil();
            self.serializer.forget_offsets();
        } else if encoder.list_to_string(self.at, self.count) {
            self.serializer.forget_offsets();
        } else {
            encoder.patch_count(self.at, self.count)?;
            encoder.nil();
        }
        self.serializer.leave();
        Ok(())
    }
}

/// A tuple being written.
pub(crate) struct Elements<'s, 'e> {
    serializer: &'s mut Serializer<'e>,
    announced: usize,
    given: usize,
}

impl<'s, 'e> Elements<'s, 'e> {
    fn new(serializer: &'s mut Serializer<'e>, announced: usize) -> Self {
        Self {
            serializer,
            announced,
            given: 0,
        }
    }

    #[inline]
    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.given += 1;
        value.serialize(&mut *self.serializer)
    }

    fn finish(self) -> Result<(), Error> {
        self.serializer.leave();
        check_length(self.announced, self.given)
    }
}

fn check_length(announced: usize, given: usize) -> Result<(), Error> {
    if announced == given {
        Ok(())
    } else {
        Err(Error::WrongLength { announced, given })
    }
}

impl ser::SerializeTuple for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Elements<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

/// What keys of a map that are texts become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextKeys {
    Atoms,
    Binaries,
}

/// A map being written.
pub(crate) struct Pairs<'s, 'e> {
    serializer: &'s mut Serializer<'e>,
    at: usize,
    keys: usize,
    values: usize,
    /// Levels of nesting that end with this map: 2 where it is the value of a variant.
    levels: usize,
    text_keys: TextKeys,
    /// Where each key begins; noted only if they are to be sorted.
    key_offsets: Vec<usize>,
}

impl Pairs<'_, '_> {
    #[inline]
    fn begin_key(&mut self) {
        self.keys += 1;
        if self.serializer.sorted {
            self.key_offsets.push(self.serializer.encoder.len());
        }
    }

    #[inline]
    fn field<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.begin_key();
        self.serializer.atom(name)?;
        self.values += 1;
        value.serialize(&mut *self.serializer)
    }

    fn finish(mut self) -> Result<(), Error> {
        check_length(self.keys, self.values)?;
        self.serializer.encoder.patch_count(self.at, self.values)?;
        if self.serializer.sorted {
            self.sort()?;
        }
        self.serializer.depth_left += self.levels;
        Ok(())
    }

    /// Puts the pairs into the order of their keys.
    fn sort(&mut self) -> Result<(), Error> {
        let Some(&first) = self.key_offsets.first() else {
            return Ok(());
        };
        let encoder = &mut *self.serializer.encoder;
        let written = encoder.as_slice();
        let ends = self.key_offsets.iter().skip(1).copied();
        let pairs = self
            .key_offsets
            .iter()
            .copied()
            .zip(ends.chain([written.len()]));
        let mut pairs: Vec<(Term, &[u8])> = pairs
            .map(|(start, end)| {
                let key = View::of(&written[start..end], encoder.atoms()).to_term();
                Ok((key.map_err(|_| Error::DuplicateKey)?, &written[start..end]))
            })
            .collect::<Result<_, Error>>()?;
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::DuplicateKey);
        }
        let sorted: Vec<u8> = pairs.iter().flat_map(|(_, pair)| *pair).copied().collect();
        encoder.truncate(first);
        encoder.raw(&sorted);
        Ok(())
    }
}

impl ser::SerializeMap for Pairs<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.begin_key();
        if self.text_keys == TextKeys::Atoms {
            self.serializer.text_at = self.serializer.encoder.len();
        }
        key.serialize(&mut *self.serializer)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.values += 1;
        value.serialize(&mut *self.serializer)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeStruct for Pairs<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Pairs<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}
