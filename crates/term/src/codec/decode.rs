//! From bytes to terms: the validating walk and the decoder.
//!
//! A [`Decoder`] carries what the bytes of one source may refer to and use: the atoms of the
//! message's header, the limits, and the budget of node names. The walk ([`Decoder::validate`])
//! checks everything that can be wrong with a term without allocating, and interns the node names
//! it meets, so that whoever decodes the term later cannot fail on those. The decoder proper
//! ([`Decoder::decode`]) makes an owned [`Term`] in one pass.
//!
//! The two accept the same input with one exception: a map that has a key twice passes the walk,
//! which would need memory to notice, and is refused when it is decoded.
//!
//! Recursion is bounded by [`Limits::depth_max`]. A list whose tail is a list again is one level,
//! however long the chain. Counts are checked against the bytes that are there before anything is
//! allocated (see `head`), and against [`Limits::elements_max`].

use std::sync::Arc;

use bytes::Bytes;
use num_bigint::{BigInt, Sign};

use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::head::{AtomText, Cursor, Head, RawFun, RawInt, RawPid, RawPort, RawReference};
use super::tag;
use crate::atom::Atom;
use crate::binary::Binary;
use crate::identity::{Pid, Port, Reference};
use crate::limits::Limits;
use crate::node_name::{NameBudget, NodeName};
use crate::term::{BitString, Export, Fun, Map, Term};

/// Decodes and checks terms of one source.
pub struct Decoder<'a, 'b> {
    atoms: &'a [Atom],
    depth_max: usize,
    size_max: usize,
    elements_left: usize,
    names: &'b mut NameBudget,
    last_node: Option<(Atom, NodeName)>,
    shared: Option<&'a Bytes>,
    used: AtomNumbers,
}

/// A set of atom numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AtomNumbers([u64; 4]);

impl AtomNumbers {
    #[inline]
    fn note(&mut self, atom: AtomText<'_>) {
        if let AtomText::Listed(_, number) = atom {
            self.0[usize::from(number / 64)] |= 1 << (number % 64);
        }
    }

    /// The entries of `atoms` that are in the set, at their places up to the last of them; the
    /// others are replaced by the empty atom, so that nothing keeps them alive.
    pub(crate) fn select(&self, atoms: &[Atom]) -> Arc<[Atom]> {
        let has = |number: &usize| self.0[number / 64] & (1 << (number % 64)) != 0;
        let len = (0..atoms.len()).rev().find(has).map_or(0, |last| last + 1);
        let entry = |number| {
            if has(&number) {
                atoms[number].clone()
            } else {
                crate::atom!("")
            }
        };
        (0..len).map(entry).collect()
    }
}

impl<'a, 'b> Decoder<'a, 'b> {
    /// A decoder for bytes whose atom references point into `atoms` (empty where there are none).
    pub fn new(atoms: &'a [Atom], limits: &Limits, names: &'b mut NameBudget) -> Self {
        Self {
            atoms,
            depth_max: limits.depth_max.min(crate::limits::DEPTH_MAX),
            size_max: limits.size_max,
            elements_left: limits.elements_max,
            names,
            last_node: None,
            shared: None,
            used: AtomNumbers::default(),
        }
    }

    /// Checks that `bytes` start with a well-formed term and answers its length in bytes.
    ///
    /// Allocates nothing, save for node names met for the first time.
    ///
    /// # Errors
    /// [`DecodeError`]: what is wrong, and where.
    pub fn validate(&mut self, bytes: &'a [u8]) -> Result<usize, DecodeError> {
        self.check_size(bytes)?;
        let mut cursor = Cursor::new(bytes);
        self.walk(&mut cursor, self.depth_max)?;
        Ok(cursor.at())
    }

    pub(super) fn atoms(&self) -> &'a [Atom] {
        self.atoms
    }

    /// The numbers of the atoms that the terms validated so far refer to.
    pub(crate) fn used(&self) -> AtomNumbers {
        self.used
    }

    /// Decodes the term that `bytes` start with, and answers it with its length in bytes.
    ///
    /// # Errors
    /// [`DecodeError`]: what is wrong, and where.
    pub fn decode(&mut self, bytes: &'a [u8]) -> Result<(Term, usize), DecodeError> {
        self.check_size(bytes)?;
        let mut cursor = Cursor::new(bytes);
        let term = self.term(&mut cursor, self.depth_max)?;
        Ok((term, cursor.at()))
    }

    /// As [`Decoder::decode`], but large binaries go on pointing into `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`]: what is wrong, and where.
    pub fn decode_shared(&mut self, bytes: &'a Bytes) -> Result<(Term, usize), DecodeError> {
        self.shared = Some(bytes);
        let decoded = self.decode(bytes);
        self.shared = None;
        decoded
    }

    /// The whole input counts, so that the work on it is bounded before it begins.
    fn check_size(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.len() > self.size_max {
            return Err(DecodeError {
                kind: Kind::TooLarge(self.size_max),
                at: 0,
            });
        }
        Ok(())
    }

    fn walk(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<(), DecodeError> {
        match cursor.head(self.atoms)? {
            Head::Tuple(count) => self.walk_terms(cursor, count, depth),
            Head::Map(count) => self.walk_terms(cursor, 2 * count, depth),
            Head::List(count) => self.walk_list(cursor, count, depth),
            Head::Atom(atom) => {
                self.used.note(atom);
                Ok(())
            }
            Head::Pid(pid) => self.walk_node(cursor, pid.node),
            Head::Port(port) => self.walk_node(cursor, port.node),
            Head::Reference(reference) => self.walk_node(cursor, reference.node),
            Head::Export(module, function, _) => {
                self.used.note(module);
                self.used.note(function);
                Ok(())
            }
            Head::String(text) => self.spend(cursor, text.len()),
            Head::Fun(fun) => {
                self.used.note(fun.module);
                self.walk_node(cursor, fun.creator.node)?;
                self.walk_terms(cursor, fun.free_count, depth)?;
                cursor.end_of_fun(fun.left_after)
            }
            _ => Ok(()),
        }
    }

    fn walk_node(&mut self, cursor: &Cursor<'a>, node: AtomText<'a>) -> Result<(), DecodeError> {
        self.used.note(node);
        self.node(cursor, node).map(drop)
    }

    fn walk_terms(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let depth = self.enter(cursor, count, depth)?;
        for _ in 0..count {
            self.walk(cursor, depth)?;
        }
        Ok(())
    }

    fn walk_list(
        &mut self,
        cursor: &mut Cursor<'a>,
        mut count: usize,
        depth: usize,
    ) -> Result<(), DecodeError> {
        loop {
            self.walk_terms(cursor, count, depth)?;
            match cursor.peek() {
                Some(tag::LIST) => match cursor.head(self.atoms)? {
                    Head::List(more) => count = more,
                    _ => unreachable!("LIST is a list"),
                },
                _ => {
                    let depth = self.enter(cursor, 0, depth)?;
                    return self.walk(cursor, depth);
                }
            }
        }
    }

    /// Pays for `count` elements and goes one level down.
    #[inline]
    fn enter(
        &mut self,
        cursor: &Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<usize, DecodeError> {
        self.spend(cursor, count)?;
        depth
            .checked_sub(1)
            .ok_or_else(|| cursor.fail(Kind::TooDeep))
    }

    #[inline]
    fn spend(&mut self, cursor: &Cursor<'a>, count: usize) -> Result<(), DecodeError> {
        let left = self.elements_left.checked_sub(count);
        self.elements_left = left.ok_or_else(|| cursor.fail(Kind::TooManyElements))?;
        Ok(())
    }

    #[inline]
    fn node(&mut self, cursor: &Cursor<'a>, name: AtomText<'a>) -> Result<NodeName, DecodeError> {
        match &self.last_node {
            Some((last, node)) if name == *last => Ok(*node),
            _ => self.other_node(cursor, name),
        }
    }

    fn other_node(
        &mut self,
        cursor: &Cursor<'a>,
        name: AtomText<'a>,
    ) -> Result<NodeName, DecodeError> {
        let atom = name.to_atom();
        let node = NodeName::intern(&atom, self.names)
            .map_err(|refused| cursor.fail(Kind::NodeName(refused)))?;
        self.last_node = Some((atom, node));
        Ok(node)
    }

    fn term(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<Term, DecodeError> {
        Ok(match cursor.head(self.atoms)? {
            Head::Int(value) => Term::Int(value),
            Head::Atom(atom) => Term::Atom(atom.to_atom()),
            Head::Tuple(count) => Term::Tuple(self.terms(cursor, count, depth)?.into()),
            Head::Nil => Term::nil(),
            Head::List(count) => self.list(cursor, count, depth)?,
            Head::String(text) => {
                self.spend(cursor, text.len())?;
                Term::List(text.iter().map(|&b| Term::Int(b.into())).collect())
            }
            Head::Map(count) => self.map(cursor, count, depth)?,
            Head::Binary(bytes) => Term::Binary(self.binary(bytes)),
            Head::Float(value) => Term::Float(value),
            Head::Pid(pid) => Term::Pid(self.pid(cursor, pid)?),
            Head::Reference(raw) => Term::Reference(Box::new(self.reference(cursor, raw)?)),
            Head::Port(port) => Term::Port(self.port(cursor, port)?),
            Head::Big { negative, digits } => big(negative, digits),
            Head::Bits(bytes, last) => Term::BitString(Box::new(
                BitString::new(bytes, last).ok_or_else(|| cursor.fail(Kind::BadBitString))?,
            )),
            Head::Export(module, function, arity) => Term::Export(Box::new(Export {
                module: module.to_atom(),
                function: function.to_atom(),
                arity,
            })),
            Head::Fun(fun) => Term::Fun(Box::new(self.fun(cursor, fun, depth)?)),
        })
    }

    fn terms(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<Vec<Term>, DecodeError> {
        let depth = self.enter(cursor, count, depth)?;
        let mut terms = Vec::with_capacity(count);
        for _ in 0..count {
            terms.push(self.term(cursor, depth)?);
        }
        Ok(terms)
    }

    fn list(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<Term, DecodeError> {
        let mut items = self.terms(cursor, count, depth)?;
        loop {
            match cursor.peek() {
                Some(tag::NIL) => {
                    cursor.u8()?;
                    return Ok(Term::List(items.into()));
                }
                Some(tag::LIST) => match cursor.head(self.atoms)? {
                    Head::List(more) => items.append(&mut self.terms(cursor, more, depth)?),
                    _ => unreachable!("LIST is a list"),
                },
                _ => {
                    let depth = self.enter(cursor, 0, depth)?;
                    let tail = self.term(cursor, depth)?;
                    return Ok(Term::list_with_tail(items, tail));
                }
            }
        }
    }

    fn map(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<Term, DecodeError> {
        let depth = self.enter(cursor, 2 * count, depth)?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            pairs.push((self.term(cursor, depth)?, self.term(cursor, depth)?));
        }
        Map::new(pairs)
            .map(Term::Map)
            .map_err(|_| cursor.fail(Kind::DuplicateKey))
    }

    fn binary(&self, bytes: &'a [u8]) -> Binary {
        match self.shared {
            Some(shared) => Binary::cut(shared, bytes),
            None => Binary::copy_from_slice(bytes),
        }
    }

    fn pid(&mut self, cursor: &Cursor<'a>, raw: RawPid<'a>) -> Result<Pid, DecodeError> {
        let RawPid {
            id,
            serial,
            creation,
            ..
        } = raw;
        Ok(Pid {
            node: self.node(cursor, raw.node)?,
            creation,
            id,
            serial,
        })
    }

    fn port(&mut self, cursor: &Cursor<'a>, raw: RawPort<'a>) -> Result<Port, DecodeError> {
        Ok(Port {
            node: self.node(cursor, raw.node)?,
            creation: raw.creation,
            id: raw.id,
        })
    }

    fn reference(
        &mut self,
        cursor: &Cursor<'a>,
        raw: RawReference<'a>,
    ) -> Result<Reference, DecodeError> {
        let node = self.node(cursor, raw.node)?;
        Ok(raw.at(node))
    }

    fn fun(
        &mut self,
        cursor: &mut Cursor<'a>,
        raw: RawFun<'a>,
        depth: usize,
    ) -> Result<Fun, DecodeError> {
        let creator = self.pid(cursor, raw.creator)?;
        let free = self.terms(cursor, raw.free_count, depth)?;
        cursor.end_of_fun(raw.left_after)?;
        Ok(Fun {
            arity: raw.arity,
            uniq: *raw.uniq,
            index: raw.index,
            module: raw.module.to_atom(),
            old_index: raw.old_index.to_term(),
            old_uniq: raw.old_uniq.to_term(),
            creator,
            free: free.into(),
        })
    }
}

impl RawInt<'_> {
    fn to_term(self) -> Term {
        match self {
            RawInt::Small(value) => Term::Int(value),
            RawInt::Big { negative, digits } => big(negative, digits),
        }
    }
}

impl RawReference<'_> {
    /// The reference, its node resolved.
    pub(super) fn at(&self, node: NodeName) -> Reference {
        let mut words = [0; crate::limits::REFERENCE_WORDS_MAX];
        let count = self.words.len() / 4;
        for (word, bytes) in words.iter_mut().zip(self.words.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().expect("chunks of four"));
        }
        Reference::new(node, self.creation, &words[..count]).expect("one to five words were read")
    }
}

/// `head` answers digits only where the value does not fit an `i64`.
pub(super) fn big_int(negative: bool, digits: &[u8]) -> BigInt {
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    BigInt::from_bytes_le(sign, digits)
}

fn big(negative: bool, digits: &[u8]) -> Term {
    Term::BigInt(Box::new(big_int(negative, digits)))
}
