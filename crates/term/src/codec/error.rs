//! What can be wrong with bytes that should be a term.

use crate::limits::ATOM_CHARS_MAX;
use crate::node_name::NodeNameRefused;

/// Bytes that are not a term, or not one that the limits allow: what is wrong, and where.
///
/// Nothing was changed, save that node names met before the error may have been interned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte {at}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The offset in the input, within a byte or two; for compressed terms in what they hold.
    pub at: usize,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
// A tag of a whole word: beside a term in a `Result`, a smaller one would split the words of the
// term wherever the result is moved, and a term is moved far more often than an error.
#[repr(u64)]
pub enum DecodeErrorKind {
    #[error("the bytes end inside a term")]
    Truncated,
    #[error("{0} bytes follow the term")]
    Trailing(usize),
    #[error("tag {0} is not one of the External Term Format's")]
    UnknownTag(u8),
    #[error("version byte {0} where 131 is expected")]
    Version(u8),
    #[error("nested too deeply")]
    TooDeep,
    #[error("larger than the limit of {0} bytes")]
    TooLarge(usize),
    #[error("more elements than the limit allows")]
    TooManyElements,
    #[error("an atom that is not valid UTF-8")]
    AtomNotUtf8,
    #[error("an atom of more than {ATOM_CHARS_MAX} characters")]
    AtomTooLong,
    #[error("atom reference {0} is not in the message's header")]
    UnknownAtomRef(u8),
    #[error("an atom is expected, tag {0} found")]
    NotAnAtom(u8),
    #[error("an integer is expected, tag {0} found")]
    NotAnInteger(u8),
    #[error("a pid is expected, tag {0} found")]
    NotAPid(u8),
    #[error("a float that is not finite or not a number")]
    BadFloat,
    #[error("a bit string with an impossible number of bits")]
    BadBitString,
    #[error("a reference of {0} words")]
    BadReference(u16),
    #[error("a fun whose size does not match its content")]
    BadFun,
    #[error("an arity that does not fit a byte")]
    BadArity,
    #[error("a map with the same key twice")]
    DuplicateKey,
    #[error("a compressed term that does not inflate")]
    BadCompression,
    #[error("a compressed term that inflates to more than {0} bytes")]
    InflatesTooLarge(usize),
    #[error("{0}")]
    NodeName(NodeNameRefused),
}

/// A value that has no encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A container or binary has more than 2^32 - 1 elements or bytes. What was written before it
    /// is of no use.
    #[error("a length of {0} does not fit the format's 32 bits")]
    TooLong(usize),
}
