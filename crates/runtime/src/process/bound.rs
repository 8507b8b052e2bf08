//! The bound of a mailbox, where one is set.
//!
//! It counts messages alone: replies by alias, timers, exits, ends of monitors and system messages
//! always enter. A place in the mailbox is a permit: taken by who sends, given back by who receives.
//!
//! Invariant `I1`: counted messages in the queue = permits taken + `excess` + `debt`, and `excess` is
//! never above the bound.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, TryAcquireError};

use super::cell::Refused;
use super::head::Head;

/// What happens to a message that finds the mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// `send` waits for its turn, `try_send` is refused. Senders on other nodes are refused, since a
    /// connection's reader never waits.
    Wait,
    /// The sender gets an error; one on another node hears nothing.
    Refuse,
    /// The message that has waited longest is dropped. Until the process receives, up to twice the
    /// bound may lie in memory; what comes then is dropped itself.
    DropOldest,
    /// The message is dropped.
    DropNewest,
}

/// A bound for a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxBound {
    /// Messages that may wait.
    pub messages_max: usize,
    /// What happens to one more.
    pub overflow: Overflow,
}

/// The bound of one mailbox, and how full it is.
pub(crate) struct Bound {
    overflow: Overflow,
    max: usize,
    permits: Semaphore,
    /// Messages that came over the bound and for each of which an older one is to be dropped.
    excess: AtomicUsize,
    /// Messages that entered without a place.
    debt: AtomicUsize,
}

impl Bound {
    pub(crate) fn new(bound: MailboxBound) -> Self {
        let max = bound.messages_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            overflow: bound.overflow,
            max,
            permits: Semaphore::new(max),
            excess: AtomicUsize::new(0),
            debt: AtomicUsize::new(0),
        }
    }

    /// Takes a place for a message; `Ok(false)` if the message is to be dropped by who sends it. The head
    /// is that of the bound: it counts what is refused or dropped.
    pub(crate) fn admit(&self, head: &Head) -> Result<bool, Refused> {
        match self.permits.try_acquire() {
            Ok(permit) => {
                permit.forget();
                Ok(true)
            }
            Err(TryAcquireError::Closed) => Err(Refused::Dead),
            Err(TryAcquireError::NoPermits) => self.overrun(head),
        }
    }

    #[cold]
    fn overrun(&self, head: &Head) -> Result<bool, Refused> {
        match self.overflow {
            // Counted where the sender does not wait.
            Overflow::Wait => Err(Refused::Wait),
            Overflow::Refuse => {
                head.note_overrun(&"messages beyond its bound");
                Err(Refused::Full)
            }
            Overflow::DropOldest => {
                head.note_overrun(&"its oldest messages");
                let room = |excess: usize| (excess < self.max).then_some(excess + 1);
                let entered = self
                    .excess
                    .fetch_update(Ordering::AcqRel, Ordering::Relaxed, room);
                Ok(entered.is_ok())
            }
            Overflow::DropNewest => {
                head.note_overrun(&"messages beyond its bound");
                Ok(false)
            }
        }
    }

    /// A message enters whether there is a place or not.
    pub(crate) fn force(&self) {
        match self.permits.try_acquire() {
            Ok(permit) => permit.forget(),
            // One that is given back is not given out again.
            Err(_) => drop(self.debt.fetch_add(1, Ordering::AcqRel)),
        }
    }

    /// Waits for a place; false when the process has ended.
    pub(crate) async fn wait(&self) -> bool {
        match self.permits.acquire().await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// A message was taken out of the queue; false if it is to be dropped, for a newer one that came
    /// over the bound.
    pub(crate) fn leave(&self) -> bool {
        let less = |excess: usize| excess.checked_sub(1);
        let excess = self
            .excess
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
        if excess.is_ok() {
            return false;
        }
        if self
            .debt
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, less)
            .is_err()
        {
            self.permits.add_permits(1);
        }
        true
    }

    /// The process ends: whoever waits for a place waits no more.
    pub(crate) fn close(&self) {
        self.permits.close();
    }
}
