//! What one peer may make this node hold, besides what `purlin_proto` bounds.
//!
//! A peer that knows the cookie may ask for monitors, links and processes; each costs memory here
//! and nothing there. Mailboxes have their bounds in `purlin_runtime::limits`, queues to peers in
//! `connection::outbound`.

use std::time::Duration;

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
pub(crate) const SPAWNED_PROCESSES_MAX: usize = 1 << 20;

/// Processes of this node. The most that OTP can be told to bear (`+P`).
pub(crate) const PROCESSES_MAX: usize = (1 << 27) - 1;

/// Signals that wait for one process to handle them, beside messages; the connection of the peer that
/// sends one more is closed. A process handles its signals whenever it awaits, so only one that holds its
/// thread, or that code outside of processes has and does not receive from, ever has so many. About
/// 150 MB. A guess, unmeasured.
pub(crate) const SIGNALS_MAX: usize = 1 << 20;

/// Bytes of the exit reasons that one peer gave processes here and that they have not received: room
/// for several of the largest. Further ones are replaced by `system_limit`.
pub(crate) const REASON_BYTES_MAX: usize = 512 << 20;

/// Bytes from which on a reason counts: smaller ones are bounded by their number.
pub(crate) const REASON_BYTES_MIN: usize = 64;

/// Links, monitors, exit signals and group leaders that wait while a node is dialled, for each such node;
/// further ones are answered with `noconnection`, or dropped where nobody waits for an answer. About 20 MB.
/// A guess, unmeasured.
pub(crate) const HELD_SIGNALS_MAX: usize = 1 << 16;

/// Bytes of the reasons among them: room for one of the largest, and few programs give any.
pub(crate) const HELD_BYTES_MAX: usize = 64 << 20;

/// Messages that wait while a node is dialled, for each such node; who sends one more waits in its place, or
/// is refused. About 20 MB beside their bytes. A guess, unmeasured: the bound in bytes is met first unless they are
/// of a few bytes each.
pub(crate) const HELD_MESSAGES_MAX: usize = 1 << 16;

/// Bytes of these messages from which on there is no room for another: what may be queued for a node that is
/// connected.
pub(crate) const HELD_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How long processes may take to end when the node stops: OTP's default for a worker.
pub(crate) const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a process may take to tell about itself. A guess, unmeasured.
pub(crate) const PROCESS_INFO_PATIENCE: Duration = Duration::from_secs(1);

/// Calls that `rex` runs at once, for all peers, since its requests do not say from whom they are.
/// Only old releases and C nodes call so. A call costs about 8 KB (measured by the test
/// `more_calls_than_rex_runs_at_once`).
pub(crate) const REX_CALLS_MAX: usize = 1 << 14;

/// Node names, so far unknown, that peers may have this node dial through built-ins, for as long as it
/// lives. A guess, unmeasured: far below what the table of node names holds.
pub(crate) const PINGED_NAMES_MAX: usize = 4096;

const _: () = assert!(SPAWNED_MAX + REX_CALLS_MAX < SPAWNED_PROCESSES_MAX);
const _: () = assert!(SPAWNED_PROCESSES_MAX < PROCESSES_MAX);

const _: () = assert!(SPAWNED_BYTES_MAX > purlin_proto::limits::FRAME_LEN_MAX);
