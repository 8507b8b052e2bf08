//! The types of this crate as values of others: `Serialize` and `Deserialize`.
//!
//! In this codec each is itself. Formats for people (JSON, TOML) have an [`Atom`] as its text, a
//! [`Pid`], [`Port`], [`Reference`] and [`Term`] as Erlang's text of it; other formats have an
//! identifier as the tuple of its parts and a term as its structure, which they can only write.
//!
//! serde's buffers, which `untagged`, `flatten` and internally tagged enums read from, carry all of
//! them but one: of a [`Term`] they lose whether it was a list or a tuple, so there it can be
//! anything but those and maps.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};

use super::names;
use crate::atom::Atom;
use crate::binary::Binary;
use crate::codec::{Decoder, Encoder};
use crate::identity::{Pid, Port, Reference};
use crate::limits::{Limits, REFERENCE_WORDS_MAX};
use crate::node_name::{NameBudget, NodeName};
use crate::term::{Map, Term};

impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(names::ATOM, self.as_str())
    }
}

impl<'de> Deserialize<'de> for Atom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(names::ATOM, AtomVisitor)
    }
}

struct AtomVisitor;

impl<'de> Visitor<'de> for AtomVisitor {
    type Value = Atom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an atom (Atom)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Atom, E> {
        Atom::new(text).map_err(E::custom)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Atom, D::Error> {
        if inner.is_human_readable() {
            inner.deserialize_any(self)
        } else {
            inner.deserialize_str(self)
        }
    }

    // As what serde's buffers hold the atoms that stand for a value of Rust.

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Atom, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_none<E: de::Error>(self) -> Result<Atom, E> {
        self.visit_str("undefined")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Atom, E> {
        self.visit_str("nil")
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BinaryVisitor)
    }
}

struct BinaryVisitor;

impl<'de> Visitor<'de> for BinaryVisitor {
    type Value = Binary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a binary (Binary)")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
        Ok(Binary::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Binary, E> {
        Ok(Binary::from(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Binary, E> {
        Ok(Binary::from(text))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut bytes: A) -> Result<Binary, A::Error> {
        let mut all = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        Ok(all.into())
    }
}

/// An identifier: how it is made of its parts, and of a term.
trait Identifier: Sized {
    const NAME: &'static str;
    /// What is wanted, for errors.
    const EXPECTED: &'static str;
    /// How many parts it has.
    const PARTS: usize;

    fn from_parts<'de, A: de::SeqAccess<'de>>(parts: &mut A) -> Result<Option<Self>, A::Error>;
    fn from_term(term: &Term) -> Option<Self>;
}

/// The part that names the node.
struct NodePart(NodeName);

impl<'de> Deserialize<'de> for NodePart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NodeVisitor)
    }
}

struct NodeVisitor;

impl Visitor<'_> for NodeVisitor {
    type Value = NodePart;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a node")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<NodePart, E> {
        let name = Atom::new(text).map_err(E::custom)?;
        NodeName::new(&name).map(NodePart).map_err(E::custom)
    }
}

impl Identifier for Pid {
    const NAME: &'static str = names::PID;
    const EXPECTED: &'static str = "a pid (Pid)";
    const PARTS: usize = 4;

    fn from_parts<'de, A: de::SeqAccess<'de>>(parts: &mut A) -> Result<Option<Self>, A::Error> {
        let (id, serial, creation) = (
            parts.next_element()?,
            parts.next_element()?,
            parts.next_element()?,
        );
        let node: Option<NodePart> = parts.next_element()?;
        Ok((|| {
            Some(Self {
                node: node?.0,
                creation: creation?,
                id: id?,
                serial: serial?,
            })
        })())
    }

    fn from_term(term: &Term) -> Option<Self> {
        term.as_pid()
    }
}

impl Identifier for Port {
    const NAME: &'static str = names::PORT;
    const EXPECTED: &'static str = "a port (Port)";
    const PARTS: usize = 3;

    fn from_parts<'de, A: de::SeqAccess<'de>>(parts: &mut A) -> Result<Option<Self>, A::Error> {
        let (id, creation) = (parts.next_element()?, parts.next_element()?);
        let node: Option<NodePart> = parts.next_element()?;
        Ok((|| {
            Some(Self {
                node: node?.0,
                creation: creation?,
                id: id?,
            })
        })())
    }

    fn from_term(term: &Term) -> Option<Self> {
        match term {
            Term::Port(port) => Some(*port),
            _ => None,
        }
    }
}

impl Identifier for Reference {
    const NAME: &'static str = names::REFERENCE;
    const EXPECTED: &'static str = "a reference (Reference)";
    const PARTS: usize = 3;

    fn from_parts<'de, A: de::SeqAccess<'de>>(parts: &mut A) -> Result<Option<Self>, A::Error> {
        let creation = parts.next_element()?;
        let words: Option<Words> = parts.next_element()?;
        let node: Option<NodePart> = parts.next_element()?;
        Ok((|| Self::new(node?.0, creation?, words?.as_slice()))())
    }

    fn from_term(term: &Term) -> Option<Self> {
        term.as_reference().copied()
    }
}

/// The words of a reference.
struct Words([u32; REFERENCE_WORDS_MAX], usize);

impl Words {
    fn as_slice(&self) -> &[u32] {
        &self.0[..self.1]
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one to {REFERENCE_WORDS_MAX} words")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut words: A) -> Result<Words, A::Error> {
        let mut all = Words([0; REFERENCE_WORDS_MAX], 0);
        while let Some(word) = words.next_element()? {
            let slot = all.0.get_mut(all.1);
            *slot.ok_or_else(|| de::Error::invalid_length(REFERENCE_WORDS_MAX + 1, &self))? = word;
            all.1 += 1;
        }
        Ok(all)
    }
}

struct IdentifierVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Identifier> Visitor<'de> for IdentifierVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<T, A::Error> {
        T::from_parts(&mut parts)?.ok_or_else(|| de::Error::invalid_length(0, &self))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
        if inner.is_human_readable() {
            inner.deserialize_any(self)
        } else {
            inner.deserialize_tuple(T::PARTS, self)
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_term(&parse(text)?).ok_or_else(|| E::invalid_type(de::Unexpected::Str(text), &self))
    }

    /// From serde's buffers.
    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        let other = || E::invalid_type(de::Unexpected::Other("another term"), &self);
        T::from_term(&decode(bytes)?).ok_or_else(other)
    }
}

macro_rules! identifiers {
    ($($type:ident $this:ident => $parts:expr;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                let $this = self;
                serializer.serialize_newtype_struct($type::NAME, &$parts)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let visitor = IdentifierVisitor(std::marker::PhantomData);
                deserializer.deserialize_newtype_struct($type::NAME, visitor)
            }
        }
    )*};
}

identifiers! {
    Pid pid => (pid.id, pid.serial, pid.creation, pid.node.as_str());
    Port port => (port.id, port.creation, port.node.as_str());
    Reference reference => (reference.creation(), reference.words(), reference.node().as_str());
}

/// Kinds of terms that serde has no notion of, as the codec tells them to the visitor of terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TermKind {
    Tuple,
    Pid,
    Port,
    Reference,
    /// Any other, as the bytes of a term without atom references.
    Encoded,
}

impl TermKind {
    const ALL: [Self; 5] = [
        Self::Tuple,
        Self::Pid,
        Self::Port,
        Self::Reference,
        Self::Encoded,
    ];
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        match self {
            Term::Int(value) => serializer.serialize_i64(*value),
            Term::Float(value) => serializer.serialize_f64(value.get()),
            Term::Atom(atom) => atom.serialize(serializer),
            Term::Pid(pid) => pid.serialize(serializer),
            Term::Port(port) => port.serialize(serializer),
            Term::Reference(reference) => reference.serialize(serializer),
            Term::Tuple(items) => {
                let mut tuple = serializer.serialize_tuple(items.len())?;
                for item in items {
                    tuple.serialize_element(item)?;
                }
                tuple.end()
            }
            Term::List(items) => serializer.collect_seq(items),
            Term::Map(map) => {
                let mut pairs = serializer.serialize_map(Some(map.pairs().len()))?;
                for (key, value) in map.pairs() {
                    pairs.serialize_entry(key, value)?;
                }
                pairs.end()
            }
            Term::Binary(bytes) => bytes.serialize(serializer),
            Term::BigInt(_)
            | Term::ImproperList(_)
            | Term::BitString(_)
            | Term::Fun(_)
            | Term::Export(_) => {
                let mut plain = Encoder::plain();
                plain.term(self).map_err(serde::ser::Error::custom)?;
                serializer.serialize_newtype_struct(names::ENCODED, &Bytes(plain.as_slice()))
            }
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(names::TERM, TermVisitor)
    }
}

/// Takes a term as this codec shows it (see `Reader::term`); other formats come by
/// `visit_newtype_struct`.
struct TermVisitor;

impl<'de> Visitor<'de> for TermVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a term (Term)")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Term, E> {
        Term::float(value).ok_or_else(|| E::custom("Erlang has no infinite floats and no NaN"))
    }

    fn visit_str<E: de::Error>(self, atom: &str) -> Result<Term, E> {
        AtomVisitor.visit_str(atom).map(Term::Atom)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Term, E> {
        Ok(Term::Binary(bytes.into()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Term, A::Error> {
        let items = elements(&mut list)?;
        match list.next_element()? {
            None => Ok(Term::List(items.into())),
            Some(tail) => Ok(Term::list_with_tail(items, tail)),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Term, A::Error> {
        let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(0));
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Map::new(pairs).map(Term::Map).map_err(de::Error::custom)
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, term: A) -> Result<Term, A::Error> {
        use de::VariantAccess as _;
        let (kind, term) = term.variant::<u8>()?;
        match TermKind::ALL.get(usize::from(kind)) {
            Some(TermKind::Tuple) => term.tuple_variant(0, TupleVisitor),
            Some(TermKind::Pid) => term.newtype_variant().map(Term::Pid),
            Some(TermKind::Port) => term.newtype_variant().map(Term::Port),
            Some(TermKind::Reference) => term.newtype_variant().map(Reference::into),
            Some(TermKind::Encoded) => term.newtype_variant().map(|Encoded(term)| term),
            None => Err(de::Error::custom("a kind of term that does not exist")),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Term, D::Error> {
        inner.deserialize_any(ForeignVisitor)
    }
}

fn elements<'de, A: de::SeqAccess<'de>>(list: &mut A) -> Result<Vec<Term>, A::Error> {
    // The count was checked against the bytes that are there.
    let mut items = Vec::with_capacity(list.size_hint().unwrap_or(0));
    while let Some(item) = list.next_element()? {
        items.push(item);
    }
    Ok(items)
}

struct TupleVisitor;

impl<'de> Visitor<'de> for TupleVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tuple")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut tuple: A) -> Result<Term, A::Error> {
        elements(&mut tuple).map(Term::tuple)
    }
}

/// A term given as its bytes.
struct Encoded(Term);

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(names::ENCODED, EncodedVisitor)
    }
}

struct EncodedVisitor;

impl<'de> Visitor<'de> for EncodedVisitor {
    type Value = Encoded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encoded term")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Encoded, E> {
        decode(bytes).map(Encoded)
    }
}

/// Takes a term from another format, or from one of serde's buffers.
struct ForeignVisitor;

const NO_CONTAINERS: &str = "a list, tuple or map as a Term cannot come from this format or from \
     inside an untagged, flattened or internally tagged type, where serde does not tell lists from \
     tuples";

impl<'de> Visitor<'de> for ForeignVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a term (Term)")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Term, E> {
        TermVisitor.visit_f64(value)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Term, E> {
        Ok(value.into())
    }

    fn visit_none<E: de::Error>(self) -> Result<Term, E> {
        AtomVisitor.visit_none().map(Term::Atom)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Term, E> {
        AtomVisitor.visit_unit().map(Term::Atom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Term, E> {
        parse(text)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Term, E> {
        Ok(Term::Binary(bytes.into()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Term, D::Error> {
        inner
            .deserialize_bytes(EncodedVisitor)
            .map(|Encoded(term)| term)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Term, A::Error> {
        Err(de::Error::custom(NO_CONTAINERS))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Term, A::Error> {
        Err(de::Error::custom(NO_CONTAINERS))
    }
}

fn parse<E: de::Error>(text: &str) -> Result<Term, E> {
    text.parse().map_err(E::custom)
}

/// A term without atom references. Where this codec made the bytes, its nodes are known already.
fn decode<E: de::Error>(bytes: &[u8]) -> Result<Term, E> {
    let limits = Limits::default();
    let mut names = NameBudget::new(limits.new_node_names_max);
    match Decoder::new(&[], &limits, &mut names).decode(bytes) {
        Ok((term, used)) if used == bytes.len() => Ok(term),
        Ok(_) => Err(E::custom("bytes follow the term")),
        Err(error) => Err(E::custom(error)),
    }
}
