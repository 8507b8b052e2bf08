//! What follows from what happened to a process, and what it sees of it.

use purlin_term::{Atom, Pid, Reference, Term};

use crate::reason::Reason;
use crate::signal::{Signal, Target};

/// What follows from what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send `signal` to `to`.
    Send {
        /// Whom it is for.
        to: Target,
        /// What.
        signal: Signal,
    },
    /// The process is to see this, in the place of the signal.
    Deliver(Info),
    /// The process ends with this reason.
    Terminate(Reason),
}

/// What a process sees of its ties: it becomes a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Info {
    /// `{'EXIT', From, Reason}`, for a process that traps exits.
    Exit {
        /// Who ended or called `exit/2`.
        from: Pid,
        /// Why.
        reason: Reason,
    },
    /// `{'DOWN', Reference, process, Target, Reason}`.
    Down {
        /// The monitor.
        reference: Reference,
        /// What was monitored, in the words of the process.
        target: Target,
        /// Why it ended.
        reason: Reason,
        /// What the process wants in the place of `'DOWN'`.
        tag: Option<Box<Term>>,
    },
    /// `{spawn_reply, Reference, ok, Pid}`.
    Spawned {
        /// The request.
        reference: Reference,
        /// The new process.
        pid: Pid,
        /// What the process wants in the place of `spawn_reply`.
        tag: Option<Box<Term>>,
    },
    /// `{spawn_reply, Reference, error, Reason}`.
    SpawnFailed {
        /// The request.
        reference: Reference,
        /// Why.
        reason: Atom,
        /// What the process wants in the place of `spawn_reply`.
        tag: Option<Box<Term>>,
    },
}
