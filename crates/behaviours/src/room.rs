//! A bound on what a server keeps for others, in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much is kept; its clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// Room that was taken; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    bytes: usize,
}

impl Room {
    /// Takes so many bytes, if they are no more than `max` with what is taken already. What is larger than
    /// all the room has it alone.
    pub(crate) fn take(&self, bytes: usize, max: usize) -> Option<Place> {
        let more = |taken: usize| {
            let all = taken.saturating_add(bytes);
            (taken == 0 || all <= max).then_some(all)
        };
        let Self(taken) = self;
        let order = Ordering::Relaxed;
        taken.fetch_update(order, order, more).ok()?;
        let room = self.clone();
        Some(Place { room, bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Room(taken) = &self.room;
        taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_free_again_when_it_is_dropped() {
        let room = Room::default();
        let all = room.take(7, 10).unwrap();
        assert!(room.take(4, 10).is_none());
        let rest = room.take(3, 10).unwrap();
        drop(all);
        assert!(room.take(7, 10).is_some());
        drop(rest);
        assert!(room.take(11, 10).is_some(), "it has the room alone");
    }
}
