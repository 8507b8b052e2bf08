//! Atoms without an atom table.
//!
//! An [`Atom`] is 16 bytes and cheap to clone: a text of up to 15 bytes lies in the value itself,
//! a longer one is a `'static` string or a reference-counted one. OTP interns every atom in one
//! table of bounded size that is never emptied, so a peer can fill it; here nothing is interned
//! and an atom that nobody holds is freed.
//!
//! Deviation from OTP: comparing two atoms compares their texts. Texts of up to 15 bytes compare
//! as two machine words, which is nearly every atom on the wire.
//!
//! Invariants:
//! - `I1` the text is valid UTF-8 of at most [`ATOM_CHARS_MAX`] characters;
//! - `I2` a text of up to `INLINE_MAX` bytes is always inline, so representation and text agree
//!   and two inline atoms are equal exactly if their bytes are;
//! - `I3` unused inline bytes are zero.
//!
//! See `docs/decisions/` for the alternatives; read `node_name` next for the one thing that is
//! interned.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::codec::ShortText;
use crate::limits::{ATOM_BYTES_MAX, ATOM_CHARS_MAX};
use crate::short;

/// Texts of up to this many bytes are stored in the atom itself.
const INLINE_MAX: usize = 15;

/// An Erlang atom: a name that stands for itself.
///
/// ```
/// use purlin_term::Atom;
/// let ok = Atom::new("ok")?;
/// assert_eq!(ok, "ok");
/// assert_eq!(size_of::<Atom>(), 16);
/// # Ok::<(), purlin_term::AtomTooLong>(())
/// ```
#[derive(Clone)]
pub struct Atom(Repr);

#[derive(Clone)]
enum Repr {
    Inline(InlineLen, [u8; INLINE_MAX]),
    Static(&'static &'static str),
    Shared(Arc<Box<str>>),
}

/// A length of 0 to 15. An enum, so that the other variants of `Repr` find room in its byte.
#[derive(Clone, Copy, PartialEq, Eq)]
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

const _: () = assert!(size_of::<Atom>() == 16 && size_of::<Option<Atom>>() == 16);

/// A text that is too long for an atom: more than 255 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an atom has at most {ATOM_CHARS_MAX} characters, this text has more")]
pub struct AtomTooLong;

impl Atom {
    /// Makes an atom of `text`.
    ///
    /// # Errors
    /// [`AtomTooLong`] when `text` has more than 255 characters.
    pub fn new(text: &str) -> Result<Self, AtomTooLong> {
        if text.len() <= INLINE_MAX {
            return Ok(Self::from_short(ShortText {
                len: text.len(),
                word: short::word(text.as_bytes()),
            }));
        }
        if text.len() > ATOM_CHARS_MAX
            && (text.len() > ATOM_BYTES_MAX || text.chars().count() > ATOM_CHARS_MAX)
        {
            return Err(AtomTooLong);
        }
        Ok(Self(Repr::Shared(Arc::new(text.into()))))
    }

    /// Makes an atom of a text known at compile time, without allocating: `Atom::from_static(&"undefined")`.
    ///
    /// # Panics
    /// When the text has more than 255 bytes; in a `const` that is a compile error.
    pub const fn from_static(text: &'static &'static str) -> Self {
        assert!(
            text.len() <= ATOM_CHARS_MAX,
            "an atom has at most 255 characters"
        );
        if text.len() <= INLINE_MAX {
            Self::inline(text.as_bytes())
        } else {
            Self(Repr::Static(text))
        }
    }

    /// The same atom, its text kept for as long as the program runs: to copy it counts nothing.
    pub(crate) fn leak(&self) -> Self {
        match &self.0 {
            Repr::Shared(text) => {
                let text: &'static str = Box::leak(Box::clone(text));
                Self(Repr::Static(Box::leak(Box::new(text))))
            }
            _ => self.clone(),
        }
    }

    /// True if an atom of `text` needs no allocation.
    #[inline]
    pub(crate) fn fits_inline(text: &str) -> bool {
        text.len() <= INLINE_MAX
    }

    const fn inline(text: &[u8]) -> Self {
        let mut bytes = [0; INLINE_MAX];
        let (head, _) = bytes.split_at_mut(text.len());
        head.copy_from_slice(text);
        Self(Repr::Inline(InlineLen::ALL[text.len()], bytes))
    }

    /// The atom of a short text: `len` bytes of `word`, the first lowest, zeros above the last.
    #[inline(always)]
    pub(crate) fn from_short(ShortText { len, word }: ShortText) -> Self {
        let [bytes @ .., _] = word.to_le_bytes();
        Self(Repr::Inline(InlineLen::ALL[len], bytes))
    }

    /// The text as UTF-8 bytes: cheaper than [`Atom::as_str`] for short atoms.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(len, bytes) => &bytes[..*len as usize],
            Repr::Static(text) => text.as_bytes(),
            Repr::Shared(text) => text.as_bytes(),
        }
    }

    /// The text, if it lies in the atom itself: its length, and its bytes followed by zeros.
    #[inline]
    pub(crate) fn as_short(&self) -> Option<(usize, &[u8; INLINE_MAX])> {
        match &self.0 {
            Repr::Inline(len, bytes) => Some((*len as usize, bytes)),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Inline(len, bytes) => {
                std::str::from_utf8(&bytes[..*len as usize]).expect("I1: an atom is valid UTF-8")
            }
            Repr::Static(text) => text,
            Repr::Shared(text) => text,
        }
    }

    /// True if this is the empty atom `''`, which marks unused slots in control messages.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// Makes an [`Atom`] of a literal, at compile time and without allocating.
///
/// ```
/// let atom = purlin_term::atom!("global_name_server");
/// assert_eq!(atom.as_str(), "global_name_server");
/// ```
#[macro_export]
macro_rules! atom {
    ($text:literal) => {
        const { $crate::Atom::from_static(&$text) }
    };
}

impl PartialEq for Atom {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline(a_len, a), Repr::Inline(b_len, b)) => {
                short::ordered(*a_len as u8, a) == short::ordered(*b_len as u8, b)
            }
            // The other text is longer (I2).
            (Repr::Inline(..), _) | (_, Repr::Inline(..)) => false,
            // Mostly copies of one: the names of nodes are.
            (Repr::Static(a), Repr::Static(b)) if std::ptr::eq(*a, *b) => true,
            (Repr::Shared(a), Repr::Shared(b)) if Arc::ptr_eq(a, b) => true,
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for Atom {}

impl PartialEq<str> for Atom {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Atom {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

/// UTF-8 bytes sort as code points do, which is Erlang's order of atoms.
impl Ord for Atom {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // Zeros stand for the bytes that are missing (I3), so the length decides last.
            (Repr::Inline(a_len, a), Repr::Inline(b_len, b)) => {
                short::ordered(*a_len as u8, a).cmp(&short::ordered(*b_len as u8, b))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Hashes as the text does, so that maps keyed by atoms can be asked with a `&str`.
impl Hash for Atom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        state.write_u8(0xff);
    }
}

impl Borrow<str> for Atom {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// The atom of a literal, where a name is wanted: `whereis("counter")`. Text from elsewhere goes through [`Atom::new`].
impl From<&'static str> for Atom {
    /// # Panics
    /// When the text has more than 255 characters.
    fn from(text: &'static str) -> Self {
        Self::new(text).expect("an atom has at most 255 characters")
    }
}

impl From<&Atom> for Atom {
    fn from(atom: &Atom) -> Self {
        atom.clone()
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_equal_whatever_the_representation() {
        let long = "a_text_that_is_longer_than_inline";
        let of_static = Atom::from_static(&"a_text_that_is_longer_than_inline");
        assert_eq!(Atom::new(long).unwrap(), of_static);
        assert_eq!(Atom::new("ok").unwrap(), Atom::from_static(&"ok"));
        assert_ne!(Atom::new("ok").unwrap(), Atom::new("ok\0").unwrap());
        let (leaked, other) = (of_static.leak(), Atom::new(long).unwrap().leak());
        assert_eq!(leaked, other);
        assert_eq!(leaked, Atom::new(long).unwrap());
        assert_ne!(leaked, Atom::new(&long[1..]).unwrap().leak());
        assert_ne!(leaked, Atom::new(&long[..15]).unwrap());
        assert_eq!(Atom::new("ok").unwrap().leak(), Atom::from_static(&"ok"));
    }

    #[test]
    fn length_is_counted_in_characters_not_bytes() {
        let wide = "é".repeat(ATOM_CHARS_MAX);
        assert_eq!(Atom::new(&wide).unwrap().as_str(), wide);
        assert_eq!(Atom::new(&"é".repeat(ATOM_CHARS_MAX + 1)), Err(AtomTooLong));
        assert_eq!(Atom::new(&"a".repeat(ATOM_CHARS_MAX + 1)), Err(AtomTooLong));
        assert!(Atom::new(&"😀".repeat(ATOM_CHARS_MAX)).is_ok());
    }

    #[test]
    fn a_map_keyed_by_atoms_answers_to_text() {
        let mut map = std::collections::BTreeMap::new();
        map.insert(Atom::new("key").unwrap(), 1);
        assert_eq!(map.get("key"), Some(&1));
    }
}
