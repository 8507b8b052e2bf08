//! What processes tell each other about their lives.
//!
//! These are the signals of OTP's reference manual ("Processes", "Signals") that change or follow
//! from links, monitors and spawn requests; messages are not among them. A signal names who it
//! speaks for; whom it is for stands beside it. Whether it goes into a queue here or over a
//! connection is decided by whoever carries it, and so is its form on the wire (`purlin-proto`).
//!
//! [`refuse`] answers in place of a process that is not there.

use std::num::NonZeroU64;

use purlin_term::{Atom, NodeName, Pid, Reference};

use crate::reason::Reason;

/// Whom a signal is for, or what a monitor watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A process.
    Pid(Pid),
    /// Whoever has this registered name on that node.
    Name(Atom, NodeName),
}

/// Which connection to a node: every new one to the same node has a higher epoch.
///
/// A process may link over a new connection before it was told that the last one broke, or has
/// seen what came over it. The epoch tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A signal, from the process that it speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `from` links itself to the receiver.
    Link {
        /// Who links.
        from: Pid,
    },
    /// `from` ended its link to the receiver; an [`Signal::UnlinkAck`] is due.
    Unlink {
        /// Who unlinks.
        from: Pid,
        /// Chosen by `from`, and to be given back.
        id: NonZeroU64,
    },
    /// `from` has seen an [`Signal::Unlink`] of the receiver.
    UnlinkAck {
        /// Who acknowledges.
        from: Pid,
        /// The id of that signal.
        id: NonZeroU64,
    },
    /// The link between `from` and the receiver broke: `from` ended, or cannot be reached.
    Exit {
        /// Who ended.
        from: Pid,
        /// Why.
        reason: Reason,
    },
    /// `from` called `exit/2`.
    Exit2 {
        /// Who asks the receiver to exit.
        from: Pid,
        /// The reason asked for.
        reason: Reason,
    },
    /// The receiver's output is to go to another process from now on. It is no tie, so whoever has the
    /// process sees to it, and [`Relations`](crate::relations::Relations) pass it over.
    GroupLeader {
        /// The new group leader, anywhere.
        leader: Pid,
    },
    /// `from` monitors the receiver.
    Monitor {
        /// Who monitors.
        from: Pid,
        /// The monitor.
        reference: Reference,
        /// The registered name that `from` asked for, if it was not a pid.
        name: Option<Atom>,
    },
    /// `from` no longer monitors the receiver.
    Demonitor {
        /// Who monitored.
        from: Pid,
        /// The monitor.
        reference: Reference,
    },
    /// What the receiver monitored has ended, or is not there.
    Down {
        /// What was monitored, in the words of the one who monitored.
        from: Target,
        /// The monitor.
        reference: Reference,
        /// Why it ended.
        reason: Reason,
    },
    /// A spawn request of the receiver was carried out.
    Spawned {
        /// The request, and the monitor's reference where one was asked for.
        reference: Reference,
        /// The new process.
        child: Pid,
        /// What it has to do with the receiver.
        is: ChildIs,
    },
    /// A spawn request of the receiver failed.
    SpawnFailed {
        /// The request.
        reference: Reference,
        /// The node that was asked.
        node: NodeName,
        /// Why: `badopt`, `system_limit`, `notsup`, `noconnection`, ...
        reason: Atom,
    },
}

/// What a process that was asked for has to do with who asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChildIs {
    /// The two are linked.
    pub linked: bool,
    /// Who asked monitors it, by the request's reference.
    pub monitored: bool,
}

/// Signals are moved through queues: large ones would cost every message.
const _: () = assert!(size_of::<Signal>() <= 72);

impl Epoch {
    /// That of everything on this node, which no connection carries, and of an attempt for which
    /// there was no connection.
    pub const LOCAL: Self = Self(0);
}

impl Target {
    /// The node it is on.
    pub fn node(&self) -> NodeName {
        match self {
            Self::Pid(pid) => pid.node,
            Self::Name(_, node) => *node,
        }
    }
}

impl From<Pid> for Target {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

/// `{Name, Node}`.
impl<A: Into<Atom>, N: Into<NodeName>> From<(A, N)> for Target {
    fn from((name, node): (A, N)) -> Self {
        Self::Name(name.into(), node.into())
    }
}

/// The answers to `signal` in place of `to`, which it did not reach, and whom each is for.
///
/// With the reason `noproc` when there is no such process, `noconnection` when its node cannot be
/// reached, or the reason that [`Farewell::Orphan`](crate::relations::Farewell::Orphan) left.
/// None when nobody waits for an answer: the signal is dropped.
pub fn refuse(
    to: &Target,
    signal: &Signal,
    reason: &Reason,
) -> impl Iterator<Item = (Pid, Signal)> + use<> {
    let answers = match (signal, to) {
        (Signal::Link { from }, Target::Pid(dead)) => [Some((*from, exit(*dead, reason))), None],
        (Signal::Unlink { from, id }, Target::Pid(dead)) => {
            let (dead, id) = (*dead, *id);
            [Some((*from, Signal::UnlinkAck { from: dead, id })), None]
        }
        (
            Signal::Monitor {
                from,
                reference,
                name,
            },
            _,
        ) => {
            let down = down(to, name.as_ref(), *reference, reason);
            [Some((*from, down)), None]
        }
        // The child believes to be tied to one that is no more.
        (
            Signal::Spawned {
                reference,
                child,
                is,
            },
            Target::Pid(dead),
        ) => {
            let (from, reference) = (*dead, *reference);
            let demonitor = Signal::Demonitor { from, reference };
            [
                is.linked.then(|| (*child, exit(*dead, reason))),
                is.monitored.then_some((*child, demonitor)),
            ]
        }
        _ => [None, None],
    };
    answers.into_iter().flatten()
}

fn exit(from: Pid, reason: &Reason) -> Signal {
    let reason = reason.clone();
    Signal::Exit { from, reason }
}

/// The end of what a monitor signal to `to` watches, in the words of the one who monitors.
fn down(to: &Target, name: Option<&Atom>, reference: Reference, reason: &Reason) -> Signal {
    let from = match name {
        Some(name) => Target::Name(name.clone(), to.node()),
        None => to.clone(),
    };
    let reason = reason.clone();
    Signal::Down {
        from,
        reference,
        reason,
    }
}
