//! Bit strings: `<<1,"abc","é"/utf8,5:3>>`.
//!
//! A segment is an integer or a string, with a size in bits or `/utf8`. As in Erlang, an integer is
//! cut to its size, and each character of a string is a segment. Sizes are paid for before anything
//! is allocated, from what the limits allow for a whole text.

use num_bigint::BigInt;

use super::parse::Parser;
use super::quote::continues_atom;
use super::scan::{Parsed, describe};
use crate::Term;

impl Parser<'_> {
    pub(super) fn bit_string(&mut self) -> Parsed<Term> {
        self.scan.eat("<<");
        let mut bits = Bits::default();
        self.scan.skip_space();
        if self.scan.eat(">>") {
            return Ok(bits.into_term());
        }
        loop {
            self.segment(&mut bits)?;
            self.scan.skip_space();
            if self.scan.eat(">>") {
                return Ok(bits.into_term());
            }
            self.scan.expect(",", "`,` or `>>`")?;
        }
    }

    fn segment(&mut self, bits: &mut Bits) -> Parsed<()> {
        self.scan.skip_space();
        let at = self.scan.at();
        let values: Values = match self.scan.peek() {
            Some('"') => Values::Text(self.adjacent_strings()?),
            Some('0'..='9' | '+' | '-' | '$') => match self.signed()? {
                Term::Int(value) => Values::Int(value),
                Term::BigInt(value) => Values::One(value.to_bigint()),
                _ => return Err(self.scan.error(at, "an integer or a string", "a float")),
            },
            _ => return Err(self.scan.expected("an integer, a string or `>>`")),
        };
        self.scan.skip_space();
        if self.scan.eat("/") {
            let at = self.scan.at();
            if self.scan.take_while(continues_atom) != "utf8" {
                let found = describe(self.scan.text_from(at));
                return Err(self.scan.error(at, "`utf8`", found));
            }
            return self.utf8(at, &values, bits);
        }
        let size = if self.scan.eat(":") {
            self.segment_size()?
        } else {
            8
        };
        match &values {
            Values::Text(text) => {
                self.pay(at, text.chars().count().saturating_mul(size))?;
                for c in text.chars() {
                    bits.push_int(i64::from(u32::from(c)), size);
                }
            }
            Values::Int(value) => {
                self.pay(at, size)?;
                bits.push_int(*value, size);
            }
            Values::One(value) => {
                self.pay(at, size)?;
                bits.push(value, size);
            }
        }
        Ok(())
    }

    fn segment_size(&mut self) -> Parsed<usize> {
        self.scan.skip_space();
        let at = self.scan.at();
        if !matches!(self.scan.peek(), Some('0'..='9')) {
            return Err(self.scan.expected("the size of the segment in bits"));
        }
        let size = self.scan.number(false)?;
        let size = size.as_int().and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| self.scan.error(at, "a size in bits", "another number"))
    }

    fn utf8(&mut self, at: usize, values: &Values, bits: &mut Bits) -> Parsed<()> {
        let of_code;
        let text = match values {
            Values::Text(text) => text.as_str(),
            Values::Int(_) | Values::One(_) => {
                let code = match values {
                    Values::Int(value) => u32::try_from(*value).ok(),
                    _ => None,
                };
                let Some(c) = code.and_then(char::from_u32) else {
                    return Err(self
                        .scan
                        .error(at, "a size in bits", "`utf8` after no character"));
                };
                of_code = c.to_string();
                &of_code
            }
        };
        self.pay(at, text.len().saturating_mul(8))?;
        bits.append(text.as_bytes(), 8 * text.len());
        Ok(())
    }

    /// Pays for `bits` before they are allocated.
    fn pay(&mut self, at: usize, bits: usize) -> Parsed<()> {
        match self.bits_left.checked_sub(bits) {
            Some(left) => self.bits_left = left,
            None => {
                let found = format!("a segment of {bits} bits");
                return Err(self.scan.error(at, "shorter bit strings in all", found));
            }
        }
        Ok(())
    }
}

/// What a segment of a bit string holds.
enum Values {
    Int(i64),
    One(BigInt),
    Text(String),
}

/// A bit string being made.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    /// As [`Bits::push`], of a short integer: nearly every segment is one.
    fn push_int(&mut self, value: i64, size: usize) {
        match u32::try_from(size) {
            Ok(0) => {}
            Ok(bits @ ..=64) => {
                let high = (value << (64 - bits)).to_be_bytes();
                self.append(&high[..size.div_ceil(8)], size);
            }
            _ => self.push(&value.into(), size),
        }
    }

    /// The `size` lowest bits of `value`.
    fn push(&mut self, value: &BigInt, size: usize) {
        if size == 0 {
            return;
        }
        let len = size.div_ceil(8);
        let low = (value << (8 * len - size)).to_signed_bytes_be();
        let fill = if low[0] & 0x80 == 0 { 0 } else { 0xff };
        let mut bytes = vec![fill; len.saturating_sub(low.len())];
        bytes.extend_from_slice(&low[low.len().saturating_sub(len)..]);
        self.append(&bytes, size);
    }

    /// The first `size` bits of `bytes`; bits beyond them in the last byte must be zero.
    fn append(&mut self, bytes: &[u8], size: usize) {
        let used = self.len % 8;
        self.len += size;
        if used == 0 {
            self.bytes.extend_from_slice(bytes);
            return;
        }
        let (Some(last), Some(first)) = (self.bytes.last_mut(), bytes.first()) else {
            return;
        };
        *last |= first >> used;
        let next = bytes[1..].iter().chain([&0]);
        let shifted = bytes.iter().zip(next);
        self.bytes
            .extend(shifted.map(|(byte, next)| byte << (8 - used) | next >> used));
        self.bytes.truncate(self.len.div_ceil(8));
    }

    fn into_term(self) -> Term {
        Term::bits(&self.bytes, self.len).expect("as many bytes as the bits need")
    }
}
