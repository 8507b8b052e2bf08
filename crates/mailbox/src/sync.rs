//! The primitives of std, or those of loom when the models are built.
//!
//! Nothing else in the crate names `std::sync::atomic`, `std::alloc` or `std::cell::UnsafeCell`, so
//! the models explore the very code that runs.

#[cfg(not(purlin_loom))]
mod primitives {
    pub(crate) use std::alloc::{alloc, dealloc};
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

    /// Tries that spin before one yields: about what a short turn of another thread takes. A guess,
    /// unmeasured, since threads do not meet here.
    const SPINS: u32 = 64;

    /// Lets another thread go on, before the next try.
    #[cold]
    pub(crate) fn pause(tries: u32) {
        if tries < SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }

    /// `std::cell::UnsafeCell` with the interface of loom's, which sees when an access begins and
    /// ends.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
            access(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }
}

#[cfg(purlin_loom)]
mod primitives {
    pub(crate) use loom::alloc::{alloc, dealloc};
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

    pub(crate) fn pause(_: u32) {
        loom::thread::yield_now();
    }
}

pub(crate) use primitives::*;

/// Something whose memory must outlive all accesses: with loom, an access that does not happen
/// before the end is an error of the model.
#[cfg(purlin_loom)]
pub(crate) struct Lifetime(UnsafeCell<()>);

#[cfg(purlin_loom)]
impl Lifetime {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(()))
    }

    pub(crate) fn access(&self) {
        self.0.with(|_| ());
    }

    pub(crate) fn end(&self) {
        self.0.with_mut(|_| ());
    }
}

/// Nothing, but in the models.
#[cfg(not(purlin_loom))]
pub(crate) struct Lifetime;

#[cfg(not(purlin_loom))]
impl Lifetime {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn access(&self) {}

    #[inline(always)]
    pub(crate) fn end(&self) {}
}
