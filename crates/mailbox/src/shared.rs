//! A mailbox: one allocation with the queue, what its owner put beside it, and the owner's own state.
//!
//! Whoever has an `Arc` of it pushes and reads the header. The receiving side is there too, for one
//! at a time: an [`Owner`] has it from when it is made until it is dropped. Whoever comes meanwhile
//! waits by spinning, since the receiving side of a process is used by its task alone, and by turns:
//! so having it costs one read-modify-write, and giving it back one store.
//!
//! The receiving side ends by [`Owner::finish`], or with the mailbox.
//!
//! Invariant `O1`: `taker` and `state` are accessed by the owner alone, who has set `held`.

#![expect(unsafe_code, reason = "the receiving side is handed over by a flag")]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use crate::queue::{Closed, Queue};
use crate::receiver::{Awaited, Cursor, Taker};
use crate::sync::{Arc, AtomicBool, Ordering, UnsafeCell, pause};

/// A mailbox: what senders share, with a header `H` that all see and a state `S` that the owner has.
// In this order: what pushes write comes first, what the owner writes last, and between them what
// is mostly read, so that they seldom share a cache line.
#[repr(C)]
pub struct Shared<T, H, S = ()> {
    queue: Queue<T>,
    header: H,
    /// Somebody is the owner.
    held: AtomicBool,
    taker: UnsafeCell<Taker<T>>,
    state: UnsafeCell<S>,
}

// SAFETY: items pass from the pushing thread to the owner's (or back, or to whoever drops the
// mailbox), each seen by one at a time; `&Shared` gives nobody a `&T`. The state is the owner's, who
// may be any thread, one at a time (`O1`). The header is seen by all.
unsafe impl<T: Send, H: Send, S: Send> Send for Shared<T, H, S> {}
// SAFETY: as above.
unsafe impl<T: Send, H: Sync, S: Send> Sync for Shared<T, H, S> {}

impl<T, H, S> Shared<T, H, S> {
    /// A mailbox that nobody owns yet.
    #[inline]
    pub fn new(header: H, state: S) -> Self {
        Self {
            queue: Queue::new(),
            header,
            held: AtomicBool::new(false),
            taker: UnsafeCell::new(Taker::new()),
            state: UnsafeCell::new(state),
        }
    }

    /// What was put beside the queue.
    #[inline]
    pub fn header(&self) -> &H {
        &self.header
    }

    /// Appends an item and wakes the receiver if it waits for it. Never blocks.
    ///
    /// # Errors
    ///
    /// The mailbox is closed: the item comes back, and nothing has changed.
    #[inline]
    pub fn push(&self, item: T) -> Result<(), Closed<T>> {
        self.queue.push(item, || {})
    }

    /// As [`push`](Self::push), and calls `piles_up` while the queue grows, at no cost for other
    /// pushes: after a push that was the first to come into a new block and found half as many
    /// items waiting as the block holds. So of a backlog's pushes at least one in 32 calls it, and
    /// hardly any where the receiver keeps up.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_watched(&self, item: T, piles_up: impl FnOnce()) -> Result<(), Closed<T>> {
        self.queue.push(item, piles_up)
    }

    /// Refuses all later pushes. What was pushed before can still be received, and then the
    /// receiver learns of the end. Does nothing if the mailbox is closed.
    pub fn close(&self) {
        self.queue.close();
    }

    /// True once pushes are refused.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// How many items were pushed and not yet taken. A snapshot that may be slightly old: it counts
    /// pushes that are not finished, and some items that were taken already, fewer than a block has.
    /// [`Owner::len`] does not count those.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True when [`len`](Self::len) is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something was pushed to where the receiver waits or behind it, pushes that are not finished
    /// included. A snapshot that may be slightly old.
    #[inline]
    pub fn has_reached(&self, place: Awaited) -> bool {
        Awaited::at(self.queue.reserved()) != place
    }

    /// The receiving side, and the state. Waits while somebody else has it: whoever has it and asks
    /// again waits for ever.
    #[inline]
    pub fn owner(&self) -> Owner<T, H, S, &Self> {
        self.hold();
        Owner {
            shared: self,
            has: PhantomData,
        }
    }

    /// As [`owner`](Self::owner), unless somebody else has it.
    pub fn try_owner(&self) -> Option<Owner<T, H, S, &Self>> {
        // Made only if it is held: dropped, it would give back what another has.
        self.try_hold().then(|| Owner {
            shared: self,
            has: PhantomData,
        })
    }

    #[inline(always)]
    fn hold(&self) {
        if !self.try_hold() {
            self.wait();
        }
    }

    #[inline(always)]
    fn try_hold(&self) -> bool {
        self.held
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut tries = 0;
        while !self.try_hold() {
            pause(tries);
            tries = tries.saturating_add(1);
        }
    }

    /// The receiving side and what it takes from.
    ///
    /// # Safety
    ///
    /// The caller is the owner, and uses the result while it is borrowed, and at no time twice.
    #[inline(always)]
    unsafe fn taker<'o, R>(&'o self, take: impl FnOnce(&'o mut Taker<T>, &'o Queue<T>) -> R) -> R {
        // SAFETY: nobody else accesses it (`O1`).
        self.taker
            .with_mut(|taker| take(unsafe { &mut *taker }, &self.queue))
    }
}

impl<T, H, S> Drop for Shared<T, H, S> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the mailbox.
        unsafe { self.taker(|taker, queue| taker.finish(queue)) };
    }
}

impl<T, H: fmt::Debug, S> fmt::Debug for Shared<T, H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// How an owner has its mailbox: for a while, or for the mailbox's life.
pub trait Hold: Deref {
    /// Whether the receiving side ends with the owner.
    #[doc(hidden)]
    const ENDS: bool;
}

impl<T, H, S> Hold for &Shared<T, H, S> {
    const ENDS: bool = false;
}

impl<T, H, S> Hold for Arc<Shared<T, H, S>> {
    const ENDS: bool = true;
}

/// The receiving side of a mailbox, and its state, to which it derefs.
///
/// By [`Shared::owner`] it is had for a while; as a [`Receiver`] for good.
pub struct Owner<T, H, S, P: Hold<Target = Shared<T, H, S>>> {
    shared: P,
    /// It gives access to the state, wherever it goes; and `&Owner` gives access to no item.
    has: PhantomData<S>,
}

/// An owner that keeps its mailbox. Dropping it closes the mailbox and drops what is queued.
pub type Receiver<T, H, S = ()> = Owner<T, H, S, Arc<Shared<T, H, S>>>;

impl<T, H, S> Receiver<T, H, S> {
    pub(crate) fn new(shared: Arc<Shared<T, H, S>>) -> Self {
        shared.hold();
        Self {
            shared,
            has: PhantomData,
        }
    }
}

impl<T, H, S, P: Hold<Target = Shared<T, H, S>>> Owner<T, H, S, P> {
    /// The mailbox.
    pub fn shared(&self) -> &P {
        &self.shared
    }

    /// Takes the oldest item. None if nothing has arrived; once [`is_ended`](Self::is_ended), none
    /// means that nothing ever will.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        // SAFETY: `self` is the owner, here and below; what is borrowed from the taker is borrowed
        // from `self`.
        unsafe { self.shared.taker(|taker, queue| taker.pop(queue)) }
    }

    /// Makes [`Shared::len`] count nothing that was popped.
    pub fn tell_taken(&mut self) {
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(Taker::tell_taken) }
    }

    /// How many items were pushed and not yet taken, pushes that are not finished included.
    pub fn len(&self) -> usize {
        // SAFETY: as in `pop`; it only reads.
        let untold = |taker: *const Taker<T>| unsafe { &*taker }.untold();
        self.shared
            .len()
            .saturating_sub(self.shared.taker.with(untold))
    }

    /// True when [`len`](Self::len) is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Before everything that waits.
    pub fn start(&self) -> Cursor {
        Cursor::before(0)
    }

    /// After everything that has arrived so far: whatever is pushed from now on comes after it.
    ///
    /// A caller that makes a fresh reference and then waits for the answer that carries it begins
    /// here, and skips what came before.
    pub fn end(&self) -> Cursor {
        Cursor::before(self.shared.queue.reserved())
    }

    /// Visits the next waiting item after the cursor, and moves the cursor past it. None if there
    /// is none yet; the cursor stays, and later finds what arrived.
    pub fn next(&mut self, cursor: &mut Cursor) -> Option<&mut T> {
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(|taker, queue| taker.next(queue, cursor)) }
    }

    /// Takes the item that [`next`](Self::next) visited last with this cursor. None if it is taken
    /// already, or if the cursor has visited nothing.
    pub fn take(&mut self, cursor: &Cursor) -> Option<T> {
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(|taker, queue| taker.take(queue, cursor)) }
    }

    /// Ready if an item waits after the cursor, or if the queue [has ended](Self::is_ended).
    /// Otherwise the task is woken when something arrives.
    ///
    /// Only the task that polled last is woken. Waiting again with the same waker costs no clone.
    pub fn poll_arrival(&mut self, cx: &mut Context<'_>, cursor: &Cursor) -> Poll<()> {
        let poll = |taker: &mut Taker<T>, queue: &_| taker.poll_arrival(queue, cx, cursor);
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(poll) }
    }

    /// Where the task waits, if it does: what is pushed next comes to that place, and wakes it. It does so until
    /// something has [come there](Shared::has_reached), or another task polls.
    pub fn awaited(&self) -> Option<Awaited> {
        // SAFETY: as in `pop`; it only reads.
        let taker = |taker: *const Taker<T>| unsafe { &*taker }.awaited();
        self.shared.taker.with(taker)
    }

    /// Takes the oldest item, as [`pop`](Self::pop). If there is none, the task is woken when
    /// something arrives, as by [`poll_arrival`](Self::poll_arrival), with one look instead of two.
    /// None once there will be no more.
    #[inline]
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let poll = |taker: &mut Taker<T>, queue: &_| taker.poll_pop(queue, cx);
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(poll) }
    }

    /// True when the mailbox is closed and everything pushed before has arrived: what can be popped
    /// now is all there is.
    pub fn is_ended(&self) -> bool {
        // SAFETY: as in `pop`; it only reads.
        let taker = |taker: *const Taker<T>| unsafe { &*taker }.is_ended();
        self.shared.taker.with(taker)
    }

    /// Closes the mailbox: from now on every push fails, also one that is not finished. What was
    /// pushed before has arrived then, and can be popped until there is none. Never waits.
    pub fn close(&mut self) {
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(|taker, queue| taker.close(queue)) }
    }

    /// Closes the mailbox, drops what is queued, and frees the memory of the queue and of the waker.
    /// Whoever owns the mailbox later finds it ended and empty.
    pub fn finish(&mut self) {
        // SAFETY: as in `pop`.
        unsafe { self.shared.taker(|taker, queue| taker.finish(queue)) }
    }
}

impl<T, H, S, P: Hold<Target = Shared<T, H, S>>> Deref for Owner<T, H, S, P> {
    type Target = S;

    #[inline(always)]
    fn deref(&self) -> &S {
        // SAFETY: `self` is the owner (`O1`), and is borrowed meanwhile.
        self.shared.state.with(|state| unsafe { &*state })
    }
}

impl<T, H, S, P: Hold<Target = Shared<T, H, S>>> DerefMut for Owner<T, H, S, P> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut S {
        // SAFETY: as above.
        self.shared.state.with_mut(|state| unsafe { &mut *state })
    }
}

impl<T, H, S, P: Hold<Target = Shared<T, H, S>>> Drop for Owner<T, H, S, P> {
    #[inline]
    fn drop(&mut self) {
        /// Lets others be the owner, also when an item panics.
        struct Release<'h>(&'h AtomicBool);
        impl Drop for Release<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        let shared = &*self.shared;
        let _release = Release(&shared.held);
        if P::ENDS {
            // SAFETY: as in `pop`.
            unsafe { shared.taker(|taker, queue| taker.finish(queue)) };
        }
    }
}

impl<T, H, S, P: Hold<Target = Shared<T, H, S>>> fmt::Debug for Owner<T, H, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("len", &self.shared.len())
            .field("ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}
