//! What the receiver knows of a block: which of its items arrived and which were taken.
//!
//! It is kept apart from the block, so that taking an item does not touch what pushes write.

use crate::block::{BlockRef, MOST_SLOTS};

pub(crate) struct Known<T> {
    pub(crate) block: BlockRef<T>,
    start: u64,
    /// A bit for each slot whose item has arrived and is not taken.
    live: u32,
    /// Slots before this one are passed: their items have arrived, or never will.
    arrived: u8,
    slots: u8,
    /// Items that were taken since senders were last told how many are.
    pub(crate) untold: u8,
}

/// What a look at a block brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing new.
    None,
    /// More slots are filled.
    Arrived,
    /// More slots are filled, and the last of them is the end.
    End,
}

impl<T> Known<T> {
    pub(crate) fn new(block: BlockRef<T>) -> Self {
        Self {
            block,
            start: block.start(),
            live: 0,
            arrived: 0,
            slots: block.slots(),
            untold: 0,
        }
    }

    /// Looks for new items at the frontier.
    pub(crate) fn refresh(&mut self) -> Progress {
        let arrived = self.block.arrived();
        if arrived == u32::from(self.arrived) {
            return Progress::None;
        }
        self.live |= below(arrived) & !below(self.arrived.into());
        self.arrived = arrived as u8;
        match self.block.end_mark() {
            Some(slot) if slot < arrived => {
                self.live &= !(1 << slot);
                Progress::End
            }
            _ => Progress::Arrived,
        }
    }

    /// Gives up the slots that are not filled, and says which are.
    pub(crate) fn abandon(&mut self) -> u32 {
        let filled = self.block.abandon() as u32;
        self.live |= filled & !below(self.arrived.into());
        if let Some(slot) = self.block.end_mark() {
            self.live &= !(1 << slot);
        }
        self.arrived = self.slots;
        filled
    }

    /// The first position that is not passed, in this block or just behind it.
    pub(crate) fn frontier(&self) -> u64 {
        self.start + u64::from(self.arrived)
    }

    /// The slot at the frontier, if it is in this block.
    pub(crate) fn awaited_slot(&self) -> Option<u32> {
        (self.arrived < self.slots).then_some(self.arrived.into())
    }

    pub(crate) fn end(&self) -> u64 {
        self.start + u64::from(self.slots)
    }

    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        self.slot(position).is_some()
    }

    /// The slot of a position, if it is in this block.
    pub(crate) fn slot(&self, position: u64) -> Option<u32> {
        let offset = position.wrapping_sub(self.start);
        (offset < u64::from(self.slots)).then_some(offset as u32)
    }

    /// All slots are passed.
    pub(crate) fn is_full(&self) -> bool {
        self.arrived == self.slots
    }

    /// None of the items that have arrived is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All items have arrived and are taken.
    pub(crate) fn is_done(&self) -> bool {
        self.is_full() && self.live == 0
    }

    /// Marks the oldest item as taken; its slot.
    #[inline(always)]
    pub(crate) fn take_oldest(&mut self) -> Option<u32> {
        if self.live == 0 {
            return None;
        }
        let slot = self.live.trailing_zeros();
        self.live &= self.live - 1;
        Some(slot)
    }

    /// Marks the item at a position as taken; its slot.
    pub(crate) fn take_at(&mut self, position: u64) -> Option<u32> {
        let slot = self.slot(position)?;
        if self.live & (1 << slot) == 0 {
            return None;
        }
        self.live &= !(1 << slot);
        Some(slot)
    }

    /// The slot of the first item at or after a position.
    pub(crate) fn first_from(&self, position: u64) -> Option<u32> {
        let skipped = position.saturating_sub(self.start);
        if skipped >= u64::from(self.slots) {
            return None;
        }
        let rest = self.live & !below(skipped as u32);
        (rest != 0).then(|| rest.trailing_zeros())
    }

    /// The position of a slot.
    pub(crate) fn position(&self, slot: u32) -> u64 {
        self.start + u64::from(slot)
    }
}

/// The bits of all slots before `slot`, of which there are at most 32.
fn below(slot: u32) -> u32 {
    ((1u64 << slot) - 1) as u32
}

/// What a process costs whose queue fits into a block.
const _: () = assert!(size_of::<Known<u8>>() == 24 && MOST_SLOTS <= 32);
