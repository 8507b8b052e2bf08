//! What the receiver does with the queue: taking, visiting, waiting, closing.
//!
//! The receiver keeps a [`Known`] for each block that has items, oldest first. All but the last
//! (`back`) have arrived entirely and still hold items, so a hole costs nothing to pass: inside a
//! block it is a cleared bit, and a block of holes is gone. Positions are found by binary search,
//! but mostly by a guess: in the first block, or where the last search ended.

#![expect(unsafe_code, reason = "items are read out of slots that pushes filled")]

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::{mem, ptr};

use crate::block::{Block, BlockRef};
use crate::known::{Known, Progress};
use crate::link::Linked;
use crate::queue::Queue;
use crate::sync::Ordering;

/// A place between two positions of the queue: before all items that come after it.
///
/// It stays valid whatever is popped or taken, and is meaningless for another mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(
    /// Twice the first position after it, plus whether `next` has visited the one before. Positions
    /// have 63 bits, as in `Queue::tail`.
    u64,
);

impl Cursor {
    /// Before a position, having visited nothing.
    pub(crate) fn before(position: u64) -> Self {
        Self(position * 2)
    }

    /// Behind a position that was visited.
    fn behind(position: u64) -> Self {
        Self((position + 1) * 2 + 1)
    }

    /// The first position after it.
    fn position(self) -> u64 {
        self.0 / 2
    }

    /// The position that `next` visited last.
    fn visited(self) -> Option<u64> {
        (self.0 % 2 == 1).then(|| self.position() - 1)
    }
}

/// Where a receiver waits: for [`Shared::has_reached`](crate::Shared::has_reached). The end of the position alone, since
/// every process has one, and 2^32 items do not come between two of its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awaited(u32);

impl Awaited {
    pub(crate) fn at(position: u64) -> Self {
        Self(position as u32)
    }
}

/// What the receiver knows of the queue. It lies in the mailbox beside what senders share, and is
/// small while little waits: every process has one.
pub(crate) struct Taker<T> {
    /// The oldest block that is known. Apart from the others, so that a queue that fits into one
    /// block needs no list.
    front: Option<Known<T>>,
    /// Allocated when the queue first has more.
    deep: Option<Box<Deep<T>>>,
    marks: Marks,
}

/// What only a queue of several blocks needs.
struct Deep<T> {
    /// The blocks after the front.
    later: VecDeque<Known<T>>,
    /// Index of the block where the last search ended.
    hint: usize,
    /// Blocks that are done with but may be held by a push, chained by `prev`.
    limbo: *mut Block<T>,
    /// Blocks that are done with since the receiver has closed. Pushes that it gave up still come by
    /// them on their way back to their positions, so their `prev` stays as it is.
    given_up: Vec<BlockRef<T>>,
}

/// What an empty queue costs.
const _: () = assert!(size_of::<Taker<u8>>() == 40);

/// What is known about the end of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing.
    Open,
    /// The mark that `Queue::close` left has arrived.
    Reached,
    /// The receiver has closed, and pushes that it gave up may still hold blocks.
    ClosedHeld,
    /// The receiver has closed, and no push holds a block.
    Closed,
    /// Closed, and nothing is left here.
    Gone,
}

/// In one word, since every process has one: the [`End`]; whether the receiver waits for the frontier;
/// and how many pushes were to wake it (`I4`).
#[derive(Clone, Copy)]
struct Marks(u64);

impl Marks {
    const END: u64 = 7;
    const ARMED: u64 = 8;
    const FIRED: u64 = 16;

    fn end(self) -> End {
        match self.0 & Self::END {
            0 => End::Open,
            1 => End::Reached,
            2 => End::ClosedHeld,
            3 => End::Closed,
            _ => End::Gone,
        }
    }

    fn set_end(&mut self, end: End) {
        self.0 = (self.0 & !Self::END) | end as u64;
    }

    fn is_armed(self) -> bool {
        self.0 & Self::ARMED != 0
    }

    fn set_armed(&mut self, is_armed: bool) {
        self.0 = (self.0 & !Self::ARMED) | (u64::from(is_armed) * Self::ARMED);
    }

    fn fired(self) -> u64 {
        self.0 / Self::FIRED
    }

    fn fire(&mut self) {
        self.0 += Self::FIRED;
    }
}

/// How an attempt to wait ended.
enum Parked {
    Waiting,
    /// Something arrived meanwhile.
    Arrived,
    /// A push is just waking the task that waited before this one.
    WakerInUse,
}

impl<T> Known<T> {
    /// An item was taken. Senders write beside where they are told, so they are told once for all that
    /// had arrived.
    #[inline(always)]
    fn count_taken(&mut self, queue: &Queue<T>) {
        self.untold += 1;
        if self.is_empty() {
            queue.count_taken(mem::take(&mut self.untold).into());
        }
    }
}

impl<T> Default for Deep<T> {
    fn default() -> Self {
        Self {
            later: VecDeque::new(),
            hint: 0,
            limbo: ptr::null_mut(),
            given_up: Vec::new(),
        }
    }
}

impl<T> Deep<T> {
    /// Keeps a block that a push may hold. None comes by on its way back, since all positions before have
    /// arrived.
    fn keep(&mut self, block: BlockRef<T>) {
        block.prev.store(self.limbo, Ordering::Relaxed);
        self.limbo = block.as_ptr();
    }

    /// All blocks, to be freed.
    fn into_blocks(self) -> impl Iterator<Item = BlockRef<T>> {
        // SAFETY: blocks in limbo are alive, and chained by the receiver.
        let limbo = unsafe { chained(self.limbo) };
        let later = self.later.into_iter().map(|known| known.block);
        later.chain(limbo).chain(self.given_up)
    }
}

impl<T> Taker<T> {
    pub(crate) fn new() -> Self {
        Self {
            front: None,
            deep: None,
            marks: Marks(0),
        }
    }

    /// Takes the oldest item. None if nothing has arrived; once [`is_ended`](Self::is_ended), none
    /// means that nothing ever will.
    #[inline]
    pub(crate) fn pop(&mut self, queue: &Queue<T>) -> Option<T> {
        loop {
            if let Some(front) = &mut self.front
                && let Some(slot) = front.take_oldest()
            {
                // SAFETY: the item has arrived, and its bit was just cleared.
                let item = unsafe { front.block.read(slot) };
                front.count_taken(queue);
                return Some(item);
            }
            if !self.step(queue) {
                return None;
            }
        }
    }

    /// Takes the oldest item, as [`pop`](Self::pop), or waits for one, as
    /// [`poll_arrival`](Self::poll_arrival) at the start. None once there will be no more.
    #[inline]
    pub(crate) fn poll_pop(&mut self, queue: &Queue<T>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.pop(queue) {
            Some(item) => Poll::Ready(Some(item)),
            None => self.poll_next(queue, cx),
        }
    }

    #[inline(never)]
    fn poll_next(&mut self, queue: &Queue<T>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            // What it has looked for in vain, it now waits for.
            if self.is_ended() {
                return Poll::Ready(None);
            }
            if self.wait(queue, cx) {
                return Poll::Pending;
            }
            if let Some(item) = self.pop(queue) {
                return Poll::Ready(Some(item));
            }
        }
    }

    /// Visits the next waiting item after the cursor, and moves the cursor past it. None if there
    /// is none yet; the cursor stays, and later finds what arrived.
    pub(crate) fn next(&mut self, queue: &Queue<T>, cursor: &mut Cursor) -> Option<&mut T> {
        let (index, slot) = self.seek(queue, cursor.position())?;
        let known = self.known(index)?;
        *cursor = Cursor::behind(known.position(slot));
        // SAFETY: the item has arrived and is not taken, and `self` is borrowed meanwhile.
        Some(unsafe { known.block.item_mut(slot) })
    }

    /// Takes the item that [`next`](Self::next) visited last with this cursor. None if it is taken
    /// already, or if the cursor has visited nothing.
    pub(crate) fn take(&mut self, queue: &Queue<T>, cursor: &Cursor) -> Option<T> {
        let position = cursor.visited()?;
        let index = self.locate(position);
        let known = self.known_mut(index)?;
        let slot = known.take_at(position)?;
        // SAFETY: the item has arrived, and its bit was just cleared.
        let item = unsafe { known.block.read(slot) };
        known.count_taken(queue);
        if known.is_done() {
            self.remove_done(queue, index);
        }
        Some(item)
    }

    /// Lets senders know of what was taken in order. What was taken from the middle of later blocks
    /// they learn with the rest of those: there may be very many.
    pub(crate) fn tell_taken(&mut self, queue: &Queue<T>) {
        if let Some(front) = &mut self.front {
            queue.count_taken(mem::take(&mut front.untold).into());
        }
    }

    /// How many items senders do not know to be taken.
    pub(crate) fn untold(&self) -> usize {
        let later = self.deep.iter().flat_map(|deep| &deep.later);
        let known = self.front.iter().chain(later);
        known.map(|known| usize::from(known.untold)).sum()
    }

    /// Ready if an item waits after the cursor, or if the queue [has ended](Self::is_ended).
    /// Otherwise the task is woken when something arrives.
    ///
    /// Only the task that polled last is woken. Waiting again with the same waker costs no clone.
    pub(crate) fn poll_arrival(
        &mut self,
        queue: &Queue<T>,
        cx: &mut Context<'_>,
        cursor: &Cursor,
    ) -> Poll<()> {
        loop {
            if self.seek(queue, cursor.position()).is_some() || self.is_ended() {
                return Poll::Ready(());
            }
            if self.wait(queue, cx) {
                return Poll::Pending;
            }
        }
    }

    /// The position that it waits for.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        let is_armed = self.marks.is_armed();
        is_armed.then(|| Awaited::at(self.frontier()))
    }

    /// Waits for the frontier to be filled; false if it has been.
    #[inline]
    fn wait(&mut self, queue: &Queue<T>, cx: &mut Context<'_>) -> bool {
        match self.park(queue, cx.waker()) {
            Parked::Waiting => true,
            Parked::Arrived => false,
            Parked::WakerInUse => {
                // It takes as long as waking a task. Only a change of tasks comes here.
                cx.waker().wake_by_ref();
                true
            }
        }
    }

    /// True when the mailbox is closed and everything pushed before has arrived: what can be popped
    /// now is all there is.
    pub(crate) fn is_ended(&self) -> bool {
        self.marks.end() != End::Open
    }

    /// Closes the mailbox: from now on every push fails, also one that is not finished. What was
    /// pushed before has arrived then, and can be popped until there is none. Never waits.
    pub(crate) fn close(&mut self, queue: &Queue<T>) {
        if let End::ClosedHeld | End::Closed | End::Gone = self.marks.end() {
            return;
        }
        let sealed = queue.seal();
        if sealed == Some(0) {
            // Nobody has ever come, and nobody will: there is nothing to give up.
            self.marks.set_armed(false);
            return self.marks.set_end(End::Closed);
        }
        while self.advance(queue) {}
        let ended = self.marks.end() == End::Reached;
        // Blocks that become done below are kept until it is known whether they are held.
        self.marks.set_end(End::ClosedHeld);
        let filled = self.abandon(queue);
        // Without having closed it, nor seen its end, one cannot know who is still at work.
        let given_up = sealed.map(|end| end - filled);
        queue.count_taken(given_up.unwrap_or(0));
        if ended || given_up == Some(0) {
            self.marks.set_end(End::Closed);
        }
        self.free_limbo(queue);
    }

    /// The front block has no item: looks for more, there or behind; false if there is none.
    #[inline(never)]
    fn step(&mut self, queue: &Queue<T>) -> bool {
        match &mut self.front {
            Some(front) if !front.is_full() => {
                // It is the only block, since all but the last are full.
                let progress = front.refresh();
                progress != Progress::None && self.note(progress)
            }
            _ => self.step_over(queue),
        }
    }

    /// Removes the empty front block, or looks behind the last one.
    #[cold]
    #[inline(never)]
    fn step_over(&mut self, queue: &Queue<T>) -> bool {
        if let Some(deep) = &mut self.deep
            && let Some(next) = deep.later.pop_front()
            && let Some(old) = self.front.replace(next)
        {
            deep.hint = deep.hint.saturating_sub(1);
            self.retire(queue, old.block);
            return true;
        }
        self.advance(queue)
    }

    /// Finds the first item at or after a position: index of its block, and slot.
    fn seek(&mut self, queue: &Queue<T>, position: u64) -> Option<(usize, u32)> {
        loop {
            let mut index = self.locate(position);
            while let Some(known) = self.known(index) {
                if let Some(slot) = known.first_from(position) {
                    if let Some(deep) = &mut self.deep {
                        deep.hint = index;
                    }
                    return Some((index, slot));
                }
                index += 1;
            }
            if !self.advance(queue) {
                return None;
            }
        }
    }

    /// Index of the first known block that ends after the position.
    fn locate(&self, position: u64) -> usize {
        match &self.front {
            Some(front) if position >= front.end() => {}
            _ => return 0,
        }
        let Some(deep) = &self.deep else {
            return 1;
        };
        for guess in [deep.hint, deep.hint + 1, deep.later.len()] {
            if self
                .known(guess)
                .is_some_and(|known| known.contains(position))
            {
                return guess;
            }
        }
        1 + deep.later.partition_point(|known| known.end() <= position)
    }

    fn known(&self, index: usize) -> Option<&Known<T>> {
        match index.checked_sub(1) {
            None => self.front.as_ref(),
            Some(index) => self.deep.as_ref()?.later.get(index),
        }
    }

    fn known_mut(&mut self, index: usize) -> Option<&mut Known<T>> {
        match index.checked_sub(1) {
            None => self.front.as_mut(),
            Some(index) => self.deep.as_mut()?.later.get_mut(index),
        }
    }

    fn back(&self) -> Option<&Known<T>> {
        let last = self.deep.as_ref().and_then(|deep| deep.later.back());
        last.or(self.front.as_ref())
    }

    fn back_mut(&mut self) -> Option<&mut Known<T>> {
        let last = self.deep.as_mut().and_then(|deep| deep.later.back_mut());
        last.or(self.front.as_mut())
    }

    /// All positions before it are passed (`I2`).
    fn frontier(&self) -> u64 {
        self.back().map_or(0, Known::frontier)
    }

    /// Looks for items beyond the frontier; false if there are none.
    fn advance(&mut self, queue: &Queue<T>) -> bool {
        if self.marks.end() != End::Open {
            return false;
        }
        if let Some(back) = self.back_mut() {
            let progress = back.refresh();
            let is_full = back.is_full();
            if progress != Progress::None {
                return self.note(progress);
            }
            if !is_full {
                return false;
            }
        }
        let Some(block) = self.discover(queue) else {
            return false;
        };
        let mut known = Known::new(block);
        let progress = known.refresh();
        self.append(queue, known);
        progress != Progress::None && self.note(progress)
    }

    /// The frontier has moved; always true.
    #[inline(always)]
    fn note(&mut self, progress: Progress) -> bool {
        // What it waited for was the frontier, which that push has filled.
        if self.marks.is_armed() {
            self.marks.set_armed(false);
            self.marks.fire();
        }
        if progress == Progress::End {
            self.marks.set_end(End::Reached);
        }
        true
    }

    /// The block after the last known one.
    fn discover(&self, queue: &Queue<T>) -> Option<BlockRef<T>> {
        let link = match self.back() {
            Some(back) => back.block.next(),
            None => &queue.newest,
        };
        let Linked::Block(mut block) = link.get() else {
            return None;
        };
        // From the newest, the first is found backwards; nothing is freed while none is known.
        while self.front.is_none() && block.start() != 0 {
            // SAFETY: only the first block has none before it.
            block = unsafe { BlockRef::from_ptr(block.prev.load(Ordering::Relaxed)) };
        }
        Some(block)
    }

    /// Adds a block at the back; the one before it was kept for its link, even if it is done.
    fn append(&mut self, queue: &Queue<T>, known: Known<T>) {
        let is_shallow = self.deep.as_ref().is_none_or(|deep| deep.later.is_empty());
        match &mut self.front {
            None => self.front = Some(known),
            // Most often, and without a list: the queue was empty.
            Some(front) if front.is_done() && is_shallow => {
                let old = mem::replace(front, known);
                self.retire(queue, old.block);
            }
            Some(_) => {
                let deep = self.deep.get_or_insert_with(Box::default);
                let before = deep.later.len();
                deep.later.push_back(known);
                if self.known(before).is_some_and(Known::is_done) {
                    self.remove_done(queue, before);
                }
            }
        }
    }

    /// Removes a block without items, unless its link is needed to find the next.
    fn remove_done(&mut self, queue: &Queue<T>, index: usize) {
        let Some(deep) = &mut self.deep else {
            return;
        };
        let removed = match index.checked_sub(1) {
            None => match deep.later.pop_front() {
                Some(next) => self.front.replace(next),
                None => return,
            },
            Some(later) if index < deep.later.len() => deep.later.remove(later),
            Some(_) => return,
        };
        if deep.hint > index {
            deep.hint -= 1;
        }
        if let Some(removed) = removed {
            self.retire(queue, removed.block);
        }
    }

    /// Done with a block: it is freed as soon as no push can hold it.
    fn retire(&mut self, queue: &Queue<T>, block: BlockRef<T>) {
        if self.marks.end() == End::ClosedHeld {
            let deep = self.deep.get_or_insert_with(Box::default);
            return deep.given_up.push(block);
        }
        if self.is_unheld(block, self.frontier()) {
            // SAFETY: its items are taken and no push holds it (`I3`).
            unsafe { queue.recycle(block) };
        } else {
            self.deep.get_or_insert_with(Box::default).keep(block);
        }
        self.free_limbo(queue);
    }

    fn free_limbo(&mut self, queue: &Queue<T>) {
        let Some(deep) = &mut self.deep else {
            return;
        };
        if self.marks.end() == End::ClosedHeld || (deep.limbo.is_null() && deep.given_up.is_empty())
        {
            return;
        }
        let limbo = mem::replace(&mut deep.limbo, ptr::null_mut());
        let given_up = mem::take(&mut deep.given_up);
        let frontier = self.frontier();
        // SAFETY: blocks in limbo are alive, and chained by the receiver.
        for block in unsafe { chained(limbo) }.chain(given_up) {
            if self.is_unheld(block, frontier) {
                // SAFETY: its items are taken and no push holds it (`I3`).
                unsafe { queue.recycle(block) };
            } else {
                self.deep.get_or_insert_with(Box::default).keep(block);
            }
        }
    }

    /// True when no push can hold a block that is done with.
    fn is_unheld(&self, block: BlockRef<T>, frontier: u64) -> bool {
        match self.marks.end() {
            End::ClosedHeld => false,
            End::Closed => true,
            _ => block.is_unheld(frontier),
        }
    }

    /// Asks to be woken by the push that fills the frontier.
    fn park(&mut self, queue: &Queue<T>, waker: &Waker) -> Parked {
        if !queue.waker.holds(waker) {
            if self.marks.is_armed() && !self.disarm(queue) {
                return Parked::Arrived;
            }
            if !queue.waker.is_free(self.marks.fired()) {
                return Parked::WakerInUse;
            }
            // SAFETY: it is free, and the receiver waits for no slot.
            drop(unsafe { queue.waker.replace(Some(waker.clone())) });
        }
        if !self.marks.is_armed() && !self.arm(queue) {
            return Parked::Arrived;
        }
        Parked::Waiting
    }

    /// Marks the place of the next item; false if it has arrived.
    fn arm(&mut self, queue: &Queue<T>) -> bool {
        let armed = match self.back() {
            None => queue.newest.park(),
            Some(back) => match back.awaited_slot() {
                Some(slot) => back.block.await_slot(slot),
                None => back.block.next().park(),
            },
        };
        self.marks.set_armed(armed);
        armed
    }

    /// Takes the mark back; false if the item has arrived, whose push then wakes.
    fn disarm(&mut self, queue: &Queue<T>) -> bool {
        let unparked = match self.back() {
            None => queue.newest.unpark(),
            Some(back) => match back.awaited_slot() {
                Some(slot) => {
                    let disarmed = back.block.await_no_more(slot);
                    self.marks.set_armed(!disarmed);
                    return disarmed;
                }
                None => back.block.next().unpark(),
            },
        };
        if unparked {
            self.marks.set_armed(false);
            return true;
        }
        // Meanwhile there is a block, which took the mark over.
        !self.advance(queue) && self.disarm(queue)
    }

    /// Gives up what is not published; how many positions are.
    fn abandon(&mut self, queue: &Queue<T>) -> u64 {
        let mut filled = self.back().map_or(0, Known::start);
        loop {
            let is_armed = self.marks.is_armed();
            let behind = match self.back_mut() {
                Some(back) => {
                    let awaited = back.awaited_slot().filter(|_| is_armed);
                    let slots = back.abandon();
                    let block = back.block;
                    if let Some(slot) = awaited {
                        self.marks.set_armed(false);
                        if slots & (1 << slot) != 0 {
                            self.marks.fire();
                        }
                    }
                    filled += u64::from(slots.count_ones());
                    block.next().abandon()
                }
                None => queue.newest.abandon(),
            };
            if behind.is_none() {
                break;
            }
            let Some(block) = self.discover(queue) else {
                break;
            };
            self.append(queue, Known::new(block));
        }
        self.marks.set_armed(false);
        filled
    }

    /// Closes, drops what is queued, and frees the memory; nothing is received any more.
    pub(crate) fn finish(&mut self, queue: &Queue<T>) {
        /// Goes on where a panic of an item's drop stopped.
        struct Rest<'r, T>(&'r mut Taker<T>, &'r Queue<T>);
        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.0.pop(self.1).is_some() {}
                self.0.release(self.1);
                // SAFETY: it has closed and so waits for nothing, and this is called once.
                unsafe { self.1.waker.retire(self.0.marks.fired()) };
            }
        }
        if self.marks.end() == End::Gone {
            return;
        }
        self.close(queue);
        if self.front.is_none() && self.marks.end() == End::Closed {
            // Nobody has ever come: there is nothing to take, and nobody who wakes.
            self.marks.set_end(End::Gone);
            // SAFETY: it has closed and so waits for nothing, and this is called once.
            return unsafe { queue.waker.retire(self.marks.fired()) };
        }
        let rest = Rest(self, queue);
        while rest.0.pop(queue).is_some() {}
    }

    /// Frees what blocks there are, or leaves them to the queue while pushes may hold them.
    fn release(&mut self, queue: &Queue<T>) {
        let is_held = self.marks.end() == End::ClosedHeld;
        self.marks.set_end(End::Gone);
        let front = self.front.take().map(|known| known.block);
        let deep = self.deep.take().into_iter();
        let behind = deep.flat_map(|deep| deep.into_blocks());
        let blocks = front.into_iter().chain(behind);
        if is_held {
            queue.newest.leave(blocks.collect());
        } else {
            for block in blocks {
                // SAFETY: it has no items any more, and no push holds it.
                unsafe { block.free() };
            }
        }
        queue.free_spare();
    }
}

/// The blocks of a chain by `prev`.
///
/// # Safety
///
/// They are alive, and the caller's; each may be freed once it came out.
unsafe fn chained<T>(mut next: *mut Block<T>) -> impl Iterator<Item = BlockRef<T>> {
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: says the caller.
        let block = unsafe { BlockRef::from_ptr(next) };
        next = block.prev.load(Ordering::Relaxed);
        Some(block)
    })
}
