//! A flag that is set once and can be waited for.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Set once, seen by everybody who waits or will.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    is_set: AtomicBool,
    waiting: Notify,
}

impl Latch {
    /// Sets the flag; true for the first who does.
    pub(crate) fn set(&self) -> bool {
        let first = !self.is_set.swap(true, Ordering::AcqRel);
        self.waiting.notify_waiters();
        first
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Returns when the flag is set. Cancel-safe.
    pub(crate) async fn wait(&self) {
        let waiting = self.waiting.notified();
        let mut waiting = std::pin::pin!(waiting);
        // Registered before the flag is looked at, so that no setting falls in between.
        waiting.as_mut().enable();
        if !self.is_set() {
            waiting.await;
        }
    }
}
