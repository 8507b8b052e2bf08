//! The delays of children that wait to be restarted: see [`Backoff`].
//!
//! Invariant `I1`: a child has at most one delay under way, and it is in `due` as long as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::flags::Backoff;
use super::job::Slot;

#[derive(Debug, Clone, Default)]
pub(super) struct Delays {
    of: BTreeMap<Slot, Delay>,
    due: BTreeSet<(Duration, Slot)>,
}

#[derive(Debug, Clone, Copy)]
struct Delay {
    /// How many came before the next, without a pause.
    earlier: u32,
    /// When the last was over.
    until: Duration,
}

impl Delays {
    /// Lets a child wait.
    pub(super) fn wait(&mut self, now: Duration, slot: Slot, backoff: &Backoff) {
        self.stop_waiting(slot);
        let last = self.of.get(&slot);
        let recent = last.filter(|last| now.saturating_sub(last.until) <= backoff.max);
        let earlier = recent.map_or(0, |last| last.earlier);
        let until = now.saturating_add(backoff.delay(earlier));
        let earlier = earlier.saturating_add(1);
        self.of.insert(slot, Delay { earlier, until });
        self.due.insert((until, slot));
    }

    /// The next child whose delay is over; it waits no more.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Slot> {
        let &(until, slot) = self.due.first()?;
        if until > now {
            return None;
        }
        self.due.pop_first();
        Some(slot)
    }

    /// When the next delay is over.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(until, _)| *until)
    }

    pub(super) fn stop_waiting(&mut self, slot: Slot) {
        if let Some(delay) = self.of.get(&slot) {
            self.due.remove(&(delay.until, slot));
        }
    }

    /// The child is gone.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.stop_waiting(slot);
        self.of.remove(&slot);
    }

    /// The child was restarted under another pid.
    pub(super) fn rename(&mut self, from: Slot, to: Slot) {
        self.stop_waiting(from);
        if let Some(delay) = self.of.remove(&from) {
            self.of.insert(to, delay);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
