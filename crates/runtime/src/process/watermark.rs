//! Long message queues: told of once when they are, and once when they are not any more.
//!
//! As OTP's `system_monitor` with `{long_message_queue, {Disable, Enable}}`, and on for every process
//! that has no bound ([`Config::watermark`](crate::Config::watermark)). Sending pays nothing for it: a
//! push looks only where it comes first into a new block of a queue that piles up, so the event comes up
//! to 32 messages after the one that reached the mark. The process itself looks after each of its turns
//! while its queue is long.
//!
//! Invariants:
//! - `I1` the events of a queue alternate, and the first says that it is long: who tells has moved the
//!   state to [`TELLING`], and moves it on when all have heard;
//! - `I2` a change that falls into this time is not missed: who has told looks again.

use std::sync::atomic::{AtomicU8, Ordering, fence};

use purlin_mailbox::Closed;

use super::cell::{Cell, Slot};
use crate::report;

/// When a message queue is long, and when no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    low: usize,
    high: usize,
}

impl Watermark {
    /// A queue is long from `high` messages on, until `low` or fewer are left. They are apart, so that
    /// a queue about the mark does not cause an event with every message. At least one message is
    /// long, and `low` is taken for less than `high`.
    pub const fn new(low: usize, high: usize) -> Self {
        let high = if high == 0 { 1 } else { high };
        let low = if low < high { low } else { high - 1 };
        Self { low, high }
    }

    /// A queue with so few messages is not long any more.
    pub fn low(self) -> usize {
        self.low
    }

    /// A queue with so many messages is long.
    pub fn high(self) -> usize {
        self.high
    }
}

const SHORT: u8 = 0;
const LONG: u8 = 1;
/// Somebody is telling of a change.
const TELLING: u8 = 2;

/// Whether a queue is long, as was told last.
pub(super) struct QueueState(AtomicU8);

impl QueueState {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(SHORT))
    }

    /// Whether the process has to look if it became short.
    #[inline]
    pub(super) fn may_be_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) != SHORT
    }

    /// Begins to tell, if nobody else has begun.
    fn begin(&self, from: u8) -> bool {
        self.0
            .compare_exchange(from, TELLING, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// Puts something into the queue of a process.
#[inline]
pub(super) fn push<M>(cell: &Cell<M>, slot: Slot<M>) -> Result<(), Closed<Slot<M>>> {
    cell.push_watched(slot, || look(cell))
}

/// Tells if the queue has become long, or short again.
#[cold]
pub(super) fn look<M>(cell: &Cell<M>) {
    let head = cell.header();
    let Some(mark) = head.watermark() else {
        return;
    };
    let state = head.queue_state();
    loop {
        // So that of one who tells and one who meanwhile adds or takes, one sees the other (`I2`).
        fence(Ordering::SeqCst);
        let len = messages(cell);
        let stands = state.0.load(Ordering::Relaxed);
        let becomes = match stands {
            SHORT if len >= mark.high => LONG,
            LONG if len <= mark.low => SHORT,
            _ => return,
        };
        if !state.begin(stands) {
            return;
        }
        report::message_queue(head, len, becomes == LONG);
        state.0.store(becomes, Ordering::Release);
    }
}

/// What waits in a queue, without signals that have not acted yet.
pub(super) fn messages<M>(cell: &Cell<M>) -> usize {
    cell.len().saturating_sub(cell.header().signals_waiting())
}
