//! Terms on their own: what `term_to_binary` writes and `binary_to_term` reads.
//!
//! A version byte 131 stands before the term. The term may be compressed with zlib; the inflated
//! size is bounded by [`Limits::inflated_max`], whatever the bytes claim.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;

use super::decode::Decoder;
use super::encode::Encoder;
use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::tag;
use crate::limits::Limits;
use crate::node_name::NameBudget;
use crate::term::Term;

/// Encodes `term` as `term_to_binary(Term, [deterministic])` does.
///
/// # Panics
/// When a binary or container has 2^32 bytes or elements; use [`Encoder`] where that can be.
pub fn to_external(term: &Term) -> Vec<u8> {
    let mut encoder = Encoder::plain_for(term);
    encoder.version();
    encoder.term(term).expect("lengths below 2^32");
    encoder.into_bytes()
}

/// Decodes what `term_to_binary` wrote: exactly one term.
///
/// ```
/// use purlin_term::{Limits, Term, from_external, to_external};
/// let bytes = to_external(&Term::from(7));
/// assert_eq!(from_external(&bytes, &Limits::default())?, Term::from(7));
/// # Ok::<(), purlin_term::DecodeError>(())
/// ```
///
/// # Errors
/// [`DecodeError`] when the bytes are malformed, more than the limits allow, or not only one term.
pub fn from_external(bytes: &[u8], limits: &Limits) -> Result<Term, DecodeError> {
    if let [tag::VERSION, plain @ ..] = bytes
        && plain.first() != Some(&tag::COMPRESSED)
    {
        let mut names = NameBudget::new(limits.new_node_names_max);
        return Decoder::new(&[], limits, &mut names).decode_whole(plain);
    }
    let (term, used) = from_external_prefix(bytes, limits)?;
    match bytes.len() - used {
        0 => Ok(term),
        more => Err(DecodeError {
            kind: Kind::Trailing(more),
            at: used,
        }),
    }
}

/// Decodes the term that `bytes` start with, and answers how many bytes it took, as
/// `binary_to_term(Bytes, [used])` does.
///
/// # Errors
/// [`DecodeError`] when the bytes are malformed or more than the limits allow.
pub fn from_external_prefix(bytes: &[u8], limits: &Limits) -> Result<(Term, usize), DecodeError> {
    let mut names = NameBudget::new(limits.new_node_names_max);
    match split_version(bytes)? {
        [tag::COMPRESSED, compressed @ ..] => {
            let (inflated, used) = inflate(compressed, limits.inflated_max)?;
            let inflated = Bytes::from(inflated);
            let (term, len) = Decoder::new(&[], limits, &mut names).decode_shared(&inflated)?;
            match inflated.len() - len {
                0 => Ok((term, used + 2)),
                more => Err(DecodeError {
                    kind: Kind::Trailing(more),
                    at: len,
                }),
            }
        }
        plain => {
            let (term, used) = Decoder::new(&[], limits, &mut names).decode(plain)?;
            Ok((term, used + 1))
        }
    }
}

fn split_version(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    match bytes {
        [tag::VERSION, rest @ ..] => Ok(rest),
        [other, ..] => Err(DecodeError {
            kind: Kind::Version(*other),
            at: 0,
        }),
        [] => Err(DecodeError {
            kind: Kind::Truncated,
            at: 0,
        }),
    }
}

/// Inflates what follows the tag `COMPRESSED`: the size, then zlib's stream. Answers the bytes and
/// how much of the input they took.
///
/// # Errors
/// [`DecodeError`] when the stream is broken, or its size is not the one claimed or over `max`.
pub fn inflate(bytes: &[u8], max: usize) -> Result<(Vec<u8>, usize), DecodeError> {
    let fail = |kind| DecodeError { kind, at: 0 };
    let (size, stream) = bytes
        .split_first_chunk()
        .ok_or_else(|| fail(Kind::Truncated))?;
    let size = u32::from_be_bytes(*size) as usize;
    if size > max {
        return Err(fail(Kind::InflatesTooLarge(max)));
    }
    let mut decoder = ZlibDecoder::new(stream);
    let mut inflated = Vec::new();
    let read = (&mut decoder)
        .take(size as u64 + 1)
        .read_to_end(&mut inflated);
    if read.is_err() || inflated.len() != size {
        return Err(fail(Kind::BadCompression));
    }
    Ok((inflated, 4 + decoder.total_in() as usize))
}
