//! What the modules that are modelled find as `crate::sync`: loom's primitives.
//!
//! Loom looks for the accesses that may come in another order, and of each atomic keeps the last one
//! alone: where a thread loads before it changes, loom compares the change with that thread's own load, and
//! does not try it before what another thread has loaded meanwhile (loom 0.7). So each access here is
//! preceded by a relaxed change of an atomic beside it. Those are always compared, and since they are relaxed
//! they order nothing: what may be read stays as weak as the code says.

#![allow(dead_code, unused_imports, reason = "each model uses some of it")]

use loom::sync::Condvar;

pub(crate) use loom::sync::atomic::{Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        pub(crate) struct $name {
            atomic: loom::sync::atomic::$name,
            turn: loom::sync::atomic::AtomicBool,
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self {
                    atomic: loom::sync::atomic::$name::new(value),
                    turn: loom::sync::atomic::AtomicBool::new(false),
                }
            }

            fn in_turn(&self) -> &loom::sync::atomic::$name {
                self.turn.swap(true, Ordering::Relaxed);
                &self.atomic
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.in_turn().load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.in_turn().store(value, order);
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_or(value, order)
            }

            pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_and(value, order)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.in_turn()
                    .compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut before = self.load(failure);
                while let Some(new) = change(before) {
                    match self.compare_exchange_weak(before, new, success, failure) {
                        Ok(_) => return Ok(before),
                        Err(now) => before = now,
                    }
                }
                Err(before)
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $value:ty) => {
        atomic!($name, $value);

        impl $name {
            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_sub(value, order)
            }
        }
    };
}

atomic!(AtomicBool, bool);
number!(AtomicU8, u8);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);

/// As tokio's: whoever began to listen before it tells is told.
pub(crate) struct Notify {
    calls: Mutex<u64>,
    told: Condvar,
}

pub(crate) struct Notified<'n> {
    notify: &'n Notify,
    before: u64,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            calls: Mutex::new(0),
            told: Condvar::new(),
        }
    }

    pub(crate) fn notify_waiters(&self) {
        *self.calls.lock().unwrap() += 1;
        self.told.notify_all();
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        let before = *self.calls.lock().unwrap();
        Notified {
            notify: self,
            before,
        }
    }
}

impl Notified<'_> {
    pub(crate) fn wait(self) {
        let mut calls = self.notify.calls.lock().unwrap();
        while *calls == self.before {
            calls = self.notify.told.wait(calls).unwrap();
        }
    }
}

/// All interleavings with at most that many preemptions of running threads.
pub(crate) fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}
