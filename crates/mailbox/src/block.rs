//! A block: room for some consecutive positions, and the word that says which are filled.
//!
//! `ready` has a bit for each slot, set once its item is written. Its top byte belongs to the
//! receiver: the slot that it waits for, or [`ABANDONED`]. One read-modify-write on this word thus
//! publishes an item *and* tells the push whether it has to wake, or that nobody will look at its
//! slot any more.
//!
//! A block is held by pushes that look for their position: they come from `Queue::newest` and walk
//! `next` or `prev`. When `newest` moves past a block, the mover notes in `passed_at` how many
//! positions are reserved by then. Pushes with later positions start behind the block; when all
//! earlier ones are published, nobody holds it (`I3`).

#![expect(
    unsafe_code,
    reason = "slots are uninitialised memory behind a header of one allocation"
)]

use std::alloc::{Layout, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use crate::link::Link;
use crate::sync::{AtomicPtr, AtomicU8, AtomicU64, Lifetime, Ordering, UnsafeCell, alloc, dealloc};

/// Slots of the first block, and of all while little waits: the memory of idle processes against
/// the cost of a new block (`docs/decisions/own-mailbox.md` has the figures for 8).
#[cfg(not(purlin_loom))]
pub(crate) const FIRST_SLOTS: u8 = 4;
/// Slots of the largest block: tokio's number for its channel; others are unmeasured. At most as
/// many as `ready` has bits for.
#[cfg(not(purlin_loom))]
pub(crate) const MOST_SLOTS: u8 = 32;

// Small enough for the models to cross from block to block.
#[cfg(purlin_loom)]
pub(crate) const FIRST_SLOTS: u8 = 1;
#[cfg(purlin_loom)]
pub(crate) const MOST_SLOTS: u8 = 2;

/// Where the receiver's byte begins in `ready`.
const AWAITED_SHIFT: u32 = 56;
const SLOT_BITS: u64 = (1 << AWAITED_SHIFT) - 1;
/// The receiver's byte when it will not look at slots that are not filled yet.
const ABANDONED: u64 = 0xff;

const _: () = assert!(MOST_SLOTS as u32 <= AWAITED_SHIFT && FIRST_SLOTS <= MOST_SLOTS);

/// `passed_at` while `newest` has not passed the block.
const NOT_PASSED: u64 = u64::MAX;

/// The head of a block; the slots follow it in the same allocation.
pub(crate) struct Block<T> {
    ready: AtomicU64,
    next: Link<T>,
    /// The block before. Read only by pushes whose position is before this block, so never once
    /// that one may be freed. The receiver uses it to chain retired blocks, but leaves it once it has
    /// closed: what it has given up are positions before.
    pub(crate) prev: AtomicPtr<Block<T>>,
    passed_at: AtomicU64,
    start: u64,
    slots: u8,
    /// The slot of the mark that `Queue::close` leaves, plus one.
    end_mark: AtomicU8,
    lifetime: Lifetime,
}

type Slot<T> = UnsafeCell<MaybeUninit<T>>;

/// What a push finds when it publishes its item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The receiver will come by.
    Quietly,
    /// The receiver waits for this very slot: wake it.
    Awaited,
    /// The receiver has closed, and will not look: the item is still the push's.
    Abandoned,
}

/// A block that is alive: a pointer that whoever made it vouches for.
pub(crate) struct BlockRef<T>(NonNull<Block<T>>);

impl<T> Clone for BlockRef<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for BlockRef<T> {}

impl<T> PartialEq for BlockRef<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> std::ops::Deref for BlockRef<T> {
    type Target = Block<T>;

    #[inline(always)]
    fn deref(&self) -> &Block<T> {
        // SAFETY: whoever made it vouches that the block is alive while it is used.
        let block = unsafe { self.0.as_ref() };
        block.lifetime.access();
        block
    }
}

impl<T> BlockRef<T> {
    /// A new block, empty and unlinked.
    pub(crate) fn allocate(slots: u8, start: u64, prev: *mut Block<T>) -> Self {
        let (layout, slots_at) = layout::<T>(slots);
        // SAFETY: a head is not of size zero.
        let memory = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(memory.cast::<Block<T>>()) else {
            handle_alloc_error(layout)
        };
        let head = Block {
            ready: AtomicU64::new(0),
            next: Link::new(),
            prev: AtomicPtr::new(prev),
            passed_at: AtomicU64::new(NOT_PASSED),
            start,
            slots,
            end_mark: AtomicU8::new(0),
            lifetime: Lifetime::new(),
        };
        // SAFETY: the memory is fresh and laid out for a head and that many slots.
        unsafe {
            block.write(head);
            let first = memory.add(slots_at).cast::<Slot<T>>();
            for slot in 0..usize::from(slots) {
                first
                    .add(slot)
                    .write(UnsafeCell::new(MaybeUninit::uninit()));
            }
        }
        Self(block)
    }

    /// # Safety
    ///
    /// `pointer` is a block that stays alive while the result or a copy of it is used.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr(pointer: *mut Block<T>) -> Self {
        // SAFETY: a block is at no null pointer.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut Block<T> {
        self.0.as_ptr()
    }

    /// Makes a used block a new one.
    ///
    /// # Safety
    ///
    /// The caller alone holds it, and its slots have no items.
    pub(crate) unsafe fn renew(self, start: u64, prev: *mut Block<T>) {
        // SAFETY: nobody else holds it.
        let head = unsafe { &mut *self.as_ptr() };
        head.lifetime.end();
        head.ready.store(0, Ordering::Relaxed);
        head.next = Link::new();
        head.prev.store(prev, Ordering::Relaxed);
        head.passed_at.store(NOT_PASSED, Ordering::Relaxed);
        head.end_mark.store(0, Ordering::Relaxed);
        head.start = start;
    }

    /// Frees the memory; items that are still in it are not dropped.
    ///
    /// # Safety
    ///
    /// Nobody else holds it, and it is used no more.
    pub(crate) unsafe fn free(self) {
        self.lifetime.end();
        let (layout, slots_at) = layout::<T>(self.slots);
        let memory = self.as_ptr().cast::<u8>();
        let slots = usize::from(self.slots);
        // SAFETY: both were initialised by `allocate`, with this layout.
        unsafe {
            let first = memory.add(slots_at).cast::<Slot<T>>();
            ptr::drop_in_place(ptr::slice_from_raw_parts_mut(first, slots));
            ptr::drop_in_place(self.as_ptr());
            dealloc(memory, layout);
        }
    }

    /// # Safety
    ///
    /// `slot` is one of the block's; the block is alive for `'b`.
    #[inline(always)]
    unsafe fn slot<'b>(self, slot: u32) -> &'b Slot<T> {
        debug_assert!(slot < u32::from(self.slots));
        let first = self.as_ptr().cast::<u8>().wrapping_add(slots_at::<T>());
        // SAFETY: `allocate` made that many slots there.
        unsafe { &*first.cast::<Slot<T>>().add(slot as usize) }
    }

    /// # Safety
    ///
    /// The slot is the caller's: reserved by it, and not published.
    #[inline(always)]
    pub(crate) unsafe fn write(self, slot: u32, item: T) {
        // SAFETY: says the caller.
        unsafe { self.slot(slot) }.with_mut(|place| unsafe { (*place).write(item) });
    }

    /// # Safety
    ///
    /// The slot has an item that nobody else accesses; it is gone from there afterwards.
    #[inline(always)]
    pub(crate) unsafe fn read(self, slot: u32) -> T {
        // SAFETY: says the caller.
        unsafe { self.slot(slot) }.with_mut(|place| unsafe { (*place).assume_init_read() })
    }

    /// # Safety
    ///
    /// The slot has an item that nobody else accesses for `'i`.
    #[inline(always)]
    pub(crate) unsafe fn item_mut<'i>(self, slot: u32) -> &'i mut T {
        // SAFETY: says the caller.
        unsafe { self.slot(slot) }.with_mut(|place| unsafe { (*place).assume_init_mut() })
    }
}

impl<T> Block<T> {
    #[inline(always)]
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    #[inline(always)]
    pub(crate) fn slots(&self) -> u8 {
        self.slots
    }

    /// The first position after the block.
    #[inline(always)]
    pub(crate) fn end(&self) -> u64 {
        self.start + u64::from(self.slots)
    }

    /// The slot of a position, if it is in this block.
    #[inline(always)]
    pub(crate) fn slot_of(&self, position: u64) -> Option<u32> {
        let offset = position.wrapping_sub(self.start);
        (offset < u64::from(self.slots)).then_some(offset as u32)
    }

    /// The receiver waits for the first slot, or does not. Before the block is appended.
    pub(crate) fn set_first_awaited(&self, awaited: bool) {
        let ready = u64::from(awaited) << AWAITED_SHIFT;
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// The link to the block behind.
    pub(crate) fn next(&self) -> &Link<T> {
        &self.next
    }

    /// Says that the slot is written.
    #[inline(always)]
    pub(crate) fn publish(&self, slot: u32) -> Published {
        let before = self.ready.fetch_or(1 << slot, Ordering::AcqRel);
        match before >> AWAITED_SHIFT {
            ABANDONED => Published::Abandoned,
            awaited if awaited == u64::from(slot) + 1 => Published::Awaited,
            _ => Published::Quietly,
        }
    }

    /// How many slots are filled before the first that is not.
    #[inline(always)]
    pub(crate) fn arrived(&self) -> u32 {
        (self.ready.load(Ordering::Acquire) & SLOT_BITS).trailing_ones()
    }

    /// Asks the push that fills `slot` to wake the receiver; false if it is filled already.
    pub(crate) fn await_slot(&self, slot: u32) -> bool {
        self.set_awaited(slot, u64::from(slot) + 1)
    }

    /// Asks no more; false if the slot is filled, so that its push was asked and will wake.
    pub(crate) fn await_no_more(&self, slot: u32) -> bool {
        self.set_awaited(slot, 0)
    }

    fn set_awaited(&self, slot: u32, awaited: u64) -> bool {
        let change = |ready: u64| {
            let empty = ready & (1 << slot) == 0;
            empty.then_some((ready & SLOT_BITS) | (awaited << AWAITED_SHIFT))
        };
        self.ready
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
            .is_ok()
    }

    /// Gives up the slots that are not filled by now, and says which are.
    pub(crate) fn abandon(&self) -> u64 {
        let all = ABANDONED << AWAITED_SHIFT;
        self.ready.fetch_or(all, Ordering::AcqRel) & SLOT_BITS
    }

    /// Before the slot is published: it holds no item but the mark of the end.
    pub(crate) fn mark_end(&self, slot: u32) {
        self.end_mark.store(slot as u8 + 1, Ordering::Relaxed);
    }

    /// The slot of the end mark, if that slot is published.
    #[inline(always)]
    pub(crate) fn end_mark(&self) -> Option<u32> {
        u32::from(self.end_mark.load(Ordering::Relaxed)).checked_sub(1)
    }

    /// `newest` has moved past this block when `reserved` positions were handed out.
    ///
    /// Relaxed suffices: the push that says so publishes afterwards, at a position before
    /// `reserved`, which the frontier has to pass.
    pub(crate) fn pass(&self, reserved: u64) {
        self.passed_at.store(reserved, Ordering::Relaxed);
    }

    /// True when no push can hold this block, since all before `frontier` are published (`I3`).
    pub(crate) fn is_unheld(&self, frontier: u64) -> bool {
        self.passed_at.load(Ordering::Relaxed) <= frontier
    }
}

/// The layout of a block with that many slots, and where they begin.
fn layout<T>(slots: u8) -> (Layout, usize) {
    let array = Layout::array::<Slot<T>>(usize::from(slots)).expect("some tens of slots fit");
    let (layout, at) = Layout::new::<Block<T>>()
        .extend(array)
        .expect("some tens of slots fit");
    debug_assert_eq!(at, slots_at::<T>());
    (layout.pad_to_align(), at)
}

/// Where the slots begin: behind the head, aligned.
const fn slots_at<T>() -> usize {
    size_of::<Block<T>>().next_multiple_of(align_of::<Slot<T>>())
}
