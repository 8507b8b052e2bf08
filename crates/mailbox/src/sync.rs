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
    use loom::sync::atomic;
    pub(crate) use loom::sync::atomic::Ordering;

    pub(crate) type AtomicBool = InTurn<atomic::AtomicBool>;
    pub(crate) type AtomicPtr<T> = InTurn<atomic::AtomicPtr<T>>;
    pub(crate) type AtomicU8 = InTurn<atomic::AtomicU8>;
    pub(crate) type AtomicU64 = InTurn<atomic::AtomicU64>;

    /// An atomic whose accesses are all tried in each order.
    ///
    /// Of each atomic loom (0.7) keeps the last access alone, to find those that may come in another order:
    /// where a thread loads before it changes, the change is compared with that thread's own load, and not
    /// tried before what another has loaded meanwhile. So a relaxed change of an atomic beside it precedes
    /// each access. Such changes are always compared, and being relaxed they order nothing: what may be read
    /// stays as weak as the code says.
    pub(crate) struct InTurn<A> {
        atomic: A,
        turn: atomic::AtomicBool,
    }

    impl<A> InTurn<A> {
        fn of(atomic: A) -> Self {
            let turn = atomic::AtomicBool::new(false);
            Self { atomic, turn }
        }
    }

    impl<A> std::ops::Deref for InTurn<A> {
        type Target = A;

        fn deref(&self) -> &A {
            self.turn.swap(true, Ordering::Relaxed);
            &self.atomic
        }
    }

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            Self::of(atomic::AtomicBool::new(value))
        }
    }

    impl<T> AtomicPtr<T> {
        pub(crate) fn new(value: *mut T) -> Self {
            Self::of(atomic::AtomicPtr::new(value))
        }
    }

    impl AtomicU8 {
        pub(crate) fn new(value: u8) -> Self {
            Self::of(atomic::AtomicU8::new(value))
        }
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self::of(atomic::AtomicU64::new(value))
        }

        /// Loom's own would load and change in one turn.
        pub(crate) fn fetch_update(
            &self,
            success: Ordering,
            failure: Ordering,
            mut change: impl FnMut(u64) -> Option<u64>,
        ) -> Result<u64, u64> {
            let mut before = self.load(failure);
            while let Some(new) = change(before) {
                match self.compare_exchange(before, new, success, failure) {
                    Ok(_) => return Ok(before),
                    Err(now) => before = now,
                }
            }
            Err(before)
        }
    }

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
