//! Whether another runner is worth its while: by how long a runner's turns take, and how many wait.
//!
//! Two runners that pass messages between their cores may together do less than one does: each message
//! is a cache line that the other core has, and what one allocates the other frees. So others come for turns that
//! are long, or where so many wait that the last would wait for long. Left out: finding out by trying, that
//! is by comparing a runner's turns while it is alone and while it is not; how long they took alone is stale by
//! the time that it would be needed, unless the others are sent away again and again.
//!
//! Invariant `P1`: before anything is known, others come.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Turns that last so long are worth a core of their own. A guess: some times what it costs to move a process
/// there, and to send to it from here.
const LONG_TURN: Duration = Duration::from_micros(2);

/// Processes that wait so long are worth another core. Some times what it costs to wake one.
const LONG_WAIT: Duration = Duration::from_micros(50);

/// Turns of which a mean is taken, in one stint or in several.
const SAMPLE: u32 = 64;

/// How long a runner's turns take, in nanoseconds, for others to see.
pub(super) struct Pace(AtomicU32);

impl Pace {
    pub(super) fn unknown() -> Self {
        Self(AtomicU32::new(u32::MAX))
    }

    /// Whether another runner should come for so many that wait.
    #[inline]
    pub(super) fn is_worth_sharing(&self, waiting: usize) -> bool {
        let turn = u64::from(self.0.load(Ordering::Relaxed));
        let is_long = turn >= LONG_TURN.as_nanos() as u64;
        let wait = turn.saturating_mul(waiting as u64);
        waiting > 0 && (is_long || wait >= LONG_WAIT.as_nanos() as u64)
    }
}

/// Takes the mean of a runner's turns.
#[derive(Default)]
pub(super) struct Meter {
    mean: Option<u32>,
    /// What is not in it yet.
    turns: u32,
    took: Duration,
}

impl Meter {
    /// So many turns took so long. With enough of them there is a new sample, which counts for a quarter.
    pub(super) fn note(&mut self, turns: u32, took: Duration, pace: &Pace) {
        self.turns += turns;
        self.took += took;
        if self.turns < SAMPLE {
            return;
        }
        let new = self.took.as_nanos() / u128::from(self.turns);
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        let mean = self.mean.map_or(new, |mean| mean - mean / 4 + new / 4);
        pace.0.store(mean, Ordering::Relaxed);
        *self = Self {
            mean: Some(mean),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many stints, of so many turns, each of which took so long.
    fn pace(stints: u32, turns: u32, turn: u64) -> Pace {
        let (mut meter, pace) = (Meter::default(), Pace::unknown());
        for _ in 0..stints {
            meter.note(turns, Duration::from_nanos(turn * u64::from(turns)), &pace);
        }
        pace
    }

    #[test]
    fn what_is_not_known_is_shared_and_where_nobody_waits_nothing_is() {
        let pace = Pace::unknown();
        assert!(pace.is_worth_sharing(1));
        assert!(!pace.is_worth_sharing(0));
    }

    #[test]
    fn few_short_turns_are_not_shared_and_long_ones_or_many_are() {
        let short = pace(8, 64, 200);
        assert!(!short.is_worth_sharing(64));
        assert!(short.is_worth_sharing(1000));
        assert!(pace(8, 64, 5000).is_worth_sharing(1));
    }

    #[test]
    fn turns_of_short_stints_are_measured_together() {
        assert!(pace(SAMPLE - 1, 1, 200).is_worth_sharing(1));
        assert!(!pace(SAMPLE, 1, 200).is_worth_sharing(1));
    }

    #[test]
    fn a_stint_that_was_interrupted_is_soon_forgotten() {
        let (mut meter, pace) = (Meter::default(), Pace::unknown());
        let mut note = |turn: u64| meter.note(64, Duration::from_nanos(64 * turn), &pace);
        note(200);
        note(20_000);
        (0..12).for_each(|_| note(200));
        assert!(!pace.is_worth_sharing(64));
    }
}
