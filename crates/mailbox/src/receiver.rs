//! The receiving half: taking, visiting, waiting, closing.
//!
//! The receiver keeps a [`Known`] for each block that has items, oldest first. All but the last
//! (`back`) have arrived entirely and still hold items, so a hole costs nothing to pass: inside a
//! block it is a cleared bit, and a block of holes is gone. Positions are found by binary search,
//! but mostly by a guess: in the first block, or where the last search ended.

#![expect(unsafe_code, reason = "items are read out of slots that pushes filled")]

use std::collections::VecDeque;
use std::fmt;
use std::ptr;
use std::task::{Context, Poll, Waker};

use crate::block::{Block, BlockRef};
use crate::known::{Known, Progress};
use crate::link::Linked;
use crate::shared::Shared;
use crate::sync::{Arc, Ordering};

/// A place between two positions of the queue: before all items that come after it.
///
/// It stays valid whatever is popped or taken, and is meaningless for another mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The first position after it.
    position: u64,
    /// Whether `next` has visited the position before it.
    visited: bool,
}

/// The receiving half of a mailbox. Dropping it closes the mailbox and drops what is queued.
pub struct Receiver<T, H> {
    shared: Arc<Shared<T, H>>,
    /// The oldest block that is known. Apart from the others, so that a queue that fits into one
    /// block needs no list.
    front: Option<Known<T>>,
    /// The blocks after it.
    later: VecDeque<Known<T>>,
    /// Blocks that are done with but may be held by a push, chained by `prev`.
    limbo: *mut Block<T>,
    /// Index of the block where the last search ended.
    hint: usize,
    taken: u64,
    /// The position that the receiver waits for, or [`NOWHERE`].
    armed: u64,
    /// How many pushes were to wake the receiver (`I4`).
    fired: u64,
    end: End,
}

/// `Receiver::armed` while the receiver waits for nothing.
const NOWHERE: u64 = u64::MAX;

/// What is known about the end of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing.
    Open,
    /// The mark that `Shared::close` left has arrived.
    Reached,
    /// This receiver has closed; pushes that it gave up may or may not still hold blocks.
    Closed { held: bool },
}

/// How an attempt to wait ended.
enum Parked {
    Waiting,
    /// Something arrived meanwhile.
    Arrived,
    /// A push is just waking the task that waited before this one.
    WakerInUse,
}

// SAFETY: the receiver has items and blocks for itself, wherever it is; the shared half is Sync.
unsafe impl<T: Send, H: Send + Sync> Send for Receiver<T, H> {}
// SAFETY: `&Receiver` gives access to the shared half and to numbers, and to no item.
unsafe impl<T: Send, H: Send + Sync> Sync for Receiver<T, H> {}
impl<T, H> Unpin for Receiver<T, H> {}

impl<T, H> Receiver<T, H> {
    pub(crate) fn new(shared: Arc<Shared<T, H>>) -> Self {
        Self {
            shared,
            front: None,
            later: VecDeque::new(),
            limbo: ptr::null_mut(),
            hint: 0,
            taken: 0,
            armed: NOWHERE,
            fired: 0,
            end: End::Open,
        }
    }

    /// The half that senders share.
    pub fn shared(&self) -> &Arc<Shared<T, H>> {
        &self.shared
    }

    /// Takes the oldest item. None if nothing has arrived; once [`is_ended`](Self::is_ended), none
    /// means that nothing ever will.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        loop {
            if let Some(front) = &mut self.front
                && let Some(slot) = front.take_oldest()
            {
                // SAFETY: the item has arrived, and its bit was just cleared.
                let item = unsafe { front.block.read(slot) };
                self.count_taken();
                return Some(item);
            }
            if !self.step() {
                return None;
            }
        }
    }

    /// Before everything that waits.
    pub fn start(&self) -> Cursor {
        Cursor {
            position: 0,
            visited: false,
        }
    }

    /// After everything that has arrived so far: whatever is pushed from now on comes after it.
    ///
    /// A caller that makes a fresh reference and then waits for the answer that carries it begins
    /// here, and skips what came before.
    pub fn end(&self) -> Cursor {
        Cursor {
            position: self.shared.reserved(),
            visited: false,
        }
    }

    /// Visits the next waiting item after the cursor, and moves the cursor past it. None if there
    /// is none yet; the cursor stays, and later finds what arrived.
    pub fn next(&mut self, cursor: &mut Cursor) -> Option<&mut T> {
        let (index, slot) = self.seek(cursor.position)?;
        let known = self.known(index)?;
        cursor.position = known.position(slot) + 1;
        cursor.visited = true;
        // SAFETY: the item has arrived and is not taken, and `self` is borrowed meanwhile.
        Some(unsafe { known.block.item_mut(slot) })
    }

    /// Takes the item that [`next`](Self::next) visited last with this cursor. None if it is taken
    /// already, or if the cursor has visited nothing.
    pub fn take(&mut self, cursor: &Cursor) -> Option<T> {
        if !cursor.visited {
            return None;
        }
        let position = cursor.position - 1;
        let index = self.locate(position);
        let known = self.known_mut(index)?;
        let slot = known.take_at(position)?;
        // SAFETY: the item has arrived, and its bit was just cleared.
        let item = unsafe { known.block.read(slot) };
        if known.is_done() {
            self.remove_done(index);
        }
        self.count_taken();
        Some(item)
    }

    /// Ready if an item waits after the cursor, or if the queue [has ended](Self::is_ended).
    /// Otherwise the task is woken when something arrives.
    ///
    /// Only the task that polled last is woken. Waiting again with the same waker costs no clone.
    pub fn poll_arrival(&mut self, cx: &mut Context<'_>, cursor: &Cursor) -> Poll<()> {
        loop {
            if self.seek(cursor.position).is_some() || self.is_ended() {
                return Poll::Ready(());
            }
            match self.park(cx.waker()) {
                Parked::Waiting => return Poll::Pending,
                Parked::Arrived => {}
                Parked::WakerInUse => {
                    // It takes as long as waking a task. Only a change of tasks comes here.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    /// True when the mailbox is closed and everything pushed before has arrived: what can be popped
    /// now is all there is.
    pub fn is_ended(&self) -> bool {
        self.end != End::Open
    }

    /// Closes the mailbox: from now on every push fails, also one that is not finished. What was
    /// pushed before has arrived then, and can be popped until there is none. Never waits.
    pub fn close(&mut self) {
        if matches!(self.end, End::Closed { .. }) {
            return;
        }
        let sealed = self.shared.seal();
        while self.advance() {}
        let ended = self.end == End::Reached;
        // Blocks that become done below are kept until it is known whether they are held.
        self.end = End::Closed { held: true };
        let filled = self.abandon();
        // Without having closed it, nor seen its end, one cannot know who is still at work.
        let given_up = sealed.map(|end| end - filled);
        self.taken += given_up.unwrap_or(0);
        self.shared.set_taken(self.taken);
        self.end = End::Closed {
            held: !ended && given_up != Some(0),
        };
        self.free_limbo();
    }

    /// The front block has no item: looks for more, there or behind; false if there is none.
    #[inline(never)]
    fn step(&mut self) -> bool {
        match &mut self.front {
            Some(front) if !front.is_full() => {
                // It is the only block, since all but the last are full.
                let progress = front.refresh();
                let frontier = front.frontier();
                progress != Progress::None && self.note(progress, frontier)
            }
            _ => self.step_over(),
        }
    }

    /// Removes the empty front block, or looks behind the last one.
    #[cold]
    #[inline(never)]
    fn step_over(&mut self) -> bool {
        if let Some(next) = self.later.pop_front()
            && let Some(old) = self.front.replace(next)
        {
            self.hint = self.hint.saturating_sub(1);
            self.retire(old.block);
            return true;
        }
        self.advance()
    }

    #[inline(always)]
    fn count_taken(&mut self) {
        self.taken += 1;
        self.shared.set_taken(self.taken);
    }

    /// Finds the first item at or after a position: index of its block, and slot.
    fn seek(&mut self, position: u64) -> Option<(usize, u32)> {
        loop {
            let mut index = self.locate(position);
            while let Some(known) = self.known(index) {
                if let Some(slot) = known.first_from(position) {
                    self.hint = index;
                    return Some((index, slot));
                }
                index += 1;
            }
            if !self.advance() {
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
        for guess in [self.hint, self.hint + 1, self.later.len()] {
            if self
                .known(guess)
                .is_some_and(|known| known.contains(position))
            {
                return guess;
            }
        }
        1 + self.later.partition_point(|known| known.end() <= position)
    }

    fn known(&self, index: usize) -> Option<&Known<T>> {
        match index.checked_sub(1) {
            None => self.front.as_ref(),
            Some(index) => self.later.get(index),
        }
    }

    fn known_mut(&mut self, index: usize) -> Option<&mut Known<T>> {
        match index.checked_sub(1) {
            None => self.front.as_mut(),
            Some(index) => self.later.get_mut(index),
        }
    }

    fn back(&self) -> Option<&Known<T>> {
        self.later.back().or(self.front.as_ref())
    }

    fn back_mut(&mut self) -> Option<&mut Known<T>> {
        self.later.back_mut().or(self.front.as_mut())
    }

    /// All positions before it are passed (`I2`).
    fn frontier(&self) -> u64 {
        self.back().map_or(0, Known::frontier)
    }

    /// Looks for items beyond the frontier; false if there are none.
    fn advance(&mut self) -> bool {
        if self.end != End::Open {
            return false;
        }
        if let Some(back) = self.back_mut() {
            let progress = back.refresh();
            let (full, frontier) = (back.is_full(), back.frontier());
            if progress != Progress::None {
                return self.note(progress, frontier);
            }
            if !full {
                return false;
            }
        }
        let Some(block) = self.discover() else {
            return false;
        };
        let mut known = Known::new(block);
        let progress = known.refresh();
        let frontier = known.frontier();
        self.append(known);
        progress != Progress::None && self.note(progress, frontier)
    }

    /// The frontier has moved; always true.
    #[inline(always)]
    fn note(&mut self, progress: Progress, frontier: u64) -> bool {
        if self.armed < frontier {
            self.armed = NOWHERE;
            self.fired += 1;
        }
        if progress == Progress::End {
            self.end = End::Reached;
        }
        true
    }

    /// The block after the last known one.
    fn discover(&self) -> Option<BlockRef<T>> {
        let link = match self.back() {
            Some(back) => back.block.next(),
            None => &self.shared.newest,
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
    fn append(&mut self, known: Known<T>) {
        match &mut self.front {
            None => self.front = Some(known),
            // Most often, and without a list: the queue was empty.
            Some(front) if self.later.is_empty() && front.is_done() => {
                let old = std::mem::replace(front, known);
                self.retire(old.block);
            }
            Some(_) => {
                let before = self.later.len();
                self.later.push_back(known);
                if self.known(before).is_some_and(Known::is_done) {
                    self.remove_done(before);
                }
            }
        }
    }

    /// Removes a block without items, unless its link is needed to find the next.
    fn remove_done(&mut self, index: usize) {
        let removed = match index.checked_sub(1) {
            None => match self.later.pop_front() {
                Some(next) => self.front.replace(next),
                None => return,
            },
            Some(later) if index < self.later.len() => self.later.remove(later),
            Some(_) => return,
        };
        if self.hint > index {
            self.hint -= 1;
        }
        if let Some(removed) = removed {
            self.retire(removed.block);
        }
    }

    /// Done with a block: it is freed as soon as no push can hold it.
    fn retire(&mut self, block: BlockRef<T>) {
        block.prev.store(self.limbo, Ordering::Relaxed);
        self.limbo = block.as_ptr();
        self.free_limbo();
    }

    fn free_limbo(&mut self) {
        let frontier = self.frontier();
        let mut next = std::mem::replace(&mut self.limbo, ptr::null_mut());
        while !next.is_null() {
            // SAFETY: blocks in limbo are alive, and chained by the receiver.
            let block = unsafe { BlockRef::from_ptr(next) };
            next = block.prev.load(Ordering::Relaxed);
            let unheld = match self.end {
                End::Closed { held } => !held,
                _ => block.is_unheld(frontier),
            };
            if unheld {
                // SAFETY: its items are taken and no push holds it (`I3`).
                unsafe { self.shared.recycle(block) };
            } else {
                block.prev.store(self.limbo, Ordering::Relaxed);
                self.limbo = block.as_ptr();
            }
        }
    }

    /// Asks to be woken by the push that fills the frontier.
    fn park(&mut self, waker: &Waker) -> Parked {
        if !self.shared.waker.holds(waker) {
            if self.armed != NOWHERE && !self.disarm() {
                return Parked::Arrived;
            }
            if !self.shared.waker.is_free(self.fired) {
                return Parked::WakerInUse;
            }
            // SAFETY: it is free, and the receiver waits for no slot.
            drop(unsafe { self.shared.waker.replace(Some(waker.clone())) });
        }
        if self.armed == NOWHERE && !self.arm() {
            return Parked::Arrived;
        }
        Parked::Waiting
    }

    /// Marks the place of the next item; false if it has arrived.
    fn arm(&mut self) -> bool {
        let armed = match self.back() {
            None => self.shared.newest.park(),
            Some(back) => match back.awaited_slot() {
                Some(slot) => back.block.await_slot(slot),
                None => back.block.next().park(),
            },
        };
        if armed {
            self.armed = self.frontier();
        }
        armed
    }

    /// Takes the mark back; false if the item has arrived, whose push then wakes.
    fn disarm(&mut self) -> bool {
        let unparked = match self.back() {
            None => self.shared.newest.unpark(),
            Some(back) => match back.awaited_slot() {
                Some(slot) => {
                    let disarmed = back.block.await_no_more(slot);
                    if disarmed {
                        self.armed = NOWHERE;
                    }
                    return disarmed;
                }
                None => back.block.next().unpark(),
            },
        };
        if unparked {
            self.armed = NOWHERE;
            return true;
        }
        // Meanwhile there is a block, which took the mark over.
        !self.advance() && self.disarm()
    }

    /// Gives up what is not published; how many positions are.
    fn abandon(&mut self) -> u64 {
        let mut filled = self.back().map_or(0, Known::start);
        loop {
            let link = match self.later.back_mut().or(self.front.as_mut()) {
                Some(back) => {
                    let slots = back.abandon();
                    let awaited = back.slot(self.armed);
                    if awaited.is_some_and(|slot| slots & (1 << slot) != 0) {
                        self.fired += 1;
                    }
                    filled += u64::from(slots.count_ones());
                    back.block.next()
                }
                None => &self.shared.newest,
            };
            if link.abandon().is_none() {
                break;
            }
            let Some(block) = self.discover() else { break };
            self.append(Known::new(block));
        }
        self.armed = NOWHERE;
        filled
    }

    /// Frees what blocks there are, or leaves them to the shared half while pushes may hold them.
    fn release(&mut self) {
        let known = self.front.take().into_iter().chain(self.later.drain(..));
        let mut blocks: Vec<BlockRef<T>> = known.map(|known| known.block).collect();
        while !self.limbo.is_null() {
            // SAFETY: blocks in limbo are alive, and chained by the receiver.
            let block = unsafe { BlockRef::from_ptr(self.limbo) };
            self.limbo = block.prev.load(Ordering::Relaxed);
            blocks.push(block);
        }
        if self.end == (End::Closed { held: true }) {
            self.shared.newest.leave(blocks);
        } else {
            for block in blocks {
                // SAFETY: it has no items any more, and no push holds it.
                unsafe { block.free() };
            }
        }
        self.shared.free_spare();
    }
}

impl<T, H> Drop for Receiver<T, H> {
    fn drop(&mut self) {
        /// Goes on where a panic of an item's drop stopped.
        struct Rest<'r, T, H>(&'r mut Receiver<T, H>);
        impl<T, H> Drop for Rest<'_, T, H> {
            fn drop(&mut self) {
                while self.0.pop().is_some() {}
                self.0.release();
                // SAFETY: it has closed and so waits for nothing, and this is called once.
                unsafe { self.0.shared.waker.retire(self.0.fired) };
            }
        }
        self.close();
        let rest = Rest(self);
        while rest.0.pop().is_some() {}
    }
}

impl<T, H> fmt::Debug for Receiver<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.shared.len())
            .field("ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}
