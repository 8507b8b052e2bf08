//! How runners fall asleep, are woken and end: what decides, apart from where work lies and how a task
//! of tokio's is woken.
//!
//! Invariants, beside those of the scheduler:
//! - `S1` a bit of `idle` is set by its runner and cleared by whoever claims it, or by the runner itself
//!   when it was woken by chance; who clears it for another has counted that one as searching;
//! - `S2` a runner that leaves its waker before it looks whether the scheduler is closed is woken or sees
//!   that it is, and so ends;
//! - `S3` after a runner has ended before its time, whatever work comes is dropped, by whoever brings it or
//!   by one who drops already.
//!
//! Each of them is one thread's store before its look at what another stores before its own: hence the
//! fences. `tests/loom_scheduler.rs` runs this file in models of all interleavings.

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, fence};

/// Where work lies that any runner may take.
pub(crate) trait Common {
    type Work;

    fn push(&self, work: Self::Work);

    fn take(&self) -> Option<Self::Work>;

    fn is_empty(&self) -> bool;
}

/// What the runners share.
pub(crate) struct Sleepers<C> {
    pub(crate) common: C,
    /// A bit for each runner that sleeps.
    idle: AtomicU64,
    searching: AtomicUsize,
    is_closed: AtomicBool,
    /// A runner has ended before its time: work is dropped instead of run, by whoever has the lock.
    is_bereft: AtomicBool,
    burial: Mutex<()>,
}

/// What a runner knows of itself.
pub(crate) struct Sleeper {
    index: usize,
    is_searching: bool,
    is_asleep: bool,
}

impl<C: Common> Sleepers<C> {
    pub(crate) fn new(common: C) -> Self {
        Self {
            common,
            idle: AtomicU64::new(0),
            searching: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            is_bereft: AtomicBool::new(false),
            burial: Mutex::new(()),
        }
    }

    /// Work for any runner; answers which one is to be woken.
    pub(crate) fn inject(&self, work: C::Work) -> Option<usize> {
        self.common.push(work);
        fence(Ordering::SeqCst);
        match self.is_bereft.load(Ordering::SeqCst) {
            true => {
                self.bury();
                None
            }
            false => self.claim(),
        }
    }

    /// Whether a runner sleeps, as far as this thread has seen.
    #[inline]
    pub(crate) fn may_sleep(&self) -> bool {
        self.idle.load(Ordering::Relaxed) != 0
    }

    /// A sleeping runner, which its caller wakes; none while one is searching.
    pub(crate) fn claim(&self) -> Option<usize> {
        if self.searching.load(Ordering::SeqCst) != 0 {
            return None;
        }
        let first = |idle: u64| (idle != 0).then(|| idle & idle.wrapping_sub(1));
        let idle = self
            .idle
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, first)
            .ok()?;
        self.searching.fetch_add(1, Ordering::SeqCst);
        Some(idle.trailing_zeros() as usize)
    }

    /// A runner comes, whose waker is put where it is found by that; false if it is to end.
    pub(crate) fn enter<R>(&self, leave_waker: impl FnOnce() -> R) -> bool {
        leave_waker();
        fence(Ordering::SeqCst);
        !self.is_closed()
    }

    /// All runners end; `wake` wakes those whose wakers are there.
    pub(crate) fn close(&self, wake: impl FnOnce()) {
        self.is_closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// A runner ends before its time, and leaves that.
    pub(crate) fn bereave(&self, left: impl Iterator<Item = C::Work>) {
        self.is_bereft.store(true, Ordering::SeqCst);
        left.for_each(|work| self.common.push(work));
        fence(Ordering::SeqCst);
        self.bury();
    }

    /// Drops what can never run. By one at a time and in a loop, since dropping a process wakes others.
    fn bury(&self) {
        while !self.common.is_empty() {
            let Ok(only) = self.burial.try_lock() else {
                return;
            };
            while let Some(work) = self.common.take() {
                drop(work);
            }
            drop(only);
            // Who found it locked has pushed before: what that was is seen now.
            fence(Ordering::SeqCst);
        }
    }
}

impl Sleeper {
    pub(crate) fn new(index: usize) -> Self {
        Self {
            index,
            is_searching: false,
            is_asleep: false,
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    fn bit(&self) -> u64 {
        1 << self.index
    }

    pub(crate) fn is_searching(&self) -> bool {
        self.is_searching
    }

    /// Looks for work; answers what it has found, and another runner to be woken: where there was one thing
    /// there may be more, and nobody else was sent. `has_more` says whether there is enough for another.
    pub(crate) fn search<C: Common>(
        &mut self,
        sleepers: &Sleepers<C>,
        look: impl FnOnce() -> Option<C::Work>,
        has_more: impl FnOnce() -> bool,
    ) -> (Option<C::Work>, Option<usize>) {
        self.start_searching(sleepers);
        let found = look();
        let was_last = self.stop_searching(sleepers);
        let wakes = found.is_some() && was_last && has_more();
        let other = wakes.then(|| sleepers.claim()).flatten();
        (found, other)
    }

    fn start_searching<C: Common>(&mut self, sleepers: &Sleepers<C>) {
        if !self.is_searching {
            self.is_searching = true;
            sleepers.searching.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Answers whether no other runner searches.
    fn stop_searching<C: Common>(&mut self, sleepers: &Sleepers<C>) -> bool {
        self.is_searching = false;
        let before = sleepers.searching.fetch_sub(1, Ordering::SeqCst);
        // What was pushed while this one counted as searching woke nobody, and is to be seen now.
        fence(Ordering::SeqCst);
        before == 1
    }

    /// Goes to sleep; false if something came meanwhile.
    pub(crate) fn sleep<C: Common>(&mut self, sleepers: &Sleepers<C>) -> bool {
        sleepers.idle.fetch_or(self.bit(), Ordering::SeqCst);
        self.is_asleep = true;
        fence(Ordering::SeqCst);
        if sleepers.common.is_empty() {
            return true;
        }
        self.awake(sleepers);
        false
    }

    /// Is awake, whether it was woken or not.
    pub(crate) fn awake<C: Common>(&mut self, sleepers: &Sleepers<C>) {
        if !self.is_asleep {
            return;
        }
        self.is_asleep = false;
        let idle = sleepers.idle.fetch_and(!self.bit(), Ordering::SeqCst);
        // Whoever has woken it has counted it.
        self.is_searching = idle & self.bit() == 0;
    }
}
