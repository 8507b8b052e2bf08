//! Proper lists. A list of bytes, which is what Erlang calls a string, is kept as bytes.
//!
//! `STRING_EXT` carries lists of integers up to 255 as bytes. A [`List`] keeps them so: up to 15 in
//! the value itself, more in one allocation, 24 times less memory than as terms; decoding and
//! encoding them is one copy (`docs/decisions/codec-speed.md`). Their elements can be had by
//! reference all the same, out of a table of the 256 terms that there are.
//!
//! A list is 24 bytes with a word of its own for the tag, in which [`Term`] finds room for the tags
//! of its other variants: so both pointer and length of an allocation fit into a term.
//!
//! Invariant `I1`: a list is packed if and only if all elements are integers of 0 to 255 (`[]` is),
//! whoever made it. So two lists are equal only if both are packed or neither is, and
//! [`List::as_bytes`] is an answer about the list, not about how it came to be.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::FusedIterator;
use std::mem;
use std::ops::Index;

use crate::short;
use crate::term::Term;
use crate::terms::Terms;

const SHORT_MAX: usize = 15;

/// The elements of a proper list.
///
/// ```
/// use purlin_term::{List, Term, atom};
/// let list = List::from(vec![atom!("a").into(), Term::from(1)]);
/// let [first, second] = list.as_array().expect("two elements");
/// assert!(first.is_atom("a"));
/// assert_eq!(second, &list[1]);
/// assert_eq!(list.as_bytes(), None);
/// assert_eq!(List::from_bytes(b"text").as_bytes(), Some(&b"text"[..]));
/// ```
#[derive(Clone)]
pub struct List(Repr);

#[derive(Clone)]
enum Repr {
    Terms(Terms),
    Short(Short),
    /// More than [`SHORT_MAX`].
    Bytes(Box<[u8]>),
}

/// Up to 15 bytes, and zeros. Aligned as a word, so that the tag before it is a word.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Short {
    len: u8,
    bytes: [u8; SHORT_MAX],
}

const _: () = assert!(size_of::<List>() == 24);

/// Every byte as the term it is, for elements of packed lists.
static BYTES: [Term; 256] = {
    let mut all = [const { Term::Int(0) }; 256];
    let mut value = 0;
    while value < 256 {
        // Not an assignment, which would drop what was there, and a constant cannot.
        mem::forget(mem::replace(&mut all[value], Term::Int(value as i64)));
        value += 1;
    }
    all
};

impl Short {
    #[inline]
    fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SHORT_MAX {
            return None;
        }
        let len = bytes.len() as u8;
        let [bytes @ .., _] = short::word(bytes).to_le_bytes();
        Some(Self { len, bytes })
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl List {
    /// `[]`.
    pub const EMPTY: Self = Self(Repr::Short(Short {
        len: 0,
        bytes: [0; SHORT_MAX],
    }));

    /// The list of these integers.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(match Short::new(bytes) {
            Some(short) => Repr::Short(short),
            None => Repr::Bytes(bytes.into()),
        })
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.parts().len()
    }

    /// True if it is `[]`.
    #[inline]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Short(short) if short.len == 0)
    }

    /// The elements in their order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match self.parts() {
            Parts::Terms(items) => Either::Terms(items.iter()),
            Parts::Bytes(bytes) => Either::Bytes(bytes.iter()),
        })
    }

    /// The element at `index`, counted from 0.
    pub fn get(&self, index: usize) -> Option<&Term> {
        match self.parts() {
            Parts::Terms(items) => items.get(index),
            Parts::Bytes(bytes) => bytes.get(index).map(of_byte),
        }
    }

    /// The first element, Erlang's `hd`.
    pub fn first(&self) -> Option<&Term> {
        self.get(0)
    }

    /// The last element.
    pub fn last(&self) -> Option<&Term> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The elements, if they are just `N`, to be matched.
    pub fn as_array<const N: usize>(&self) -> Option<[&Term; N]> {
        (self.len() == N).then(|| std::array::from_fn(|index| &self[index]))
    }

    /// The elements as bytes, if each is an integer of 0 to 255, as those of Latin-1 text are. `[]`
    /// is no bytes.
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.parts() {
            Parts::Terms(_) => None,
            Parts::Bytes(bytes) => Some(bytes),
        }
    }

    /// Copies of the elements.
    pub fn to_vec(&self) -> Vec<Term> {
        self.iter().cloned().collect()
    }

    /// The elements, moved out.
    pub fn into_vec(self) -> Vec<Term> {
        match self.0 {
            Repr::Terms(items) => items.into_vec(),
            packed => Self(packed).to_vec(),
        }
    }

    /// The elements as they are kept.
    #[inline]
    pub(crate) fn parts(&self) -> Parts<'_> {
        match &self.0 {
            Repr::Terms(items) => Parts::Terms(items),
            Repr::Short(short) => Parts::Bytes(short.as_slice()),
            Repr::Bytes(bytes) => Parts::Bytes(bytes),
        }
    }
}

/// The elements of a list as they are kept: as terms, at least one of which is no byte, or as bytes.
pub(crate) enum Parts<'a> {
    Terms(&'a [Term]),
    Bytes(&'a [u8]),
}

impl Parts<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Terms(items) => items.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// The term that a byte of a packed list stands for.
#[inline]
pub(crate) fn of_byte(byte: &u8) -> &'static Term {
    &BYTES[usize::from(*byte)]
}

#[inline]
fn is_byte(term: &Term) -> bool {
    matches!(term, Term::Int(0..=255))
}

/// `items` as bytes, if all are. Most that are not show it in their first element or the last.
#[inline]
fn packed(items: &[Term]) -> Option<List> {
    match items.first() {
        None => Some(List::EMPTY),
        Some(Term::Int(0..=255)) if items.last().is_some_and(is_byte) => packed_numbers(items),
        Some(_) => None,
    }
}

#[inline(never)]
fn packed_numbers(items: &[Term]) -> Option<List> {
    if !items.iter().all(is_byte) {
        return None;
    }
    let byte = |item: &Term| match item {
        Term::Int(value) => *value as u8,
        _ => 0,
    };
    Some(items.iter().map(byte).collect::<Vec<u8>>().into())
}

impl From<Vec<Term>> for List {
    #[inline]
    fn from(items: Vec<Term>) -> Self {
        packed(&items).unwrap_or_else(|| Self(Repr::Terms(items.into())))
    }
}

/// The list of these integers.
impl From<Vec<u8>> for List {
    fn from(bytes: Vec<u8>) -> Self {
        Self(match Short::new(&bytes) {
            Some(short) => Repr::Short(short),
            None => Repr::Bytes(bytes.into()),
        })
    }
}

impl FromIterator<Term> for List {
    fn from_iter<I: IntoIterator<Item = Term>>(items: I) -> Self {
        items.into_iter().collect::<Vec<Term>>().into()
    }
}

impl Default for List {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// So that the list of a term that is none can be taken as empty: `as_list().unwrap_or_default()`.
impl Default for &List {
    fn default() -> Self {
        const { &List::EMPTY }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        match (self.parts(), other.parts()) {
            (Parts::Terms(a), Parts::Terms(b)) => a == b,
            (Parts::Bytes(a), Parts::Bytes(b)) => a == b,
            // By I1.
            _ => false,
        }
    }
}

impl Eq for List {}

impl Hash for List {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.parts() {
            Parts::Terms(items) => items.hash(state),
            Parts::Bytes(bytes) => bytes.hash(state),
        }
    }
}

impl Index<usize> for List {
    type Output = Term;

    fn index(&self, index: usize) -> &Term {
        match self.parts() {
            Parts::Terms(items) => &items[index],
            Parts::Bytes(bytes) => of_byte(&bytes[index]),
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

#[derive(Debug, Clone)]
enum Either<T, B> {
    Terms(T),
    Bytes(B),
}

/// The elements of a [`List`] by reference.
#[derive(Debug, Clone)]
pub struct Iter<'a>(Either<std::slice::Iter<'a, Term>, std::slice::Iter<'a, u8>>);

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Term;

    #[inline]
    fn next(&mut self) -> Option<&'a Term> {
        match &mut self.0 {
            Either::Terms(items) => items.next(),
            Either::Bytes(bytes) => bytes.next().map(of_byte),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Either::Terms(items) => items.size_hint(),
            Either::Bytes(bytes) => bytes.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Either::Terms(items) => items.next_back(),
            Either::Bytes(bytes) => bytes.next_back().map(of_byte),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a List {
    type Item = &'a Term;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements of a [`List`], moved out.
#[derive(Debug, Clone)]
pub struct IntoIter(Either<std::vec::IntoIter<Term>, std::vec::IntoIter<u8>>);

impl Iterator for IntoIter {
    type Item = Term;

    fn next(&mut self) -> Option<Term> {
        match &mut self.0 {
            Either::Terms(items) => items.next(),
            Either::Bytes(bytes) => bytes.next().map(|byte| Term::Int(byte.into())),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Either::Terms(items) => items.size_hint(),
            Either::Bytes(bytes) => bytes.size_hint(),
        }
    }
}

impl DoubleEndedIterator for IntoIter {
    fn next_back(&mut self) -> Option<Term> {
        match &mut self.0 {
            Either::Terms(items) => items.next_back(),
            Either::Bytes(bytes) => bytes.next_back().map(|byte| Term::Int(byte.into())),
        }
    }
}

impl ExactSizeIterator for IntoIter {}
impl FusedIterator for IntoIter {}

impl IntoIterator for List {
    type Item = Term;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(match self.0 {
            Repr::Terms(items) => Either::Terms(items.into_vec().into_iter()),
            Repr::Short(short) => Either::Bytes(short.as_slice().to_vec().into_iter()),
            Repr::Bytes(bytes) => Either::Bytes(bytes.into_vec().into_iter()),
        })
    }
}
