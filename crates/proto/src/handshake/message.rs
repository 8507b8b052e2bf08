//! The messages of the handshake, as bytes and as values, and the lengths before them.
//!
//! The letters are those of the manual. `N` is both the dialler's name and the acceptor's
//! challenge, so what a message is depends on who reads it and when; hence one function for each,
//! which is told the [`Step`] for its errors.

use bytes::{BufMut, Bytes, BytesMut};

use super::error::{HandshakeError, Step};
use crate::digest::Digest;
use crate::flags::Flags;
use crate::limits::HANDSHAKE_MESSAGE_LEN_MAX;

/// The version that the old form of the name carries (ERTS manual).
const OLD_VERSION: u16 = 5;

/// How the messages of the handshake are delimited; frames after it always have 4-byte lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// 2-byte lengths: over TCP.
    #[default]
    TwoByte,
    /// 4-byte lengths: over TLS (measured; the manual does not say).
    FourByte,
}

impl Framing {
    /// Bytes of the length.
    const fn header_len(self) -> usize {
        match self {
            Framing::TwoByte => 2,
            Framing::FourByte => 4,
        }
    }

    /// The body of the first message in `buffer`, if it has arrived as a whole.
    ///
    /// # Errors
    /// [`HandshakeError::TooLong`] as soon as the length says so.
    pub(super) fn split(
        self,
        buffer: &mut BytesMut,
        step: Step,
    ) -> Result<Option<Bytes>, HandshakeError> {
        let Some(len) = self.announced_len(buffer) else {
            return Ok(None);
        };
        let len_max = HANDSHAKE_MESSAGE_LEN_MAX;
        if len > len_max {
            return Err(HandshakeError::TooLong { step, len, len_max });
        }
        let end = self.header_len() + len;
        if buffer.len() < end {
            return Ok(None);
        }
        Ok(Some(
            buffer.split_to(end).freeze().slice(self.header_len()..),
        ))
    }

    fn announced_len(self, buffer: &[u8]) -> Option<usize> {
        match self {
            Framing::TwoByte => buffer
                .first_chunk()
                .map(|len| u16::from_be_bytes(*len).into()),
            Framing::FourByte => {
                let len = u32::from_be_bytes(*buffer.first_chunk()?);
                Some(usize::try_from(len).unwrap_or(usize::MAX))
            }
        }
    }

    /// `body` with its length before it. Ours are shorter than the limit, by the bound on names.
    pub(super) fn frame(self, body: &[u8]) -> Bytes {
        assert!(
            body.len() <= HANDSHAKE_MESSAGE_LEN_MAX,
            "our own messages are short"
        );
        let mut framed = BytesMut::with_capacity(self.header_len() + body.len());
        match self {
            Framing::TwoByte => framed.put_u16(body.len() as u16),
            Framing::FourByte => framed.put_u32(body.len() as u32),
        }
        framed.put_slice(body);
        framed.freeze()
    }
}

/// The dialler's first message. The name is text as it came, with or without an `@`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SendName {
    pub(super) flags: Flags,
    pub(super) creation: u32,
    pub(super) name: Bytes,
    /// The `n` form: the upper half of the flags and the creation follow later.
    pub(super) is_old_form: bool,
}

impl SendName {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = vec![b'N'];
        body.put_u64(self.flags.bits());
        body.put_u32(self.creation);
        put_text(&mut body, &self.name);
        body
    }

    pub(super) fn decode(body: &Bytes) -> Result<Self, HandshakeError> {
        let mut fields = Fields::new(body, Step::Name);
        match fields.u8()? {
            b'N' => {
                let (flags, creation) = (Flags::from_bits(fields.u64()?), fields.u32()?);
                // Bytes after the name are for later releases and ignored (manual).
                let name = body.slice_ref(fields.text()?);
                Ok(SendName {
                    flags,
                    creation,
                    name,
                    is_old_form: false,
                })
            }
            b'n' => Self::decode_old(body, fields),
            _ => Err(fields.malformed("it is not a name")),
        }
    }

    fn decode_old(body: &Bytes, mut fields: Fields<'_>) -> Result<Self, HandshakeError> {
        let (version, flags) = (fields.u16()?, Flags::from_bits(fields.u32()?.into()));
        if version != OLD_VERSION || !flags.expanded().contains(Flags::HANDSHAKE_23) {
            return Err(HandshakeError::OldVersion);
        }
        Ok(SendName {
            flags,
            creation: 0,
            name: body.slice_ref(fields.rest),
            is_old_form: true,
        })
    }
}

/// The acceptor's answer to the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    OkSimultaneous,
    Nok,
    NotAllowed,
    Alive,
    Named { name: Bytes, creation: u32 },
    Unknown(Bytes),
}

impl Status {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = vec![b's'];
        body.extend_from_slice(match self {
            Status::Ok => b"ok",
            Status::OkSimultaneous => b"ok_simultaneous",
            Status::Nok => b"nok",
            Status::NotAllowed => b"not_allowed",
            Status::Alive => b"alive",
            Status::Named { .. } => b"named:",
            Status::Unknown(text) => text,
        });
        if let Status::Named { name, creation } = self {
            put_text(&mut body, name);
            body.put_u32(*creation);
        }
        body
    }

    pub(super) fn decode(body: &Bytes) -> Result<Self, HandshakeError> {
        let mut fields = Fields::new(body, Step::Status);
        if fields.u8()? != b's' {
            return Err(fields.malformed("it is not a status"));
        }
        Ok(match fields.rest {
            b"ok" => Status::Ok,
            b"ok_simultaneous" => Status::OkSimultaneous,
            b"nok" => Status::Nok,
            b"not_allowed" => Status::NotAllowed,
            b"alive" => Status::Alive,
            [b'n', b'a', b'm', b'e', b'd', b':', rest @ ..] => {
                fields.rest = rest;
                let name = body.slice_ref(fields.text()?);
                Status::Named {
                    name,
                    creation: fields.u32()?,
                }
            }
            unknown => Status::Unknown(body.slice_ref(unknown)),
        })
    }
}

/// The dialler's answer to `alive`.
pub(super) fn encode_alive_answer(is_wanted: bool) -> &'static [u8] {
    if is_wanted { b"strue" } else { b"sfalse" }
}

pub(super) fn decode_alive_answer(body: &[u8]) -> Result<bool, HandshakeError> {
    match body {
        b"strue" => Ok(true),
        b"sfalse" => Ok(false),
        _ => Err(Fields::new(body, Step::AliveAnswer).malformed("it is neither true nor false")),
    }
}

/// The acceptor's name, flags and challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) flags: Flags,
    pub(super) challenge: u32,
    pub(super) creation: u32,
    pub(super) name: Bytes,
}

impl Challenge {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = vec![b'N'];
        body.put_u64(self.flags.bits());
        body.put_u32(self.challenge);
        body.put_u32(self.creation);
        put_text(&mut body, &self.name);
        body
    }

    pub(super) fn decode(body: &Bytes) -> Result<Self, HandshakeError> {
        let mut fields = Fields::new(body, Step::Challenge);
        match fields.u8()? {
            b'N' => {}
            b'n' => return Err(HandshakeError::OldVersion),
            _ => return Err(fields.malformed("it is not a challenge")),
        }
        let flags = Flags::from_bits(fields.u64()?);
        let (challenge, creation) = (fields.u32()?, fields.u32()?);
        let name = body.slice_ref(fields.text()?);
        Ok(Challenge {
            flags,
            challenge,
            creation,
            name,
        })
    }
}

/// The upper half of an old dialler's flags, and its creation.
pub(super) fn decode_complement(body: &[u8]) -> Result<(Flags, u32), HandshakeError> {
    let mut fields = Fields::new(body, Step::Complement);
    if fields.u8()? != b'c' {
        return Err(fields.malformed("it is not a complement"));
    }
    let (upper, creation) = (fields.u32()?, fields.u32()?);
    Ok((Flags::from_bits(u64::from(upper) << 32), creation))
}

/// The dialler's challenge to the acceptor, and its digest of the acceptor's.
pub(super) fn encode_reply(challenge: u32, digest: Digest) -> Vec<u8> {
    let mut body = vec![b'r'];
    body.put_u32(challenge);
    body.put_slice(digest.as_bytes());
    body
}

pub(super) fn decode_reply(body: &[u8]) -> Result<(u32, Digest), HandshakeError> {
    let mut fields = Fields::new(body, Step::ChallengeReply);
    if fields.u8()? != b'r' {
        return Err(fields.malformed("it is not a challenge reply"));
    }
    Ok((fields.u32()?, fields.last_digest()?))
}

/// The acceptor's digest of the dialler's challenge.
pub(super) fn encode_ack(digest: Digest) -> Vec<u8> {
    [b"a", &digest.as_bytes()[..]].concat()
}

pub(super) fn decode_ack(body: &[u8]) -> Result<Digest, HandshakeError> {
    let mut fields = Fields::new(body, Step::ChallengeAck);
    if fields.u8()? != b'a' {
        return Err(fields.malformed("it is not a challenge acknowledgement"));
    }
    fields.last_digest()
}

fn put_text(body: &mut Vec<u8>, text: &[u8]) {
    body.put_u16(u16::try_from(text.len()).expect("a node name is at most 1020 bytes long"));
    body.put_slice(text);
}

/// Takes fields off the front of a message.
struct Fields<'a> {
    rest: &'a [u8],
    step: Step,
}

impl<'a> Fields<'a> {
    fn new(rest: &'a [u8], step: Step) -> Self {
        Fields { rest, step }
    }

    fn malformed(&self, what: &'static str) -> HandshakeError {
        HandshakeError::Malformed {
            step: self.step,
            what,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], HandshakeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.malformed("it is too short"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HandshakeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, HandshakeError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, HandshakeError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, HandshakeError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, HandshakeError> {
        self.array().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Result<&'a [u8], HandshakeError> {
        let len = self.u16()?;
        self.take(len.into())
    }

    fn last_digest(&mut self) -> Result<Digest, HandshakeError> {
        let digest = Digest::from_bytes(self.array()?);
        if self.rest.is_empty() {
            Ok(digest)
        } else {
            Err(self.malformed("it is too long"))
        }
    }
}
