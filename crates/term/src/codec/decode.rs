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
//! Speed: leaves are read where they are wanted, in the loops over a container's elements; whatever
//! nests or is rare is a call that is not inlined, so that the frames of a deep term stay small.
//! Long lists of numbers are read as runs of pieces of one size.
//!
//! Recursion is bounded by [`Limits::depth_max`]. A list whose tail is a list again is one level,
//! however long the chain. Counts are checked against the bytes that are there before anything is
//! allocated (see `head`), and against [`Limits::elements_max`].

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::head::{
    AtomText, Cursor, Frequent, Head, ListTail, Numbers, RawFun, RawInt, RawPid, RawReference,
};
use super::tag;
use crate::atom::Atom;
use crate::bignum::Bignum;
use crate::binary::Binary;
use crate::identity::{Pid, Port, Reference};
use crate::limits::Limits;
use crate::list::List;
use crate::node_name::{NameBudget, NodeName};
use crate::term::{BitString, Export, Float, Fun, Map, Term};

/// From this length on a list is asked whether it is a run of numbers.
///
/// A guess: asking costs about what reading one element does.
const RUN_MIN: usize = 8;

/// Decodes and checks terms of one source.
pub struct Decoder<'a, 'b> {
    atoms: &'a [Atom],
    depth_max: usize,
    size_max: usize,
    elements_left: usize,
    names: &'b mut NameBudget,
    /// The node name met last: its bytes, whatever their form, and what they mean.
    last_node: Option<(&'a [u8], NodeName)>,
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
    /// others are replaced by the empty atom, so that nothing keeps them alive. `None` for the empty set.
    pub(crate) fn select(&self, atoms: &[Atom]) -> Option<Arc<[Atom]>> {
        let has = |number: &usize| self.0[number / 64] & (1 << (number % 64)) != 0;
        let len = (0..atoms.len()).rev().find(has).map_or(0, |last| last + 1);
        let entry = |number| {
            if has(&number) {
                atoms[number].clone()
            } else {
                crate::atom!("")
            }
        };
        (len > 0).then(|| (0..len).map(entry).collect())
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
        let walked = self.walk(&mut cursor, self.depth_max);
        walked
            .map(|()| cursor.at())
            .map_err(|kind| cursor.fail(kind))
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
        let term = self.term(&mut cursor, self.depth_max);
        term.map(|term| (term, cursor.at()))
            .map_err(|kind| cursor.fail(kind))
    }

    /// Decodes the term that `bytes` are, and nothing else.
    pub(crate) fn decode_whole(&mut self, bytes: &'a [u8]) -> Result<Term, DecodeError> {
        self.check_size(bytes)?;
        let mut cursor = Cursor::new(bytes);
        match self.term(&mut cursor, self.depth_max) {
            Ok(term) if cursor.at() == bytes.len() => Ok(term),
            Ok(_) => Err(cursor.fail(Kind::Trailing(bytes.len() - cursor.at()))),
            Err(kind) => Err(cursor.fail(kind)),
        }
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

    fn walk(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<(), Kind> {
        self.walk_terms(cursor, 1, depth)
    }

    /// Walks `count` terms that lie `depth` levels above the deepest allowed.
    fn walk_terms(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<(), Kind> {
        for _ in 0..count {
            match cursor.frequent()? {
                Frequent::Int(_) | Frequent::Float(_) | Frequent::Nil => {}
                Frequent::Atom(tag) => {
                    if cursor.short_atom(tag).is_none() {
                        self.walk_atom(cursor, tag)?;
                    }
                }
                Frequent::Binary(len) => drop(cursor.take(len)?),
                Frequent::Tuple(count) => self.walk_inside(cursor, count, depth)?,
                Frequent::Map(count) => self.walk_inside(cursor, 2 * count, depth)?,
                Frequent::List(count) => self.walk_list(cursor, count, depth)?,
                Frequent::Other(tag) => self.walk_other(cursor, tag, depth)?,
            }
        }
        Ok(())
    }

    fn walk_inside(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
    ) -> Result<(), Kind> {
        let depth = self.enter(count, depth)?;
        self.walk_terms(cursor, count, depth)
    }

    #[inline(never)]
    fn walk_atom(&mut self, cursor: &mut Cursor<'a>, tag: u8) -> Result<(), Kind> {
        let atom = cursor.atom_body(tag, self.atoms)?;
        self.used.note(atom);
        Ok(())
    }

    #[inline(never)]
    fn walk_other(&mut self, cursor: &mut Cursor<'a>, tag: u8, depth: usize) -> Result<(), Kind> {
        match tag {
            tag::STRING => {
                let len = cursor.string_body()?.len();
                self.spend(len)
            }
            tag::LARGE_TUPLE => match cursor.other_head(tag, self.atoms)? {
                Head::Tuple(count) => self.walk_inside(cursor, count, depth),
                _ => unreachable!("LARGE_TUPLE is a tuple"),
            },
            tag::NEW_FUN => {
                let fun = cursor.fun_body(self.atoms, |cursor| self.node(cursor))?;
                self.used.note(fun.module);
                self.walk_inside(cursor, fun.free_count, depth)?;
                cursor.end_of_fun(fun.left_after)
            }
            _ => self.walk_leaf(cursor, tag),
        }
    }

    #[inline(never)]
    fn walk_leaf(&mut self, cursor: &mut Cursor<'a>, tag: u8) -> Result<(), Kind> {
        let node = |cursor: &mut Cursor<'a>| self.node(cursor);
        match tag {
            tag::NEW_PID | tag::PID => drop(cursor.pid_body(tag, node)?),
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => {
                cursor.reference_body(tag, node)?;
            }
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => drop(cursor.port_body(tag, node)?),
            _ => match cursor.other_head(tag, self.atoms)? {
                Head::Atom(atom) => self.used.note(atom),
                Head::Export(module, function, _) => {
                    self.used.note(module);
                    self.used.note(function);
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// A list whose tail is a list again is one level, however long the chain.
    fn walk_list(
        &mut self,
        cursor: &mut Cursor<'a>,
        mut count: usize,
        depth: usize,
    ) -> Result<(), Kind> {
        loop {
            let inside = self.enter(count, depth)?;
            if count >= RUN_MIN {
                count -= cursor.numbers(count).len();
            }
            self.walk_terms(cursor, count, inside)?;
            match cursor.list_tail()? {
                ListTail::Nil => return Ok(()),
                ListTail::More(more) => count = more,
                ListTail::Improper => {
                    let depth = self.enter(0, depth)?;
                    return self.walk_terms(cursor, 1, depth);
                }
            }
        }
    }

    /// Pays for `count` elements and goes one level down.
    #[inline]
    fn enter(&mut self, count: usize, depth: usize) -> Result<usize, Kind> {
        self.spend(count)?;
        depth.checked_sub(1).ok_or(Kind::TooDeep)
    }

    #[inline]
    fn spend(&mut self, count: usize) -> Result<(), Kind> {
        let left = self.elements_left.checked_sub(count);
        self.elements_left = left.ok_or(Kind::TooManyElements)?;
        Ok(())
    }

    /// Reads an atom that is a node's name.
    #[inline]
    fn node(&mut self, cursor: &mut Cursor<'a>) -> Result<NodeName, Kind> {
        match self.last_node {
            Some((bytes, node)) if cursor.goes_past(bytes) => Ok(node),
            _ => self.other_node(cursor),
        }
    }

    #[inline(never)]
    fn other_node(&mut self, cursor: &mut Cursor<'a>) -> Result<NodeName, Kind> {
        let start = *cursor;
        let tag = cursor.u8()?;
        let name = match cursor.short_atom(tag) {
            Some(text) => Atom::from_short(text),
            None => {
                let text = cursor.atom_body(tag, self.atoms)?;
                self.used.note(text);
                text.to_atom()
            }
        };
        let node = NodeName::intern(&name, self.names).map_err(Kind::NodeName)?;
        self.last_node = Some((cursor.since(start), node));
        Ok(node)
    }

    /// Decodes one term and hands it to `put`. There is one `put` for each kind of leaf, called where
    /// the leaf is made: a term that came from many places to one, or out of a call, would be put
    /// together in one place and copied to another, in pieces that are larger than those written.
    /// Calls are given `put` to do so only if it is `IN_PLACE`; one that holds a key is better kept.
    #[inline(always)]
    fn term_into<R, const IN_PLACE: bool>(
        &mut self,
        cursor: &mut Cursor<'a>,
        depth: usize,
        put: impl FnOnce(Term) -> R,
    ) -> Result<R, Kind> {
        Ok(match cursor.frequent()? {
            Frequent::Int(value) => put(Term::Int(value)),
            Frequent::Float(value) => put(Term::Float(value)),
            Frequent::Nil => put(Term::nil()),
            Frequent::Atom(tag) => match cursor.short_atom(tag) {
                Some(text) => put(Term::Atom(Atom::from_short(text))),
                None if IN_PLACE => return self.atom(cursor, tag, put),
                None => put(self.atom(cursor, tag, same)?),
            },
            Frequent::Binary(len) => match cursor.short_binary(len) {
                Some(binary) => put(Term::Binary(binary)),
                None if IN_PLACE => return self.binary(cursor, len, put),
                None => put(self.binary(cursor, len, same)?),
            },
            Frequent::Tuple(count) => put(self.tuple(cursor, count, depth)?),
            Frequent::List(count) => put(self.list(cursor, count, depth)?),
            Frequent::Map(count) => put(self.map(cursor, count, depth)?),
            Frequent::Other(tag) if IN_PLACE => return self.other(cursor, tag, depth, put),
            Frequent::Other(tag) => put(self.other(cursor, tag, depth, same)?),
        })
    }

    #[inline(never)]
    fn term(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<Term, Kind> {
        self.term_into::<_, true>(cursor, depth, same)
    }

    /// Decodes `count` terms onto the end of `terms`.
    #[inline(never)]
    fn terms(
        &mut self,
        cursor: &mut Cursor<'a>,
        count: usize,
        depth: usize,
        terms: &mut Vec<Term>,
    ) -> Result<(), Kind> {
        for _ in 0..count {
            self.term_into::<_, true>(cursor, depth, |term| push_reserved(terms, term))?;
        }
        Ok(())
    }

    #[inline(never)]
    fn atom<R>(
        &mut self,
        cursor: &mut Cursor<'a>,
        tag: u8,
        put: impl FnOnce(Term) -> R,
    ) -> Result<R, Kind> {
        Ok(put(Term::Atom(
            cursor.atom_body(tag, self.atoms)?.to_atom(),
        )))
    }

    #[inline(never)]
    fn binary<R>(
        &mut self,
        cursor: &mut Cursor<'a>,
        len: usize,
        put: impl FnOnce(Term) -> R,
    ) -> Result<R, Kind> {
        let bytes = cursor.take(len)?;
        Ok(put(Term::Binary(self.binary_of(bytes))))
    }

    fn binary_of(&self, bytes: &'a [u8]) -> Binary {
        match self.shared {
            Some(shared) => Binary::cut(shared, bytes),
            None => Binary::copy_from_slice(bytes),
        }
    }

    #[inline(never)]
    fn tuple(&mut self, cursor: &mut Cursor<'a>, count: usize, depth: usize) -> Result<Term, Kind> {
        let depth = self.enter(count, depth)?;
        let mut items = Vec::with_capacity(count);
        self.terms(cursor, count, depth, &mut items)?;
        Ok(Term::Tuple(items.into()))
    }

    #[inline(never)]
    fn list(
        &mut self,
        cursor: &mut Cursor<'a>,
        mut count: usize,
        depth: usize,
    ) -> Result<Term, Kind> {
        let mut inside = self.enter(count, depth)?;
        let mut items = Vec::with_capacity(count);
        loop {
            if count >= RUN_MIN {
                count -= numbers(cursor, count, &mut items);
            }
            self.terms(cursor, count, inside, &mut items)?;
            match cursor.list_tail()? {
                ListTail::Nil => return Ok(Term::List(items.into())),
                ListTail::More(more) => {
                    inside = self.enter(more, depth)?;
                    items.reserve(more);
                    count = more;
                }
                ListTail::Improper => return self.with_tail(cursor, items, depth),
            }
        }
    }

    /// A list of `items` and the tail that comes next.
    #[inline(never)]
    fn with_tail(
        &mut self,
        cursor: &mut Cursor<'a>,
        items: Vec<Term>,
        depth: usize,
    ) -> Result<Term, Kind> {
        let depth = self.enter(0, depth)?;
        let tail = self.term(cursor, depth)?;
        Ok(Term::list_with_tail(items, tail))
    }

    #[inline(never)]
    fn map(&mut self, cursor: &mut Cursor<'a>, count: usize, depth: usize) -> Result<Term, Kind> {
        let depth = self.enter(2 * count, depth)?;
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let key = self.term_into::<_, false>(cursor, depth, same)?;
            self.term_into::<_, false>(cursor, depth, |value| {
                push_reserved(&mut pairs, (key, value));
            })?;
        }
        Map::new(pairs)
            .map(Term::Map)
            .map_err(|_| Kind::DuplicateKey)
    }

    #[inline(never)]
    fn other<R>(
        &mut self,
        cursor: &mut Cursor<'a>,
        tag: u8,
        depth: usize,
        put: impl FnOnce(Term) -> R,
    ) -> Result<R, Kind> {
        Ok(match tag {
            tag::STRING => put(self.string(cursor)?),
            tag::LARGE_TUPLE => match cursor.other_head(tag, self.atoms)? {
                Head::Tuple(count) => put(self.tuple(cursor, count, depth)?),
                _ => unreachable!("LARGE_TUPLE is a tuple"),
            },
            tag::NEW_PID | tag::PID => {
                let raw = cursor.pid_body(tag, |cursor| self.node(cursor))?;
                put(Term::Pid(raw.into()))
            }
            tag::SMALL_BIG | tag::LARGE_BIG => match cursor.big_body(tag)? {
                RawInt::Small(value) => put(Term::Int(value)),
                RawInt::Big { negative, digits } => put(big(negative, digits)),
            },
            tag::NEW_FUN => put(self.fun(cursor, depth)?),
            _ => put(self.leaf(cursor, tag)?),
        })
    }

    #[inline(never)]
    fn leaf(&mut self, cursor: &mut Cursor<'a>, tag: u8) -> Result<Term, Kind> {
        let node = |cursor: &mut Cursor<'a>| self.node(cursor);
        Ok(match tag {
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => {
                let raw = cursor.reference_body(tag, node)?;
                Term::Reference(Box::new(raw.at(raw.node)))
            }
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => {
                let raw = cursor.port_body(tag, node)?;
                Term::Port(Port {
                    node: raw.node,
                    creation: raw.creation,
                    id: raw.id,
                })
            }
            _ => match cursor.other_head(tag, self.atoms)? {
                Head::Int(value) => Term::Int(value),
                Head::Big { negative, digits } => big(negative, digits),
                Head::Float(value) => Term::Float(value),
                Head::Atom(atom) => Term::Atom(atom.to_atom()),
                Head::Binary(bytes) => Term::Binary(self.binary_of(bytes)),
                Head::Bits(bytes, last) => Term::BitString(Box::new(
                    BitString::new(bytes, last).ok_or(Kind::BadBitString)?,
                )),
                Head::Export(module, function, arity) => Term::Export(Box::new(Export {
                    module: module.to_atom(),
                    function: function.to_atom(),
                    arity,
                })),
                _ => unreachable!("every other tag is read elsewhere"),
            },
        })
    }

    #[inline(never)]
    fn string(&mut self, cursor: &mut Cursor<'a>) -> Result<Term, Kind> {
        let text = cursor.string_body()?;
        self.spend(text.len())?;
        Ok(Term::List(List::from_bytes(text)))
    }

    #[inline(never)]
    fn fun(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<Term, Kind> {
        let raw: RawFun<'a, NodeName> = cursor.fun_body(self.atoms, |cursor| self.node(cursor))?;
        let depth = self.enter(raw.free_count, depth)?;
        let mut free = Vec::with_capacity(raw.free_count);
        self.terms(cursor, raw.free_count, depth, &mut free)?;
        cursor.end_of_fun(raw.left_after)?;
        Ok(Term::Fun(Box::new(Fun {
            arity: raw.arity,
            uniq: *raw.uniq,
            index: raw.index,
            module: raw.module.to_atom(),
            old_index: raw.old_index.to_term(),
            old_uniq: raw.old_uniq.to_term(),
            creator: raw.creator.into(),
            free: free.into(),
        })))
    }
}

fn same(term: Term) -> Term {
    term
}

/// Pushes where room was made before. With the check the compiler sees that nothing moves the items,
/// and as the item is forgotten before a panic, nobody ever takes its address: so it is written where
/// it belongs word by word, instead of being put together elsewhere and copied.
#[inline(always)]
fn push_reserved<T>(items: &mut Vec<T>, item: T) {
    if items.len() >= items.capacity() {
        mem::forget(item);
        unreachable!("room was made for every element");
    }
    items.push(item);
}

/// Decodes numbers of one tag, at most `max`, onto the end of `terms`, and answers how many.
#[inline(never)]
fn numbers(cursor: &mut Cursor<'_>, max: usize, terms: &mut Vec<Term>) -> usize {
    let numbers = cursor.numbers(max);
    match numbers {
        Numbers::None => {}
        Numbers::Bytes(run) => {
            terms.extend(run.iter().map(|&[_, value]| Term::Int(value.into())));
        }
        Numbers::Ints(run) => {
            let value = |[_, value @ ..]: &[u8; 5]| i32::from_be_bytes(*value);
            terms.extend(run.iter().map(|piece| Term::Int(value(piece).into())));
        }
        Numbers::Floats(run) => {
            let value = |[_, value @ ..]: &[u8; 9]| Float::new(f64::from_be_bytes(*value));
            let float = |piece| Term::Float(value(piece).expect("the run is of finite floats"));
            terms.extend(run.iter().map(float));
        }
    }
    numbers.len()
}

impl From<RawPid<NodeName>> for Pid {
    fn from(raw: RawPid<NodeName>) -> Self {
        let RawPid {
            node,
            id,
            serial,
            creation,
        } = raw;
        Self {
            node,
            creation,
            id,
            serial,
        }
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

impl<N> RawReference<'_, N> {
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
#[inline]
fn big(negative: bool, digits: &[u8]) -> Term {
    Term::BigInt(Bignum::new(negative, digits))
}
