//! From terms to bytes.
//!
//! An [`Encoder`] appends terms to one buffer. It is driven from above: `term` writes a whole
//! [`Term`], the other methods write one value or the head of a container whose elements the
//! caller writes next; serde and the control messages of the distribution are built on those.
//!
//! Atoms are written inline ([`Encoder::plain`]), or as references into a list that grows with the
//! message ([`Encoder::with_atom_refs`]). A connection later assigns its cache slots to that list
//! and puts them into the header, so the message itself is encoded once, for whatever connection.
//! The 256th atom of a message and those after it are written inline.
//!
//! What is written is what OTP's `term_to_binary` writes with `[deterministic]`: the smallest
//! form of integers, `STRING_EXT` for lists of bytes, UTF-8 atoms, maps in the order of their keys.

use bytes::Bytes;

use super::error::EncodeError;
use super::tag;
use crate::atom::{Atom, AtomTooLong};
use crate::bignum::Bignum;
use crate::binary::Binary;
use crate::identity::{Pid, Port, Reference};
use crate::limits::{ATOM_CHARS_MAX, ATOM_REFS_MAX};
use crate::list::{List, Parts};
use crate::node_name::NodeName;
use crate::term::{Export, Fun, Term};

/// Longest list that is written as `STRING_EXT`.
const STRING_MAX: usize = 65_535;

/// Bytes that a buffer holds before it grows: most control messages and small calls.
const FIRST_CAPACITY: usize = 128;

/// Writes terms into a buffer.
///
/// ```
/// use purlin_term::{Encoder, atom};
/// let mut encoder = Encoder::plain();
/// encoder.tuple(2)?;
/// encoder.atom(&atom!("add"));
/// encoder.int(1);
/// assert_eq!(encoder.finish().0, [104, 2, 119, 3, b'a', b'd', b'd', 97, 1][..]);
/// # Ok::<(), purlin_term::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    bytes: Vec<u8>,
    refs: Option<AtomList>,
}

/// The atoms of a message in order of first use, at most [`ATOM_REFS_MAX`].
#[derive(Debug)]
struct AtomList {
    atoms: Vec<Atom>,
    /// For each bucket of a hash of the text the last atom seen there, plus one. A hint that
    /// is checked, so a collision costs only a search.
    hints: [u8; HINTS],
    /// The first nodes of pids and references, with their numbers.
    nodes: [Option<(NodeName, u8)>; NODES],
}

const HINTS: usize = 64;

/// The sender's node and the receiver's: few messages name others.
const NODES: usize = 2;

/// So many are compared one by one: sooner done than finding a hint.
const FEW: usize = 8;

impl AtomList {
    fn new(atoms: Vec<Atom>) -> Self {
        assert!(
            atoms.len() <= ATOM_REFS_MAX,
            "a message lists at most 255 atoms"
        );
        Self {
            atoms,
            hints: [0; HINTS],
            nodes: [None; NODES],
        }
    }

    fn restart(&mut self, atoms: &[Atom]) {
        let mut kept = std::mem::take(&mut self.atoms);
        kept.clear();
        kept.extend_from_slice(atoms);
        *self = Self::new(kept);
    }

    /// The number of `atom` in the list; `None` if it is not there and the list is full.
    #[inline]
    fn number(&mut self, atom: &Atom) -> Option<u8> {
        self.number_of(atom.as_bytes(), |known| known == atom, || atom.clone())
    }

    /// The number of the name of a node: mostly it is one that was asked for before.
    #[inline]
    fn number_of_node(&mut self, node: NodeName) -> Option<u8> {
        let mut known = self.nodes.iter().flatten();
        if let Some((_, number)) = known.find(|(known, _)| *known == node) {
            return Some(*number);
        }
        let number = self.number(node.atom())?;
        if let Some(free) = self.nodes.iter_mut().find(|place| place.is_none()) {
            *free = Some((node, number));
        }
        Some(number)
    }

    /// As [`AtomList::number`]; the atom is made only if it is not in the list yet.
    #[inline]
    fn number_of(
        &mut self,
        text: &[u8],
        is_it: impl Fn(&Atom) -> bool,
        make: impl FnOnce() -> Atom,
    ) -> Option<u8> {
        if self.atoms.len() <= FEW {
            if let Some(found) = self.atoms.iter().position(&is_it) {
                return Some(found as u8);
            }
            self.atoms.push(make());
            return Some((self.atoms.len() - 1) as u8);
        }
        let bucket = bucket(text);
        let hint = usize::from(self.hints[bucket]);
        if hint > 0 && is_it(&self.atoms[hint - 1]) {
            return Some((hint - 1) as u8);
        }
        let found = match self.atoms.iter().position(is_it) {
            Some(found) => found,
            None if self.atoms.len() >= ATOM_REFS_MAX => return None,
            None => {
                self.atoms.push(make());
                self.atoms.len() - 1
            }
        };
        self.hints[bucket] = (found + 1) as u8;
        Some(found as u8)
    }
}

/// First, middle and last byte and the length tell short identifiers apart well enough for a hint.
#[inline]
fn bucket(text: &[u8]) -> usize {
    let (first, middle, last) = match text {
        [] => (0, 0, 0),
        _ => (text[0], text[text.len() / 2], text[text.len() - 1]),
    };
    let mixed = usize::from(first) * 31 + usize::from(middle) * 7 + usize::from(last) * 3;
    (mixed + text.len()) % HINTS
}

const _: () = assert!(ATOM_REFS_MAX <= u8::MAX as usize);

/// How much larger than the least a buffer for `term` should be: exact for a binary, the size of
/// small elements for a container. Spares a large buffer its first growths.
fn size_hint(term: &Term) -> usize {
    match term {
        Term::Binary(bytes) => bytes.len(),
        Term::Tuple(items) => 4 * items.len(),
        Term::List(items) => match items.parts() {
            Parts::Terms(items) => 4 * items.len(),
            Parts::Bytes(bytes) => bytes.len(),
        },
        Term::Map(map) => 8 * map.pairs().len(),
        _ => 0,
    }
}

impl Encoder {
    /// An encoder that writes atoms inline.
    pub fn plain() -> Self {
        Self {
            bytes: Vec::with_capacity(FIRST_CAPACITY),
            refs: None,
        }
    }

    /// An encoder that writes atoms as references into a list, which `finish` answers.
    pub fn with_atom_refs() -> Self {
        Self::continuing(Vec::new())
    }

    /// An encoder that writes atoms as references, the first of which are `atoms` by number: what
    /// it writes can stand in one message with what was encoded before.
    ///
    /// # Panics
    /// When `atoms` are more than 255.
    pub fn continuing(atoms: Vec<Atom>) -> Self {
        Self {
            bytes: Vec::with_capacity(FIRST_CAPACITY),
            refs: Some(AtomList::new(atoms)),
        }
    }

    /// Forgets what was written, and starts a message anew in the same memory. One that writes atoms as
    /// references continues `atoms`, as [`Encoder::continuing`].
    ///
    /// # Panics
    /// When `atoms` are more than 255.
    #[doc(hidden)]
    pub fn restart(&mut self, atoms: &[Atom]) {
        self.bytes.clear();
        if let Some(list) = &mut self.refs {
            list.restart(atoms);
        }
    }

    /// The atoms that what was written refers to by number.
    #[doc(hidden)]
    pub fn atoms(&self) -> &[Atom] {
        self.refs.as_ref().map_or(&[], |list| &list.atoms)
    }

    /// The bytes written, and the atoms they refer to by number.
    pub fn finish(self) -> (Bytes, Vec<Atom>) {
        let (bytes, atoms) = self.into_parts();
        (bytes.into(), atoms)
    }

    /// As [`Encoder::finish`], for bytes that are not shared.
    pub fn into_parts(self) -> (Vec<u8>, Vec<Atom>) {
        let atoms = self.refs.map(|list| list.atoms).unwrap_or_default();
        (self.bytes, atoms)
    }

    /// An encoder that writes atoms inline, with room for most of `term`.
    pub(crate) fn plain_for(term: &Term) -> Self {
        Self {
            bytes: Vec::with_capacity(FIRST_CAPACITY + size_hint(term)),
            refs: None,
        }
    }

    /// The bytes written, to be kept by one owner.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The version byte 131 that stands before a term on its own.
    pub fn version(&mut self) {
        self.bytes.push(tag::VERSION);
    }

    /// Appends bytes that are an encoded term already, in this encoder's mode.
    #[doc(hidden)]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.put_int(value);
    }

    #[inline(always)]
    fn put_int(&mut self, value: i64) {
        if let Ok(small) = u8::try_from(value) {
            self.bytes.extend_from_slice(&[tag::SMALL_INTEGER, small]);
        } else if let Ok(value) = i32::try_from(value) {
            self.tagged(tag::INTEGER, value.to_be_bytes());
        } else {
            self.long_int(value);
        }
    }

    #[inline(never)]
    fn long_int(&mut self, value: i64) {
        self.magnitude(value < 0, &value.unsigned_abs().to_le_bytes());
    }

    /// An integer of 128 bits.
    pub fn int128(&mut self, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.int(value),
            Err(_) => self.magnitude(value < 0, &value.unsigned_abs().to_le_bytes()),
        }
    }

    /// An unsigned integer of 128 bits.
    pub fn uint128(&mut self, value: u128) {
        match i64::try_from(value) {
            Ok(value) => self.int(value),
            Err(_) => self.magnitude(false, &value.to_le_bytes()),
        }
    }

    /// An integer of at most 255 bytes; zeros at the high end are left out.
    fn magnitude(&mut self, negative: bool, digits: &[u8]) {
        let len = digits
            .iter()
            .rposition(|&d| d != 0)
            .map_or(0, |last| last + 1);
        self.bytes
            .extend_from_slice(&[tag::SMALL_BIG, len as u8, negative.into()]);
        self.bytes.extend_from_slice(&digits[..len]);
    }

    /// An integer of more than 64 bits.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] from 2^32 bytes on.
    pub fn bignum(&mut self, value: &Bignum) -> Result<(), EncodeError> {
        let len = value.magnitude().len();
        match u8::try_from(len) {
            Ok(small) => self.bytes.extend_from_slice(&[tag::SMALL_BIG, small]),
            Err(_) => self.counted(tag::LARGE_BIG, len)?,
        }
        self.bytes.extend_from_slice(value.signed_bytes());
        Ok(())
    }

    /// A float; one that is not finite has no encoding and is for the caller to refuse.
    ///
    /// # Panics
    /// When `value` is not finite.
    #[inline]
    pub fn float(&mut self, value: f64) {
        assert!(
            value.is_finite(),
            "Erlang has no infinite floats and no NaN"
        );
        self.tagged(tag::NEW_FLOAT, value.to_be_bytes());
    }

    /// An atom.
    #[inline]
    pub fn atom(&mut self, atom: &Atom) {
        self.put_atom(atom);
    }

    #[inline(always)]
    fn put_atom(&mut self, atom: &Atom) {
        match &self.refs {
            Some(_) => self.listed_atom(atom),
            None => self.inline_atom(atom),
        }
    }

    #[inline(never)]
    fn listed_atom(&mut self, atom: &Atom) {
        match self.refs.as_mut().and_then(|list| list.number(atom)) {
            Some(number) => self.bytes.extend_from_slice(&[tag::ATOM_CACHE_REF, number]),
            None => self.inline_atom(atom),
        }
    }

    /// The name of a node.
    fn node(&mut self, node: NodeName) {
        let list = self.refs.as_mut();
        match list.and_then(|list| list.number_of_node(node)) {
            Some(number) => self.bytes.extend_from_slice(&[tag::ATOM_CACHE_REF, number]),
            None => self.inline_atom(node.atom()),
        }
    }

    /// An atom of `text`; a long one is made only where the list needs a new one.
    #[inline]
    pub(crate) fn atom_str(&mut self, text: &str) -> Result<(), AtomTooLong> {
        if Atom::fits_inline(text) || text.len() > ATOM_CHARS_MAX {
            let atom = Atom::new(text)?;
            self.atom(&atom);
            return Ok(());
        }
        let number = self.refs.as_mut().and_then(|list| {
            let make = || Atom::new(text).expect("at most 255 bytes");
            list.number_of(text.as_bytes(), |known| *known == *text, make)
        });
        match number {
            Some(number) => self.bytes.extend_from_slice(&[tag::ATOM_CACHE_REF, number]),
            None => self.long_atom(text.as_bytes()),
        }
        Ok(())
    }

    /// A tag and the number after it, with one check of the room for both.
    #[inline]
    fn tagged<const N: usize>(&mut self, tag: u8, number: [u8; N]) {
        const { assert!(N <= 8, "the number fits the piece") };
        let mut piece = [0; 9];
        piece[0] = tag;
        piece[1..=N].copy_from_slice(&number);
        self.bytes.extend_from_slice(&piece[..=N]);
    }

    #[inline]
    fn inline_atom(&mut self, atom: &Atom) {
        match atom.as_short() {
            Some((len, text)) => {
                // As many bytes for every text, and what is too much taken back: a copy of a
                // length known only at run time costs more.
                let end = self.bytes.len() + 2 + len;
                // The text from where it lies: put together with the head first, it would be read
                // back in other pieces than it was written.
                self.bytes
                    .extend_from_slice(&[tag::SMALL_ATOM_UTF8, len as u8]);
                self.bytes.extend_from_slice(text);
                self.bytes.truncate(end);
            }
            None => self.long_atom(atom.as_bytes()),
        }
    }

    #[inline(never)]
    fn long_atom(&mut self, text: &[u8]) {
        if let Ok(len) = u8::try_from(text.len()) {
            self.bytes.extend_from_slice(&[tag::SMALL_ATOM_UTF8, len]);
        } else {
            self.bytes.push(tag::ATOM_UTF8);
            self.bytes
                .extend_from_slice(&(text.len() as u16).to_be_bytes());
        }
        self.bytes.extend_from_slice(text);
    }

    /// A pid.
    #[inline(never)]
    pub fn pid(&mut self, pid: &Pid) {
        let numbers = [pid.id, pid.serial, pid.creation];
        self.pid_of(numbers, |encoder| encoder.node(pid.node));
    }

    /// A pid of id, serial and creation, whose node `node` writes.
    pub(crate) fn pid_of<T>(&mut self, numbers: [u32; 3], node: impl FnOnce(&mut Self) -> T) -> T {
        self.bytes.push(tag::NEW_PID);
        let written = node(self);
        let mut bytes = [0; 12];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        self.bytes.extend_from_slice(&bytes);
        written
    }

    /// A port: in the 32-bit form where its number fits.
    pub fn port(&mut self, port: &Port) {
        self.port_of(port.id, port.creation, |encoder| {
            encoder.node(port.node);
        });
    }

    /// A port whose node `node` writes.
    pub(crate) fn port_of<T>(
        &mut self,
        id: u64,
        creation: u32,
        node: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let small = u32::try_from(id);
        self.bytes.push(if small.is_ok() {
            tag::NEW_PORT
        } else {
            tag::V4_PORT
        });
        let written = node(self);
        match small {
            Ok(id) => self.bytes.extend_from_slice(&id.to_be_bytes()),
            Err(_) => self.bytes.extend_from_slice(&id.to_be_bytes()),
        }
        self.bytes.extend_from_slice(&creation.to_be_bytes());
        written
    }

    /// A reference.
    pub fn reference(&mut self, reference: &Reference) {
        self.reference_of(reference.creation(), reference.words(), |encoder| {
            encoder.node(reference.node());
        });
    }

    /// A reference of one to five words, whose node `node` writes.
    pub(crate) fn reference_of<T>(
        &mut self,
        creation: u32,
        words: &[u32],
        node: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.bytes.push(tag::NEWER_REFERENCE);
        self.bytes
            .extend_from_slice(&(words.len() as u16).to_be_bytes());
        let written = node(self);
        self.bytes.extend_from_slice(&creation.to_be_bytes());
        for word in words {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
        written
    }

    /// The head of a tuple; its `arity` elements follow.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] from 2^32 elements on.
    #[inline]
    pub fn tuple(&mut self, arity: usize) -> Result<(), EncodeError> {
        if let Ok(small) = u8::try_from(arity) {
            self.bytes.extend_from_slice(&[tag::SMALL_TUPLE, small]);
            return Ok(());
        }
        self.counted(tag::LARGE_TUPLE, arity)
    }

    /// The empty list.
    #[inline]
    pub fn nil(&mut self) {
        self.bytes.push(tag::NIL);
    }

    /// The head of a list of at least one element; its elements follow, then its tail
    /// ([`Encoder::nil`] for a proper one).
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] from 2^32 elements on.
    pub fn list(&mut self, len: usize) -> Result<(), EncodeError> {
        self.counted(tag::LIST, len)
    }

    /// The head of a map; its `len` pairs follow, keys before values.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] from 2^32 pairs on.
    pub fn map(&mut self, len: usize) -> Result<(), EncodeError> {
        self.counted(tag::MAP, len)
    }

    /// Writes a later-known count into the head of a list, tuple of the large form, or map that
    /// starts at offset `at`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] from 2^32 on.
    #[doc(hidden)]
    pub fn patch_count(&mut self, at: usize, count: usize) -> Result<(), EncodeError> {
        let count32 = u32::try_from(count).map_err(|_| EncodeError::TooLong(count))?;
        self.bytes[at + 1..at + 5].copy_from_slice(&count32.to_be_bytes());
        Ok(())
    }

    /// Forgets everything written from offset `at` on. Atoms listed there stay listed.
    #[doc(hidden)]
    pub fn truncate(&mut self, at: usize) {
        self.bytes.truncate(at);
    }

    /// Rewrites the list of `count` elements whose head is at offset `at`, and after whose last
    /// element the buffer ends, as `STRING_EXT` if all are integers of one byte. Answers whether.
    pub(crate) fn list_to_string(&mut self, at: usize, count: usize) -> bool {
        let first = at + 1 + size_of::<u32>();
        let pair = 2;
        if count > STRING_MAX || self.bytes.len() - first != pair * count {
            return false;
        }
        let elements = self.bytes[first..].chunks_exact(pair);
        if !elements.into_iter().all(|e| e[0] == tag::SMALL_INTEGER) {
            return false;
        }
        self.bytes[at] = tag::STRING;
        self.bytes[at + 1..at + 3].copy_from_slice(&(count as u16).to_be_bytes());
        for i in 0..count {
            self.bytes[at + 3 + i] = self.bytes[first + pair * i + 1];
        }
        self.bytes.truncate(at + 3 + count);
        true
    }

    /// A binary.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] from 4 GiB on.
    #[inline]
    pub fn binary(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.counted(tag::BINARY, bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Any term.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for a container or binary of 2^32 elements or bytes.
    #[inline(never)]
    pub fn term(&mut self, term: &Term) -> Result<(), EncodeError> {
        self.one(term)
    }

    /// Leaves are written here, in the loops over a container; what nests or is rare is a call.
    #[inline(always)]
    fn one(&mut self, term: &Term) -> Result<(), EncodeError> {
        if let Term::Int(value) = term {
            self.put_int(*value);
            return Ok(());
        }
        match term {
            Term::Atom(atom) => self.put_atom(atom),
            Term::Float(value) => self.float(value.get()),
            Term::Binary(bytes) => return self.short_binary(bytes),
            Term::Tuple(items) => return self.whole_tuple(items),
            Term::List(items) => return self.proper_list(items),
            Term::Map(map) => return self.whole_map(map.pairs()),
            Term::Pid(pid) => self.pid(pid),
            other => return self.other(other),
        }
        Ok(())
    }

    /// A loop, not `try_for_each`, whose closure would be a call for each term.
    #[inline(always)]
    fn terms(&mut self, terms: &[Term]) -> Result<(), EncodeError> {
        for term in terms {
            self.one(term)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn whole_tuple(&mut self, items: &[Term]) -> Result<(), EncodeError> {
        self.tuple(items.len())?;
        self.terms(items)
    }

    #[inline(never)]
    fn whole_map(&mut self, pairs: &[(Term, Term)]) -> Result<(), EncodeError> {
        self.map(pairs.len())?;
        for (key, value) in pairs {
            self.one(key)?;
            self.one(value)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn proper_list(&mut self, list: &List) -> Result<(), EncodeError> {
        match list.parts() {
            Parts::Terms(items) => {
                self.list(items.len())?;
                self.terms(items)?;
                self.nil();
                Ok(())
            }
            Parts::Bytes(bytes) => self.bytes(bytes),
        }
    }

    /// A list of bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match bytes.len() {
            0 => self.nil(),
            len @ ..=STRING_MAX => {
                let [high, low] = (len as u16).to_be_bytes();
                self.bytes.extend_from_slice(&[tag::STRING, high, low]);
                self.bytes.extend_from_slice(bytes);
            }
            len => {
                self.list(len)?;
                let elements = bytes.iter().flat_map(|&byte| [tag::SMALL_INTEGER, byte]);
                self.bytes.extend(elements);
                self.nil();
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn other(&mut self, term: &Term) -> Result<(), EncodeError> {
        match term {
            Term::Port(port) => self.port(port),
            Term::Reference(reference) => self.reference(reference),
            Term::BigInt(value) => self.bignum(value)?,
            Term::ImproperList(list) => {
                self.list(list.items().len())?;
                for item in list.items() {
                    self.term(item)?;
                }
                self.term(list.tail())?;
            }
            Term::BitString(bits) => {
                self.counted(tag::BIT_BINARY, bits.bytes().len())?;
                self.bytes.push(bits.last_bits());
                self.bytes.extend_from_slice(bits.bytes());
            }
            Term::Fun(fun) => self.fun(fun)?,
            Term::Export(export) => self.export(export),
            _ => unreachable!("the others are written in `one`"),
        }
        Ok(())
    }

    /// As with atoms: one copy of a known size, and what is too much taken back.
    #[inline(always)]
    fn short_binary(&mut self, binary: &Binary) -> Result<(), EncodeError> {
        let Some((len, bytes)) = binary.as_short() else {
            return self.long_binary(binary);
        };
        let end = self.bytes.len() + 5 + len;
        let mut piece = [0; 20];
        piece[..5].copy_from_slice(&[tag::BINARY, 0, 0, 0, len as u8]);
        piece[5..].copy_from_slice(bytes);
        self.bytes.extend_from_slice(&piece);
        self.bytes.truncate(end);
        Ok(())
    }

    #[inline(never)]
    fn long_binary(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.binary(bytes)
    }

    fn fun(&mut self, fun: &Fun) -> Result<(), EncodeError> {
        self.bytes.push(tag::NEW_FUN);
        let start = self.bytes.len();
        self.length(0)?;
        self.bytes.push(fun.arity);
        self.bytes.extend_from_slice(&fun.uniq);
        self.bytes.extend_from_slice(&fun.index.to_be_bytes());
        self.length(fun.free.len())?;
        self.atom(&fun.module);
        self.term(&fun.old_index)?;
        self.term(&fun.old_uniq)?;
        self.pid(&fun.creator);
        for value in &fun.free {
            self.term(value)?;
        }
        self.patch_count(start - 1, self.bytes.len() - start)
    }

    fn export(&mut self, export: &Export) {
        self.bytes.push(tag::EXPORT);
        self.atom(&export.module);
        self.atom(&export.function);
        self.int(export.arity.into());
    }

    /// A tag and a length after it.
    #[inline]
    fn counted(&mut self, tag: u8, len: usize) -> Result<(), EncodeError> {
        let len = u32::try_from(len).map_err(|_| EncodeError::TooLong(len))?;
        self.tagged(tag, len.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn length(&mut self, len: usize) -> Result<(), EncodeError> {
        let len = u32::try_from(len).map_err(|_| EncodeError::TooLong(len))?;
        self.bytes.extend_from_slice(&len.to_be_bytes());
        Ok(())
    }
}
