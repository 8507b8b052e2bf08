//! Connections: two ends, two directions, and what an end's owner can do.
//!
//! An end is held by three handles (reader, writer, closer) that the host counts; when the last is
//! dropped the end is closed, and what arrives at it afterwards is answered with a reset.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::{Around, MachineId, Network};
use crate::events::Event;
use crate::tasks::OsProcessId;

/// One end of a connection: side 0 dialled, side 1 accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId {
    pub(crate) connection: u64,
    pub(crate) side: usize,
}

impl EndId {
    pub(super) fn other(self) -> Self {
        Self {
            connection: self.connection,
            side: 1 - self.side,
        }
    }
}

/// What goes out of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction(pub(super) EndId);

/// What travels.
#[derive(Debug)]
pub(super) enum Segment {
    /// The dialler wants a connection.
    Open,
    /// It has one.
    Accepted,
    /// Nobody listens.
    Refused,
    Data(Bytes),
    /// So many bytes were read: there is room for as many.
    Credit(usize),
    /// Nothing more will be written.
    End,
    Reset,
}

/// How far an end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dialling,
    Refused,
    Open,
    Reset,
}

pub(super) struct End {
    pub(super) machine: MachineId,
    /// None: nobody accepted yet, or the process is gone.
    pub(super) owner: Option<OsProcessId>,
    pub(super) address: SocketAddr,
    pub(super) phase: Phase,
    /// All handles are gone.
    pub(super) is_closed: bool,
    pub(super) has_sent_end: bool,
    pub(super) has_got_end: bool,
    pub(super) received: BytesMut,
    /// Bytes read that the peer was not told of yet.
    pub(super) read: usize,
    /// Bytes that may be written.
    pub(super) window: usize,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// On their way to the other end, in order, each with the time of its arrival.
    pub(super) under_way: VecDeque<(Duration, Segment)>,
}

pub(super) struct Connection {
    pub(super) ends: [End; 2],
}

impl End {
    pub(super) fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Network {
    pub(super) fn end(&self, id: EndId) -> Option<&End> {
        let connection = self.connections.get(&id.connection);
        connection.map(|connection| &connection.ends[id.side])
    }

    pub(super) fn end_mut(&mut self, id: EndId) -> Option<&mut End> {
        let connection = self.connections.get_mut(&id.connection);
        connection.map(|connection| &mut connection.ends[id.side])
    }

    pub(super) fn ends_of(&self, owner: OsProcessId) -> Vec<EndId> {
        let ends = self
            .connections
            .keys()
            .flat_map(|&connection| [0, 1].map(|side| EndId { connection, side }));
        ends.filter(|id| self.end(*id).is_some_and(|end| end.owner == Some(owner)))
            .collect()
    }

    /// Dials; the end is there at once, and open when the peer's machine has answered.
    pub(crate) fn dial(
        &mut self,
        around: &mut Around<'_>,
        machine: MachineId,
        owner: OsProcessId,
        to: SocketAddr,
    ) -> io::Result<EndId> {
        let far = self
            .find(machine, to.ip())
            .ok_or(io::ErrorKind::HostUnreachable)?;
        let from = match to.ip().is_loopback() {
            true => to.ip(),
            false => self.machine(machine).address.into(),
        };
        let port = self.machine_mut(machine).free_port()?;
        let window = self.config.window;
        let end = |machine, owner, address, phase| End {
            machine,
            owner,
            address,
            phase,
            is_closed: false,
            has_sent_end: false,
            has_got_end: false,
            received: BytesMut::new(),
            read: 0,
            window,
            reader: None,
            writer: None,
            under_way: VecDeque::new(),
        };
        let near = end(
            machine,
            Some(owner),
            SocketAddr::new(from, port),
            Phase::Dialling,
        );
        let ends = [near, end(far, None, to, Phase::Open)];
        let connection = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(connection, Connection { ends });
        let id = EndId {
            connection,
            side: 0,
        };
        self.send(around, id, Segment::Open);
        Ok(id)
    }

    /// Whether the dialled connection is there.
    pub(crate) fn poll_dialled(&mut self, id: EndId, waker: &Waker) -> Poll<io::Result<()>> {
        let Some(end) = self.end_mut(id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        match end.phase {
            Phase::Dialling => {
                end.reader = Some(waker.clone());
                Poll::Pending
            }
            Phase::Open => Poll::Ready(Ok(())),
            Phase::Refused => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Phase::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    pub(super) fn peer_address(&self, id: EndId) -> SocketAddr {
        let end = self.end(id.other());
        end.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |end| end.address)
    }

    /// Takes bytes to be sent, as many as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        around: &mut Around<'_>,
        id: EndId,
        bytes: &[&[u8]],
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        let total: usize = bytes.iter().map(|piece| piece.len()).sum();
        let cuts = self.config.one_write_cut_in;
        let is_cut = cuts > 0 && self.random.one_in(cuts);
        let Some(end) = self.end_mut(id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if end.phase == Phase::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if end.has_sent_end {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = total.min(end.window);
        if room == 0 && total > 0 {
            end.writer = Some(waker.clone());
            return Poll::Pending;
        }
        let taken = match is_cut {
            true => 1 + self.random.index(room),
            false => room,
        }
        .min(room);
        let mut copied = BytesMut::with_capacity(taken);
        for piece in bytes {
            let left = taken - copied.len();
            copied.extend_from_slice(&piece[..left.min(piece.len())]);
        }
        self.end_mut(id).expect("it is there").window -= taken;
        let mut copied = copied.freeze();
        while !copied.is_empty() {
            let piece = match is_cut {
                true => 1 + self.random.index(copied.len()),
                false => copied.len(),
            };
            self.send(around, id, Segment::Data(copied.split_to(piece)));
        }
        Poll::Ready(Ok(taken))
    }

    /// Puts what was received into `buffer`; `Ok(0)` at the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        around: &mut Around<'_>,
        id: EndId,
        buffer: &mut tokio::io::ReadBuf<'_>,
        waker: &Waker,
    ) -> Poll<io::Result<()>> {
        let batch = self.config.window / 4;
        let Some(end) = self.end_mut(id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if end.phase == Phase::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if end.received.is_empty() {
            if end.has_got_end {
                return Poll::Ready(Ok(()));
            }
            end.reader = Some(waker.clone());
            return Poll::Pending;
        }
        let read = end.received.len().min(buffer.remaining());
        buffer.put_slice(&end.received[..read]);
        end.received.advance(read);
        end.read += read;
        if end.read > batch {
            let credit = std::mem::take(&mut end.read);
            self.send(around, id, Segment::Credit(credit));
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing more will be written at this end.
    pub(crate) fn shut(&mut self, around: &mut Around<'_>, id: EndId) {
        if let Some(end) = self.end_mut(id)
            && end.phase != Phase::Reset
            && !std::mem::replace(&mut end.has_sent_end, true)
        {
            if let Some(waker) = end.writer.take() {
                waker.wake();
            }
            self.send(around, id, Segment::End);
        }
    }

    /// The last handle of an end is gone: its peer sees the end, or a reset when bytes were left
    /// unread, as Linux has it.
    pub(crate) fn abandon(&mut self, around: &mut Around<'_>, id: EndId) {
        let Some(end) = self.end_mut(id) else {
            return;
        };
        if end.owner.is_none() && end.is_closed {
            return;
        }
        let has_unread = !end.received.is_empty();
        end.is_closed = true;
        end.received.clear();
        if has_unread && end.phase == Phase::Open {
            end.has_sent_end = true;
            self.send(around, id, Segment::Reset);
        } else {
            self.shut(around, id);
        }
        self.forget_if_done(id.connection);
    }

    /// The process of this end is gone: it neither sends nor reads (`I2`).
    pub(super) fn detach_end(&mut self, id: EndId) {
        if let Some(end) = self.end_mut(id) {
            (end.owner, end.is_closed) = (None, true);
            (end.reader, end.writer) = (None, None);
            end.has_sent_end = true;
            end.received.clear();
        }
        self.forget_if_done(id.connection);
    }

    /// A connection that nobody holds and nothing travels on is forgotten.
    pub(super) fn forget_if_done(&mut self, connection: u64) {
        let is_done = |end: &End| end.is_closed && end.under_way.is_empty();
        let is_over = |connection: &Connection| connection.ends.iter().all(is_done);
        if self.connections.get(&connection).is_some_and(is_over) {
            self.connections.remove(&connection);
        }
    }

    /// Sends a segment on its way; it never overtakes one that left before (`I1`).
    pub(super) fn send(&mut self, around: &mut Around<'_>, from: EndId, segment: Segment) {
        let Some(path) = self.path(from) else {
            return;
        };
        let bytes = match &segment {
            Segment::Data(bytes) => bytes.len(),
            _ => 0,
        };
        let arrival = self
            .links
            .arrival(path, bytes, around.now, &mut self.random);
        let end = self.end_mut(from).expect("it has a path");
        let before = end.under_way.back().map(|(arrival, _)| *arrival);
        let arrival = before.map_or(arrival, |before| before.max(arrival));
        end.under_way.push_back((arrival, segment));
        around.events.add(arrival, Event::Arrival(Direction(from)));
    }

    pub(super) fn path(&self, from: EndId) -> Option<(MachineId, MachineId)> {
        Some((self.end(from)?.machine, self.end(from.other())?.machine))
    }
}
