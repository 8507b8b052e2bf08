//! Integers of more than 64 bits, as the wire carries them.
//!
//! A [`Bignum`] is what stands in `SMALL_BIG_EXT` after the length: a byte that is 1 for negative
//! numbers, then the magnitude, lowest byte first. It is held as a [`Binary`] holds bytes, so numbers
//! of up to 14 bytes need no allocation, larger ones one or two, and decoding and encoding are a
//! copy. Arithmetic is for [`BigInt`]: [`Bignum::to_bigint`] and `Term::from` lead there and back.
//!
//! Invariants: `I1` the first byte is 0 or 1; `I2` the last byte of the magnitude is not zero;
//! `I3` the value does not fit an `i64` (`I1` of `term`). So equal numbers have equal bytes.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, Sign};

use crate::binary::Binary;

/// An integer that does not fit an `i64`.
///
/// ```
/// use purlin_term::{BigInt, Term};
/// let term = Term::from(u64::MAX);
/// let Term::BigInt(number) = &term else { panic!("more than an i64 holds") };
/// assert_eq!(number.magnitude(), [0xff; 8]);
/// assert_eq!(Term::from(number.to_bigint() + 1).to_string(), "18446744073709551616");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bignum(Binary);

impl Bignum {
    /// A number of these digits, of which the highest is not zero, and which are too many for an
    /// `i64`.
    #[inline]
    pub(crate) fn new(negative: bool, digits: &[u8]) -> Self {
        debug_assert!(digits.last().is_some_and(|&last| last != 0), "I2");
        Self(Binary::with_first(negative.into(), digits))
    }

    /// True if it is less than zero.
    pub fn is_negative(&self) -> bool {
        self.0[0] != 0
    }

    /// The bytes of the absolute value, lowest first; the last is not zero.
    pub fn magnitude(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Bits of the absolute value, from the highest that is set.
    pub fn bits(&self) -> u64 {
        let magnitude = self.magnitude();
        let zeros = magnitude.last().map_or(0, |last| last.leading_zeros());
        8 * magnitude.len() as u64 - u64::from(zeros)
    }

    /// The value, to calculate with.
    pub fn to_bigint(&self) -> BigInt {
        let sign = if self.is_negative() {
            Sign::Minus
        } else {
            Sign::Plus
        };
        BigInt::from_bytes_le(sign, self.magnitude())
    }

    /// The value, if 64 bits without a sign hold it.
    pub fn to_u64(&self) -> Option<u64> {
        let digits = (!self.is_negative()).then_some(self.magnitude())?;
        let mut bytes = [0; 8];
        bytes.get_mut(..digits.len())?.copy_from_slice(digits);
        Some(u64::from_le_bytes(bytes))
    }

    /// Sign and magnitude as `SMALL_BIG_EXT` carries them.
    #[inline]
    pub(crate) fn signed_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&Bignum> for BigInt {
    fn from(number: &Bignum) -> Self {
        number.to_bigint()
    }
}

impl PartialOrd for Bignum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By value: without leading zeros (`I2`) the longer magnitude is the larger.
impl Ord for Bignum {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitudes = |a: &Self, b: &Self| {
            let (a, b) = (a.magnitude(), b.magnitude());
            let highest_first = || a.iter().rev().cmp(b.iter().rev());
            a.len().cmp(&b.len()).then_with(highest_first)
        };
        match (self.is_negative(), other.is_negative()) {
            (false, false) => magnitudes(self, other),
            (true, true) => magnitudes(other, self),
            (negative, other) => other.cmp(&negative),
        }
    }
}

impl fmt::Display for Bignum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_bigint(), f)
    }
}

impl fmt::Debug for Bignum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
