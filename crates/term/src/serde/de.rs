//! From walked bytes to Rust values: which terms each type accepts.
//!
//! Every `deserialize_*` reads one term by a [`Reader`]. Texts and binaries are borrowed from the
//! message wherever they lie in it as they are. The elements of containers are in `access`, variants
//! in `variants`. Errors get their path while the calls return (see `error`), so the way to a value
//! costs nothing.

use serde::de::{self, Visitor};

use super::access::{Keys, PropertyList, Tuple};
use super::describe::count;
use super::error::DeserializeError as Error;
use super::names::{Message, Special};
use super::reader::{Reader, visit_text};
use super::special::PartsAccess;
use super::variants::Tagged;
use crate::codec::{Frequent, Head};

/// Integers: the range is checked here, so that the error can say it.
macro_rules! integers {
    ($($method:ident $visit:ident $type:ident $range:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            let start = self.cursor;
            if let Frequent::Int(value) = self.frequent()
                && let Ok(value) = $type::try_from(value)
            {
                return visitor.$visit(value);
            }
            self.cursor = start;
            visitor.$visit(self.rare_integer(concat!("an integer (", stringify!($type), ")"), $range)?)
        }
    )*};
}

impl<'a> de::Deserializer<'a> for &mut Reader<'a> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Int(value) => match u64::try_from(value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(value),
            },
            Head::Big { negative, digits } => self.any_integer(start, (negative, digits), visitor),
            Head::Float(value) => visitor.visit_f64(value.get()),
            Head::Atom(atom) => Reader::any_atom(atom, visitor),
            Head::Binary(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Nil => self.string(&[], visitor),
            Head::List(count) => self.list(count, visitor),
            Head::String(bytes) => self.string(bytes, visitor),
            Head::Tuple(arity) => self.any_tuple(arity, visitor),
            Head::Map(count) => self.pairs(count, Keys::Any, visitor),
            Head::Bits(..)
            | Head::Pid(_)
            | Head::Port(_)
            | Head::Reference(_)
            | Head::Fun(_)
            | Head::Export(..) => self.special(start, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Atom(atom) if atom == "true" => visitor.visit_bool(true),
            Head::Atom(atom) if atom == "false" => visitor.visit_bool(false),
            _ => Err(self.mismatch(start, "true or false (bool)")),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8 "an integer from -128 to 127 (i8)";
        deserialize_i16 visit_i16 i16 "an integer from -32768 to 32767 (i16)";
        deserialize_i32 visit_i32 i32 "an integer of 32 bits with sign (i32)";
        deserialize_i64 visit_i64 i64 "an integer of 64 bits with sign (i64)";
        deserialize_i128 visit_i128 i128 "an integer of 128 bits with sign (i128)";
        deserialize_u8 visit_u8 u8 "an integer from 0 to 255 (u8)";
        deserialize_u16 visit_u16 u16 "an integer from 0 to 65535 (u16)";
        deserialize_u32 visit_u32 u32 "an integer of 32 bits without sign (u32)";
        deserialize_u64 visit_u64 u64 "an integer of 64 bits without sign (u64)";
        deserialize_u128 visit_u128 u128 "an integer of 128 bits without sign (u128)";
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        let value = self.number("a float (f32)")? as f32;
        if value.is_infinite() {
            return Err(self.mismatch(start, "a float in the range of f32"));
        }
        visitor.visit_f32(value)
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.number("a float (f64)")?)
    }

    /// A character is its code point, as `$a` is in Erlang; a binary of one is accepted.
    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        let point = match self.head() {
            Head::Int(point) => u32::try_from(point).ok().and_then(char::from_u32),
            Head::Binary(bytes) => match std::str::from_utf8(bytes).map(|text| text.chars()) {
                Ok(mut points) => points.next().filter(|_| points.as_str().is_empty()),
                Err(_) => None,
            },
            _ => None,
        };
        match point {
            Some(point) => visitor.visit_char(point),
            None => Err(self.mismatch(start, "a character (char)")),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text("&str", visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text("String", visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Binary(bytes) | Head::String(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Nil => visitor.visit_borrowed_bytes(&[]),
            Head::List(count) => {
                let mut bytes = Vec::new();
                self.iolist(count, &mut bytes)?;
                visitor.visit_byte_buf(bytes)
            }
            _ => Err(self.mismatch(start, "a binary (bytes)")),
        }
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        if self.some_at == start.at() {
            return Err(de::Error::custom(
                "an Option inside an Option cannot be told from the inner one: give it another type",
            ));
        }
        if start.is_at_atom()
            && let Head::Atom(atom) = self.head()
            && (atom == "undefined" || atom == "nil")
        {
            return visitor.visit_none();
        }
        self.cursor = start;
        self.some_at = start.at();
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Atom(atom) if atom == "ok" => visitor.visit_unit(),
            _ => Err(self.mismatch(start, "the atom ok (())")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(message) = Message::of(name) else {
            return self.deserialize_unit(visitor);
        };
        let start = self.cursor;
        match self.head() {
            Head::Atom(atom) if message.is(atom) => visitor.visit_unit(),
            _ => {
                let Message { name, rust } = message;
                Err(self.mismatch(start, format!("the atom {name} ({rust})")))
            }
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(special) = Special::of(name) else {
            return visitor.visit_newtype_struct(self);
        };
        let start = self.cursor;
        match special {
            Special::Message(message) => {
                self.message(message, 1, |reader| visitor.visit_newtype_struct(reader))
            }
            Special::Term => self.term(visitor),
            Special::Encoded => self.plain_bytes(visitor),
            Special::Atom | Special::Pid | Special::Port | Special::Reference => {
                match (special, self.head()) {
                    (Special::Atom, Head::Atom(atom)) => visit_text(atom, visitor),
                    (Special::Pid, Head::Pid(pid)) => visitor.visit_seq(PartsAccess::pid(pid)),
                    (Special::Port, Head::Port(port)) => visitor.visit_seq(PartsAccess::port(port)),
                    (Special::Reference, Head::Reference(reference)) => {
                        visitor.visit_seq(PartsAccess::reference(reference))
                    }
                    _ => Err(self.mismatch(start, special.expected())),
                }
            }
        }
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.frequent() {
            Frequent::List(count) => self.list(count, visitor),
            Frequent::Nil => self.string(&[], visitor),
            _ => {
                self.cursor = start;
                match self.head() {
                    Head::String(bytes) => self.string(bytes, visitor),
                    _ => Err(self.mismatch(start, "a list")),
                }
            }
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'a>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        if let Frequent::Tuple(arity) = self.frequent()
            && arity == len
        {
            return self.tuple(len, visitor);
        }
        self.cursor = start;
        match self.head() {
            Head::Tuple(arity) if arity == len => self.tuple(len, visitor),
            _ => {
                let expected = format!("a tuple of {}", count(len, "element"));
                Err(self.mismatch(start, expected))
            }
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match Message::of(name) {
            Some(message) => self.message(message, len, |reader| {
                let mut tuple = Tuple::new(reader, len);
                let value = visitor.visit_seq(&mut tuple)?;
                tuple.finish()?;
                Ok(value)
            }),
            None => self.deserialize_tuple(len, visitor),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Map(count) => self.pairs(count, Keys::Any, visitor),
            Head::Nil => visitor
                .visit_map(de::value::MapDeserializer::new(
                    std::iter::empty::<((), ())>(),
                )),
            Head::List(count) => self.nested(|reader| {
                let mut list = PropertyList::new(reader, count);
                let value = visitor.visit_map(&mut list)?;
                list.finish()?;
                Ok(value)
            }),
            _ => Err(self.mismatch(start, "a map or property list")),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match Message::of(name) {
            Some(message) => {
                self.message(message, 1, |reader| reader.fields(message.rust, visitor))
            }
            None => self.fields(name, visitor),
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'a>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let start = self.cursor;
        let Some((tag, values)) = self.tag() else {
            return Err(self.mismatch(start, tagged(name)));
        };
        let is_result = name == "Result" && variants == ["Ok", "Err"];
        self.nested(|reader| {
            visitor.visit_enum(Tagged {
                reader,
                start,
                name,
                tag,
                values,
                is_result,
            })
        })
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.frequent() {
            Frequent::Atom(tag) => visit_text(self.atom_body(tag), visitor),
            Frequent::Binary(len) => {
                let bytes = self.binary_body(len);
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            _ => {
                self.cursor = start;
                self.rare_identifier(visitor)
            }
        }
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip();
        visitor.visit_unit()
    }
}

impl Special {
    fn expected(self) -> &'static str {
        match self {
            Self::Atom => "an atom (Atom)",
            Self::Pid => "a pid (Pid)",
            Self::Port => "a port (Port)",
            Self::Reference => "a reference (Reference)",
            Self::Term | Self::Encoded | Self::Message(_) => "a term",
        }
    }
}

#[cold]
fn tagged(name: &str) -> String {
    format!("an atom or a tuple that begins with one ({name})")
}
