//! Binaries: bytes that are shared, never copied twice.
//!
//! Up to 15 bytes lie in the [`Binary`] itself (most keys do), up to [`OWNED_MAX`] in a box of its
//! own that a clone copies; more are reference-counted, and a large one cut from a received message
//! keeps pointing into that message's buffer. What is small is always copied out, so that 20 bytes
//! never pin a read buffer.
//!
//! A binary is 16 bytes, as every content of a [`Term`](crate::Term) but a list is at most, so that
//! a term is a tag of a whole word and two words: terms are moved about all the time, and a processor
//! forwards a value from a store to a load only where the two have one size (`docs/decisions/codec-speed.md`).
//!
//! Invariant `I1`: unused inline bytes are zero, so that inline binaries compare as words.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;

use crate::short;

const INLINE_MAX: usize = 15;

/// Up to this size a binary has its bytes alone, from there on it shares them.
///
/// Sharing costs a second allocation, or atomic counts on every drop; copying 128 bytes costs less
/// than either (bench `codec`, rows document and 1 KiB).
const OWNED_MAX: usize = 127;

/// From this size on, a binary cut from a larger buffer shares it instead of copying.
///
/// A guess, unmeasured: a copy of 1 KiB costs about what the reference count and the box do.
const SHARE_MIN: usize = 1024;

const _: () = assert!(INLINE_MAX < OWNED_MAX && OWNED_MAX < SHARE_MIN);

/// An immutable sequence of bytes, cheap to clone.
#[derive(Clone)]
pub struct Binary(Repr);

#[derive(Clone)]
enum Repr {
    Inline(InlineLen, [u8; INLINE_MAX]),
    // Boxes of three sizes, since a pointer with its length would be a word too much.
    Upto31(Box<Fixed<31>>),
    Upto63(Box<Fixed<63>>),
    Upto127(Box<Fixed<OWNED_MAX>>),
    Shared(Box<Bytes>),
}

/// Up to `N` bytes, and zeros.
#[derive(Clone)]
struct Fixed<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

/// A length of 0 to 15: an enum, so that the other variants of `Repr` find room in its byte.
#[derive(Clone, Copy)]
#[repr(u8)]
#[rustfmt::skip]
enum InlineLen { L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15 }

impl InlineLen {
    #[rustfmt::skip]
    const ALL: [Self; INLINE_MAX + 1] = {
        use InlineLen::*;
        [L0, L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14, L15]
    };
}

const _: () = assert!(size_of::<Binary>() == 16);

impl<const N: usize> Fixed<N> {
    /// Zeros, in the box from the start: what is made elsewhere and moved in is copied twice.
    #[inline]
    fn zeros(len: usize) -> Box<Self> {
        const { assert!(N <= u8::MAX as usize) };
        Box::new(Self {
            len: len as u8,
            bytes: [0; N],
        })
    }

    /// `text`, of `L` to `2 * L` bytes.
    #[inline]
    fn boxed<const L: usize>(text: &[u8]) -> Box<Self> {
        let mut boxed = Self::zeros(text.len());
        boxed.write::<L>(0, text);
        boxed
    }

    /// `first`, and `rest` of `L` to `2 * L` bytes after it.
    #[inline]
    fn with_first<const L: usize>(first: u8, rest: &[u8]) -> Box<Self> {
        let mut boxed = Self::zeros(rest.len() + 1);
        boxed.bytes[0] = first;
        boxed.write::<L>(1, rest);
        boxed
    }

    /// As two pieces of a known size that overlap: no call to copy a length known only at run time.
    #[inline]
    fn write<const L: usize>(&mut self, at: usize, text: &[u8]) {
        if let (Some(first), Some(last)) = (text.first_chunk::<L>(), text.last_chunk::<L>()) {
            self.bytes[at..at + L].copy_from_slice(first);
            self.bytes[at + text.len() - L..][..L].copy_from_slice(last);
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Binary {
    /// Copies `bytes`.
    #[inline]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        match InlineLen::ALL.get(bytes.len()) {
            Some(len) => Self::inline(*len, short::word(bytes)),
            None => Self::copy_longer(bytes),
        }
    }

    /// `first`, and `rest` after it.
    #[inline]
    pub(crate) fn with_first(first: u8, rest: &[u8]) -> Self {
        match InlineLen::ALL.get(rest.len() + 1) {
            Some(len) => Self::inline(*len, u128::from(first) | short::word(rest) << 8),
            None => Self::longer_with_first(first, rest),
        }
    }

    #[inline]
    fn longer_with_first(first: u8, rest: &[u8]) -> Self {
        Self(match rest.len() + 1 {
            ..=31 => Repr::Upto31(Fixed::with_first::<15>(first, rest)),
            32..=63 => Repr::Upto63(Fixed::with_first::<31>(first, rest)),
            64..=OWNED_MAX => Repr::Upto127(Fixed::with_first::<63>(first, rest)),
            _ => Repr::Shared(Box::new([&[first], rest].concat().into())),
        })
    }

    #[inline]
    fn copy_longer(bytes: &[u8]) -> Self {
        Self(match bytes.len() {
            ..=31 => Repr::Upto31(Fixed::boxed::<16>(bytes)),
            32..=63 => Repr::Upto63(Fixed::boxed::<32>(bytes)),
            64..=OWNED_MAX => Repr::Upto127(Fixed::boxed::<64>(bytes)),
            _ => Repr::Shared(Box::new(Bytes::copy_from_slice(bytes))),
        })
    }

    #[inline(always)]
    fn inline(len: InlineLen, word: u128) -> Self {
        let [bytes @ .., _] = word.to_le_bytes();
        Self(Repr::Inline(len, bytes))
    }

    /// The first `len` bytes of `window`, if they fit into the value itself. Read as a word, so
    /// that no copy of a length known only at run time is needed.
    #[inline(always)]
    pub(crate) fn from_window(window: &[u8; INLINE_MAX + 1], len: usize) -> Option<Self> {
        let tag = *InlineLen::ALL.get(len)?;
        let word = u128::from_le_bytes(*window) & short::LOW_BYTES[len];
        Some(Self::inline(tag, word))
    }

    /// Takes `bytes`: shared when large, copied out when small, so that it pins no large buffer.
    pub fn from_shared(bytes: Bytes) -> Self {
        if bytes.len() < SHARE_MIN {
            Self::copy_from_slice(&bytes)
        } else {
            Self(Repr::Shared(Box::new(bytes)))
        }
    }

    /// `part`, which lies in `buffer`: shared when large, copied out when small.
    #[inline]
    pub(crate) fn cut(buffer: &Bytes, part: &[u8]) -> Self {
        if part.len() < SHARE_MIN {
            Self::copy_from_slice(part)
        } else {
            Self(Repr::Shared(Box::new(buffer.slice_ref(part))))
        }
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(len, bytes) => &bytes[..*len as usize],
            Repr::Upto31(text) => text.as_slice(),
            Repr::Upto63(text) => text.as_slice(),
            Repr::Upto127(text) => text.as_slice(),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The bytes, if they lie in the value itself: their number, and they followed by zeros.
    #[inline]
    pub(crate) fn as_short(&self) -> Option<(usize, &[u8; INLINE_MAX])> {
        match &self.0 {
            Repr::Inline(len, bytes) => Some((*len as usize, bytes)),
            _ => None,
        }
    }

    /// The bytes as [`Bytes`]: without a copy when they are shared already.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Repr::Shared(bytes) => Bytes::clone(bytes),
            _ => Bytes::copy_from_slice(self.as_slice()),
        }
    }
}

impl Deref for Binary {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl From<&str> for Binary {
    fn from(text: &str) -> Self {
        Self::copy_from_slice(text.as_bytes())
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_shared(bytes.into())
    }
}

impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Self {
        Self::from_shared(bytes)
    }
}

impl PartialEq for Binary {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline(a_len, a), Repr::Inline(b_len, b)) => {
                short::ordered(*a_len as u8, a) == short::ordered(*b_len as u8, b)
            }
            _ => self.as_slice() == other.as_slice(),
        }
    }
}

impl Eq for Binary {}

impl PartialOrd for Binary {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By the first byte that differs, else the shorter first. Between inline ones zeros stand for the
/// bytes that are missing (`I1`), so the length decides only where the words are equal.
impl Ord for Binary {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Inline(a_len, a), Repr::Inline(b_len, b)) => {
                short::ordered(*a_len as u8, a).cmp(&short::ordered(*b_len as u8, b))
            }
            _ => self.as_slice().cmp(other.as_slice()),
        }
    }
}

impl Hash for Binary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Bytes::copy_from_slice(self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_around_every_boundary_keep_their_bytes() {
        for len in [
            0,
            1,
            14,
            15,
            16,
            31,
            32,
            63,
            64,
            OWNED_MAX,
            OWNED_MAX + 1,
            SHARE_MIN - 1,
            SHARE_MIN,
            SHARE_MIN + 1,
        ] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let copied = Binary::copy_from_slice(&bytes);
            let shared = Binary::from(Bytes::from(bytes.clone()));
            assert_eq!(copied.as_slice(), bytes);
            assert_eq!(copied, shared);
            assert_eq!(shared.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_first_byte_and_the_rest_are_kept_at_every_length() {
        for len in 0..300 {
            let bytes: Vec<u8> = (1..=len).map(|i| i as u8).collect();
            let joined = [&[0xab], &bytes[..]].concat();
            assert_eq!(Binary::with_first(0xab, &bytes).as_slice(), joined);
            assert_eq!(Binary::copy_from_slice(&bytes).as_slice(), bytes);
        }
    }

    #[test]
    fn a_large_slice_shares_its_buffer_and_a_small_one_does_not() {
        let buffer = Bytes::from(vec![7; 4 * SHARE_MIN]);
        let range = buffer.as_ptr_range();
        let large = Binary::from(buffer.slice(1..2 * SHARE_MIN));
        let small = Binary::from(buffer.slice(1..100));
        assert!(range.contains(&large.as_slice().as_ptr()));
        assert!(!range.contains(&small.as_slice().as_ptr()));
    }
}
