//! The responses of EPMD, as values and as bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::client::ClientError;
use super::request::{Registration, Request};

/// One line of the list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameEntry {
    /// The part of the node's name before the `@`.
    pub alive: String,
    /// The port it listens on.
    pub port: u16,
}

/// What EPMD answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// The name is ours while the connection is open.
    Registered {
        /// Tells this incarnation of the node from earlier ones. From an EPMD or a node of
        /// before version 6 it has only two bits.
        creation: u32,
    },
    /// The name was refused, most likely because it is taken.
    RegisterRefused {
        /// EPMD's result, not 0.
        result: u8,
    },
    /// The node asked for.
    Found(Registration),
    /// No node has this name; EPMD's result, not 0.
    Unknown {
        /// EPMD's result.
        result: u8,
    },
    /// All names.
    Names {
        /// EPMD's own port.
        port: u16,
        /// The names, in EPMD's order. Lines that cannot be read are left out.
        names: Vec<NameEntry>,
    },
    /// A text for people: the answer to a dump, a kill (`OK`, `NO`) or a stop (`STOPPED`, `NOEXIST`).
    Text(String),
}

impl Response {
    /// Reads the response to `request` from what has arrived; `None` when more must come first.
    /// `is_closed` says that nothing more comes.
    ///
    /// # Errors
    /// [`ClientError::Malformed`].
    pub(super) fn decode(
        request: &Request,
        bytes: &[u8],
        is_closed: bool,
    ) -> Result<Option<Self>, ClientError> {
        match request {
            Request::Register(_) => Self::decode_register(bytes),
            Request::Lookup(alive) => Self::decode_lookup(alive, bytes),
            Request::Names if is_closed => Self::decode_names(bytes).map(Some),
            Request::Dump | Request::Kill | Request::Stop(_) if is_closed => Ok(Some(
                Response::Text(String::from_utf8_lossy(bytes).into_owned()),
            )),
            _ => Ok(None),
        }
    }

    fn decode_register(bytes: &[u8]) -> Result<Option<Self>, ClientError> {
        let (result, creation) = match bytes {
            [118, result, a, b, c, d, ..] => (*result, u32::from_be_bytes([*a, *b, *c, *d])),
            [121, result, a, b, ..] => (*result, u16::from_be_bytes([*a, *b]).into()),
            [118 | 121, ..] | [] => return Ok(None),
            _ => {
                return Err(ClientError::Malformed {
                    what: "it is no answer to a registration",
                });
            }
        };
        Ok(Some(match result {
            0 => Response::Registered { creation },
            result => Response::RegisterRefused { result },
        }))
    }

    fn decode_lookup(asked: &str, bytes: &[u8]) -> Result<Option<Self>, ClientError> {
        match bytes {
            [119, 0, rest @ ..] => {
                let Some((registration, _)) = Registration::take(rest) else {
                    return Ok(None);
                };
                match registration {
                    Ok(found) if found.alive == asked => Ok(Some(Response::Found(found))),
                    _ => Err(ClientError::Malformed {
                        what: "it names another node than asked",
                    }),
                }
            }
            [119, result, ..] => Ok(Some(Response::Unknown { result: *result })),
            [119] | [] => Ok(None),
            _ => Err(ClientError::Malformed {
                what: "it is no answer to a lookup",
            }),
        }
    }

    fn decode_names(bytes: &[u8]) -> Result<Self, ClientError> {
        let malformed = || ClientError::Malformed {
            what: "it is no list of names",
        };
        let (port, text) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        let port = u16::try_from(u32::from_be_bytes(*port)).map_err(|_| malformed())?;
        let names = String::from_utf8_lossy(text)
            .lines()
            .filter_map(entry)
            .collect();
        Ok(Response::Names { port, names })
    }
}

/// Reads `name NAME at port PORT`, where the name may contain anything.
fn entry(line: &str) -> Option<NameEntry> {
    let (alive, port) = line.strip_prefix("name ")?.rsplit_once(" at port ")?;
    Some(NameEntry {
        alive: alive.to_owned(),
        port: port.parse().ok()?,
    })
}

/// The answer to a registration, in the form for the version it was made in. `Err` is a result
/// other than 0, with which OTP's epmd sends the number 99.
pub(super) fn encode_register(highest_version: u16, outcome: Result<u32, u8>) -> Bytes {
    let (result, creation) = match outcome {
        Ok(creation) => (0, creation),
        Err(result) => (result, 99),
    };
    let mut bytes = BytesMut::new();
    if highest_version >= 6 {
        bytes.put_slice(&[118, result]);
        bytes.put_u32(creation);
    } else {
        bytes.put_slice(&[121, result]);
        // Before version 6 a creation had two bits, and 0 was avoided.
        bytes.put_u16(if result == 0 {
            (creation % 3 + 1) as u16
        } else {
            99
        });
    }
    bytes.freeze()
}

pub(super) fn encode_lookup(found: Option<&Registration>) -> Bytes {
    let mut bytes = BytesMut::new();
    match found {
        None => bytes.put_slice(&[119, 1]),
        Some(registration) => {
            bytes.put_slice(&[119, 0]);
            registration.put(&mut bytes);
        }
    }
    bytes.freeze()
}

pub(super) fn encode_names<'a>(port: u16, names: impl Iterator<Item = &'a Registration>) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(port.into());
    for Registration { alive, port, .. } in names {
        bytes.put_slice(format!("name {alive} at port {port}\n").as_bytes());
    }
    bytes.freeze()
}

/// OTP's epmd ends each line with a NUL, which this keeps.
pub(super) fn encode_dump<'a>(
    port: u16,
    names: impl Iterator<Item = (&'a Registration, u64)>,
) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(port.into());
    for (Registration { alive, port, .. }, fd) in names {
        let line = format!("active name     <{alive}> at port {port}, fd = {fd}\n\0");
        bytes.put_slice(line.as_bytes());
    }
    bytes.freeze()
}
