//! Rust values as Erlang terms, by serde.
//!
//! The serializer writes a value straight into an [`Encoder`], the deserializer reads it from the
//! walked bytes of a [`View`]: nothing in between, nothing twice. [`to_term`] and [`from_term`] go
//! through bytes, so that there is one implementation each way. `docs/protocols/rust-values.md` has
//! the whole mapping; in short:
//!
//! - a unit variant is an atom, one with values a tuple that begins with the atom, one with fields
//!   `{Name, #{Field => Value}}`; a struct is a map, a struct marked `#[purlin::message]` what a
//!   variant of its name is;
//! - `String` and `&str` are binaries, `Vec` is a list, a tuple is a tuple, `()` is `ok`, `None` is
//!   `undefined`, `Ok(T)` is `{ok, T}`; `Ok(())` is `ok`;
//! - what Erlang programmers write just as well is accepted: lists of characters and atoms as texts,
//!   iolists as bytes, property lists as maps, integers as floats, `nil` as `None`.
//!
//! Names are written as serde has them, unchanged.
//!
//! Guarantees: a value that was written reads back as itself, or is refused when written, save what
//! `docs/protocols/rust-values.md` lists under "What does not come back". Reading allocates only
//! what the type needs. Every error names the path to it.
//!
//! Read on in `ser` (values to bytes), `de` and `reader` (bytes to values); `own` makes the types of this
//! crate values of any format.

mod access;
mod de;
mod describe;
mod error;
mod names;
mod own;
mod parts;
mod reader;
mod ser;
mod special;
mod variants;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use error::{DeserializeError, SerializeError};

use crate::codec::{EncodedTerm, Encoder, View};
use crate::term::Term;

impl Encoder {
    /// Appends any value that serde can describe.
    ///
    /// ```
    /// use purlin_term::Encoder;
    /// let mut encoder = Encoder::plain();
    /// encoder.serialize(&(1, "a"))?;
    /// assert_eq!(encoder.as_slice(), [104, 2, 97, 1, 109, 0, 0, 0, 1, b'a']);
    /// # Ok::<(), purlin_term::SerializeError>(())
    /// ```
    ///
    /// # Errors
    /// [`SerializeError`]; nothing was written then, though atoms may have been listed.
    pub fn serialize<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.serialize_as(value, false)
    }

    /// As [`Encoder::serialize`], with every map sorted by its keys and free of duplicates: equal
    /// values give equal bytes, hash maps too. Costs an allocation or two for each map.
    ///
    /// # Errors
    /// [`SerializeError`]; nothing was written then, though atoms may have been listed.
    pub fn serialize_sorted<T: ?Sized + Serialize>(
        &mut self,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.serialize_as(value, true)
    }

    fn serialize_as<T: ?Sized + Serialize>(
        &mut self,
        value: &T,
        sorted: bool,
    ) -> Result<(), SerializeError> {
        let start = self.len();
        let written = value.serialize(&mut ser::Serializer::new(self, sorted));
        if written.is_err() {
            self.truncate(start);
        }
        written
    }
}

impl EncodedTerm {
    /// Encodes any value that serde can describe.
    ///
    /// # Errors
    /// [`SerializeError`] when the value has no encoding.
    pub fn serialize<T: ?Sized + Serialize>(value: &T) -> Result<Self, SerializeError> {
        let mut encoder = Encoder::with_atom_refs();
        encoder.serialize(value)?;
        Ok(Self::from_encoder(encoder))
    }

    /// As [`EncodedTerm::serialize`], with every map sorted by its keys.
    ///
    /// # Errors
    /// [`SerializeError`] when the value has no encoding.
    pub fn serialize_sorted<T: ?Sized + Serialize>(value: &T) -> Result<Self, SerializeError> {
        let mut encoder = Encoder::with_atom_refs();
        encoder.serialize_sorted(value)?;
        Ok(Self::from_encoder(encoder))
    }

    /// The term as a Rust value, which may borrow texts and binaries from it.
    ///
    /// # Errors
    /// [`DeserializeError`] when the term is not a value of `T`.
    pub fn deserialize<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DeserializeError> {
        self.view().deserialize()
    }
}

impl<'a> View<'a> {
    /// The term as a Rust value, which may borrow texts and binaries from the message.
    ///
    /// ```
    /// use purlin_term::EncodedTerm;
    /// let encoded = EncodedTerm::serialize(&("key", 7))?;
    /// let (key, value): (&str, i64) = encoded.view().deserialize()?;
    /// assert_eq!((key, value), ("key", 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DeserializeError`] when the term is not a value of `T`.
    pub fn deserialize<T: Deserialize<'a>>(self) -> Result<T, DeserializeError> {
        T::deserialize(&mut reader::Reader::new(self))
    }
}

/// A Rust value as a term.
///
/// ```
/// use purlin_term::{Term, to_term};
/// assert_eq!(to_term(&(1, [true]))?.to_string(), "{1,{true}}");
/// # Ok::<(), purlin_term::SerializeError>(())
/// ```
///
/// # Errors
/// [`SerializeError`] when the value has no encoding.
pub fn to_term<T: ?Sized + Serialize>(value: &T) -> Result<Term, SerializeError> {
    let encoded = EncodedTerm::serialize(value)?;
    encoded.to_term().map_err(|_| SerializeError::DuplicateKey)
}

/// A term as a Rust value.
///
/// ```
/// use purlin_term::{Term, atom, from_term};
/// let list = Term::list([Term::from(1), Term::from(2)]);
/// assert_eq!(from_term::<Vec<u8>>(&list)?, [1, 2]);
/// # Ok::<(), purlin_term::DeserializeError>(())
/// ```
///
/// # Errors
/// [`DeserializeError`] when the term is not a value of `T`.
pub fn from_term<T: DeserializeOwned>(term: &Term) -> Result<T, DeserializeError> {
    let mut encoder = Encoder::plain();
    encoder.term(term).map_err(serde::de::Error::custom)?;
    View::of(encoder.as_slice(), &[]).deserialize()
}
