//! Reading the head of a term: its tag and what belongs to it, up to the first nested term.
//!
//! The one place that knows the layout of every tag. The walk, the decoder and the view are built
//! on it, so they cannot disagree about what is well-formed. A [`Head`] borrows from the input and
//! allocates nothing; node names are resolved by whoever wants them, since that may add to a table.
//!
//! Every length is checked against the bytes that are there, so a caller may allocate for `count`
//! elements of at least one byte each.
//!
//! Speed: [`Cursor::frequent`] is inlined into the loops of the decoder and the walk, where what it
//! answers never exists in memory; [`Head`] is for the rest, whose variants make it large. Errors
//! are kinds only, which fit two registers; whoever made the cursor adds the position.
//! Short texts are taken as words: a window of a fixed size is read and what is too much masked.

use std::borrow::Cow;

use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::tag;
use crate::atom::Atom;
use crate::binary::Binary;
use crate::limits::{ATOM_BYTES_MAX, ATOM_CHARS_MAX, REFERENCE_WORDS_MAX};
use crate::short;
use crate::term::Float;

const NOT_ASCII: u128 = u128::from_ne_bytes([0x80; 16]);

/// A position in the input.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
}

/// The text of an atom as it lies in the input.
#[derive(Debug, Clone, Copy)]
pub enum AtomText<'a> {
    /// UTF-8 text.
    Utf8(&'a str),
    /// One character a byte, as old peers write it.
    Latin1(&'a [u8]),
    /// An entry of the message's atom list, and its number there.
    Listed(&'a Atom, u8),
}

/// What a pid, port or reference holds; its node is a text or resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPid<N> {
    pub(crate) node: N,
    pub(crate) id: u32,
    pub(crate) serial: u32,
    pub(crate) creation: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPort<N> {
    pub(crate) node: N,
    pub(crate) id: u64,
    pub(crate) creation: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RawReference<'a, N> {
    pub(crate) node: N,
    pub(crate) creation: u32,
    /// Big-endian words of 32 bits.
    pub(crate) words: &'a [u8],
}

/// A fun up to its free variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawFun<'a, N> {
    pub(crate) arity: u8,
    pub(crate) uniq: &'a [u8; 16],
    pub(crate) index: u32,
    pub(crate) free_count: usize,
    pub(crate) module: AtomText<'a>,
    pub(crate) old_index: RawInt<'a>,
    pub(crate) old_uniq: RawInt<'a>,
    pub(crate) creator: RawPid<N>,
    /// Bytes that must be left in the input after the last free variable.
    pub(crate) left_after: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum RawInt<'a> {
    Small(i64),
    Big { negative: bool, digits: &'a [u8] },
}

pub(crate) enum Head<'a> {
    Int(i64),
    Big {
        negative: bool,
        digits: &'a [u8],
    },
    Float(Float),
    Atom(AtomText<'a>),
    Pid(RawPid<AtomText<'a>>),
    Port(RawPort<AtomText<'a>>),
    Reference(RawReference<'a, AtomText<'a>>),
    /// That many terms follow.
    Tuple(usize),
    Nil,
    /// A list of small integers.
    String(&'a [u8]),
    /// That many terms follow, and a tail.
    List(usize),
    /// That many pairs follow.
    Map(usize),
    Binary(&'a [u8]),
    Bits(&'a [u8], u8),
    /// The free variables follow.
    Fun(RawFun<'a, AtomText<'a>>),
    Export(AtomText<'a>, AtomText<'a>, u8),
}

/// The start of a term: what is frequent is read, of the rest only the tag.
pub(crate) enum Frequent {
    Int(i64),
    Float(Float),
    /// The body of an atom of this tag follows.
    Atom(u8),
    /// That many bytes follow, if they are there.
    Binary(usize),
    Nil,
    /// That many terms follow.
    Tuple(usize),
    /// That many terms follow, and a tail.
    List(usize),
    /// That many pairs follow.
    Map(usize),
    /// The body of another term of this tag follows.
    Other(u8),
}

/// What stands after the elements of a list.
pub(crate) enum ListTail {
    Nil,
    /// A list of that many elements, and a tail: both lists are one.
    More(usize),
    /// Another term, or nothing; not read.
    Improper,
}

/// Numbers of one tag in a row, each a piece that begins with the tag. Floats are finite.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    None,
    Bytes(&'a [[u8; 2]]),
    Ints(&'a [[u8; 5]]),
    Floats(&'a [[u8; 9]]),
}

impl Numbers<'_> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Bytes(run) => run.len(),
            Self::Ints(run) => run.len(),
            Self::Floats(run) => run.len(),
        }
    }
}

/// A text of up to 15 bytes, all ASCII: the first byte lowest, zeros above the last.
#[derive(Clone, Copy)]
pub(crate) struct ShortText {
    pub(crate) len: usize,
    pub(crate) word: u128,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            end: bytes.len(),
        }
    }

    /// The offset of the next byte.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.end - self.rest.len()
    }

    /// What was read since `start`, an earlier state of this cursor.
    #[inline]
    pub(crate) fn since(&self, start: Self) -> &'a [u8] {
        &start.rest[..start.rest.len() - self.rest.len()]
    }

    /// Goes past one term that is known to be well-formed, without recursion.
    pub(crate) fn skip(&mut self, atoms: &'a [Atom]) -> Result<(), Kind> {
        let mut pending = 1;
        while pending > 0 {
            pending -= 1;
            pending += match self.head(atoms)? {
                Head::Tuple(count) => count,
                Head::List(count) => count + 1,
                Head::Map(count) => 2 * count,
                Head::Fun(fun) => fun.free_count,
                _ => 0,
            };
        }
        Ok(())
    }

    /// The error that reading from here met.
    #[cold]
    pub(crate) fn fail(&self, kind: Kind) -> DecodeError {
        DecodeError {
            kind,
            at: self.at(),
        }
    }

    /// Goes past `bytes` if they come next.
    #[inline]
    pub(crate) fn goes_past(&mut self, bytes: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(bytes);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes the numbers that come next, at most `max`, as long as they have one tag.
    #[inline]
    pub(crate) fn numbers(&mut self, max: usize) -> Numbers<'a> {
        match self.rest.first() {
            Some(&tag::SMALL_INTEGER) => {
                Numbers::Bytes(self.run(max, |[tag, _]| *tag == tag::SMALL_INTEGER))
            }
            Some(&tag::INTEGER) => {
                Numbers::Ints(self.run(max, |[tag, _, _, _, _]| *tag == tag::INTEGER))
            }
            Some(&tag::NEW_FLOAT) => {
                Numbers::Floats(self.run(max, |[tag, value @ ..]: &[u8; 9]| {
                    *tag == tag::NEW_FLOAT && f64::from_be_bytes(*value).is_finite()
                }))
            }
            _ => Numbers::None,
        }
    }

    /// Takes pieces of `N` bytes, at most `max`, as long as they are such as `is` says.
    #[inline]
    fn run<const N: usize>(&mut self, max: usize, is: impl Fn(&[u8; N]) -> bool) -> &'a [[u8; N]] {
        let (pieces, _) = self.rest.as_chunks();
        let pieces = &pieces[..max.min(pieces.len())];
        let len = pieces.iter().position(|piece| !is(piece));
        let len = len.unwrap_or(pieces.len());
        self.rest = &self.rest[len * N..];
        &pieces[..len]
    }

    /// Reads on after the elements of a list: past a `NIL_EXT`, or the head of a list that goes on.
    #[inline]
    pub(crate) fn list_tail(&mut self) -> Result<ListTail, Kind> {
        match self.rest {
            [tag::NIL, rest @ ..] => {
                self.rest = rest;
                Ok(ListTail::Nil)
            }
            [tag::LIST, rest @ ..] => {
                self.rest = rest;
                self.count(1).map(ListTail::More)
            }
            _ => Ok(ListTail::Improper),
        }
    }

    /// True if an atom is next.
    #[inline]
    pub(crate) fn is_at_atom(&self) -> bool {
        matches!(
            self.rest.first().copied(),
            Some(
                tag::ATOM_CACHE_REF
                    | tag::SMALL_ATOM_UTF8
                    | tag::ATOM_UTF8
                    | tag::SMALL_ATOM
                    | tag::ATOM
            )
        )
    }

    /// True if a binary is next, in its usual form.
    #[inline]
    pub(crate) fn is_at_binary(&self) -> bool {
        self.rest.first() == Some(&tag::BINARY)
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Kind> {
        let Some((head, rest)) = self.rest.split_at_checked(count) else {
            return Err(Kind::Truncated);
        };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Kind> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(Kind::Truncated);
        };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Kind> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, Kind> {
        self.array().map(|b| u16::from_be_bytes(*b))
    }

    #[inline]
    fn u32(&mut self) -> Result<u32, Kind> {
        self.array().map(|b| u32::from_be_bytes(*b))
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, Kind> {
        self.array().map(|b| u64::from_be_bytes(*b))
    }

    /// A count of terms of at least `bytes_each` bytes, all of which must be there.
    #[inline]
    fn count(&mut self, bytes_each: usize) -> Result<usize, Kind> {
        let count = self.u32()? as usize;
        if count.saturating_mul(bytes_each) > self.rest.len() {
            return Err(Kind::Truncated);
        }
        Ok(count)
    }

    /// Reads the start of the next term, as far as it is short.
    #[inline(always)]
    pub(crate) fn frequent(&mut self) -> Result<Frequent, Kind> {
        let tag = self.u8()?;
        Ok(match tag {
            tag::SMALL_INTEGER => Frequent::Int(i64::from(self.u8()?)),
            tag::INTEGER => Frequent::Int(i64::from(self.u32()?.cast_signed())),
            tag::ATOM_CACHE_REF | tag::SMALL_ATOM_UTF8 => Frequent::Atom(tag),
            tag::SMALL_TUPLE => {
                let arity = usize::from(self.u8()?);
                if arity > self.rest.len() {
                    return Err(Kind::Truncated);
                }
                Frequent::Tuple(arity)
            }
            tag::BINARY => Frequent::Binary(self.u32()? as usize),
            tag::NIL => Frequent::Nil,
            tag::LIST => Frequent::List(self.count(1)?),
            tag::MAP => Frequent::Map(self.count(2)?),
            tag::NEW_FLOAT => Frequent::Float(self.finite()?),
            _ => Frequent::Other(tag),
        })
    }

    /// Reads the head of the next term.
    #[inline]
    pub(crate) fn head(&mut self, atoms: &'a [Atom]) -> Result<Head<'a>, Kind> {
        Ok(match self.frequent()? {
            Frequent::Int(value) => Head::Int(value),
            Frequent::Float(value) => Head::Float(value),
            Frequent::Atom(tag) => Head::Atom(self.atom_body(tag, atoms)?),
            Frequent::Binary(len) => Head::Binary(self.take(len)?),
            Frequent::Nil => Head::Nil,
            Frequent::Tuple(arity) => Head::Tuple(arity),
            Frequent::List(count) => Head::List(count),
            Frequent::Map(count) => Head::Map(count),
            Frequent::Other(tag) => return self.other_head(tag, atoms),
        })
    }

    /// Reads the rest of a head whose tag is not frequent.
    pub(crate) fn other_head(&mut self, tag: u8, atoms: &'a [Atom]) -> Result<Head<'a>, Kind> {
        let node = |cursor: &mut Self| cursor.atom(atoms);
        Ok(match tag {
            tag::STRING => Head::String(self.string_body()?),
            tag::NEW_PID | tag::PID => Head::Pid(self.pid_body(tag, node)?),
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => {
                Head::Reference(self.reference_body(tag, node)?)
            }
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => Head::Port(self.port_body(tag, node)?),
            tag::SMALL_BIG | tag::LARGE_BIG => match self.big_body(tag)? {
                RawInt::Small(value) => Head::Int(value),
                RawInt::Big { negative, digits } => Head::Big { negative, digits },
            },
            tag::LARGE_TUPLE => Head::Tuple(self.count(1)?),
            tag::ATOM_UTF8 | tag::ATOM | tag::SMALL_ATOM => Head::Atom(self.atom_body(tag, atoms)?),
            tag::BIT_BINARY => self.bits_body()?,
            tag::FLOAT => Head::Float(self.text_float()?),
            tag::NEW_FUN => Head::Fun(self.fun_body(atoms, node)?),
            tag::EXPORT => {
                let (module, function) = (self.atom(atoms)?, self.atom(atoms)?);
                Head::Export(module, function, self.arity()?)
            }
            unknown => return Err(Kind::UnknownTag(unknown)),
        })
    }

    #[inline]
    pub(crate) fn string_body(&mut self) -> Result<&'a [u8], Kind> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }

    /// Reads the body of an atom if it is a short one, and such as most are. `None` says nothing
    /// about it, and nothing was read.
    #[inline(always)]
    pub(crate) fn short_atom(&mut self, tag: u8) -> Option<ShortText> {
        if tag != tag::SMALL_ATOM_UTF8 {
            return None;
        }
        let len = usize::from(*self.rest.first()?);
        let low_bytes = short::LOW_BYTES.get(len)?;
        let word = match self.rest.first_chunk::<17>() {
            Some([_, window @ ..]) => u128::from_le_bytes(*window) & low_bytes,
            None => short::word(self.rest.get(1..=len)?),
        };
        if word & NOT_ASCII != 0 {
            return None;
        }
        self.rest = &self.rest[1 + len..];
        Some(ShortText { len, word })
    }

    /// Takes `len` bytes as [`Binary`] if they are few enough to lie in it, and not among the last
    /// of the input. `None` says nothing about them, and nothing was taken.
    #[inline(always)]
    pub(crate) fn short_binary(&mut self, len: usize) -> Option<Binary> {
        let window = self.rest.first_chunk()?;
        let binary = Binary::from_window(window, len)?;
        self.rest = &self.rest[len..];
        Some(binary)
    }

    /// Reads a term that must be an atom.
    #[inline]
    pub(crate) fn atom(&mut self, atoms: &'a [Atom]) -> Result<AtomText<'a>, Kind> {
        let tag = self.u8()?;
        self.atom_body(tag, atoms)
    }

    #[inline]
    pub(crate) fn atom_body(&mut self, tag: u8, atoms: &'a [Atom]) -> Result<AtomText<'a>, Kind> {
        let len = match tag {
            tag::ATOM_CACHE_REF => {
                let slot = self.u8()?;
                let listed = atoms.get(usize::from(slot));
                let listed = listed.ok_or(Kind::UnknownAtomRef(slot))?;
                return Ok(AtomText::Listed(listed, slot));
            }
            tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => usize::from(self.u8()?),
            tag::ATOM_UTF8 | tag::ATOM => usize::from(self.u16()?),
            other => return Err(Kind::NotAnAtom(other)),
        };
        let text = self.take(len)?;
        if matches!(tag, tag::ATOM | tag::SMALL_ATOM) {
            if len > ATOM_CHARS_MAX {
                return Err(Kind::AtomTooLong);
            }
            return Ok(AtomText::latin1(text));
        }
        let text = std::str::from_utf8(text).map_err(|_| Kind::AtomNotUtf8)?;
        if len > ATOM_CHARS_MAX && (len > ATOM_BYTES_MAX || text.chars().count() > ATOM_CHARS_MAX) {
            return Err(Kind::AtomTooLong);
        }
        Ok(AtomText::Utf8(text))
    }

    /// The body of a pid, its node read by `node`.
    #[inline]
    pub(crate) fn pid_body<N>(
        &mut self,
        tag: u8,
        node: impl FnOnce(&mut Self) -> Result<N, Kind>,
    ) -> Result<RawPid<N>, Kind> {
        let (node, id, serial) = (node(self)?, self.u32()?, self.u32()?);
        let creation = if tag == tag::NEW_PID {
            self.u32()?
        } else {
            self.u8()?.into()
        };
        Ok(RawPid {
            node,
            id,
            serial,
            creation,
        })
    }

    /// The body of a port, its node read by `node`.
    #[inline]
    pub(crate) fn port_body<N>(
        &mut self,
        tag: u8,
        node: impl FnOnce(&mut Self) -> Result<N, Kind>,
    ) -> Result<RawPort<N>, Kind> {
        let node = node(self)?;
        let id = if tag == tag::V4_PORT {
            self.u64()?
        } else {
            self.u32()?.into()
        };
        let creation = if tag == tag::PORT {
            self.u8()?.into()
        } else {
            self.u32()?
        };
        Ok(RawPort { node, id, creation })
    }

    /// The body of a reference, its node read by `node`.
    #[inline]
    pub(crate) fn reference_body<N>(
        &mut self,
        tag: u8,
        node: impl FnOnce(&mut Self) -> Result<N, Kind>,
    ) -> Result<RawReference<'a, N>, Kind> {
        let count = if tag == tag::REFERENCE {
            1
        } else {
            self.u16()?
        };
        if count == 0 || usize::from(count) > REFERENCE_WORDS_MAX {
            return Err(Kind::BadReference(count));
        }
        let node = node(self)?;
        if tag == tag::REFERENCE {
            let words = self.take(4)?;
            return Ok(RawReference {
                node,
                words,
                creation: self.u8()?.into(),
            });
        }
        let creation = if tag == tag::NEWER_REFERENCE {
            self.u32()?
        } else {
            self.u8()?.into()
        };
        Ok(RawReference {
            node,
            creation,
            words: self.take(4 * usize::from(count))?,
        })
    }

    #[inline]
    pub(crate) fn big_body(&mut self, tag: u8) -> Result<RawInt<'a>, Kind> {
        let len = if tag == tag::SMALL_BIG {
            self.u8()?.into()
        } else {
            self.u32()? as usize
        };
        let negative = self.u8()? != 0;
        let digits = self.take(len)?;
        Ok(RawInt::new(negative, digits))
    }

    fn integer(&mut self) -> Result<RawInt<'a>, Kind> {
        match self.u8()? {
            tag::SMALL_INTEGER => Ok(RawInt::Small(self.u8()?.into())),
            tag::INTEGER => Ok(RawInt::Small(self.u32()?.cast_signed().into())),
            tag @ (tag::SMALL_BIG | tag::LARGE_BIG) => self.big_body(tag),
            other => Err(Kind::NotAnInteger(other)),
        }
    }

    fn arity(&mut self) -> Result<u8, Kind> {
        match self.integer()? {
            RawInt::Small(value) => u8::try_from(value).map_err(|_| Kind::BadArity),
            RawInt::Big { .. } => Err(Kind::BadArity),
        }
    }

    fn bits_body(&mut self) -> Result<Head<'a>, Kind> {
        let (len, last) = (self.u32()? as usize, self.u8()?);
        let bytes = self.take(len)?;
        match last {
            8 if len > 0 => Ok(Head::Binary(bytes)),
            0 if len == 0 => Ok(Head::Binary(bytes)),
            1..=7 if len > 0 => Ok(Head::Bits(bytes, last)),
            _ => Err(Kind::BadBitString),
        }
    }

    #[inline]
    fn finite(&mut self) -> Result<Float, Kind> {
        let value = f64::from_be_bytes(*self.array()?);
        Float::new(value).ok_or(Kind::BadFloat)
    }

    /// `FLOAT_EXT`: 31 bytes of `printf("%.20e")`, padded with zeros.
    fn text_float(&mut self) -> Result<Float, Kind> {
        let text = self.take(31)?;
        let text = text.split(|&b| b == 0).next().unwrap_or_default();
        let value = std::str::from_utf8(text)
            .ok()
            .and_then(|t| t.trim().parse().ok());
        value.and_then(Float::new).ok_or(Kind::BadFloat)
    }

    /// The body of a fun up to its free variables, the node of its creator read by `node`.
    pub(crate) fn fun_body<N>(
        &mut self,
        atoms: &'a [Atom],
        node: impl FnOnce(&mut Self) -> Result<N, Kind>,
    ) -> Result<RawFun<'a, N>, Kind> {
        let available = self.rest.len();
        let size = self.u32()? as usize;
        let left_after = available.checked_sub(size).ok_or(Kind::Truncated)?;
        let (arity, uniq, index) = (self.u8()?, self.array()?, self.u32()?);
        let free_count = self.count(1)?;
        let module = self.atom(atoms)?;
        let (old_index, old_uniq) = (self.integer()?, self.integer()?);
        let creator = match self.u8()? {
            tag @ (tag::NEW_PID | tag::PID) => self.pid_body(tag, node)?,
            other => return Err(Kind::NotAPid(other)),
        };
        Ok(RawFun {
            arity,
            uniq,
            index,
            free_count,
            module,
            old_index,
            old_uniq,
            creator,
            left_after,
        })
    }

    /// Checks that a fun ended where it said it would.
    pub(crate) fn end_of_fun(&self, left_after: usize) -> Result<(), Kind> {
        if self.rest.len() == left_after {
            Ok(())
        } else {
            Err(Kind::BadFun)
        }
    }
}

impl<'a> RawInt<'a> {
    /// The value of little-endian `digits`, as an `i64` where it fits one.
    #[inline]
    fn new(negative: bool, digits: &'a [u8]) -> Self {
        match digits {
            // Nine digits or more, the highest not zero: what nearly every large integer is.
            [_, _, _, _, _, _, _, _, .., 1..=u8::MAX] => Self::Big { negative, digits },
            _ => Self::small(negative, digits),
        }
    }

    #[inline(never)]
    fn small(negative: bool, digits: &'a [u8]) -> Self {
        let significant = digits.len() - digits.iter().rev().take_while(|&&d| d == 0).count();
        let digits = &digits[..significant];
        let mut low = [0; 8];
        if significant > 8 {
            return Self::Big { negative, digits };
        }
        low[..significant].copy_from_slice(digits);
        let magnitude = i128::from(u64::from_le_bytes(low));
        match i64::try_from(if negative { -magnitude } else { magnitude }) {
            Ok(value) => Self::Small(value),
            Err(_) => Self::Big { negative, digits },
        }
    }
}

impl<'a> AtomText<'a> {
    /// Text of one byte a character; ASCII is UTF-8 as it stands.
    fn latin1(text: &'a [u8]) -> Self {
        match std::str::from_utf8(text) {
            Ok(ascii) if text.is_ascii() => Self::Utf8(ascii),
            _ => Self::Latin1(text),
        }
    }

    /// The text: borrowed, unless it is Latin-1 beyond ASCII.
    #[inline]
    pub fn to_str(self) -> Cow<'a, str> {
        match self {
            Self::Utf8(text) => Cow::Borrowed(text),
            Self::Listed(atom, _) => Cow::Borrowed(atom.as_str()),
            Self::Latin1(text) => Cow::Owned(text.iter().copied().map(char::from).collect()),
        }
    }

    /// The atom, owned.
    #[inline]
    pub fn to_atom(self) -> Atom {
        match self {
            Self::Utf8(text) => Atom::new(text).expect("the length was checked"),
            Self::Listed(atom, _) => atom.clone(),
            Self::Latin1(text) => {
                let text: String = text.iter().copied().map(char::from).collect();
                Atom::new(&text).expect("the length was checked")
            }
        }
    }
}

impl PartialEq<str> for AtomText<'_> {
    fn eq(&self, other: &str) -> bool {
        match self {
            Self::Utf8(text) => *text == other,
            Self::Listed(atom, _) => **atom == *other,
            Self::Latin1(text) => text.iter().copied().map(char::from).eq(other.chars()),
        }
    }
}

impl PartialEq<&str> for AtomText<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<Atom> for AtomText<'_> {
    fn eq(&self, other: &Atom) -> bool {
        match self {
            Self::Utf8(text) => text.as_bytes() == other.as_bytes(),
            Self::Listed(atom, _) => *atom == other,
            Self::Latin1(_) => *self == *other.as_str(),
        }
    }
}
