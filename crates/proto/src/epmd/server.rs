//! The names of a host: EPMD's server, for all its connections at once.
//!
//! The driver accepts connections, gives each a number it never uses again, and says whether it
//! comes from this host. One request is taken from each connection, and only a registration keeps
//! it open; then anything further the client sends, like its end, takes the name back.
//!
//! As OTP 25's epmd (measured): results and their bytes; creations that increase; silence and the
//! end for what cannot be understood, for requests in one packet with others, and for a stop;
//! `NO` for a kill, since a node that asks must not end the names of all. Only connections from
//! this host may register, dump, kill or stop; others are closed.
//! Deviations: names with control characters are refused; a refused registration is closed at
//! once; names are listed in alphabetical order; creations come from one counter, not one for each
//! name.
//!
//! I1. A name has at most one registration, and a connection at most one name.
//! I2. A creation is given once until the counter has gone through 32 bits, and is never 0 to 3.
//! I3. Connections, names and bytes are bounded, and an incomplete request has a deadline.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::request::{Registration, Request, RequestError};
use super::response::{encode_dump, encode_lookup, encode_names, encode_register};
use crate::limits::{EPMD_CONNECTIONS_MAX, EPMD_NAMES_MAX, EPMD_REQUEST_LEN_MAX, EPMD_TIMEOUT};

/// The result with which a registration is refused (measured).
const REFUSED: u8 = 1;

/// Below are creations that OTP avoids.
const CREATION_MIN: u32 = 4;

/// The driver's number for a connection, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// How a server works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The port the server listens on, which some answers repeat.
    pub port: u16,
    /// The first creation to hand out: random, so that it differs from those of earlier servers.
    pub first_creation: u32,
    /// How long a request may take to arrive.
    pub timeout: Duration,
    /// Names held at once.
    pub names_max: usize,
    /// Connections held at once.
    pub connections_max: usize,
}

impl Config {
    /// The limits of [`crate::limits`], with this port and this random number.
    pub fn new(port: u16, first_creation: u32) -> Self {
        Config {
            port,
            first_creation,
            timeout: EPMD_TIMEOUT,
            names_max: EPMD_NAMES_MAX,
            connections_max: EPMD_CONNECTIONS_MAX,
        }
    }
}

/// What the driver must do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes.
    Send(ConnectionId, Bytes),
    /// Close the connection when its bytes are sent. The server has forgotten it already, and
    /// [`Server::handle_closed`] need not be called.
    Close(ConnectionId),
}

/// Why a name cannot be registered. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterRefused {
    /// Another node has the name.
    #[error("the name `{alive}` is taken; stop that node or choose another name")]
    Taken {
        /// The name.
        alive: String,
    },
    /// The server is full.
    #[error("this EPMD holds its limit of {names_max} names")]
    Full {
        /// Names allowed.
        names_max: usize,
    },
    /// The name or the extra bytes cannot be registered.
    #[error(transparent)]
    Invalid(#[from] RequestError),
}

#[derive(Debug)]
struct Entry {
    registration: Registration,
    /// `None` for a name of our own process.
    connection: Option<ConnectionId>,
}

#[derive(Debug)]
enum Connection {
    Reading {
        is_local: bool,
        buffer: BytesMut,
        deadline: Duration,
    },
    Registered {
        alive: String,
    },
}

/// The names of a host.
#[derive(Debug)]
pub struct Server {
    config: Config,
    names: BTreeMap<String, Entry>,
    connections: BTreeMap<ConnectionId, Connection>,
    deadlines: BTreeSet<(Duration, ConnectionId)>,
    next_creation: u32,
    outbox: VecDeque<Output>,
}

impl Server {
    /// A server without names.
    pub fn new(config: Config) -> Self {
        Server {
            config,
            names: BTreeMap::new(),
            connections: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_creation: config.first_creation.max(CREATION_MIN),
            outbox: VecDeque::new(),
        }
    }

    /// A client connected. `is_local` says that it did so from this host.
    pub fn handle_opened(&mut self, now: Duration, id: ConnectionId, is_local: bool) {
        // A number used again would leave the old connection's name without an owner.
        self.forget(id);
        if self.connections.len() >= self.config.connections_max {
            return self.outbox.push_back(Output::Close(id));
        }
        let deadline = now.saturating_add(self.config.timeout);
        let buffer = BytesMut::new();
        self.connections.insert(
            id,
            Connection::Reading {
                is_local,
                buffer,
                deadline,
            },
        );
        self.deadlines.insert((deadline, id));
    }

    /// Bytes arrived. Ignored for connections the server does not hold.
    pub fn handle_bytes(&mut self, now: Duration, id: ConnectionId, bytes: &[u8]) {
        self.handle_timeout(now);
        if bytes.is_empty() {
            return;
        }
        match self.connections.get_mut(&id) {
            None => {}
            Some(Connection::Registered { .. }) => self.close(id),
            Some(Connection::Reading {
                is_local, buffer, ..
            }) => {
                let is_local = *is_local;
                match collect(buffer, bytes) {
                    Collected::Incomplete => {}
                    Collected::Refused => self.close(id),
                    Collected::Body(body) => self.handle_request(id, is_local, &body),
                }
            }
        }
    }

    /// The client closed the connection, or it was lost: its name is free again.
    pub fn handle_closed(&mut self, id: ConnectionId) {
        self.forget(id);
    }

    /// Time has passed: closes connections whose request is not complete.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((deadline, id)) = self.deadlines.first().copied() {
            if now < deadline {
                break;
            }
            self.close(id);
        }
    }

    /// Registers a name of this process itself, without a connection, and answers its creation.
    ///
    /// # Errors
    /// [`RegisterRefused`] says why not; nothing was changed.
    pub fn register(&mut self, registration: Registration) -> Result<u32, RegisterRefused> {
        registration.check()?;
        self.insert(registration, None)
    }

    /// Takes back a name that [`Server::register`] gave. Names of connections stay.
    pub fn unregister(&mut self, alive: &str) {
        if self
            .names
            .get(alive)
            .is_some_and(|entry| entry.connection.is_none())
        {
            self.names.remove(alive);
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When [`Server::handle_timeout`] wants to be called; `None` when nothing is being waited for.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The registered names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &Registration> {
        self.names.values().map(|entry| &entry.registration)
    }

    /// Connections held.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Bytes of incomplete requests held.
    pub fn buffered_len(&self) -> usize {
        let len = |connection: &Connection| match connection {
            Connection::Reading { buffer, .. } => buffer.len(),
            Connection::Registered { .. } => 0,
        };
        self.connections.values().map(len).sum()
    }

    fn handle_request(&mut self, id: ConnectionId, is_local: bool, body: &[u8]) {
        match (Request::decode(body), is_local) {
            (Ok(Request::Register(registration)), true) => {
                return self.handle_register(id, registration);
            }
            (Ok(Request::Lookup(alive)), _) => {
                let found = self.names.get(&alive).map(|entry| &entry.registration);
                self.send(id, encode_lookup(found));
            }
            (Ok(Request::Names), _) => self.send(id, encode_names(self.config.port, self.names())),
            (Ok(Request::Dump), true) => self.send(id, self.dump()),
            (Ok(Request::Kill), true) => self.send(id, Bytes::from_static(b"NO")),
            (Err(RequestError::Name { .. }), true) => self.refuse_name(id, body),
            _ => {}
        }
        self.close(id);
    }

    fn handle_register(&mut self, id: ConnectionId, registration: Registration) {
        let (highest, alive) = (registration.highest_version, registration.alive.clone());
        let registered = registration.check().map_err(RegisterRefused::from);
        let registered = registered.and_then(|()| self.insert(registration, Some(id)));
        self.send(
            id,
            encode_register(highest, registered.clone().map_err(|_| REFUSED)),
        );
        if registered.is_err() {
            return self.close(id);
        }
        let registered = self
            .connections
            .insert(id, Connection::Registered { alive });
        if let Some(Connection::Reading { deadline, .. }) = registered {
            self.deadlines.remove(&(deadline, id));
        }
    }

    /// A registration whose name cannot be used is answered, except one without a name (measured).
    fn refuse_name(&mut self, id: ConnectionId, body: &[u8]) {
        let &[b'x', _, _, _, _, high, low, _, _, name_high, name_low, ..] = body else {
            return;
        };
        if [name_high, name_low] != [0, 0] {
            let highest = u16::from_be_bytes([high, low]);
            self.send(id, encode_register(highest, Err(REFUSED)));
        }
    }

    fn insert(
        &mut self,
        registration: Registration,
        connection: Option<ConnectionId>,
    ) -> Result<u32, RegisterRefused> {
        let (alive, names_max) = (registration.alive.clone(), self.config.names_max);
        if self.names.contains_key(&alive) {
            return Err(RegisterRefused::Taken { alive });
        }
        if self.names.len() >= names_max {
            return Err(RegisterRefused::Full { names_max });
        }
        self.names.insert(
            alive,
            Entry {
                registration,
                connection,
            },
        );
        let creation = self.next_creation;
        self.next_creation = creation.wrapping_add(1).max(CREATION_MIN);
        Ok(creation)
    }

    /// The text that OTP's epmd makes for people, with our connection numbers for its descriptors.
    fn dump(&self) -> Bytes {
        let fd = |entry: &Entry| entry.connection.map_or(0, |id| id.0);
        let lines = self
            .names
            .values()
            .map(|entry| (&entry.registration, fd(entry)));
        encode_dump(self.config.port, lines)
    }

    fn send(&mut self, id: ConnectionId, bytes: Bytes) {
        self.outbox.push_back(Output::Send(id, bytes));
    }

    fn close(&mut self, id: ConnectionId) {
        self.forget(id);
        self.outbox.push_back(Output::Close(id));
    }

    fn forget(&mut self, id: ConnectionId) {
        match self.connections.remove(&id) {
            Some(Connection::Registered { alive }) => {
                let entry = self.names.remove(&alive);
                debug_assert_eq!(entry.and_then(|entry| entry.connection), Some(id), "I1");
            }
            Some(Connection::Reading { deadline, .. }) => {
                self.deadlines.remove(&(deadline, id));
            }
            None => {}
        }
    }
}

enum Collected {
    Incomplete,
    Refused,
    Body(Bytes),
}

/// Adds to an incomplete request; its buffer never holds more than one request.
fn collect(buffer: &mut BytesMut, bytes: &[u8]) -> Collected {
    if buffer.len() + bytes.len() > 2 + EPMD_REQUEST_LEN_MAX {
        return Collected::Refused;
    }
    buffer.extend_from_slice(bytes);
    let Some(len) = buffer
        .first_chunk::<2>()
        .map(|len| u16::from_be_bytes(*len))
    else {
        return Collected::Incomplete;
    };
    let len = usize::from(len);
    match buffer.len() - 2 {
        _ if len == 0 || len > EPMD_REQUEST_LEN_MAX => Collected::Refused,
        arrived if arrived > len => Collected::Refused,
        arrived if arrived < len => Collected::Incomplete,
        _ => Collected::Body(buffer.split().freeze().slice(2..)),
    }
}
