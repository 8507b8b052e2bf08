//! The bounds of a runtime, together.

use std::time::Duration;

/// Processes that live at once. OTP 28's default.
pub const PROCESSES_MAX: usize = 1 << 20;

/// Messages that a process receives before its task yields to others, so that its signals act and
/// the other processes of the thread have their turn. Tokio's own budget for its channels.
pub const RECEIVES_MAX: u32 = 128;

/// A process that holds its thread for longer is reported. As long as OTP's schedulers let one
/// reduction budget take at most, many times over; a guess, unmeasured.
pub const LONG_SCHEDULE: Duration = Duration::from_millis(500);

/// Bytes of an exit reason's text that a report shows. A guess, unmeasured.
pub const REASON_SHOWN_MAX: usize = 1000;
