//! What waits to be written to a peer.
//!
//! Signals are queued by flow in the channel's sender, whoever sends them encoding them there; one writer
//! task per connection takes frames from it. The queue is bounded in bytes: a process that sends
//! waits while more than [`BUDGET`] is queued. What must not wait (answers to monitors, links and
//! spawn requests, which the reader or a dying process sends) enters up to [`FORCED_MAX`]; a peer
//! that lets it grow so far does not read, and the connection is closed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use purlin_proto::channel::Sender;
use purlin_proto::control::EncodeSignalError;
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

/// What queues a signal, if it can be encoded.
pub(crate) trait Push: FnMut(&mut Sender) -> Result<(), EncodeSignalError> {}

impl<F: FnMut(&mut Sender) -> Result<(), EncodeSignalError>> Push for F {}

/// Whether a signal found room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Found,
    /// The queue is at its bound, or over it.
    None,
}

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

    fn push(&self, sender: &mut Sender, mut push: impl Push) -> Result<(), EncodeSignalError> {
        push(sender)?;
        self.signals.add(1);
        Ok(())
    }

    /// Queues a signal whatever waits already.
    pub(crate) fn force(&self, push: impl Push) -> Result<Room, EncodeSignalError> {
        let mut sender = self.sender();
        let queued = sender.queued_bytes();
        self.push(&mut sender, push)?;
        drop(sender);
        self.work.notify_one();
        Ok(match queued > FORCED_MAX {
            true => Room::None,
            false => Room::Found,
        })
    }

    /// Queues a signal if there is room.
    pub(crate) fn try_queue(&self, push: impl Push) -> Result<Room, EncodeSignalError> {
        let mut sender = self.sender();
        if sender.queued_bytes() >= BUDGET {
            return Ok(Room::None);
        }
        self.push(&mut sender, push)?;
        drop(sender);
        self.work.notify_one();
        Ok(Room::Found)
    }

    /// Queues a signal when there is room. Cancel-safe: it is queued whole or not at all.
    pub(crate) async fn queue(&self, mut push: impl Push) -> Result<(), EncodeSignalError> {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if self.try_queue(&mut push)? == Room::Found {
                return Ok(());
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
