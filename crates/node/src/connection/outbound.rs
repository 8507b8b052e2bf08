//! What waits to be written to a peer.
//!
//! Signals are encoded by whoever sends them and queued by flow in the channel's sender; one writer
//! task per connection takes frames from it. The queue is bounded in bytes: a process that sends
//! waits while more than [`BUDGET`] is queued. What must not wait (answers to monitors, links and
//! spawn requests, which the reader or a dying process sends) enters up to [`FORCED_MAX`]; a peer
//! that lets it grow so far does not read, and the connection is closed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use purlin_proto::channel::{FlowId, Sender};
use purlin_proto::control::OutMessage;
use tokio::sync::Notify;

use super::figures::Count;

/// Bytes queued from which on senders wait: OTP's `dist_buf_busy_limit`.
pub(crate) const BUDGET: usize = 1 << 20;

/// Bytes queued at which the connection is given up. A guess, unmeasured: room for one result of
/// the largest size beside what waits.
pub(crate) const FORCED_MAX: usize = 256 << 20;

/// The queue of a connection, shared by those who send and the writer.
pub(crate) struct Outbound {
    sender: Mutex<Sender>,
    /// Messages queued so far; counted under the lock of the sender.
    signals: Count,
    /// There is something to write.
    work: Notify,
    /// There is room again.
    room: Notify,
}

/// The queue is over its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Outbound {
    pub(crate) fn new(sender: Sender) -> Self {
        Self {
            sender: Mutex::new(sender),
            signals: Count::default(),
            work: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(crate) fn sender(&self) -> MutexGuard<'_, Sender> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that wait, and messages queued so far.
    pub(super) fn queued(&self) -> (usize, u64) {
        let sender = self.sender();
        (sender.queued_bytes(), self.signals.get())
    }

    fn push(&self, sender: &mut Sender, flow: FlowId, message: OutMessage) {
        sender.push(flow, message);
        self.signals.add(1);
    }

    /// Queues a message whatever waits already.
    pub(crate) fn force(&self, flow: FlowId, message: OutMessage) -> Result<(), Overflow> {
        let mut sender = self.sender();
        let queued = sender.queued_bytes();
        self.push(&mut sender, flow, message);
        drop(sender);
        self.work.notify_one();
        if queued > FORCED_MAX {
            Err(Overflow)
        } else {
            Ok(())
        }
    }

    /// Queues a message if there is room, or gives it back.
    pub(crate) fn try_queue(&self, flow: FlowId, message: OutMessage) -> Result<(), OutMessage> {
        let mut sender = self.sender();
        if sender.queued_bytes() >= BUDGET {
            return Err(message);
        }
        self.push(&mut sender, flow, message);
        drop(sender);
        self.work.notify_one();
        Ok(())
    }

    /// Queues a message when there is room. Cancel-safe: it is queued whole or not at all.
    pub(crate) async fn queue(&self, flow: FlowId, mut message: OutMessage) {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            match self.try_queue(flow, message) {
                Ok(()) => return,
                Err(back) => message = back,
            }
            room.await;
        }
    }

    /// The writer made room. True if more is queued.
    pub(crate) fn written(&self) -> bool {
        let queued = self.sender().queued_bytes();
        if queued < BUDGET {
            self.room.notify_waiters();
        }
        queued > 0
    }

    /// Wakes the writer without a message.
    pub(crate) fn wake_writer(&self) {
        self.work.notify_one();
    }

    /// Returns when there may be something to write.
    pub(crate) async fn wait_for_work(&self) {
        self.work.notified().await;
    }
}
