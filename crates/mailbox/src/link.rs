//! A link: leads to a block, or says what stands at the end of the list.
//!
//! The end is null; or [`PARKED`], while the receiver waits for the first slot of a block that does
//! not exist yet, and whoever appends the block takes that mark over into it; or [`ABANDONED`] after
//! the receiver closed. So waiting, appending and giving up are decided by one word here too.
//!
//! `Queue::newest` is a link as well: the end of an empty list until the first push, later moved
//! from block to block.

#![expect(unsafe_code, reason = "what stands in a link is a block or a mark")]

use std::ptr;

use crate::block::{Block, BlockRef};
use crate::sync::{AtomicPtr, Ordering};

/// The receiver waits here for a block.
const PARKED: usize = 2;
/// The bit that says that nobody looks behind this link any more.
const ABANDONED: usize = 1;

/// A pointer to the next block, or what stands at the end of the list.
pub(crate) struct Link<T>(AtomicPtr<Block<T>>);

/// What a link leads to.
pub(crate) enum Linked<T> {
    /// A block; alive as long as the block that the link is in.
    Block(BlockRef<T>),
    /// Nothing yet.
    End,
    /// Nothing, ever: the receiver has closed.
    Abandoned,
}

impl<T> Link<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Linked<T> {
        Linked::from(self.0.load(Ordering::Acquire))
    }

    /// Appends `fresh`; if another was faster, gives back `fresh` and what stands there.
    pub(crate) fn append(&self, fresh: BlockRef<T>) -> Result<(), Linked<T>> {
        let mut stands: *mut Block<T> = ptr::null_mut();
        loop {
            // The receiver that waits at the link waits for the first slot behind it.
            fresh.set_first_awaited(stands.addr() == PARKED);
            match self.replace(stands, fresh.as_ptr()) {
                Ok(_) => return Ok(()),
                Err(now) if now.is_null() || now.addr() == PARKED => stands = now,
                Err(now) => return Err(Linked::from(now)),
            }
        }
    }

    /// The receiver waits here; false if there is a block.
    pub(crate) fn park(&self) -> bool {
        let parked = ptr::without_provenance_mut(PARKED);
        self.replace(ptr::null_mut(), parked).is_ok()
    }

    /// The receiver waits here no more; false if there is a block.
    pub(crate) fn unpark(&self) -> bool {
        let parked = ptr::without_provenance_mut(PARKED);
        self.replace(parked, ptr::null_mut()).is_ok()
    }

    /// Nothing shall be appended from now on; the block if there is one.
    pub(crate) fn abandon(&self) -> Option<BlockRef<T>> {
        let abandoned = ptr::without_provenance_mut(ABANDONED);
        let mut stands: *mut Block<T> = ptr::null_mut();
        loop {
            match self.replace(stands, abandoned) {
                Ok(_) => return None,
                Err(now) if now.addr() == PARKED => stands = now,
                Err(now) => match Linked::from(now) {
                    Linked::Block(block) => return Some(block),
                    Linked::End => stands = now,
                    Linked::Abandoned => return None,
                },
            }
        }
    }

    /// Moves a link that leads to `from` on to `to`; else says where it leads.
    pub(crate) fn advance(&self, from: BlockRef<T>, to: BlockRef<T>) -> Result<(), Linked<T>> {
        match self.replace(from.as_ptr(), to.as_ptr()) {
            Ok(_) => Ok(()),
            Err(now) => Err(Linked::from(now)),
        }
    }

    /// Leaves `blocks` for [`Link::take_left`]; who comes by is told that all is abandoned.
    pub(crate) fn leave(&self, blocks: Vec<BlockRef<T>>) {
        let list = Box::into_raw(Box::new(blocks)).cast::<Block<T>>();
        let tagged = list.map_addr(|address| address | ABANDONED);
        self.0.swap(tagged, Ordering::AcqRel);
    }

    /// What was left.
    ///
    /// # Safety
    ///
    /// Nobody else accesses the link any more.
    pub(crate) unsafe fn take_left(&mut self) -> Vec<BlockRef<T>> {
        let stands = self.0.load(Ordering::Acquire);
        if stands.addr() & ABANDONED == 0 || stands.addr() == ABANDONED {
            return Vec::new();
        }
        let list = stands.map_addr(|address| address & !ABANDONED);
        // SAFETY: only `leave` puts such a pointer, and it is taken once.
        *unsafe { Box::from_raw(list.cast::<Vec<BlockRef<T>>>()) }
    }

    fn replace(
        &self,
        from: *mut Block<T>,
        to: *mut Block<T>,
    ) -> Result<*mut Block<T>, *mut Block<T>> {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

impl<T> From<*mut Block<T>> for Linked<T> {
    #[inline(always)]
    fn from(pointer: *mut Block<T>) -> Self {
        match pointer.addr() {
            0 | PARKED => Self::End,
            address if address & ABANDONED != 0 => Self::Abandoned,
            // SAFETY: all else that stands in a link is a block, which whoever may read the link
            // keeps alive (`I3`).
            _ => Self::Block(unsafe { BlockRef::from_ptr(pointer) }),
        }
    }
}
