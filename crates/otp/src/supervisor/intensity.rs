//! Restart intensity: how many restarts within a period a supervisor takes.
//!
//! Source: `supervisor`'s manual page, "Restart intensity and period", and `add_restart/1`. OTP
//! reads a clock of whole seconds, so that its period is up to a second longer or shorter than it
//! says; here it is as long as it says.
//!
//! Invariant `I1`: between a restart and the `intensity`-th before it lies more than `period`. At
//! most `intensity` times are kept.

use std::collections::VecDeque;
use std::time::Duration;

/// The restarts that count: see the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Intensity {
    restarts: VecDeque<Duration>,
}

impl Intensity {
    /// Counts a restart; false if it is one too many.
    pub(super) fn add_restart(&mut self, now: Duration, intensity: u32, period: Duration) -> bool {
        let is_past = |restart: &Duration| now.saturating_sub(*restart) > period;
        while self.restarts.front().is_some_and(is_past) {
            self.restarts.pop_front();
        }
        let is_taken = self.restarts.len() < intensity as usize;
        if is_taken {
            self.restarts.push_back(now);
        }
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_counts_for_the_whole_period_and_no_longer() {
        let (mut intensity, period) = (Intensity::default(), Duration::from_secs(5));
        let mut at = |millis| intensity.add_restart(Duration::from_millis(millis), 2, period);
        assert!(at(0) && at(1000));
        assert!(!at(5000));
        assert!(at(5001));
        assert!(!at(6000));
        assert!(at(6001));
    }

    #[test]
    fn no_restart_is_taken_at_intensity_zero() {
        let mut intensity = Intensity::default();
        assert!(!intensity.add_restart(Duration::ZERO, 0, Duration::from_secs(1)));
    }
}
