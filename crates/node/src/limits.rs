//! What one peer may make this node hold, besides what `purlin_proto` bounds.
//!
//! A peer that knows the cookie may ask for monitors, links and processes; each costs memory here
//! and nothing there. Mailboxes have their bounds beside them (`process::mailbox`), and so have
//! queues to peers (`connection::outbound`).

/// Links to and monitors of processes of this node that one peer may hold; one more closes its
/// connection. About 50 MB, four times that while its end is told. A guess, unmeasured: far more than
/// the processes here that a node watches.
pub(crate) const LINKS_AND_MONITORS_MAX: usize = 1 << 18;

/// Processes that run at once for spawn requests of one peer; more are refused with
/// `system_limit`. A call that waits costs about 8.5 KB (measured by the test
/// `more_processes_than_a_peer_may_have`), all of them 280 MB.
pub(crate) const SPAWNED_MAX: usize = 1 << 15;

/// Encoded bytes of the arguments of those processes: room for several of the largest.
pub(crate) const SPAWNED_BYTES_MAX: usize = 512 << 20;

/// Processes of this node from which on peers start no more. OTP 28's default.
pub(crate) const PROCESSES_MAX: usize = 1 << 20;

/// Calls that `rex` runs at once, for all peers, since its requests do not say from whom they are.
/// Only old releases and C nodes call so. A call costs about 8 KB (measured by the test
/// `more_calls_than_rex_runs_at_once`).
pub(crate) const REX_CALLS_MAX: usize = 1 << 14;

/// Node names, so far unknown, that peers may have this node dial through built-ins, for as long as it
/// lives. A guess, unmeasured: far below what the table of node names holds.
pub(crate) const PINGED_NAMES_MAX: usize = 4096;

const _: () = assert!(SPAWNED_MAX + REX_CALLS_MAX < PROCESSES_MAX);
const _: () = assert!(SPAWNED_BYTES_MAX > purlin_proto::limits::FRAME_LEN_MAX);
