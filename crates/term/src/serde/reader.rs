//! A position in walked bytes, and how each kind of term is read from there.
//!
//! [`Reader`] reads exactly one term at a time and is left after it, so nothing is read twice; what a
//! type ignores is skipped without recursion. Frequent terms are recognised without making their
//! [`Head`]; methods named `rare_*` go back and make it. `de` decides which method a type gets.

use std::borrow::Cow;

use serde::de::{self, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{Keys, List, MapPairs, Tuple};
use super::describe::describe;
use super::error::{DeserializeError as Error, Step};
use super::names::Message;
use super::own::TermKind;
use super::special::TermAccess;
use super::variants::TaggedTuple;
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
    pub(super) some_at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(view: View<'a>) -> Self {
        Self::at(Cursor::new(view.bytes()), view.atoms(), SERDE_DEPTH_MAX)
    }

    pub(super) fn at(cursor: Cursor<'a>, atoms: &'a [Atom], depth_left: usize) -> Self {
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
    pub(super) fn frequent(&mut self) -> Frequent {
        self.cursor.frequent().expect(WALKED)
    }

    /// The atom whose tag was read.
    #[inline]
    pub(super) fn atom_body(&mut self, tag: u8) -> AtomText<'a> {
        self.cursor.atom_body(tag, self.atoms).expect(WALKED)
    }

    /// The bytes of a binary whose length was read.
    #[inline]
    pub(super) fn binary_body(&mut self, len: usize) -> &'a [u8] {
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
    pub(super) fn string<V: Visitor<'a>>(
        &mut self,
        bytes: &'a [u8],
        visitor: V,
    ) -> Result<V::Value, Error> {
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

    pub(super) fn pairs<V: Visitor<'a>>(
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
    pub(super) fn enter_message(&mut self, message: Message, values: usize) -> Result<(), Error> {
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
    pub(super) fn message<T>(
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
    pub(super) fn tag(&mut self) -> Option<(AtomText<'a>, Option<usize>)> {
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
    pub(super) fn rare_tag(&mut self) -> Option<(AtomText<'a>, Option<usize>)> {
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
    pub(super) fn special<V: Visitor<'a>>(
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
    pub(super) fn any_atom<V: Visitor<'a>>(
        atom: AtomText<'a>,
        visitor: V,
    ) -> Result<V::Value, Error> {
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
    pub(super) fn any_integer<V: Visitor<'a>>(
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
    pub(super) fn any_tuple<V: Visitor<'a>>(
        &mut self,
        arity: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
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
    pub(super) fn characters(
        &mut self,
        start: Cursor<'a>,
        first_piece: usize,
    ) -> Result<String, Error> {
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
    pub(super) fn iolist(&mut self, first_piece: usize, bytes: &mut Vec<u8>) -> Result<(), Error> {
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
    pub(super) fn is(self, tag: AtomText<'_>) -> bool {
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

impl<'a> Reader<'a> {
    /// An integer that is large, or none.
    #[inline(never)]
    pub(super) fn rare_integer<T>(&mut self, expected: &str, range: &str) -> Result<T, Error>
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
    pub(super) fn number(&mut self, expected: &'static str) -> Result<f64, Error> {
        let start = self.cursor;
        if let Frequent::Float(value) = self.frequent() {
            return Ok(value.get());
        }
        self.cursor = start;
        self.rare_number(expected)
    }

    #[inline(never)]
    pub(super) fn rare_identifier<V: Visitor<'a>>(
        &mut self,
        visitor: V,
    ) -> Result<V::Value, Error> {
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
    pub(super) fn rare_number(&mut self, expected: &'static str) -> Result<f64, Error> {
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
    pub(super) fn text<V: Visitor<'a>>(
        &mut self,
        rust: &str,
        visitor: V,
    ) -> Result<V::Value, Error> {
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
    pub(super) fn rare_text<V: Visitor<'a>>(
        &mut self,
        rust: &str,
        visitor: V,
    ) -> Result<V::Value, Error> {
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
    pub(super) fn term<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Error> {
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
