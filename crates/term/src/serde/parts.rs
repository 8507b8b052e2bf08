//! Identifiers and other terms without a counterpart in serde, written from their parts.
//!
//! A pid is given as `(id, serial, creation, node)`, a port as `(id, creation, node)`, a reference
//! as `(creation, words, node)`: formats that know nothing of them write these tuples. The node
//! comes last, so that everything is at hand when it does. The rare others are given as the bytes
//! of a term without atom references.

use std::fmt::Display;

use serde::ser::{self, Impossible, Serialize};

use super::error::SerializeError as Error;
use super::names::Special;
use crate::codec::{Encoder, View};
use crate::limits::REFERENCE_WORDS_MAX;

/// Numbers of an identifier: a reference has most, with its creation.
const NUMBERS_MAX: usize = REFERENCE_WORDS_MAX + 1;

/// What of an identifier was given so far.
pub(crate) struct Parts {
    kind: Special,
    numbers: [u64; NUMBERS_MAX],
    count: usize,
    is_written: bool,
}

impl Parts {
    pub(crate) fn of(kind: Special) -> Self {
        Self {
            kind,
            numbers: [0; NUMBERS_MAX],
            count: 0,
            is_written: false,
        }
    }

    /// Checks that the parts given made one term.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_written {
            Ok(())
        } else {
            Err(foreign())
        }
    }

    fn number(&mut self, number: u64) -> Result<(), Error> {
        let slot = self.numbers.get_mut(self.count).ok_or_else(foreign)?;
        *slot = number;
        self.count += 1;
        Ok(())
    }

    /// Writes the identifier, now that its node is known too.
    fn finish(&mut self, encoder: &mut Encoder, node: &str) -> Result<(), Error> {
        if self.is_written {
            return Err(foreign());
        }
        self.is_written = true;
        let numbers = self.numbers.map(|number| number as u32);
        let node = |encoder: &mut Encoder| encoder.atom_str(node);
        let written = match (self.kind, &numbers[..self.count]) {
            (Special::Pid, &[id, serial, creation]) => encoder.pid_of([id, serial, creation], node),
            (Special::Port, &[_, creation]) => encoder.port_of(self.numbers[0], creation, node),
            (Special::Reference, &[creation, ref words @ ..]) if !words.is_empty() => {
                encoder.reference_of(creation, words, node)
            }
            _ => return Err(foreign()),
        };
        written.map_err(|_| foreign())
    }
}

/// The names of this crate's types are its own.
#[cold]
fn foreign() -> Error {
    Error::Custom("a type of another crate has the name of one of purlin-term's".to_owned())
}

/// Takes the parts of an identifier, or the bytes of an encoded term.
pub(crate) struct PartsSerializer<'a> {
    encoder: &'a mut Encoder,
    parts: &'a mut Parts,
}

impl<'a> PartsSerializer<'a> {
    pub(crate) fn new(encoder: &'a mut Encoder, parts: &'a mut Parts) -> Self {
        Self { encoder, parts }
    }

    fn next(&mut self) -> PartsSerializer<'_> {
        PartsSerializer::new(self.encoder, self.parts)
    }
}

macro_rules! foreign {
    ($($method:ident($($type:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$ok, Error> {
            Err(foreign())
        }
    )*};
}

type No = Impossible<(), Error>;

impl ser::Serializer for PartsSerializer<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.parts.number(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.parts.number(value)
    }

    fn serialize_str(self, node: &str) -> Result<(), Error> {
        self.parts.finish(self.encoder, node)
    }

    /// A term without atom references, made by this crate.
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        if self.parts.kind != Special::Encoded || self.parts.is_written {
            return Err(foreign());
        }
        self.parts.is_written = true;
        Ok(self.encoder.view(View::of(bytes, &[]))?)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    foreign! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }

    fn serialize_some<T: ?Sized + Serialize>(self, _: &T) -> Result<(), Error> {
        Err(foreign())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(foreign())
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(foreign())
    }

    fn collect_str<T: ?Sized + Display>(self, _: &T) -> Result<(), Error> {
        Err(foreign())
    }
}

impl ser::SerializeTuple for PartsSerializer<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, part: &T) -> Result<(), Error> {
        part.serialize(self.next())
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl ser::SerializeSeq for PartsSerializer<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, word: &T) -> Result<(), Error> {
        word.serialize(self.next())
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}
