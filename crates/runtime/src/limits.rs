//! The bounds of a runtime, together.

use std::time::Duration;

use crate::process::Watermark;

/// Processes that live at once. OTP 28's default.
pub const PROCESSES_MAX: usize = 1 << 20;

/// Messages that a process receives before it yields to others, so that its signals act and
/// the other processes of the thread have their turn. Tokio's own budget for its channels.
pub const RECEIVES_MAX: u32 = 128;

/// Timers that fire before the task that fires them yields to others, as with [`RECEIVES_MAX`].
pub const FIRES_MAX: u32 = 128;

/// Messages that a process sends before it yields. Fewer than may be received, so that one who gets them all
/// comes to the end of its queue and waits, instead of yielding as well.
pub const SENDS_MAX: u32 = 96;

/// A process that holds its thread for longer is reported. As long as OTP's schedulers let one
/// reduction budget take at most, many times over; a guess, unmeasured.
pub const LONG_SCHEDULE: Duration = Duration::from_millis(500);

/// Bytes of the text of an exit reason, or of a message that waits, that a report shows. A guess,
/// unmeasured.
pub const REASON_SHOWN_MAX: usize = 1000;

/// Messages that wait that a crash report shows. A guess, unmeasured.
pub const MESSAGES_SHOWN_MAX: usize = 5;

/// Bytes of an encoded message from which on a crash report tells its length alone: it would be decoded
/// as a whole. A guess, unmeasured.
pub const MESSAGE_BYTES_SHOWN_MAX: usize = 1 << 16;

/// Links that a crash report shows. A guess, unmeasured.
pub const LINKS_SHOWN_MAX: usize = 10;

/// Signals and messages in a mailbox from which on messages of other nodes are refused. A process that
/// is so far behind does not catch up. A guess, unmeasured.
pub const FOREIGN_MESSAGES_MAX: usize = 1 << 20;

/// Bytes of encoded messages in a mailbox, their atoms included, from which on messages of other nodes
/// are refused: room for several of the largest.
pub const FOREIGN_BYTES_MAX: usize = 512 << 20;

/// Signals and messages in a mailbox from which on exit signals are not received, and replies of other
/// nodes are refused: these enter where messages do not, but memory has its end.
pub const EXITS_MAX: usize = 2 * FOREIGN_MESSAGES_MAX;

/// The messages from which on a queue without a bound is told to be long, and those from which on it is
/// not any more. A sixteenth of what makes other nodes be refused, so that there is time to see to it; and
/// a quarter of that. A guess, unmeasured.
pub const WATERMARK: Watermark =
    Watermark::new(FOREIGN_MESSAGES_MAX / 64, FOREIGN_MESSAGES_MAX / 16);
