//! Connections to peers.
//!
//! ```text
//! dial, accept --handshake--> Connection --> reader   bytes -> frames -> signals -> Node
//!                                            writer   flows -> frames -> bytes
//!                                            ticker   silence -> ticks, or the end
//! ```
//!
//! A [`Connection`] is one epoch with a peer. One task reads and writes, another ticks; when any of
//! these finds an end (the peer closed, sent something malformed, fell silent, or this node wants it so) the
//! others are stopped, and only after the reader has stopped is the node told.

mod accept;
mod dial;
mod down_reason;
mod figures;
mod handshake;
mod held;
mod latch;
mod outbound;
mod peers;
#[cfg(feature = "planted-bugs")]
mod planted;
mod serve;
mod ties;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use purlin_proto::channel::{FlowId, Sender};
use purlin_proto::control::EncodeSignalError;
use purlin_proto::flags::Flags;
use purlin_proto::signal::Signal;
use purlin_runtime::Epoch;
use purlin_term::{NodeName, Pid};
use tokio::time::Instant;

pub(crate) use accept::accept_all;
pub use dial::ConnectError;
pub use down_reason::DownReason;
pub use figures::ConnectionInfo;
use figures::Figures;
pub(crate) use held::{Outgoing, OutgoingMessage, Waiting};
pub(crate) use latch::Latch;
use outbound::{Outbound, Room};
pub(crate) use peers::{EndedAttempt, Peers};
#[cfg(feature = "planted-bugs")]
pub(crate) use planted::KeptNames;
#[cfg(feature = "planted-bugs")]
pub use planted::PlantedBug;
use purlin_proto::handshake::Established;
pub use purlin_proto::handshake::HandshakeError;
pub(crate) use ties::{TieRefused, Ties};

/// Why a message was not sent.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection to the node, and none could be made. Nothing was sent.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// The connection ended before the message was queued. Nothing of it was sent.
    #[error("the connection to {0} ended")]
    Disconnected(NodeName),
    /// The message has no encoding. Nothing was sent.
    #[error(transparent)]
    Encode(#[from] purlin_term::EncodeError),
    /// As [`SendError::Encode`], of a Rust value.
    #[error(transparent)]
    Serialize(#[from] purlin_term::SerializeError),
    /// A process sends, and there may be no more. Nothing was sent.
    #[error(transparent)]
    TooManyProcesses(#[from] purlin_runtime::TooManyProcesses),
    /// The peer does not take this kind of signal. Nothing was sent.
    #[error(transparent)]
    Signal(#[from] EncodeSignalError),
    /// As much is queued for the node as may be, and the sender did not want to wait. Nothing was
    /// sent.
    #[error("the road to {0} is full")]
    Busy(NodeName),
    /// A process of this node does not take it. Nothing was sent.
    #[error(transparent)]
    Here(#[from] purlin_runtime::SendError),
}

/// The carrier of a connection, but for its two directions.
struct Link {
    address: SocketAddr,
    closer: Box<dyn Fn() + Send + Sync>,
}

/// One epoch of a connection to a peer.
pub(crate) struct Connection {
    peer: NodeName,
    flags: Flags,
    /// The peer's.
    creation: u32,
    address: SocketAddr,
    since: Instant,
    figures: Figures,
    outbound: Outbound,
    /// What processes here have to do with the peer.
    pub(crate) ties: Ties,
    /// Set when it becomes the current one.
    epoch: AtomicU64,
    closer: Box<dyn Fn() + Send + Sync>,
    /// Why the connection is to end: what was said first.
    down_reason: OnceLock<DownReason>,
    /// The connection is to end.
    closing: Latch,
    /// The reader has stopped and the node was told.
    pub(crate) ended: Latch,
    /// The peer said that it stops.
    leaving: AtomicBool,
    /// The writer is to say when nothing is queued any more.
    finishing: AtomicBool,
    /// Nothing was queued any more.
    pub(crate) drained: Latch,
    #[cfg(feature = "planted-bugs")]
    planted: planted::Planted,
}

impl Connection {
    /// The connection to `peer` that a handshake established.
    fn new(peer: NodeName, established: &Established, link: Link) -> Self {
        let flags = established.flags;
        Self {
            peer,
            flags,
            creation: established.peer_creation,
            address: link.address,
            closer: link.closer,
            since: Instant::now(),
            figures: Figures::default(),
            outbound: Outbound::new(Sender::new(flags)),
            ties: Ties::default(),
            epoch: AtomicU64::new(0),
            down_reason: OnceLock::new(),
            closing: Latch::default(),
            ended: Latch::default(),
            leaving: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
            drained: Latch::default(),
            #[cfg(feature = "planted-bugs")]
            planted: planted::Planted::default(),
        }
    }

    pub(crate) fn peer(&self) -> NodeName {
        self.peer
    }

    /// The number of the peer's incarnation.
    pub(crate) fn creation(&self) -> u32 {
        self.creation
    }

    /// Which connection it is: later ones to the same node have higher epochs.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    /// True if the peer counts among `nodes()`: where neither side is hidden, as in OTP.
    pub(crate) fn is_visible(&self) -> bool {
        self.flags.is_visible()
    }

    /// What both sides can do.
    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    /// Queues a signal at once, for what must not wait.
    pub(crate) fn push(&self, flow: Pid, signal: &Signal) -> Result<(), SendError> {
        if self.closing.is_set() {
            return Err(SendError::Disconnected(self.peer));
        }
        match self
            .outbound
            .force(|sender| self.queue_in(sender, flow, signal))?
        {
            Room::Found => Ok(()),
            Room::None => {
                self.close(&"it does not read what it is sent");
                Err(SendError::Disconnected(self.peer))
            }
        }
    }

    /// Queues a signal, waiting while the queue is full. Cancel-safe.
    pub(crate) async fn send(&self, flow: Pid, signal: &Signal) -> Result<(), SendError> {
        if self.closing.is_set() {
            return Err(SendError::Disconnected(self.peer));
        }
        let push = |sender: &mut Sender| self.queue_in(sender, flow, signal);
        if self.outbound.try_queue(push)? == Room::Found {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.closing.wait() => Err(SendError::Disconnected(self.peer)),
            queued = self.outbound.queue(push) => Ok(queued?),
        }
    }

    /// What goes out for a signal: itself.
    #[cfg(not(feature = "planted-bugs"))]
    fn queue_in(
        &self,
        sender: &mut Sender,
        flow: Pid,
        signal: &Signal,
    ) -> Result<(), EncodeSignalError> {
        sender.push_signal(flow_of(flow), signal)
    }

    /// Whether this connection's end is told to who wants to know of nodes: always.
    #[cfg(not(feature = "planted-bugs"))]
    pub(crate) fn tells_of_its_end(&self) -> bool {
        true
    }

    /// The epoch that ends with this connection: its own.
    #[cfg(not(feature = "planted-bugs"))]
    pub(crate) fn ended_epoch(&self) -> Epoch {
        self.epoch()
    }

    /// Queues a signal at once if the queue is not full.
    pub(crate) fn try_send(&self, flow: Pid, signal: &Signal) -> Result<(), SendError> {
        if self.closing.is_set() {
            return Err(SendError::Disconnected(self.peer));
        }
        let push = |sender: &mut Sender| self.queue_in(sender, flow, signal);
        match self.outbound.try_queue(push)? {
            Room::Found => Ok(()),
            Room::None => Err(SendError::Busy(self.peer)),
        }
    }

    /// Ends the connection because of what the peer does; the first cause is logged.
    pub(crate) fn close(&self, cause: &dyn std::fmt::Display) {
        self.close_for(DownReason::Killed, cause);
    }

    /// Ends the connection; the first cause is logged, and its reason told.
    pub(crate) fn close_for(&self, reason: DownReason, cause: &dyn std::fmt::Display) {
        // Said before the peer can see it.
        if self.down_reason.set(reason).is_ok() {
            tracing::warn!(peer = %self.peer, "closing the connection: {cause}");
        }
        self.shut();
    }

    /// Ends the connection without a word in the log; true for the first who does.
    pub(crate) fn end(&self, reason: DownReason) -> bool {
        let is_first = self.down_reason.set(reason).is_ok();
        self.shut();
        is_first
    }

    fn shut(&self) {
        self.closing.set();
        (self.closer)();
    }

    /// Why it ended, once it has.
    pub(crate) fn down_reason(&self) -> DownReason {
        let reason = self.down_reason.get().copied();
        reason.unwrap_or(DownReason::ConnectionClosed)
    }

    /// Asks for [`Connection::drained`] once what is queued was written.
    pub(crate) fn finish(&self) {
        self.finishing.store(true, Ordering::Release);
        self.outbound.wake_writer();
    }

    /// Takes that the peer stops: its end is none of the network's.
    pub(crate) fn handle_leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_set()
    }

    fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }
}

/// A flow is one process of this node: its number.
fn flow_of(pid: Pid) -> FlowId {
    FlowId(u64::from(pid.serial) << 32 | u64::from(pid.id))
}
