//! Terms read where they lie.
//!
//! A [`View`] is a well-formed term in somebody's buffer: two slices, `Copy`. It is made only by
//! [`Decoder::view`], which walks the bytes first, or from an [`EncodedTerm`], so its methods have
//! nothing to report; envelopes such as `{'$gen_call', {From, Tag}, Request}` are peeled off by
//! matching and the inner views handed on, and serde decodes from it.
//!
//! Reaching an element means skipping those before it: iterate, do not index.

use std::fmt;

use super::decode::Decoder;
use super::encoded::EncodedTerm;
use super::error::DecodeError;
use super::head::{AtomText, Cursor, Head};
use crate::atom::Atom;
use crate::bignum::Bignum;
use crate::identity::{Pid, Port, Reference};
use crate::limits::Limits;
use crate::node_name::{NameBudget, NodeName};
use crate::term::{Export, Term};

/// A well-formed term, borrowed.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    atoms: &'a [Atom],
}

/// What a term is, one level deep.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Shape<'a> {
    /// An integer of 64 bits.
    Int(i64),
    /// An integer that needs more.
    BigInt(Bignum),
    /// A finite float.
    Float(f64),
    /// An atom.
    Atom(AtomText<'a>),
    /// A pid.
    Pid(Pid),
    /// A port.
    Port(Port),
    /// A reference.
    Reference(Reference),
    /// A tuple.
    Tuple(Elements<'a>),
    /// A list that is written as a string of small integers.
    String(&'a [u8]),
    /// Any other list; `[]` has no elements.
    List(ListElements<'a>),
    /// A map.
    Map(Pairs<'a>),
    /// A binary.
    Binary(&'a [u8]),
    /// Bits: of the last byte only so many of the highest count.
    BitString(&'a [u8], u8),
    /// A fun with an environment; [`View::to_term`] decodes it.
    Fun,
    /// `fun M:F/A`.
    Export(Export),
}

/// The elements of a tuple.
#[derive(Clone)]
pub struct Elements<'a> {
    cursor: Cursor<'a>,
    atoms: &'a [Atom],
    left: usize,
}

/// The elements of a list; when they are used up, [`ListElements::tail`] tells what follows them.
#[derive(Clone)]
pub struct ListElements<'a> {
    cursor: Cursor<'a>,
    atoms: &'a [Atom],
    left: usize,
    tail: Tail<'a>,
}

#[derive(Clone, Copy)]
enum Tail<'a> {
    /// The tail lies after the elements left.
    Ahead,
    /// The elements of a `STRING_EXT` in the place of the tail.
    Bytes(&'a [u8]),
    Proper,
    Improper(View<'a>),
}

/// The pairs of a map, in the order of the bytes; a key may come twice.
#[derive(Clone)]
pub struct Pairs<'a>(Elements<'a>);

/// Views are made from walked bytes only, and the walk reads heads by the same function.
pub(crate) const WALKED: &str = "a view holds bytes that the walk accepted";

impl<'a> Decoder<'a, '_> {
    /// Walks the term that `bytes` start with and answers a view of it.
    ///
    /// # Errors
    /// [`DecodeError`]: what is wrong, and where.
    pub fn view(&mut self, bytes: &'a [u8]) -> Result<View<'a>, DecodeError> {
        let len = self.validate(bytes)?;
        Ok(View {
            bytes: &bytes[..len],
            atoms: self.atoms(),
        })
    }
}

impl<'a> View<'a> {
    pub(crate) fn of(bytes: &'a [u8], atoms: &'a [Atom]) -> Self {
        Self { bytes, atoms }
    }

    /// The bytes of the term.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The atoms that the bytes may refer to.
    pub fn atoms(self) -> &'a [Atom] {
        self.atoms
    }

    /// What the term is. Integers larger than 64 bits and identifiers are decoded.
    pub fn shape(self) -> Shape<'a> {
        let mut cursor = Cursor::new(self.bytes);
        let head = cursor.head(self.atoms).expect(WALKED);
        let elements = |left| Elements {
            cursor,
            atoms: self.atoms,
            left,
        };
        match head {
            Head::Int(value) => Shape::Int(value),
            Head::Big { negative, digits } => Shape::BigInt(Bignum::new(negative, digits)),
            Head::Float(value) => Shape::Float(value.get()),
            Head::Atom(atom) => Shape::Atom(atom),
            Head::Tuple(count) => Shape::Tuple(elements(count)),
            Head::Nil => Shape::List(self.list(cursor, 0, Tail::Proper)),
            Head::List(count) => Shape::List(self.list(cursor, count, Tail::Ahead)),
            Head::String(text) => Shape::String(text),
            Head::Map(count) => Shape::Map(Pairs(elements(2 * count))),
            Head::Binary(bytes) => Shape::Binary(bytes),
            Head::Bits(bytes, last) => Shape::BitString(bytes, last),
            Head::Fun(_) => Shape::Fun,
            Head::Export(module, function, arity) => Shape::Export(Export {
                module: module.to_atom(),
                function: function.to_atom(),
                arity,
            }),
            Head::Pid(raw) => Shape::Pid(Pid {
                node: known(raw.node),
                creation: raw.creation,
                id: raw.id,
                serial: raw.serial,
            }),
            Head::Port(raw) => Shape::Port(Port {
                node: known(raw.node),
                creation: raw.creation,
                id: raw.id,
            }),
            Head::Reference(raw) => Shape::Reference(raw.at(known(raw.node))),
        }
    }

    fn list(self, cursor: Cursor<'a>, left: usize, tail: Tail<'a>) -> ListElements<'a> {
        ListElements {
            cursor,
            atoms: self.atoms,
            left,
            tail,
        }
    }

    /// The value, if it is an integer of 64 bits.
    pub fn as_int(self) -> Option<i64> {
        if let Shape::Int(value) = self.shape() {
            Some(value)
        } else {
            None
        }
    }

    /// The text, if it is an atom.
    pub fn as_atom(self) -> Option<AtomText<'a>> {
        if let Shape::Atom(atom) = self.shape() {
            Some(atom)
        } else {
            None
        }
    }

    /// True if it is the atom `text`.
    pub fn is_atom(self, text: &str) -> bool {
        self.as_atom().is_some_and(|atom| atom == *text)
    }

    /// The pid, if it is one.
    pub fn as_pid(self) -> Option<Pid> {
        if let Shape::Pid(pid) = self.shape() {
            Some(pid)
        } else {
            None
        }
    }

    /// The reference, if it is one.
    pub fn as_reference(self) -> Option<Reference> {
        if let Shape::Reference(reference) = self.shape() {
            Some(reference)
        } else {
            None
        }
    }

    /// The bytes, if it is a binary.
    pub fn as_binary(self) -> Option<&'a [u8]> {
        if let Shape::Binary(bytes) = self.shape() {
            Some(bytes)
        } else {
            None
        }
    }

    /// The elements, if it is a tuple of just `N`.
    ///
    /// ```
    /// use purlin_term::{EncodedTerm, Term, atom};
    /// let encoded = EncodedTerm::encode(&Term::tuple([atom!("add").into(), 2.into()]))?;
    /// let [tag, value] = encoded.view().as_tuple_of().ok_or("no pair")?;
    /// assert!(tag.is_atom("add"));
    /// assert_eq!(value.as_int(), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn as_tuple_of<const N: usize>(self) -> Option<[View<'a>; N]> {
        match self.shape() {
            Shape::Tuple(mut elements) if elements.len() == N => {
                Some(std::array::from_fn(|_| elements.next().expect(WALKED)))
            }
            _ => None,
        }
    }

    /// The owned term.
    ///
    /// # Errors
    /// [`DecodeError`] when a map has a key twice: the one thing that the walk does not see.
    pub fn to_term(self) -> Result<Term, DecodeError> {
        let mut none = NameBudget::new(0);
        Decoder::new(self.atoms, &Limits::CHECKED, &mut none)
            .decode(self.bytes)
            .map(|(term, _)| term)
    }

    /// The term with a buffer and atoms of its own, to be kept or sent on.
    pub fn to_encoded(self) -> EncodedTerm {
        EncodedTerm::copy_of(self.bytes, self.atoms)
    }
}

/// The walk interned every node name in the bytes.
fn known(node: AtomText<'_>) -> NodeName {
    NodeName::intern(&node.to_atom(), &mut NameBudget::new(0)).expect(WALKED)
}

impl<'a> Elements<'a> {
    fn read(&mut self) -> View<'a> {
        let start = self.cursor;
        self.cursor.skip(self.atoms).expect(WALKED);
        View {
            bytes: self.cursor.since(start),
            atoms: self.atoms,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.read())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

impl<'a> Iterator for Pairs<'a> {
    type Item = (View<'a>, View<'a>);

    fn next(&mut self) -> Option<(View<'a>, View<'a>)> {
        Some((self.0.next()?, self.0.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left / 2, Some(self.0.left / 2))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// `SMALL_INTEGER_EXT` of every byte, so that an element of a string can be a view too.
pub(crate) static SMALL_INTEGERS: [[u8; 2]; 256] = {
    let mut all = [[super::tag::SMALL_INTEGER, 0]; 256];
    let mut value = 0;
    while value < 256 {
        all[value][1] = value as u8;
        value += 1;
    }
    all
};

impl<'a> ListElements<'a> {
    /// What follows the last element: `None` for a proper list, and before the iteration ended.
    pub fn tail(&self) -> Option<View<'a>> {
        if let Tail::Improper(tail) = self.tail {
            Some(tail)
        } else {
            None
        }
    }

    /// Elements known to be left: exact but for a list in several pieces, where it is too low.
    pub fn len_min(&self) -> usize {
        self.left
    }

    fn read_tail(&mut self) {
        let start = self.cursor;
        self.tail = match self.cursor.head(self.atoms).expect(WALKED) {
            Head::List(more) => {
                self.left = more;
                Tail::Ahead
            }
            Head::Nil => Tail::Proper,
            Head::String(bytes) => Tail::Bytes(bytes),
            _ => {
                self.cursor = start;
                self.cursor.skip(self.atoms).expect(WALKED);
                Tail::Improper(View {
                    bytes: self.cursor.since(start),
                    atoms: self.atoms,
                })
            }
        };
    }
}

impl<'a> Iterator for ListElements<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        loop {
            match self.tail {
                Tail::Ahead if self.left == 0 => self.read_tail(),
                Tail::Ahead => {
                    self.left -= 1;
                    let start = self.cursor;
                    self.cursor.skip(self.atoms).expect(WALKED);
                    return Some(View {
                        bytes: self.cursor.since(start),
                        atoms: self.atoms,
                    });
                }
                Tail::Bytes([first, rest @ ..]) => {
                    self.tail = Tail::Bytes(rest);
                    let bytes = &SMALL_INTEGERS[usize::from(*first)];
                    return Some(View { bytes, atoms: &[] });
                }
                Tail::Bytes([]) => self.tail = Tail::Proper,
                Tail::Proper | Tail::Improper(_) => return None,
            }
        }
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_term() {
            Ok(term) => fmt::Debug::fmt(&term, f),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl fmt::Debug for ListElements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}
