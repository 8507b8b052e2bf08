//! From walked bytes to Rust values.
//!
//! A [`Reader`] is a position in the bytes of a view. Each `deserialize_*` reads exactly one term
//! and leaves the reader after it, so nothing is read twice; what a type ignores is skipped without
//! recursion. Texts and binaries are borrowed from the message wherever they lie in it as they are.
//!
//! Containers are in `access`. Errors get their path while the calls return (see `error`), so the
//! way to a value costs nothing.

use std::borrow::Cow;

use serde::de::{self, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{
    Keys, List, MapPairs, PartsAccess, PropertyList, Tagged, TaggedTuple, TermAccess, Tuple,
};
use super::describe::{count, describe};
use super::error::{DeserializeError as Error, Step};
use super::names::{Message, Special};
use super::own::TermKind;
use crate::atom::Atom;
use crate::codec::{AtomText, Cursor, Encoder, Frequent, Head, View, WALKED};
use crate::limits::SERDE_DEPTH_MAX;

/// A position in the bytes of a view, or its end.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) atoms: &'a [Atom],
    depth_left: usize,
    /// Where the value of an `Option` begins that was found to be there.
    some_at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(view: View<'a>) -> Self {
        Self::at(Cursor::new(view.bytes()), view.atoms(), SERDE_DEPTH_MAX)
    }

    fn at(cursor: Cursor<'a>, atoms: &'a [Atom], depth_left: usize) -> Self {
        Self {
            cursor,
            atoms,
            depth_left,
            some_at: usize::MAX,
        }
    }

    /// A reader of one byte of a `STRING_EXT`.
    pub(super) fn of_byte(byte: u8) -> Reader<'static> {
        let element = &crate::codec::SMALL_INTEGERS[usize::from(byte)];
        Reader::at(Cursor::new(element), &[], 0)
    }

    /// The start of the next term, for the types that want what is frequent. Whoever finds something
    /// else goes back to where it began and reads the head.
    #[inline(always)]
    fn frequent(&mut self) -> Frequent {
        self.cursor.frequent().expect(WALKED)
    }

    /// The atom whose tag was read.
    #[inline]
    fn atom_body(&mut self, tag: u8) -> AtomText<'a> {
        self.cursor.atom_body(tag, self.atoms).expect(WALKED)
    }

    /// The bytes of a binary whose length was read.
    #[inline]
    fn binary_body(&mut self, len: usize) -> &'a [u8] {
        self.cursor.take(len).expect(WALKED)
    }

    pub(super) fn head(&mut self) -> Head<'a> {
        self.cursor.head(self.atoms).expect(WALKED)
    }

    #[inline]
    pub(super) fn skip(&mut self) {
        self.cursor.skip(self.atoms).expect(WALKED);
    }

    /// The error that not `expected` but something else is at `start`.
    #[cold]
    pub(super) fn mismatch(&self, start: Cursor<'a>, expected: impl Into<String>) -> Error {
        Error::mismatch(expected.into(), describe(start, self.atoms))
    }

    /// Goes into a container for the time of `read`.
    #[inline]
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or_else(too_deep)?;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    /// The elements of a list, whose first piece has `left` of them.
    pub(super) fn list<V: Visitor<'a>>(
        &mut self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut list = List::new(reader, left);
            let value = visitor.visit_seq(&mut list)?;
            list.finish()?;
            Ok(value)
        })
    }

    /// The elements of a `STRING_EXT`.
    fn string<V: Visitor<'a>>(&mut self, bytes: &'a [u8], visitor: V) -> Result<V::Value, Error> {
        let mut list = List::of_bytes(self, bytes);
        let value = visitor.visit_seq(&mut list)?;
        list.finish()?;
        Ok(value)
    }

    /// The next `len` terms as the elements of a tuple.
    pub(super) fn tuple<V: Visitor<'a>>(
        &mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut tuple = Tuple::new(reader, len);
            let value = visitor.visit_seq(&mut tuple)?;
            tuple.finish()?;
            Ok(value)
        })
    }

    fn pairs<V: Visitor<'a>>(
        &mut self,
        left: usize,
        keys: Keys,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut pairs = MapPairs::new(reader, left, keys);
            let value = visitor.visit_map(&mut pairs)?;
            pairs.finish()?;
            Ok(value)
        })
    }

    /// A map as the fields of `name`.
    pub(super) fn fields<V: Visitor<'a>>(
        &mut self,
        name: &str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.frequent() {
            Frequent::Map(count) => self.pairs(count, Keys::Fields, visitor),
            _ => Err(self.mismatch(start, format!("a map ({name})"))),
        }
    }

    /// Goes past the head and tag of `{name, ...}` with `values` values.
    fn enter_message(&mut self, message: Message, values: usize) -> Result<(), Error> {
        let start = self.cursor;
        if let Some((tag, Some(count))) = self.tag()
            && count == values
            && message.is(tag)
        {
            return Ok(());
        }
        let values = ", _".repeat(values);
        let Message { name, rust } = message;
        Err(self.mismatch(start, format!("{{{name}{values}}} ({rust})")))
    }

    /// `read`, errors in it being inside `message`.
    fn message<T>(
        &mut self,
        message: Message,
        values: usize,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.enter_message(message, values)?;
        self.nested(read)
            .map_err(|error| error.inside(Step::Name(message.name.to_owned())))
    }

    /// The atom that is next, or that a tuple begins with, and how many values follow it there;
    /// `None` if neither is next.
    #[inline]
    fn tag(&mut self) -> Option<(AtomText<'a>, Option<usize>)> {
        let start = self.cursor;
        match self.frequent() {
            Frequent::Atom(tag) => return Some((self.atom_body(tag), None)),
            Frequent::Tuple(arity @ 1..) => {
                if let Frequent::Atom(tag) = self.frequent() {
                    return Some((self.atom_body(tag), Some(arity - 1)));
                }
            }
            _ => {}
        }
        self.cursor = start;
        self.rare_tag()
    }

    #[inline(never)]
    fn rare_tag(&mut self) -> Option<(AtomText<'a>, Option<usize>)> {
        match self.head() {
            Head::Atom(atom) => Some((atom, None)),
            Head::Tuple(arity @ 1..) => match self.head() {
                Head::Atom(atom) => Some((atom, Some(arity - 1))),
                _ => None,
            },
            _ => None,
        }
    }

    /// A term that has no counterpart in serde's data model, from `start` to here: the bytes of it
    /// without atom references, as the one value of a newtype.
    fn special<V: Visitor<'a>>(
        &mut self,
        start: Cursor<'a>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.cursor = start;
        self.skip();
        let bytes = self.cursor.since(start);
        visitor.visit_newtype_struct(Wrapped(View::of(bytes, self.atoms)))
    }

    /// An atom for a visitor that can take anything: what stands for a value of another kind in
    /// Rust is that value.
    fn any_atom<V: Visitor<'a>>(atom: AtomText<'a>, visitor: V) -> Result<V::Value, Error> {
        match atom.to_str() {
            Cow::Borrowed(text) => match text {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                "undefined" => visitor.visit_none(),
                "nil" => visitor.visit_unit(),
                text => visitor.visit_borrowed_str(text),
            },
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    /// An integer that does not fit an `i64`. serde's buffers refuse those of 128 bits, with all
    /// that is around them.
    fn any_integer<V: Visitor<'a>>(
        &mut self,
        start: Cursor<'a>,
        (negative, digits): (bool, &'a [u8]),
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(Wide::Unsigned(value)) = wide(negative, digits)
            && let Ok(value) = u64::try_from(value)
        {
            return visitor.visit_u64(value);
        }
        self.special(start, visitor)
    }

    /// A tuple for a visitor that can take anything. One that begins with an atom is a variant, so
    /// that enums come through serde's buffers (`untagged`, `flatten`), which know variants only as
    /// maps of one pair.
    fn any_tuple<V: Visitor<'a>>(&mut self, arity: usize, visitor: V) -> Result<V::Value, Error> {
        let values = self.cursor;
        if arity >= 2
            && let Head::Atom(tag) = self.head()
            && !["true", "false", "undefined", "nil"]
                .iter()
                .any(|&text| tag == *text)
        {
            return self.nested(|reader| {
                let mut pair = TaggedTuple::new(reader, tag, arity - 1);
                let value = visitor.visit_map(&mut pair)?;
                pair.finish()?;
                Ok(value)
            });
        }
        self.cursor = values;
        self.tuple(arity, visitor)
    }

    /// A list of code points as text, after its head was read.
    fn characters(&mut self, start: Cursor<'a>, first_piece: usize) -> Result<String, Error> {
        let mut text = String::new();
        let mut left = first_piece;
        loop {
            for _ in 0..left {
                let Head::Int(point) = self.head() else {
                    return Err(self.mismatch(start, "a binary or a list of characters (String)"));
                };
                let point = u32::try_from(point).ok().and_then(char::from_u32);
                text.push(point.ok_or_else(|| {
                    self.mismatch(start, "a binary or a list of characters (String)")
                })?);
            }
            match self.head() {
                Head::Nil => return Ok(text),
                Head::List(more) => left = more,
                Head::String(bytes) => {
                    text.extend(bytes.iter().copied().map(char::from));
                    return Ok(text);
                }
                _ => return Err(self.mismatch(start, "a proper list of characters (String)")),
            }
        }
    }

    /// Appends what an iolist holds; its head was read. Recursion is bounded by the walk.
    fn iolist(&mut self, first_piece: usize, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let mut left = first_piece;
        loop {
            for _ in 0..left {
                let start = self.cursor;
                match self.head() {
                    Head::Int(byte @ 0..=255) => bytes.push(byte as u8),
                    Head::Binary(part) | Head::String(part) => bytes.extend_from_slice(part),
                    Head::Nil => {}
                    Head::List(count) => self.iolist(count, bytes)?,
                    _ => return Err(self.mismatch(start, "a byte, binary or list in an iolist")),
                }
            }
            let start = self.cursor;
            match self.head() {
                Head::Nil => return Ok(()),
                Head::List(more) => left = more,
                Head::Binary(part) | Head::String(part) => {
                    bytes.extend_from_slice(part);
                    return Ok(());
                }
                _ => return Err(self.mismatch(start, "a list or binary as the tail of an iolist")),
            }
        }
    }
}

impl Message {
    #[inline]
    fn is(self, tag: AtomText<'_>) -> bool {
        tag == *self.name || tag == *self.rust
    }
}

#[cold]
fn too_deep() -> Error {
    de::Error::custom(format_args!(
        "nested more than {SERDE_DEPTH_MAX} levels deep"
    ))
}

/// An integer of more than 64 bits with a sign.
enum Wide {
    Unsigned(u128),
    Signed(i128),
}

/// The value of an integer's digits, if 128 bits hold it.
fn wide(negative: bool, digits: &[u8]) -> Option<Wide> {
    let mut bytes = [0; 16];
    let used = digits
        .iter()
        .rposition(|&digit| digit != 0)
        .map_or(0, |last| last + 1);
    bytes.get_mut(..used)?.copy_from_slice(&digits[..used]);
    let magnitude = u128::from_le_bytes(bytes);
    if !negative {
        return Some(Wide::Unsigned(magnitude));
    }
    0i128.checked_sub_unsigned(magnitude).map(Wide::Signed)
}

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

impl<'a> Reader<'a> {
    /// An integer that is large, or none.
    #[inline(never)]
    fn rare_integer<T>(&mut self, expected: &str, range: &str) -> Result<T, Error>
    where
        T: TryFrom<i64> + TryFrom<u128> + TryFrom<i128>,
    {
        let start = self.cursor;
        let value = match self.head() {
            Head::Int(value) => T::try_from(value).ok(),
            Head::Big { negative, digits } => match wide(negative, digits) {
                Some(Wide::Unsigned(value)) => T::try_from(value).ok(),
                Some(Wide::Signed(value)) => T::try_from(value).ok(),
                None => None,
            },
            _ => return Err(self.mismatch(start, expected)),
        };
        value.ok_or_else(|| self.mismatch(start, range))
    }

    /// A float or integer.
    #[inline]
    fn number(&mut self, expected: &'static str) -> Result<f64, Error> {
        let start = self.cursor;
        if let Frequent::Float(value) = self.frequent() {
            return Ok(value.get());
        }
        self.cursor = start;
        self.rare_number(expected)
    }

    #[inline(never)]
    fn rare_identifier<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Atom(atom) => visit_text(atom, visitor),
            _ => {
                self.cursor = start;
                de::Deserializer::deserialize_any(self, visitor)
            }
        }
    }

    #[inline(never)]
    fn rare_number(&mut self, expected: &'static str) -> Result<f64, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Float(value) => Ok(value.get()),
            Head::Int(value) => Ok(value as f64),
            Head::Big { negative, digits } => match wide(negative, digits) {
                Some(Wide::Unsigned(value)) => Ok(value as f64),
                Some(Wide::Signed(value)) => Ok(value as f64),
                None => Err(self.mismatch(start, expected)),
            },
            _ => Err(self.mismatch(start, expected)),
        }
    }

    #[inline]
    fn text<V: Visitor<'a>>(&mut self, rust: &str, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        if let Frequent::Binary(len) = self.frequent()
            && let Ok(text) = std::str::from_utf8(self.binary_body(len))
        {
            return visitor.visit_borrowed_str(text);
        }
        self.cursor = start;
        self.rare_text(rust, visitor)
    }

    #[inline(never)]
    fn rare_text<V: Visitor<'a>>(&mut self, rust: &str, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        match self.head() {
            Head::Binary(_) => {
                Err(self.mismatch(start, format!("a binary of UTF-8 text ({rust})")))
            }
            Head::Atom(atom) => visit_text(atom, visitor),
            Head::Nil => visitor.visit_borrowed_str(""),
            Head::String(bytes) => match std::str::from_utf8(bytes) {
                Ok(ascii) if bytes.is_ascii() => visitor.visit_borrowed_str(ascii),
                _ => visitor.visit_string(bytes.iter().copied().map(char::from).collect()),
            },
            Head::List(count) => {
                let text = self.characters(start, count)?;
                visitor.visit_string(text)
            }
            _ => Err(self.mismatch(start, format!("a binary ({rust})"))),
        }
    }

    /// A term for the visitor of [`Term`](crate::Term), the only one that is shown what a list has
    /// in the place of `[]`, and tuples as such.
    fn term<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        let kind = match self.head() {
            Head::Int(value) => return visitor.visit_i64(value),
            Head::Float(value) => return visitor.visit_f64(value.get()),
            Head::Atom(atom) => return visit_text(atom, visitor),
            Head::Binary(bytes) => return visitor.visit_borrowed_bytes(bytes),
            Head::Nil => return self.string(&[], visitor),
            Head::String(bytes) => return self.string(bytes, visitor),
            Head::List(count) => {
                return self.nested(|reader| visitor.visit_seq(List::with_tail(reader, count)));
            }
            Head::Map(count) => return self.pairs(count, Keys::Any, visitor),
            Head::Tuple(arity) => {
                return self.nested(|reader| {
                    visitor.visit_enum(TermAccess {
                        reader,
                        kind: TermKind::Tuple,
                        arity,
                    })
                });
            }
            Head::Pid(_) => TermKind::Pid,
            Head::Port(_) => TermKind::Port,
            Head::Reference(_) => TermKind::Reference,
            Head::Big { .. } | Head::Bits(..) | Head::Fun(_) | Head::Export(..) => {
                TermKind::Encoded
            }
        };
        self.cursor = start;
        visitor.visit_enum(TermAccess {
            reader: self,
            kind,
            arity: 0,
        })
    }

    /// The bytes of the next term, without atom references.
    pub(super) fn plain_bytes<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let start = self.cursor;
        self.skip();
        visit_plain(View::of(self.cursor.since(start), self.atoms), visitor)
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

#[inline]
pub(super) fn visit_text<'a, V: Visitor<'a>>(
    atom: AtomText<'a>,
    visitor: V,
) -> Result<V::Value, Error> {
    match atom.to_str() {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

fn visit_plain<'a, V: Visitor<'a>>(view: View<'a>, visitor: V) -> Result<V::Value, Error> {
    if view.atoms().is_empty() {
        return visitor.visit_borrowed_bytes(view.bytes());
    }
    let mut plain = Encoder::plain();
    plain.view(view).map_err(de::Error::custom)?;
    visitor.visit_bytes(plain.as_slice())
}

/// Hands a visitor a newtype whose value is the bytes of a term, whatever it asks for. A newtype in
/// a newtype, since serde's buffers unwrap one, and then these bytes must still not be a binary.
struct Wrapped<'a>(View<'a>);

impl<'a> de::Deserializer<'a> for Wrapped<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(PlainBytes(self.0))
    }

    forward_to_deserialize_any! { <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// Hands a visitor the bytes of a term, whatever it asks for.
struct PlainBytes<'a>(View<'a>);

impl<'a> de::Deserializer<'a> for PlainBytes<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visit_plain(self.0, visitor)
    }

    forward_to_deserialize_any! { <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
