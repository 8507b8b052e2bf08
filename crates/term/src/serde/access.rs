//! The elements of containers, as serde's visitors ask for them.
//!
//! Each access reads on from its [`Reader`] and adds its step to the path of an error that comes
//! from inside. A visitor that stops early is an error, found by `finish`: whatever comes after the
//! container would otherwise be read from the wrong place.

use serde::de::{self, DeserializeSeed};

use super::describe::{count, describe, step};
use super::error::{DeserializeError as Error, Step};
use super::reader::Reader;
use crate::codec::{Cursor, Head, ListTail, View, WALKED};

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
