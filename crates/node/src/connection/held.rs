//! Signals that wait for a connection that is being made.
//!
//! A process that links itself to one of a node that is not connected does not wait: the node is dialled,
//! and the signal waits here. With the connection all of them go out, in the order in which they were
//! sent and before anything else of their processes; without it each is answered, as if its process were
//! of a node that was lost. So does OTP, in the queue of the connection that is pending.
//!
//! Invariants:
//! - `H1` what ends a tie waits behind what makes it: whoever has a signal here has all its later ones
//!   here, but for answers to others, which mean nothing to a connection that they were not asked by;
//! - `H2` no more than [`HELD_SIGNALS_MAX`] signals that ask for something wait for a node, and no more
//!   than [`HELD_BYTES_MAX`] bytes of their reasons. Further ones are answered at once. Those that end a
//!   tie are as many as the ties.

use std::collections::BTreeSet;

use purlin_proto::signal::Signal as Wire;
use purlin_runtime::{Destination, Signal};
use purlin_term::Pid;

use crate::limits::{HELD_BYTES_MAX, HELD_SIGNALS_MAX};

/// A signal on its way out, in both its forms.
pub(crate) struct Outgoing {
    pub(crate) from: Pid,
    pub(crate) to: Destination,
    pub(crate) signal: Signal,
    pub(crate) wire: Wire,
}

impl Outgoing {
    /// Whether it asks something of its receiver: then it is worth a connection. What tells of an end or
    /// answers is not, since nobody there can wait for it.
    pub(crate) fn asks(&self) -> bool {
        use Signal::{Exit2, GroupLeader, Link, Monitor};
        matches!(
            self.signal,
            Link { .. } | Monitor { .. } | Exit2 { .. } | GroupLeader { .. }
        )
    }

    /// Whether it ends a tie that was made by its sender.
    fn ends_tie(&self) -> bool {
        use Signal::{Demonitor, Exit, Unlink};
        matches!(self.signal, Unlink { .. } | Demonitor { .. } | Exit { .. })
    }

    fn bytes(&self) -> usize {
        self.wire.payload().map_or(0, |reason| reason.bytes().len())
    }
}

/// What waits for one connection.
#[derive(Default)]
pub(crate) struct Held {
    signals: Vec<Outgoing>,
    asking: usize,
    bytes: usize,
    /// Whose they are.
    senders: BTreeSet<Pid>,
}

impl Held {
    /// Keeps a signal, or gives it back to be answered: there is no room, or nobody there would know what
    /// it is about.
    pub(crate) fn hold(&mut self, signal: Outgoing) -> Option<Outgoing> {
        if signal.asks() {
            let bytes = self.bytes + signal.bytes();
            if self.asking >= HELD_SIGNALS_MAX || bytes > HELD_BYTES_MAX {
                return Some(signal);
            }
            (self.asking, self.bytes) = (self.asking + 1, bytes);
            self.senders.insert(signal.from);
        } else if !(signal.ends_tie() && self.senders.contains(&signal.from)) {
            return Some(signal);
        }
        self.signals.push(signal);
        None
    }

    /// All of them, in the order in which they came.
    pub(crate) fn into_signals(self) -> Vec<Outgoing> {
        self.signals
    }
}

#[cfg(test)]
mod tests {
    use purlin_runtime::Reason;
    use purlin_term::{Atom, EncodedTerm, NodeName, Term, atom};

    use super::*;

    fn pid(node: &str, id: u32) -> Pid {
        let node = NodeName::new(Atom::new(node).unwrap()).unwrap();
        Pid {
            node,
            creation: 1,
            id,
            serial: 0,
        }
    }

    fn outgoing(from: Pid, signal: Signal, wire: Wire) -> Outgoing {
        let to = pid("there@held", 1).into();
        Outgoing {
            from,
            to,
            signal,
            wire,
        }
    }

    fn link(from: Pid) -> Outgoing {
        let to = pid("there@held", 1);
        outgoing(from, Signal::Link { from }, Wire::Link { from, to })
    }

    fn exit(from: Pid, bytes: usize) -> Outgoing {
        let to = pid("there@held", 1);
        let reason = Term::Binary(vec![0; bytes][..].into());
        let wire = Wire::Exit {
            from,
            to,
            reason: EncodedTerm::encode(&reason).unwrap(),
            token: None,
        };
        let reason = Reason::new(atom!("bye").into());
        outgoing(from, Signal::Exit { from, reason }, wire)
    }

    fn exit2(from: Pid, bytes: usize) -> Outgoing {
        let mut exit = exit(from, bytes);
        let reason = Reason::new(atom!("bye").into());
        exit.signal = Signal::Exit2 { from, reason };
        exit
    }

    #[test]
    fn an_end_is_held_behind_the_tie_of_its_process_and_else_given_back() {
        let (one, other) = (pid("here@held", 1), pid("here@held", 2));
        let mut held = Held::default();
        assert!(held.hold(exit(one, 1)).is_some());
        assert!(held.hold(link(one)).is_none());
        assert!(held.hold(exit(one, 1)).is_none());
        assert!(held.hold(exit(other, 1)).is_some());
        let kinds: Vec<bool> = held.into_signals().iter().map(Outgoing::asks).collect();
        assert_eq!(kinds, [true, false]);
    }

    #[test]
    fn what_asks_is_bounded_in_number_and_bytes_and_what_ends_a_tie_is_not() {
        let one = pid("here@held", 1);
        let mut held = Held::default();
        for _ in 0..HELD_SIGNALS_MAX {
            assert!(held.hold(link(one)).is_none());
        }
        assert!(held.hold(link(one)).is_some());
        assert!(held.hold(exit(one, 1)).is_none());
        let mut held = Held::default();
        let half = HELD_BYTES_MAX / 2;
        assert!(held.hold(exit2(one, half - 100)).is_none());
        assert!(held.hold(exit2(one, half)).is_none());
        assert!(held.hold(exit2(one, half)).is_some());
        assert!(held.hold(link(one)).is_none());
    }
}
