//! The requests to EPMD, as values and as bytes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::handshake::quoted;
use crate::limits::{ATOM_CHARS_MAX, EPMD_EXTRA_LEN_MAX};

/// The highest version of the handshake a node speaks; 6 since OTP 23.
const HIGHEST_VERSION: u16 = 6;

/// What OTP 25 and 28 register as the lowest (measured; the manual says 6).
const LOWEST_VERSION: u16 = 5;

/// What kind of node registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeType {
    /// An ordinary node.
    Visible,
    /// A hidden node. Peers go by the handshake's flags, not by this.
    Hidden,
    /// A number EPMD takes and gives back as it is.
    Other(u8),
}

impl NodeType {
    /// The number that is sent.
    pub const fn code(self) -> u8 {
        match self {
            NodeType::Visible => 77,
            NodeType::Hidden => 72,
            NodeType::Other(code) => code,
        }
    }

    /// The type with this number.
    pub const fn from_code(code: u8) -> Self {
        match code {
            77 => NodeType::Visible,
            72 => NodeType::Hidden,
            code => NodeType::Other(code),
        }
    }
}

/// What a node tells EPMD about itself, and EPMD tells others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The part of the node's name before the `@`.
    pub alive: String,
    /// The port the node listens on.
    pub port: u16,
    /// Its kind.
    pub node_type: NodeType,
    /// 0: TCP over IPv4.
    pub protocol: u8,
    /// The highest version of the handshake it speaks; take "at least 6" as the test.
    pub highest_version: u16,
    /// The lowest one.
    pub lowest_version: u16,
    /// Bytes that EPMD gives back as they are.
    pub extra: Bytes,
}

impl Registration {
    /// The registration of a node like OTP's, visible unless `is_hidden`.
    pub fn new(alive: &str, port: u16, is_hidden: bool) -> Self {
        Registration {
            alive: alive.to_owned(),
            port,
            node_type: if is_hidden {
                NodeType::Hidden
            } else {
                NodeType::Visible
            },
            protocol: 0,
            highest_version: HIGHEST_VERSION,
            lowest_version: LOWEST_VERSION,
            extra: Bytes::new(),
        }
    }

    /// Checks the name and the extra bytes.
    ///
    /// # Errors
    /// [`RequestError::Name`] or [`RequestError::ExtraTooLong`].
    pub(super) fn check(&self) -> Result<(), RequestError> {
        check_alive(&self.alive)?;
        match self.extra.len() {
            len if len > EPMD_EXTRA_LEN_MAX => Err(RequestError::ExtraTooLong { len }),
            _ => Ok(()),
        }
    }

    /// The fields in the order that registrations and lookups share.
    pub(super) fn put(&self, body: &mut BytesMut) {
        body.put_u16(self.port);
        body.put_u8(self.node_type.code());
        body.put_u8(self.protocol);
        body.put_u16(self.highest_version);
        body.put_u16(self.lowest_version);
        for text in [self.alive.as_bytes(), &self.extra] {
            body.put_u16(u16::try_from(text.len()).expect("checked to be at most 1020 bytes"));
            body.put_slice(text);
        }
    }

    /// Reads the same fields, and how many bytes they took; `None` when `bytes` ends too early.
    pub(super) fn take(bytes: &[u8]) -> Option<(Result<Self, RequestError>, usize)> {
        let (fixed, rest) = bytes.split_first_chunk::<10>()?;
        let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let (alive, rest) = rest.split_at_checked(number(8).into())?;
        let (extra_len, rest) = rest.split_first_chunk::<2>()?;
        let (extra, rest) = rest.split_at_checked(u16::from_be_bytes(*extra_len).into())?;
        let registration = alive_from_bytes(alive).map(|alive| Registration {
            alive,
            port: number(0),
            node_type: NodeType::from_code(fixed[2]),
            protocol: fixed[3],
            highest_version: number(4),
            lowest_version: number(6),
            extra: Bytes::copy_from_slice(extra),
        });
        Some((registration, bytes.len() - rest.len()))
    }
}

/// What can be asked of EPMD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// ALIVE2_REQ: take this name for as long as the connection is open.
    Register(Registration),
    /// PORT_PLEASE2_REQ: who has this name (the part before the `@`)?
    Lookup(String),
    /// NAMES_REQ: all names and ports.
    Names,
    /// DUMP_REQ: all names, for people.
    Dump,
    /// KILL_REQ: end.
    Kill,
    /// STOP_REQ: forget this name.
    Stop(String),
}

/// Why a request cannot be sent, or was not understood. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The name cannot be registered or asked for.
    #[error(
        "`{text}` cannot be a name in EPMD; it has 1 to 255 characters, none a control character"
    )]
    Name {
        /// The name, shortened.
        text: String,
    },
    /// The extra bytes are too many.
    #[error("{len} extra bytes are too many for EPMD; at most 1020")]
    ExtraTooLong {
        /// How many there are.
        len: usize,
    },
    /// The request ends in the middle of a field, or is empty.
    #[error("the request is too short")]
    TooShort,
    /// The first byte names no request.
    #[error("the request number {code} is unknown")]
    Unknown {
        /// The number.
        code: u8,
    },
}

impl Request {
    /// The request as it is sent, its length included.
    ///
    /// # Errors
    /// [`RequestError::Name`] and [`RequestError::ExtraTooLong`]; correct the name.
    pub fn encode(&self) -> Result<Bytes, RequestError> {
        let mut body = BytesMut::new();
        body.put_u8(self.code());
        match self {
            Request::Register(registration) => {
                registration.check()?;
                registration.put(&mut body);
            }
            Request::Lookup(alive) | Request::Stop(alive) => {
                check_alive(alive)?;
                body.put_slice(alive.as_bytes());
            }
            Request::Names | Request::Dump | Request::Kill => {}
        }
        let mut framed = BytesMut::with_capacity(2 + body.len());
        framed.put_u16(u16::try_from(body.len()).expect("checked to be at most 2053 bytes"));
        framed.put_slice(&body);
        Ok(framed.freeze())
    }

    /// Reads the body of a request, without its length. As OTP's epmd, it takes bytes after a
    /// registration without complaint.
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong with it.
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        let (code, rest) = body.split_first().ok_or(RequestError::TooShort)?;
        match code {
            b'x' => {
                let (registration, _) = Registration::take(rest).ok_or(RequestError::TooShort)?;
                registration.map(Request::Register)
            }
            b'z' => alive_from_bytes(rest).map(Request::Lookup),
            b's' => alive_from_bytes(rest).map(Request::Stop),
            b'n' => Ok(Request::Names),
            b'd' => Ok(Request::Dump),
            b'k' => Ok(Request::Kill),
            code => Err(RequestError::Unknown { code: *code }),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Request::Register(_) => b'x',
            Request::Lookup(_) => b'z',
            Request::Names => b'n',
            Request::Dump => b'd',
            Request::Kill => b'k',
            Request::Stop(_) => b's',
        }
    }
}

fn alive_from_bytes(bytes: &[u8]) -> Result<String, RequestError> {
    let alive = core::str::from_utf8(bytes);
    let alive = alive.map_err(|_| RequestError::Name {
        text: quoted(bytes),
    })?;
    check_alive(alive).map(|()| alive.to_owned())
}

/// OTP's epmd takes control characters too, which would forge lines in the list of names.
fn check_alive(alive: &str) -> Result<(), RequestError> {
    let chars = alive.chars().count();
    if chars == 0 || chars > ATOM_CHARS_MAX || alive.chars().any(char::is_control) {
        return Err(RequestError::Name {
            text: quoted(alive.as_bytes()),
        });
    }
    Ok(())
}
