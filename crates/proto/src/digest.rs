//! The proof of the cookie: MD5 over the cookie and a challenge.
//!
//! Each side sends the other a 32-bit challenge and answers with
//! `MD5(cookie ++ decimal text of the challenge)` (ERTS, *Distribution Protocol*, "Digest";
//! `dist_util:gen_digest/2`). MD5 is what the protocol prescribes. It keeps strangers out of a
//! trusted network and no more: who can listen can try cookies offline, and nothing after the
//! handshake is authenticated. Where that matters, run the distribution over TLS.
//!
//! Guarantees: a [`Cookie`] never prints itself, and digests are compared in a time that does
//! not depend on where they differ. Not guaranteed: that the cookie is wiped from memory.
//!
//! OTP hashes `atom_to_list(Cookie)`, one byte for each character, so a cookie with a character
//! above 255 has no digest there; [`Cookie::new`] refuses it.
//!
//! Next: [`crate::handshake`], the only caller.

use core::fmt;
use core::hint::black_box;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::limits::ATOM_CHARS_MAX;

/// The secret that two nodes must share to connect, as the bytes that OTP hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(Arc<[u8]>);

/// Why a text cannot be a cookie. Nothing was changed; fix the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The cookie is empty.
    #[error("the cookie is empty; write some letters and digits into it")]
    Empty,
    /// The cookie does not fit an Erlang atom.
    #[error("the cookie has {chars} characters; an Erlang cookie has at most 255")]
    TooLong {
        /// How many characters it has.
        chars: usize,
    },
    /// A character that OTP cannot hash.
    #[error(
        "the cookie's character number {position} is outside Latin-1, which Erlang cannot use in \
         a cookie; keep to letters and digits"
    )]
    NotLatin1 {
        /// Which character, counted from 1.
        position: usize,
    },
}

impl Cookie {
    /// The cookie with this text, 1 to 255 characters of Latin-1.
    ///
    /// # Errors
    /// [`CookieError`] says what is wrong with the text.
    ///
    /// ```
    /// use purlin_proto::digest::{Cookie, Digest};
    /// let cookie = Cookie::new("secretx")?;
    /// assert_eq!(Digest::of(&cookie, 123456789).to_string(), "8d7687b7cb570ff5f50403048da802b4");
    /// # Ok::<(), purlin_proto::digest::CookieError>(())
    /// ```
    pub fn new(text: &str) -> Result<Self, CookieError> {
        let chars = text.chars().count();
        match chars {
            0 => return Err(CookieError::Empty),
            chars if chars > ATOM_CHARS_MAX => return Err(CookieError::TooLong { chars }),
            _ => {}
        }
        let byte = |(at, c): (usize, char)| {
            u8::try_from(c).map_err(|_| CookieError::NotLatin1 { position: at + 1 })
        };
        text.chars()
            .enumerate()
            .map(byte)
            .collect::<Result<_, _>>()
            .map(Cookie)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(hidden)")
    }
}

/// The answer to a challenge. Equality takes the same time wherever two digests differ.
#[derive(Clone, Copy, Debug)]
pub struct Digest([u8; Self::LEN]);

impl Digest {
    /// Bytes of a digest: those of MD5.
    pub const LEN: usize = 16;

    /// The answer to `challenge` by one who knows `cookie`.
    pub fn of(cookie: &Cookie, challenge: u32) -> Self {
        let mut md5 = Md5::new();
        md5.update(&cookie.0);
        md5.update(challenge.to_string().as_bytes());
        Digest(md5.finalize().into())
    }

    /// A digest as a peer sent it.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Digest(bytes)
    }

    /// The digest as it is sent.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        let differing = self
            .0
            .iter()
            .zip(&other.0)
            .fold(0, |bits, (a, b)| bits | (a ^ b));
        // The compiler must not see that the loop could stop at the first difference.
        black_box(differing) == 0
    }
}

impl Eq for Digest {}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(cookie: &str, challenge: u32) -> String {
        Digest::of(&Cookie::new(cookie).unwrap(), challenge).to_string()
    }

    #[test]
    fn digests_are_those_of_otp() {
        assert_eq!(
            digest("secretx", 123_456_789),
            "8d7687b7cb570ff5f50403048da802b4"
        );
        assert_eq!(digest("kookie", 0), "b1ec38c78c784708a0a020b395c60742");
        assert_eq!(
            digest("kookie", u32::MAX),
            "8f7610a1570b3a3c95f067c1c937d7da"
        );
        // erlang:md5([atom_to_list('é') | "7"]) in OTP 25.
        assert_eq!(digest("é", 7), "b264a55b07483340640f622909db12a6");
    }

    #[test]
    fn digests_differ_whichever_byte_differs() {
        let one = Digest::of(&Cookie::new("kookie").unwrap(), 1);
        assert_eq!(one, one);
        for at in 0..Digest::LEN {
            let mut other = *one.as_bytes();
            other[at] ^= 0x80;
            assert_ne!(one, Digest::from_bytes(other));
        }
    }

    #[test]
    fn cookies_that_erlang_cannot_use_are_refused() {
        assert_eq!(Cookie::new(""), Err(CookieError::Empty));
        assert_eq!(
            Cookie::new("ab€"),
            Err(CookieError::NotLatin1 { position: 3 })
        );
        assert_eq!(
            Cookie::new(&"x".repeat(256)),
            Err(CookieError::TooLong { chars: 256 })
        );
        assert!(Cookie::new(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn a_cookie_does_not_print_itself() {
        assert!(!format!("{:?}", Cookie::new("secretx").unwrap()).contains("secretx"));
    }
}
