//! The owned term: any Erlang value as a Rust value.
//!
//! Source: the types of the Erlang reference manual, "Data Types". A [`Term`] is 24 bytes; small
//! integers, floats, atoms, binaries and lists of bytes of up to 15 bytes, integers of up to 14,
//! pids and ports need no allocation. Containers hold exactly their elements; binaries are shared,
//! everything else is deep: cloning a large term copies its skeleton.
//!
//! Equality is `=:=`: `1` and `1.0` differ, and so do `0.0` and `-0.0` (as in OTP 27 and later).
//! The order of [`Ord`] is the one that agrees with it, the order of map keys; Erlang's `<`, in
//! which `1 == 1.0`, is [`Term::compare`]. Both are in `order`.
//!
//! Invariants, kept by every constructor and decoder:
//! - `I1` an integer that fits an `i64` is `Int`, never `BigInt`;
//! - `I2` floats are finite ([`Float`]);
//! - `I3` the pairs of a map are sorted by key in the order of `Ord`, without duplicates;
//! - `I4` an improper list has at least one element, and its tail is not a list;
//! - `I5` a bit string has 1 to 7 bits in its last byte, and the unused bits are zero.

use std::cmp::Ordering;
use std::fmt;
use std::mem;

use num_bigint::{BigInt, Sign};

use crate::atom::Atom;
use crate::bignum::Bignum;
use crate::binary::Binary;
use crate::identity::{Pid, Port, Reference};
use crate::list::List;
use crate::node_name::NodeName;
use crate::terms::{Terms, drop_in_place, forget_leaves};
use crate::tuple::Tuple;

/// An Erlang term, owned.
///
/// ```
/// use purlin_term::{Term, atom};
/// let term = Term::tuple([Term::from(atom!("add")), Term::from(1), Term::from("a binary")]);
/// assert_eq!(term.to_string(), r#"{add,1,<<"a binary">>}"#);
/// assert_eq!(size_of::<Term>(), 24);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Term {
    /// An integer of 64 bits.
    Int(i64),
    /// An integer that needs more.
    BigInt(Bignum),
    /// A finite float.
    Float(Float),
    /// An atom.
    Atom(Atom),
    /// A process identifier.
    Pid(Pid),
    /// A port identifier.
    Port(Port),
    /// A reference.
    Reference(Box<Reference>),
    /// A tuple.
    Tuple(Tuple),
    /// A proper list; `[]` is the empty one.
    List(List),
    /// A list whose last tail is not `[]`.
    ImproperList(Box<ImproperList>),
    /// A map.
    Map(Map),
    /// Whole bytes.
    Binary(Binary),
    /// Bits that do not fill their last byte.
    BitString(Box<BitString>),
    /// A fun with an environment: opaque, but it can be sent on.
    Fun(Box<Fun>),
    /// `fun M:F/A`.
    Export(Box<Export>),
}

const _: () = assert!(size_of::<Term>() == 24);

/// A finite `f64` that compares and hashes by its bits.
#[derive(Debug, Clone, Copy)]
pub struct Float(f64);

/// A map: pairs sorted by key in the order of [`Ord`] of [`Term`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Map(Box<[(Term, Term)]>);

/// `[a, b | tail]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImproperList {
    items: Terms,
    tail: Term,
}

/// Bits that do not fill their last byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BitString {
    bytes: Binary,
    last_bits: u8,
}

/// A fun of another node, kept as it came: what a `NEW_FUN_EXT` carries.
///
/// As in OTP, two funs that differ only in their creators are equal.
#[derive(Debug, Clone)]
pub struct Fun {
    /// Number of arguments.
    pub arity: u8,
    /// MD5 of the module's code.
    pub uniq: [u8; 16],
    /// Index in the module's table of funs.
    pub index: u32,
    /// The module.
    pub module: Atom,
    /// Index in the older numbering, an integer.
    pub old_index: Term,
    /// Hash of the older numbering, an integer.
    pub old_uniq: Term,
    /// The process that made it. OTP 28 puts `<0.0>` here.
    pub creator: Pid,
    /// The values it closed over.
    pub free: Box<[Term]>,
}

/// `fun M:F/A`: a name, not code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// Number of arguments.
    pub arity: u8,
}

/// Why a map could not be made: two pairs have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a map has the same key twice")]
pub struct DuplicateKey;

impl Term {
    /// The empty list `[]`.
    pub fn nil() -> Self {
        Self::List(List::EMPTY)
    }

    /// A tuple of `items`.
    pub fn tuple(items: impl IntoIterator<Item = Term>) -> Self {
        Self::Tuple(items.into_iter().collect())
    }

    /// A proper list of `items`.
    pub fn list(items: impl IntoIterator<Item = Term>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// `[items | tail]`, in its proper form if `tail` is a list itself or `items` is empty.
    pub fn list_with_tail(items: impl IntoIterator<Item = Term>, tail: Term) -> Self {
        let mut items: Vec<Term> = items.into_iter().collect();
        if items.is_empty() {
            return tail;
        }
        match tail {
            Term::List(more) => {
                items.extend(more);
                Term::List(items.into())
            }
            Term::ImproperList(more) => {
                items.extend(more.items.into_vec());
                Term::ImproperList(Box::new(ImproperList {
                    items: items.into(),
                    tail: more.tail,
                }))
            }
            tail => Term::ImproperList(Box::new(ImproperList {
                items: items.into(),
                tail,
            })),
        }
    }

    /// A map of `pairs`.
    ///
    /// # Errors
    /// [`DuplicateKey`] when two keys are equal.
    pub fn map(pairs: impl IntoIterator<Item = (Term, Term)>) -> Result<Self, DuplicateKey> {
        Map::new(pairs.into_iter().collect()).map(Self::Map)
    }

    /// A list of the code points of `text`: what Erlang calls a string.
    pub fn string(text: &str) -> Self {
        if text.is_ascii() {
            return Self::List(List::from_bytes(text.as_bytes()));
        }
        Self::list(text.chars().map(|c| Term::Int(i64::from(u32::from(c)))))
    }

    /// A float; `None` if it is not finite, since Erlang has no such value.
    pub fn float(value: f64) -> Option<Self> {
        Float::new(value).map(Self::Float)
    }

    /// The first `bits` bits of `bytes`: a binary if they fill whole bytes.
    ///
    /// Returns `None` when `bytes` is not just long enough.
    pub fn bits(bytes: &[u8], bits: usize) -> Option<Self> {
        if bits.div_ceil(8) != bytes.len() {
            return None;
        }
        match (bits % 8) as u8 {
            0 => Some(Self::Binary(bytes.into())),
            last => Some(Self::BitString(Box::new(BitString::new(bytes, last)?))),
        }
    }

    /// The value, if it is an integer of 64 bits.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// The value, if it is an integer, however large.
    pub fn to_bigint(&self) -> Option<BigInt> {
        match self {
            Self::Int(value) => Some((*value).into()),
            Self::BigInt(value) => Some(value.to_bigint()),
            _ => None,
        }
    }

    /// The atom, if it is one.
    pub fn as_atom(&self) -> Option<&Atom> {
        if let Self::Atom(atom) = self {
            Some(atom)
        } else {
            None
        }
    }

    /// True if it is the atom `text`.
    pub fn is_atom(&self, text: &str) -> bool {
        matches!(self, Self::Atom(atom) if *atom == *text)
    }

    /// The pid, if it is one.
    pub fn as_pid(&self) -> Option<Pid> {
        if let Self::Pid(pid) = self {
            Some(*pid)
        } else {
            None
        }
    }

    /// The reference, if it is one.
    pub fn as_reference(&self) -> Option<&Reference> {
        if let Self::Reference(reference) = self {
            Some(reference)
        } else {
            None
        }
    }

    /// The elements, if it is a tuple.
    pub fn as_tuple(&self) -> Option<&[Term]> {
        if let Self::Tuple(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The elements, if it is a proper list.
    pub fn as_list(&self) -> Option<&List> {
        if let Self::List(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The bytes, if it is a binary.
    pub fn as_binary(&self) -> Option<&[u8]> {
        if let Self::Binary(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        if let Self::Map(map) = self {
            Some(map)
        } else {
            None
        }
    }
}

impl Float {
    /// `None` if `value` is infinite or not a number.
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The value.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Float {}

impl std::hash::Hash for Float {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Fun {
    fn key(&self) -> (&Atom, u32, &[u8; 16], u8, &Term, &Term, &[Term]) {
        let Self {
            module,
            index,
            uniq,
            arity,
            ..
        } = self;
        (
            module,
            *index,
            uniq,
            *arity,
            &self.old_index,
            &self.old_uniq,
            &self.free,
        )
    }
}

impl PartialEq for Fun {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Fun {}

impl std::hash::Hash for Fun {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Map {
    /// Makes a map of `pairs` in any order.
    ///
    /// # Errors
    /// [`DuplicateKey`] when two keys are equal.
    pub fn new(mut pairs: Vec<(Term, Term)>) -> Result<Self, DuplicateKey> {
        let sorted = |pairs: &[(Term, Term)]| {
            pairs
                .windows(2)
                .all(|w| key_order(&w[0].0, &w[1].0).is_lt())
        };
        if !sorted(&pairs) {
            pairs.sort_unstable_by(|a, b| key_order(&a.0, &b.0));
            if !sorted(&pairs) {
                return Err(DuplicateKey);
            }
        }
        Ok(Self(pairs.into()))
    }

    /// The value of `key`.
    pub fn get(&self, key: &Term) -> Option<&Term> {
        let at = self.0.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// The pairs, sorted by key.
    pub fn pairs(&self) -> &[(Term, Term)] {
        &self.0
    }
}

/// As for elements, see `terms`.
impl Drop for Map {
    #[inline]
    fn drop(&mut self) {
        for (key, value) in &mut self.0 {
            drop_in_place(key);
            drop_in_place(value);
        }
        forget_leaves(mem::take(&mut self.0));
    }
}

/// The order of terms, with what keys mostly are compared in place.
#[inline]
fn key_order(a: &Term, b: &Term) -> Ordering {
    if let (Term::Binary(a), Term::Binary(b)) = (a, b) {
        a.cmp(b)
    } else if let (Term::Atom(a), Term::Atom(b)) = (a, b) {
        a.cmp(b)
    } else if let (Term::Int(a), Term::Int(b)) = (a, b) {
        a.cmp(b)
    } else {
        a.cmp(b)
    }
}

impl ImproperList {
    /// The elements before the tail: at least one.
    pub fn items(&self) -> &[Term] {
        &self.items
    }

    /// The tail: not a list.
    pub fn tail(&self) -> &Term {
        &self.tail
    }
}

impl BitString {
    /// Bits of `bytes`, of whose last byte only the `last_bits` (1 to 7) highest count.
    pub(crate) fn new(bytes: &[u8], last_bits: u8) -> Option<Self> {
        if !(1..8).contains(&last_bits) {
            return None;
        }
        let mut bytes = bytes.to_vec();
        *bytes.last_mut()? &= 0xff << (8 - last_bits);
        Some(Self {
            bytes: bytes.into(),
            last_bits,
        })
    }

    /// The bytes; unused bits of the last are zero.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bits of the last byte count: 1 to 7, from the highest.
    pub fn last_bits(&self) -> u8 {
        self.last_bits
    }
}

impl From<u64> for Term {
    fn from(value: u64) -> Self {
        let big = |_| Self::BigInt(Bignum::new(false, &value.to_le_bytes()));
        i64::try_from(value).map_or_else(big, Self::Int)
    }
}

impl From<usize> for Term {
    fn from(value: usize) -> Self {
        // No platform of Rust's has a wider one.
        Self::from(value as u64)
    }
}

impl From<BigInt> for Term {
    fn from(value: BigInt) -> Self {
        i64::try_from(&value).map_or_else(
            |_| {
                let (sign, digits) = value.to_bytes_le();
                Self::BigInt(Bignum::new(sign == Sign::Minus, &digits))
            },
            Self::Int,
        )
    }
}

impl From<bool> for Term {
    fn from(value: bool) -> Self {
        Self::Atom(if value {
            crate::atom!("true")
        } else {
            crate::atom!("false")
        })
    }
}

/// A Rust string is a UTF-8 binary; [`Term::string`] makes a list of characters.
impl From<&str> for Term {
    fn from(text: &str) -> Self {
        Self::Binary(text.into())
    }
}

/// As a `&str`.
impl From<String> for Term {
    fn from(text: String) -> Self {
        Self::Binary(text.into_bytes().into())
    }
}

macro_rules! from_variant {
    ($($type:ty => $make:expr,)*) => {$(
        impl From<$type> for Term {
            fn from(value: $type) -> Self {
                $make(value)
            }
        }
    )*};
}

from_variant! {
    i8 => |value| Self::Int(i64::from(value)),
    i16 => |value| Self::Int(i64::from(value)),
    i32 => |value| Self::Int(i64::from(value)),
    i64 => Self::Int,
    u8 => |value| Self::Int(i64::from(value)),
    u16 => |value| Self::Int(i64::from(value)),
    u32 => |value| Self::Int(i64::from(value)),
    Atom => Self::Atom,
    Pid => Self::Pid,
    Port => Self::Port,
    Reference => |reference| Self::Reference(Box::new(reference)),
    Binary => Self::Binary,
    Map => Self::Map,
    Fun => |fun| Self::Fun(Box::new(fun)),
    Export => |export| Self::Export(Box::new(export)),
    NodeName => |node: NodeName| Self::Atom(node.atom().clone()),
    List => Self::List,
    Tuple => Self::Tuple,
    Vec<Term> => |items: Vec<Term>| Self::List(items.into()),
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
