//! A value that is made when it is first needed, for which a process has one word until then.
//!
//! As `OnceLock<Box<T>>`, which takes two words, and without its promise that only one is made: of
//! two that are made at once one is dropped.

#![expect(unsafe_code, reason = "a box is put into an atomic pointer")]

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value on the heap that all see, or nothing yet. It is put there once.
pub struct Lazy<T>(AtomicPtr<T>, std::marker::PhantomData<Box<T>>);

// SAFETY: it owns a `T` and gives every thread a `&T`; any thread may put it there or drop it.
unsafe impl<T: Send + Sync> Sync for Lazy<T> {}

impl<T> Lazy<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()), std::marker::PhantomData)
    }

    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: what stands here came out of a box, is not changed any more, and lives as `self`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The value, made now if there is none.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.put(Box::new(make())),
        }
    }

    #[cold]
    fn put(&self, value: Box<T>) -> &T {
        let value = Box::into_raw(value);
        let put =
            self.0
                .compare_exchange(ptr::null_mut(), value, Ordering::AcqRel, Ordering::Acquire);
        match put {
            // SAFETY: it stands there now, as in `get`.
            Ok(_) => unsafe { &*value },
            Err(stands) => {
                // SAFETY: nobody has seen it; and what stands there is as in `get`.
                unsafe {
                    drop(Box::from_raw(value));
                    &*stands
                }
            }
        }
    }
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Lazy<T> {
    fn drop(&mut self) {
        let value = *self.0.get_mut();
        if !value.is_null() {
            // SAFETY: it came out of a box, and nobody borrows it.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.get()).finish()
    }
}

#[cfg(all(test, not(purlin_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn all_see_the_one_that_was_put_and_the_others_are_dropped() {
        let (lazy, made) = (Lazy::new(), Arc::new(()));
        assert!(lazy.get().is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| lazy.get_or_init(|| Arc::clone(&made)));
            }
        });
        assert_eq!(Arc::strong_count(&made), 2);
        assert!(ptr::eq(lazy.get().unwrap(), lazy.get_or_init(Arc::default)));
        drop(lazy);
        assert_eq!(Arc::strong_count(&made), 1);
    }
}
