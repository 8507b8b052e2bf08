//! Reading the head of a term: its tag and what belongs to it, up to the first nested term.
//!
//! The one place that knows the layout of every tag. The walk, the decoder and the view are built
//! on it, so they cannot disagree about what is well-formed. A [`Head`] borrows from the input and
//! allocates nothing; node names are resolved by whoever wants them, since that may add to a table.
//!
//! Every length is checked against the bytes that are there, so a caller may allocate for `count`
//! elements of at least one byte each.

use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::tag;
use crate::atom::Atom;
use crate::limits::{ATOM_BYTES_MAX, ATOM_CHARS_MAX, REFERENCE_WORDS_MAX};
use crate::term::Float;

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

/// What a pid, port or reference holds, its node not yet resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPid<'a> {
    pub(crate) node: AtomText<'a>,
    pub(crate) id: u32,
    pub(crate) serial: u32,
    pub(crate) creation: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPort<'a> {
    pub(crate) node: AtomText<'a>,
    pub(crate) id: u64,
    pub(crate) creation: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RawReference<'a> {
    pub(crate) node: AtomText<'a>,
    pub(crate) creation: u32,
    /// Big-endian words of 32 bits.
    pub(crate) words: &'a [u8],
}

/// A fun up to its free variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawFun<'a> {
    pub(crate) arity: u8,
    pub(crate) uniq: &'a [u8; 16],
    pub(crate) index: u32,
    pub(crate) free_count: usize,
    pub(crate) module: AtomText<'a>,
    pub(crate) old_index: RawInt<'a>,
    pub(crate) old_uniq: RawInt<'a>,
    pub(crate) creator: RawPid<'a>,
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
    Pid(RawPid<'a>),
    Port(RawPort<'a>),
    Reference(RawReference<'a>),
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
    Fun(RawFun<'a>),
    Export(AtomText<'a>, AtomText<'a>, u8),
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
    pub(crate) fn skip(&mut self, atoms: &'a [Atom]) -> Result<(), DecodeError> {
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

    #[cold]
    pub(crate) fn fail(&self, kind: Kind) -> DecodeError {
        DecodeError {
            kind,
            at: self.at(),
        }
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.fail(Kind::Truncated));
        };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(self.fail(Kind::Truncated));
        };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(|b| u16::from_be_bytes(*b))
    }

    #[inline]
    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(|b| u32::from_be_bytes(*b))
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(|b| u64::from_be_bytes(*b))
    }

    /// A count of terms of at least `bytes_each` bytes, all of which must be there.
    #[inline]
    fn count(&mut self, bytes_each: usize) -> Result<usize, DecodeError> {
        let count = self.u32()? as usize;
        if count.saturating_mul(bytes_each) > self.rest.len() {
            return Err(self.fail(Kind::Truncated));
        }
        Ok(count)
    }

    /// Reads the head of the next term.
    #[inline]
    pub(crate) fn head(&mut self, atoms: &'a [Atom]) -> Result<Head<'a>, DecodeError> {
        let tag = self.u8()?;
        Ok(match tag {
            tag::SMALL_INTEGER => Head::Int(i64::from(self.u8()?)),
            tag::INTEGER => Head::Int(i64::from(self.u32()?.cast_signed())),
            tag::ATOM_CACHE_REF | tag::SMALL_ATOM_UTF8 | tag::ATOM_UTF8 => {
                Head::Atom(self.atom_body(tag, atoms)?)
            }
            tag::SMALL_TUPLE => {
                let arity = usize::from(self.u8()?);
                if arity > self.rest.len() {
                    return Err(self.fail(Kind::Truncated));
                }
                Head::Tuple(arity)
            }
            tag::BINARY => {
                let len = self.u32()? as usize;
                Head::Binary(self.take(len)?)
            }
            tag::NIL => Head::Nil,
            tag::LIST => Head::List(self.count(1)?),
            tag::STRING => {
                let len = usize::from(self.u16()?);
                Head::String(self.take(len)?)
            }
            tag::MAP => Head::Map(self.count(2)?),
            tag::NEW_FLOAT => Head::Float(self.finite(f64::from_be_bytes)?),
            _ => return self.rare_head(tag, atoms),
        })
    }

    fn rare_head(&mut self, tag: u8, atoms: &'a [Atom]) -> Result<Head<'a>, DecodeError> {
        Ok(match tag {
            tag::NEW_PID | tag::PID => Head::Pid(self.pid_body(tag, atoms)?),
            tag::NEWER_REFERENCE | tag::NEW_REFERENCE | tag::REFERENCE => {
                Head::Reference(self.reference_body(tag, atoms)?)
            }
            tag::V4_PORT | tag::NEW_PORT | tag::PORT => Head::Port(self.port_body(tag, atoms)?),
            tag::SMALL_BIG | tag::LARGE_BIG => match self.big_body(tag)? {
                RawInt::Small(value) => Head::Int(value),
                RawInt::Big { negative, digits } => Head::Big { negative, digits },
            },
            tag::LARGE_TUPLE => Head::Tuple(self.count(1)?),
            tag::ATOM | tag::SMALL_ATOM => Head::Atom(self.atom_body(tag, atoms)?),
            tag::BIT_BINARY => self.bits_body()?,
            tag::FLOAT => Head::Float(self.text_float()?),
            tag::NEW_FUN => Head::Fun(self.fun_body(atoms)?),
            tag::EXPORT => {
                let (module, function) = (self.atom(atoms)?, self.atom(atoms)?);
                Head::Export(module, function, self.arity()?)
            }
            unknown => return Err(self.fail(Kind::UnknownTag(unknown))),
        })
    }

    /// Reads a term that must be an atom.
    #[inline]
    pub(crate) fn atom(&mut self, atoms: &'a [Atom]) -> Result<AtomText<'a>, DecodeError> {
        let tag = self.u8()?;
        self.atom_body(tag, atoms)
    }

    #[inline]
    fn atom_body(&mut self, tag: u8, atoms: &'a [Atom]) -> Result<AtomText<'a>, DecodeError> {
        let len = match tag {
            tag::ATOM_CACHE_REF => {
                let slot = self.u8()?;
                let listed = atoms.get(usize::from(slot));
                let listed = listed.ok_or_else(|| self.fail(Kind::UnknownAtomRef(slot)))?;
                return Ok(AtomText::Listed(listed, slot));
            }
            tag::SMALL_ATOM_UTF8 | tag::SMALL_ATOM => usize::from(self.u8()?),
            tag::ATOM_UTF8 | tag::ATOM => usize::from(self.u16()?),
            other => return Err(self.fail(Kind::NotAnAtom(other))),
        };
        let text = self.take(len)?;
        if matches!(tag, tag::ATOM | tag::SMALL_ATOM) {
            if len > ATOM_CHARS_MAX {
                return Err(self.fail(Kind::AtomTooLong));
            }
            return Ok(AtomText::latin1(text));
        }
        let text = std::str::from_utf8(text).map_err(|_| self.fail(Kind::AtomNotUtf8))?;
        if len > ATOM_CHARS_MAX && (len > ATOM_BYTES_MAX || text.chars().count() > ATOM_CHARS_MAX) {
            return Err(self.fail(Kind::AtomTooLong));
        }
        Ok(AtomText::Utf8(text))
    }

    fn pid_body(&mut self, tag: u8, atoms: &'a [Atom]) -> Result<RawPid<'a>, DecodeError> {
        let (node, id, serial) = (self.atom(atoms)?, self.u32()?, self.u32()?);
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

    fn port_body(&mut self, tag: u8, atoms: &'a [Atom]) -> Result<RawPort<'a>, DecodeError> {
        let node = self.atom(atoms)?;
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

    fn reference_body(
        &mut self,
        tag: u8,
        atoms: &'a [Atom],
    ) -> Result<RawReference<'a>, DecodeError> {
        let count = if tag == tag::REFERENCE {
            1
        } else {
            self.u16()?
        };
        if count == 0 || usize::from(count) > REFERENCE_WORDS_MAX {
            return Err(self.fail(Kind::BadReference(count)));
        }
        let node = self.atom(atoms)?;
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

    fn big_body(&mut self, tag: u8) -> Result<RawInt<'a>, DecodeError> {
        let len = if tag == tag::SMALL_BIG {
            self.u8()?.into()
        } else {
            self.u32()? as usize
        };
        let negative = self.u8()? != 0;
        let digits = self.take(len)?;
        Ok(RawInt::new(negative, digits))
    }

    fn integer(&mut self) -> Result<RawInt<'a>, DecodeError> {
        match self.u8()? {
            tag::SMALL_INTEGER => Ok(RawInt::Small(self.u8()?.into())),
            tag::INTEGER => Ok(RawInt::Small(self.u32()?.cast_signed().into())),
            tag @ (tag::SMALL_BIG | tag::LARGE_BIG) => self.big_body(tag),
            other => Err(self.fail(Kind::NotAnInteger(other))),
        }
    }

    fn arity(&mut self) -> Result<u8, DecodeError> {
        match self.integer()? {
            RawInt::Small(value) => u8::try_from(value).map_err(|_| self.fail(Kind::BadArity)),
            RawInt::Big { .. } => Err(self.fail(Kind::BadArity)),
        }
    }

    fn bits_body(&mut self) -> Result<Head<'a>, DecodeError> {
        let (len, last) = (self.u32()? as usize, self.u8()?);
        let bytes = self.take(len)?;
        match last {
            8 if len > 0 => Ok(Head::Binary(bytes)),
            0 if len == 0 => Ok(Head::Binary(bytes)),
            1..=7 if len > 0 => Ok(Head::Bits(bytes, last)),
            _ => Err(self.fail(Kind::BadBitString)),
        }
    }

    #[inline]
    fn finite(&mut self, read: fn([u8; 8]) -> f64) -> Result<Float, DecodeError> {
        let value = read(*self.array()?);
        Float::new(value).ok_or_else(|| self.fail(Kind::BadFloat))
    }

    /// `FLOAT_EXT`: 31 bytes of `printf("%.20e")`, padded with zeros.
    fn text_float(&mut self) -> Result<Float, DecodeError> {
        let text = self.take(31)?;
        let text = text.split(|&b| b == 0).next().unwrap_or_default();
        let value = std::str::from_utf8(text)
            .ok()
            .and_then(|t| t.trim().parse().ok());
        value
            .and_then(Float::new)
            .ok_or_else(|| self.fail(Kind::BadFloat))
    }

    fn fun_body(&mut self, atoms: &'a [Atom]) -> Result<RawFun<'a>, DecodeError> {
        let available = self.rest.len();
        let size = self.u32()? as usize;
        let left_after = available
            .checked_sub(size)
            .ok_or_else(|| self.fail(Kind::Truncated))?;
        let (arity, uniq, index) = (self.u8()?, self.array()?, self.u32()?);
        let free_count = self.count(1)?;
        let module = self.atom(atoms)?;
        let (old_index, old_uniq) = (self.integer()?, self.integer()?);
        let creator = match self.u8()? {
            tag @ (tag::NEW_PID | tag::PID) => self.pid_body(tag, atoms)?,
            other => return Err(self.fail(Kind::NotAPid(other))),
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
    pub(crate) fn end_of_fun(&self, left_after: usize) -> Result<(), DecodeError> {
        if self.rest.len() == left_after {
            Ok(())
        } else {
            Err(self.fail(Kind::BadFun))
        }
    }
}

impl<'a> RawInt<'a> {
    /// The value of little-endian `digits`, as an `i64` where it fits one.
    fn new(negative: bool, digits: &'a [u8]) -> Self {
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
