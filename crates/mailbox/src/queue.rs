//! The queue of a mailbox, as senders see it: how an item gets in.
//!
//! A push is: reserve a position (one `fetch_add` on `tail`), find the block it falls into (nearly
//! always `newest`), write the item, publish it (one `fetch_or` on the block), and wake the receiver
//! if that slot is the one it waits for. `tail` counts the reserved positions and has a bit that
//! says that the mailbox is closed, so reserving and being refused are one step.
//!
//! Finding the block: `newest` is read *after* the position is reserved. It may lag behind, then the
//! push walks forward, appends what is missing, and moves `newest` on before it publishes; or it may
//! be ahead, when the push was held up in between, then the push walks back. Both ways all blocks
//! it sees are alive, for it has not published (`I3`).

#![expect(unsafe_code, reason = "blocks and slots are handed over by positions")]

use std::fmt;

use crate::block::{Block, BlockRef, FIRST_SLOTS, MOST_SLOTS, Published};
use crate::link::{Link, Linked};
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::wake::WakerCell;

/// The bit of `tail` that says that the mailbox is closed.
const CLOSED: u64 = 1;
/// One position in `tail`.
const STEP: u64 = 2;

/// What pushes need, and what they tell the receiver.
pub(crate) struct Queue<T> {
    /// Twice the number of reserved positions, plus [`CLOSED`].
    tail: AtomicU64,
    /// The block that new positions are in, or one that leads there.
    pub(crate) newest: Link<T>,
    /// A block to use again, or null.
    spare: AtomicPtr<Block<T>>,
    /// How many items the receiver has taken; it alone writes.
    taken: AtomicU64,
    pub(crate) waker: WakerCell,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            tail: AtomicU64::new(0),
            newest: Link::new(),
            spare: AtomicPtr::new(std::ptr::null_mut()),
            taken: AtomicU64::new(0),
            waker: WakerCell::new(),
        }
    }

    /// As [`Shared::push_watched`](crate::Shared::push_watched).
    #[inline]
    pub(crate) fn push(&self, item: T, piles_up: impl FnOnce()) -> Result<(), Closed<T>> {
        // Acquire: what `newest` was moved to before it was noted in `tail` is seen below.
        let tail = self.tail.fetch_add(STEP, Ordering::Acquire);
        if tail & CLOSED != 0 {
            // Only so that `len` stays right.
            self.tail.fetch_sub(STEP, Ordering::Relaxed);
            return Err(Closed(item));
        }
        let position = tail / STEP;
        match self.place_now(position) {
            // SAFETY: the position is this push's alone (`I1`).
            Some((block, slot)) => unsafe { self.fill(block, slot, item) },
            None => self.push_behind(position, item, piles_up),
        }
    }

    /// Writes an item into its slot and publishes it.
    ///
    /// # Safety
    ///
    /// The slot is that of a position which the caller has reserved and not published.
    #[inline(always)]
    unsafe fn fill(&self, block: BlockRef<T>, slot: u32, item: T) -> Result<(), Closed<T>> {
        // SAFETY: nobody else writes there, says the caller.
        unsafe { block.write(slot, item) };
        match block.publish(slot) {
            Published::Quietly => {}
            // SAFETY: this push filled the awaited slot.
            Published::Awaited => unsafe { self.waker.wake() },
            // SAFETY: the receiver does not look at this slot any more (`I5`), and the block is
            // kept for pushes like this one.
            Published::Abandoned => return Err(Closed(unsafe { block.read(slot) })),
        }
        Ok(())
    }

    /// A push whose position is not in the newest block that it saw.
    #[cold]
    #[inline(never)]
    fn push_behind(
        &self,
        position: u64,
        item: T,
        piles_up: impl FnOnce(),
    ) -> Result<(), Closed<T>> {
        let Some((block, slot)) = self.search(position) else {
            return Err(Closed(item));
        };
        // Before it publishes: afterwards the block may be gone.
        let is_piling_up = 2 * self.waiting(block.start()) >= u64::from(block.slots());
        // SAFETY: the position is this push's alone (`I1`).
        unsafe { self.fill(block, slot, item) }?;
        if is_piling_up {
            piles_up();
        }
        Ok(())
    }

    /// Refuses all later pushes. What was pushed before can still be received, and then the
    /// receiver learns of the end. Does nothing if the mailbox is closed.
    pub(crate) fn close(&self) {
        let Some(position) = self.seal() else {
            return;
        };
        // The end takes a position of its own, so that it reaches the receiver as an item does.
        let Some((block, slot)) = self.place(position) else {
            return;
        };
        block.mark_end(slot);
        if block.publish(slot) == Published::Awaited {
            // SAFETY: this filled the awaited slot.
            unsafe { self.waker.wake() };
        }
    }

    /// True once pushes are refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.tail.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// How many items were pushed and not yet taken. A snapshot that may be slightly old; it counts
    /// pushes that are not finished.
    pub(crate) fn len(&self) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        // A closed mailbox has one position more, that of the end.
        let pushed = tail / STEP - (tail & CLOSED);
        pushed.saturating_sub(taken) as usize
    }

    /// How many positions are reserved by now.
    pub(crate) fn reserved(&self) -> u64 {
        self.tail.load(Ordering::Relaxed) / STEP
    }

    /// Closes, and gives the position of the end, which is then the caller's; none if it was closed.
    pub(crate) fn seal(&self) -> Option<u64> {
        let end = |tail: u64| (tail & CLOSED == 0).then_some((tail + STEP) | CLOSED);
        let before = self
            .tail
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, end)
            .ok()?;
        Some(before / STEP)
    }

    /// The receiver has taken so many items more.
    #[inline(always)]
    pub(crate) fn count_taken(&self, more: u64) {
        // A store suffices, since only the receiver writes.
        let taken = self.taken.load(Ordering::Relaxed) + more;
        self.taken.store(taken, Ordering::Relaxed);
    }

    /// The block and slot of a position that the caller has reserved and not published; none if
    /// the receiver has closed and will not look there.
    fn place(&self, position: u64) -> Option<(BlockRef<T>, u32)> {
        self.place_now(position).or_else(|| self.search(position))
    }

    /// As `place`, if the position is in the block where new ones mostly are.
    #[inline(always)]
    fn place_now(&self, position: u64) -> Option<(BlockRef<T>, u32)> {
        let Linked::Block(newest) = self.newest.get() else {
            return None;
        };
        Some((newest, newest.slot_of(position)?))
    }

    // A part of its callers, which are cold: a call less in each.
    #[inline(always)]
    fn search(&self, position: u64) -> Option<(BlockRef<T>, u32)> {
        let newest = match self.newest.get() {
            Linked::Block(newest) => newest,
            Linked::End => self.append(&self.newest, None)?,
            Linked::Abandoned => return None,
        };
        let mut block = newest;
        while position < block.start() {
            // SAFETY: the block of this position is not freed, nor any after it (`I3`).
            block = unsafe { BlockRef::from_ptr(block.prev.load(Ordering::Relaxed)) };
        }
        while position >= block.end() {
            block = match block.next().get() {
                Linked::Block(next) => next,
                Linked::End => self.append(block.next(), Some(block))?,
                Linked::Abandoned => return None,
            };
        }
        self.move_newest(newest, block);
        block.slot_of(position).map(|slot| (block, slot))
    }

    /// Lets later pushes begin at `to` or behind it, and notes for each block passed by whom it may
    /// still be held.
    fn move_newest(&self, mut from: BlockRef<T>, to: BlockRef<T>) {
        while from.start() < to.start() {
            match self.newest.advance(from, to) {
                Ok(()) => return self.note_passed(from, to),
                Err(Linked::Block(newest)) => from = newest,
                Err(_) => return,
            }
        }
    }

    fn note_passed(&self, from: BlockRef<T>, to: BlockRef<T>) {
        // A read-modify-write, so that it reads the last value, and releasing, so that whoever
        // reserves a later position finds `to` in `newest`.
        let reserved = self.tail.fetch_or(0, Ordering::AcqRel) / STEP;
        let mut block = from;
        while block != to {
            let next = block.next().get();
            block.pass(reserved);
            let Linked::Block(next) = next else {
                unreachable!("the list leads from the old newest block to the new one");
            };
            block = next;
        }
    }

    /// Appends a block behind `last` (or the first one), unless another push was faster; none if
    /// the receiver has closed.
    fn append(&self, link: &Link<T>, last: Option<BlockRef<T>>) -> Option<BlockRef<T>> {
        let fresh = self.fresh(last);
        match link.append(fresh) {
            Ok(()) => Some(fresh),
            Err(stands) => {
                // SAFETY: it was not appended, so nobody else has seen it.
                unsafe { self.recycle(fresh) };
                match stands {
                    Linked::Block(block) => Some(block),
                    Linked::End | Linked::Abandoned => None,
                }
            }
        }
    }

    /// An unlinked block to come after `last`.
    fn fresh(&self, last: Option<BlockRef<T>>) -> BlockRef<T> {
        let Some(last) = last else {
            return BlockRef::allocate(FIRST_SLOTS, 0, std::ptr::null_mut());
        };
        let slots = self.slots_after(last);
        let spare = self.spare.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !spare.is_null() {
            // SAFETY: what is in `spare` belongs to whoever takes it out.
            let spare = unsafe { BlockRef::from_ptr(spare) };
            if spare.slots() == slots {
                // SAFETY: it was taken out, and is empty.
                unsafe { spare.renew(last.end(), last.as_ptr()) };
                return spare;
            }
            // SAFETY: as above.
            unsafe { spare.free() };
        }
        BlockRef::allocate(slots, last.end(), last.as_ptr())
    }

    /// Blocks double while more waits than the last one holds, and halve when it is nearly none.
    fn slots_after(&self, last: BlockRef<T>) -> u8 {
        let (waiting, slots) = (self.waiting(last.end()), u64::from(last.slots()));
        let wanted = if waiting >= slots {
            slots * 2
        } else if waiting < slots / 4 {
            slots / 2
        } else {
            slots
        };
        wanted.clamp(u64::from(FIRST_SLOTS), u64::from(MOST_SLOTS)) as u8
    }

    /// How many items before a position are not taken. A snapshot, as [`Queue::len`].
    fn waiting(&self, before: u64) -> u64 {
        before.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// Keeps a block for the next that is needed, or frees it.
    ///
    /// # Safety
    ///
    /// The caller alone holds it, and its slots have no items.
    pub(crate) unsafe fn recycle(&self, block: BlockRef<T>) {
        let kept = self.spare.compare_exchange(
            std::ptr::null_mut(),
            block.as_ptr(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if kept.is_err() {
            // SAFETY: says the caller.
            unsafe { block.free() };
        }
    }

    /// Frees the block that is kept, if there is one.
    pub(crate) fn free_spare(&self) {
        if self.spare.load(Ordering::Relaxed).is_null() {
            return;
        }
        let spare = self.spare.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !spare.is_null() {
            // SAFETY: what is in `spare` belongs to whoever takes it out.
            unsafe { BlockRef::from_ptr(spare).free() };
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.free_spare();
        // SAFETY: nobody else has the mailbox any more.
        for block in unsafe { self.newest.take_left() } {
            // SAFETY: as above; pushes that came too late took their items back.
            unsafe { block.free() };
        }
    }
}

/// The mailbox is closed; the item that could not be pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mailbox is closed")
    }
}

impl<T> std::error::Error for Closed<T> {}
