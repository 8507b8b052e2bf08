//! Signals and messages that wait for a connection that is being made.
//!
//! A process that links itself to one of a node that is not connected, or casts to it, does not wait: the node
//! is dialled, and what it sends waits here. With the connection all of it goes out, in the order in which it
//! was sent and before anything else of its processes. Without it each signal is answered, as if its process
//! were of a node that was lost, and messages are dropped. So does OTP, in the queue of the connection that is
//! pending.
//!
//! Invariants:
//! - `H1` what ends a tie waits behind what makes it: whoever has a signal here has all its later ones
//!   here, but for answers to others, which mean nothing to a connection that they were not asked by;
//! - `H2` no more than [`HELD_SIGNALS_MAX`] signals that ask for something wait for a node, and no more
//!   than [`HELD_BYTES_MAX`] bytes of their reasons. Further ones are answered at once. Those that end a
//!   tie are as many as the ties;
//! - `H3` no more than [`HELD_MESSAGES_MAX`] messages wait for a node, and none is added to
//!   [`HELD_MESSAGE_BYTES_MAX`] bytes of them. Further ones are given back: their senders wait, or are refused;
//! - `H4` there is one queue, so a message and a signal of one process keep their order.

use std::collections::BTreeSet;

use purlin_proto::signal::Signal as Wire;
use purlin_runtime::{Destination, Signal};
use purlin_term::{NodeName, Pid};

use super::outbound::BUDGET;
use crate::limits::{HELD_BYTES_MAX, HELD_MESSAGE_BYTES_MAX, HELD_MESSAGES_MAX, HELD_SIGNALS_MAX};

/// A message has the same room before there is a connection as it has then.
const _: () = assert!(HELD_MESSAGE_BYTES_MAX == BUDGET);

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
        payload_len(&self.wire)
    }
}

/// A message on its way out.
pub(crate) struct OutgoingMessage {
    pub(crate) from: Pid,
    pub(crate) peer: NodeName,
    pub(crate) wire: Wire,
}

/// What waits for a connection.
pub(crate) enum Waiting {
    Signal(Outgoing),
    Message(OutgoingMessage),
}

fn payload_len(wire: &Wire) -> usize {
    wire.payload().map_or(0, |payload| payload.bytes().len())
}

/// What waits for one connection.
#[derive(Default)]
pub(crate) struct Held {
    queue: Vec<Waiting>,
    asking: usize,
    reason_bytes: usize,
    /// Whose signals there are.
    senders: BTreeSet<Pid>,
    messages: usize,
    message_bytes: usize,
}

impl Held {
    /// Keeps a signal, or gives it back to be answered: there is no room, or nobody there would know what
    /// it is about.
    pub(crate) fn hold(&mut self, signal: Outgoing) -> Option<Outgoing> {
        if signal.asks() {
            let bytes = self.reason_bytes + signal.bytes();
            if self.asking >= HELD_SIGNALS_MAX || bytes > HELD_BYTES_MAX {
                return Some(signal);
            }
            (self.asking, self.reason_bytes) = (self.asking + 1, bytes);
            self.senders.insert(signal.from);
        } else if !(signal.ends_tie() && self.senders.contains(&signal.from)) {
            return Some(signal);
        }
        self.queue.push(Waiting::Signal(signal));
        None
    }

    /// Keeps a message, or gives it back: there is no room.
    pub(crate) fn hold_message(&mut self, message: OutgoingMessage) -> Option<OutgoingMessage> {
        if self.messages >= HELD_MESSAGES_MAX || self.message_bytes >= HELD_MESSAGE_BYTES_MAX {
            return Some(message);
        }
        self.messages += 1;
        self.message_bytes += payload_len(&message.wire);
        self.queue.push(Waiting::Message(message));
        None
    }

    pub(crate) fn has_messages(&self) -> bool {
        self.messages > 0
    }

    /// All of it, in the order in which it came.
    pub(crate) fn into_queue(self) -> Vec<Waiting> {
        self.queue
    }
}

#[cfg(test)]
mod tests {
    use purlin_proto::signal::Recipient;
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
        let asks = |waiting: &Waiting| matches!(waiting, Waiting::Signal(it) if it.asks());
        let kinds: Vec<bool> = held.into_queue().iter().map(asks).collect();
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

    fn message(from: Pid, bytes: usize) -> OutgoingMessage {
        let to = pid("there@held", 1);
        let term = Term::Binary(vec![0; bytes][..].into());
        let wire = Wire::Send {
            from: Some(from),
            to: Recipient::Pid(to),
            message: EncodedTerm::encode(&term).unwrap(),
            priority: false,
            token: None,
        };
        let peer = to.node;
        OutgoingMessage { from, peer, wire }
    }

    #[test]
    fn messages_and_signals_wait_in_the_order_in_which_they_were_sent() {
        let one = pid("here@held", 1);
        let mut held = Held::default();
        assert!(!held.has_messages());
        assert!(held.hold_message(message(one, 1)).is_none());
        assert!(held.hold(link(one)).is_none());
        assert!(held.hold_message(message(one, 1)).is_none());
        assert!(held.has_messages());
        let is_message = |waiting: &Waiting| matches!(waiting, Waiting::Message(_));
        let kinds: Vec<bool> = held.into_queue().iter().map(is_message).collect();
        assert_eq!(kinds, [true, false, true]);
    }

    #[test]
    fn messages_are_bounded_in_number_and_bytes_and_take_no_room_of_signals() {
        let one = pid("here@held", 1);
        let mut held = Held::default();
        for _ in 0..HELD_MESSAGES_MAX {
            assert!(held.hold_message(message(one, 0)).is_none());
        }
        assert!(held.hold_message(message(one, 0)).is_some());
        assert!(held.hold(link(one)).is_none());
        let mut held = Held::default();
        assert!(held.hold_message(message(one, 1)).is_none());
        // As on a connection, one that is larger than all the room still finds some.
        let large = 4 * HELD_MESSAGE_BYTES_MAX;
        assert!(held.hold_message(message(one, large)).is_none());
        assert!(held.hold_message(message(one, 1)).is_some());
        assert!(held.hold(exit2(one, HELD_BYTES_MAX / 2)).is_none());
    }
}
