//! A term in its encoded form, on its way between a sender and a receiver.
//!
//! What a sender encoded once, or what a connection's reader walked and hands to the receiving
//! process to decode: the bytes, and just the atoms that they refer to by number. Cheap to clone.
//!
//! Invariant `I1`: the bytes are one well-formed term whose atom references are all in `atoms`,
//! and whose node names are interned.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::decode::Decoder;
use super::encode::Encoder;
use super::error::{DecodeError, DecodeErrorKind as Kind, EncodeError};
use super::tag;
use super::view::View;
use crate::atom::Atom;
use crate::limits::Limits;
use crate::node_name::NameBudget;
use crate::term::Term;

/// An encoded, well-formed term with the atoms it refers to.
#[derive(Clone)]
pub struct EncodedTerm {
    bytes: Bytes,
    /// `None` where there are none, as in most small messages: an empty `Arc` has memory, too.
    atoms: Option<Arc<[Atom]>>,
}

impl EncodedTerm {
    /// Encodes `term`, its atoms as references.
    ///
    /// # Errors
    /// [`EncodeError`] for a length of 2^32 or more.
    pub fn encode(term: &Term) -> Result<Self, EncodeError> {
        let mut encoder = Encoder::with_atom_refs();
        encoder.term(term)?;
        Ok(Self::from_encoder(encoder))
    }

    /// The empty list, which needs no memory.
    pub fn nil() -> Self {
        Self {
            bytes: Bytes::from_static(&[tag::NIL]),
            atoms: None,
        }
    }

    /// A tuple of encoded terms: an envelope around what was encoded before.
    ///
    /// ```
    /// use purlin_term::{EncodedTerm, Term, atom};
    /// let [tag, two] = [atom!("add").into(), Term::from(2)];
    /// let [tag, two] = [EncodedTerm::encode(&tag)?, EncodedTerm::encode(&two)?];
    /// let pair = EncodedTerm::tuple([tag.view(), two.view()])?;
    /// assert_eq!(pair.to_term()?.to_string(), "{add,2}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`EncodeError`] for a length of 2^32 or more.
    pub fn tuple<const N: usize>(items: [View<'_>; N]) -> Result<Self, EncodeError> {
        let mut encoder = Encoder::with_atom_refs();
        encoder.tuple(N)?;
        for item in items {
            encoder.view(item)?;
        }
        Ok(Self::from_encoder(encoder))
    }

    /// What `encoder` wrote, which must be one whole term: trusted, not walked.
    pub(crate) fn from_encoder(encoder: Encoder) -> Self {
        let (bytes, atoms) = encoder.finish();
        Self {
            bytes,
            atoms: (!atoms.is_empty()).then(|| atoms.into()),
        }
    }

    /// Walks `bytes`, which must be just one term with references into `atoms`, and keeps them
    /// with the atoms that are really referred to.
    ///
    /// # Errors
    /// [`DecodeError`]: what is wrong, and where.
    pub fn validated(
        bytes: Bytes,
        atoms: &[Atom],
        limits: &Limits,
        names: &mut NameBudget,
    ) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(atoms, limits, names);
        let len = decoder.validate(&bytes)?;
        if len != bytes.len() {
            return Err(DecodeError {
                kind: Kind::Trailing(bytes.len() - len),
                at: len,
            });
        }
        let atoms = decoder.used().select(atoms);
        Ok(Self { bytes, atoms })
    }

    pub(super) fn copy_of(bytes: &[u8], atoms: &[Atom]) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(bytes),
            atoms: shared(atoms),
        }
    }

    /// The term, borrowed.
    pub fn view(&self) -> View<'_> {
        View::of(&self.bytes, self.atoms())
    }

    /// The owned term; its large binaries go on pointing into this message.
    ///
    /// # Errors
    /// [`DecodeError`] when a map has a key twice: the one thing that the walk does not see.
    pub fn to_term(&self) -> Result<Term, DecodeError> {
        let mut none = NameBudget::new(0);
        let mut decoder = Decoder::new(self.atoms(), &Limits::CHECKED, &mut none);
        decoder.decode_shared(&self.bytes).map(|(term, _)| term)
    }

    /// The encoded bytes, without the version byte.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The atoms that the bytes refer to by number; unused numbers hold the empty atom.
    pub fn atoms(&self) -> &[Atom] {
        self.atoms.as_deref().unwrap_or_default()
    }
}

fn shared(atoms: &[Atom]) -> Option<Arc<[Atom]>> {
    (!atoms.is_empty()).then(|| atoms.into())
}

impl fmt::Debug for EncodedTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), f)
    }
}
