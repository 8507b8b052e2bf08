//! What passed over a connection, for operators: what OTP's `net_kernel:node_info/1` tells, and more.
//!
//! Each figure has one writer (the reader, the writer task, or whoever holds the lock of the queue),
//! so counting is a load and a store.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use purlin_term::NodeName;

use super::Connection;

/// A number that one task counts up and everybody reads.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Not for two tasks at once: one of the two additions could be lost.
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.get() + more, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was read and written since the connection was made.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) bytes_read: Count,
    pub(super) bytes_written: Count,
    pub(super) signals_read: Count,
}

/// A connection as [`Node::connections`](crate::Node::connections) tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The node at the other end.
    pub node: NodeName,
    /// False where either side is hidden.
    pub visible: bool,
    /// The number of the peer's incarnation.
    pub creation: u32,
    /// Which connection it is: later ones to the same node have higher numbers. OTP's `connection_id`.
    pub connection_id: u64,
    /// The peer's address, with the port that this connection has there.
    pub address: SocketAddr,
    /// How long there has been this connection.
    pub age: Duration,
    /// Bytes read, ticks included.
    pub bytes_read: u64,
    /// Bytes written, ticks included.
    pub bytes_written: u64,
    /// Signals read: messages, links, monitors, exits and so on, each once however it was cut.
    pub signals_read: u64,
    /// Signals queued since the connection was made, those written included.
    pub signals_queued: u64,
    /// Bytes that wait to be written now.
    pub queued_bytes: usize,
}

impl Connection {
    /// What there is to tell about it now.
    pub(crate) fn info(&self) -> ConnectionInfo {
        let (queued_bytes, signals_queued) = self.outbound.queued();
        ConnectionInfo {
            node: self.peer,
            visible: self.is_visible(),
            creation: self.creation,
            connection_id: self.epoch().0,
            address: self.address,
            age: self.since.elapsed(),
            bytes_read: self.figures.bytes_read.get(),
            bytes_written: self.figures.bytes_written.get(),
            signals_read: self.figures.signals_read.get(),
            signals_queued,
            queued_bytes,
        }
    }
}
