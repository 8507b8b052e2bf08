//! The waker of the receiver's task, which pushes read and only the receiver writes.
//!
//! A push that filled the slot that the receiver waits for calls [`WakerCell::wake`]: it reads the
//! waker where it lies and counts itself in `done`. The receiver knows how many pushes were to wake
//! it (`fired`), so `done == fired` says that nobody reads (`I4`). It needs to know that only to
//! replace the waker by another, or to drop it: waiting again with the same waker touches nothing
//! here.

#![expect(unsafe_code, reason = "the waker is shared by a protocol, not a lock")]

use std::task::Waker;

use crate::sync::{AtomicU64, Ordering, UnsafeCell};

pub(crate) struct WakerCell {
    waker: UnsafeCell<Option<Waker>>,
    /// How many pushes have finished waking; from [`WakerCell::retire`] on, less what was fired,
    /// so that the last one finds -1.
    done: AtomicU64,
}

impl WakerCell {
    pub(crate) fn new() -> Self {
        Self {
            waker: UnsafeCell::new(None),
            done: AtomicU64::new(0),
        }
    }

    /// Wakes the receiver.
    ///
    /// # Safety
    ///
    /// The caller's push filled the awaited slot, and it calls this once for it.
    pub(crate) unsafe fn wake(&self) {
        /// Counts also when the waker panics.
        struct Done<'c>(&'c WakerCell);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                if self.0.done.fetch_add(1, Ordering::AcqRel) == u64::MAX {
                    // SAFETY: the receiver is gone, and all others that woke it have counted.
                    drop(unsafe { self.0.replace(None) });
                }
            }
        }
        let _done = Done(self);
        self.waker.with(|waker| {
            // SAFETY: the receiver does not write while this push has not counted itself (`I4`).
            if let Some(waker) = unsafe { &*waker } {
                waker.wake_by_ref();
            }
        });
    }

    /// True when waking through `waker` is what a push would do anyway. For the receiver.
    pub(crate) fn holds(&self, waker: &Waker) -> bool {
        self.waker.with(|held| {
            // SAFETY: only the receiver writes, and it is here.
            unsafe { &*held }
                .as_ref()
                .is_some_and(|held| held.will_wake(waker))
        })
    }

    /// True when all pushes that were to wake have done so. For the receiver.
    pub(crate) fn is_free(&self, fired: u64) -> bool {
        self.done.load(Ordering::Acquire) == fired
    }

    /// Puts another waker and gives back the old one.
    ///
    /// # Safety
    ///
    /// The cell is free and no push is going to wake.
    pub(crate) unsafe fn replace(&self, waker: Option<Waker>) -> Option<Waker> {
        self.waker.with_mut(|held| {
            // SAFETY: nobody else reads or writes, says the caller.
            std::mem::replace(unsafe { &mut *held }, waker)
        })
    }

    /// The receiver goes: the waker is dropped here, or by the last push that still reads it, so
    /// that an address that outlives its process does not keep the memory of the task.
    ///
    /// # Safety
    ///
    /// The receiver waits for no slot any more, and calls this once.
    pub(crate) unsafe fn retire(&self, fired: u64) {
        if fired == 0 {
            // SAFETY: nobody was ever to wake, nor will be.
            return drop(unsafe { self.replace(None) });
        }
        if self.done.fetch_sub(fired, Ordering::AcqRel) == fired {
            // SAFETY: all that were to wake have counted, and there will be no others.
            drop(unsafe { self.replace(None) });
        }
    }
}
