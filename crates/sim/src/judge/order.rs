//! Signal order: all messages of one process to another arrive in the order sent, and what is
//! missing was lost with a connection.
//!
//! Source: the OTP reference manual, "Processes", signal delivery, and `docs/SEMANTICS.md`.
//!
//! Whether two messages left on one connection is told by the sender's own mailbox: it is told of
//! the end of a connection before it can send on the next. So when a process was told of no end
//! between two sends, both went the same way, and the later one did not arrive without the earlier. A
//! message that waited for a connection may be lost without a word, since nobody is told that there is none to
//! be had; it keeps its place all the same.
//!
//! - safety: numbers of one sender count up at a node, whichever address each message had, and
//!   nothing arrives that was never sent; by an alias nothing arrives anywhere but at its owner, after it was
//!   taken back, or after the one message that it was for;
//! - convergence: every gap has a lost connection, or an alias that was taken back; with none after the last
//!   message, it arrived; and everybody who still sends reaches the other side again.

use std::collections::{BTreeMap, BTreeSet};

use purlin_node::{NodeName, Pid, Reference};

use super::{Alias, Fate, Judge, Lives, Observation, Way};

/// A message that a process began to send.
struct Message {
    way: Way,
    /// Connections that had ended, as far as the sender knew, before the send and after it.
    before: u64,
    after: Option<u64>,
    fate: Option<Fate>,
    received_by: Option<Pid>,
}

/// All messages of one process to one node.
#[derive(Default)]
struct Stream {
    messages: BTreeMap<u64, Message>,
    last_received: Option<u64>,
}

/// Holds messages to the order in which they were sent.
#[derive(Default)]
pub struct SignalOrder {
    lives: Lives,
    streams: BTreeMap<(Pid, NodeName), Stream>,
    taken_back: BTreeSet<Reference>,
}

impl SignalOrder {
    /// A message came by this alias.
    fn by_alias(&mut self, by: Pid, number: u64, alias: &Alias) -> Result<(), String> {
        let Alias { reference, of, .. } = alias;
        if by != *of {
            return Err(format!(
                "{by} received {number} by {reference}, an alias of {of}"
            ));
        }
        let is_over = match alias.is_for_one {
            true => !self.taken_back.insert(*reference),
            false => self.taken_back.contains(reference),
        };
        match is_over {
            true => Err(format!(
                "{by} received {number} by {reference}, an alias no more"
            )),
            false => Ok(()),
        }
    }

    fn received(&mut self, by: Pid, from: Pid, number: u64) -> Result<(), String> {
        let stream = self.streams.entry((from, by.node)).or_default();
        let Some(message) = stream.messages.get_mut(&number) else {
            return Err(format!(
                "{by} received {number} of {from}, which never sent it"
            ));
        };
        if message.fate == Some(Fate::Refused) {
            return Err(format!(
                "{by} received {number} of {from}, which was told it was not sent"
            ));
        }
        message.received_by = Some(by);
        let way = message.way;
        let last = stream.last_received.replace(number);
        if let Some(last) = last.filter(|last| *last >= number) {
            return Err(format!("{by} received {number} of {from} after {last}"));
        }
        match way {
            Way::Alias(alias) => self.by_alias(by, number, &alias),
            Way::Pid(_) | Way::Name => Ok(()),
        }
    }

    fn sent(&mut self, from: Pid, to: NodeName, number: u64, fate: Fate) -> Result<(), String> {
        let after = self.lives.node_downs(from, to);
        let stream = self.streams.entry((from, to)).or_default();
        let message = stream.messages.get_mut(&number).expect("it was being sent");
        (message.after, message.fate) = (Some(after), Some(fate));
        match message.received_by {
            Some(by) if fate == Fate::Refused => Err(format!(
                "{from} was told that {number} was not sent, and {by} has received it"
            )),
            _ => Ok(()),
        }
    }
}

impl Judge for SignalOrder {
    fn name(&self) -> &'static str {
        "signal order"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        self.lives.observe(observation);
        match *observation {
            Observation::Sending {
                from,
                to,
                way,
                number,
            } => {
                let message = Message {
                    way,
                    before: self.lives.node_downs(from, to),
                    after: None,
                    fate: None,
                    received_by: None,
                };
                let stream = self.streams.entry((from, to)).or_default();
                stream.messages.insert(number, message);
                Ok(())
            }
            Observation::Sent {
                from,
                to,
                number,
                fate,
            } => self.sent(from, to, number, fate),
            Observation::Received { by, from, number } => self.received(by, from, number),
            Observation::Unaliased { alias, .. } => {
                self.taken_back.insert(alias);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_waiting(&self) -> bool {
        self.all_lost_at_the_end().next().is_some()
    }

    fn converge(&mut self) -> Vec<String> {
        let streams = self.streams.iter();
        let gaps = streams.filter_map(|((from, _), stream)| stream.gaps(*from, &self.taken_back));
        gaps.chain(self.all_lost_at_the_end()).collect()
    }
}

impl SignalOrder {
    /// What was under way when its sender ended may be lost, so only the living are asked.
    fn all_lost_at_the_end(&self) -> impl Iterator<Item = String> {
        let living = self.streams.iter();
        let living = living.filter(|((from, _), _)| self.lives.is_alive(*from));
        living.filter_map(|((from, to), stream)| self.lost_at_the_end(*from, *to, stream))
    }

    /// The newest messages, behind which nothing arrived any more.
    fn lost_at_the_end(&self, from: Pid, to: NodeName, stream: &Stream) -> Option<String> {
        let (number, message) = stream.messages.last_key_value()?;
        if message.received_by.is_some() {
            return None;
        }
        let is_address_gone = match message.way {
            Way::Name => false,
            Way::Pid(pid) => self.lives.is_gone(pid),
            Way::Alias(alias) => {
                self.lives.is_gone(alias.of) || self.taken_back.contains(&alias.reference)
            }
        };
        if is_address_gone {
            return None;
        }
        let now = self.lives.node_downs(from, to);
        match message.fate {
            Some(Fate::Held) => None,
            Some(Fate::Sent) if message.before < now => None,
            Some(Fate::Sent) => Some(format!(
                "{number} of {from} never arrived at {to}, and no connection was lost"
            )),
            // It goes on trying until the end, when all is healed.
            _ => Some(format!("{from} does not reach {to} any more ({number})")),
        }
    }
}

impl Stream {
    /// Messages that did not arrive although a later one on the same connection did.
    fn gaps(&self, from: Pid, taken_back: &BTreeSet<Reference>) -> Option<String> {
        let mut later: Option<(u64, &Message)> = None;
        for (number, message) in self.messages.iter().rev() {
            if message.received_by.is_some() {
                later = Some((*number, message));
                continue;
            }
            let Some((arrived, after)) = later else {
                continue;
            };
            let was_to_same = match message.way {
                Way::Name => true,
                Way::Pid(pid) => after.received_by == Some(pid),
                Way::Alias(alias) => {
                    after.received_by == Some(alias.of) && !taken_back.contains(&alias.reference)
                }
            };
            let was_on_same = after.after.is_some_and(|after| after == message.before);
            if message.fate == Some(Fate::Sent) && was_to_same && was_on_same {
                return Some(format!(
                    "{number} of {from} is missing, {arrived} has arrived, and no connection was lost"
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use purlin_node::{Atom, atom};

    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(Atom::new(name).unwrap()).unwrap()
    }

    fn pid(name: &str, id: u32) -> Pid {
        let (node, creation, serial) = (node(name), 1, 0);
        Pid {
            node,
            creation,
            id,
            serial,
        }
    }

    /// Sends messages; `lost` names those after which the sender hears of a lost connection.
    fn judge(count: u64, lost: &[u64]) -> SignalOrder {
        let (from, to) = (pid("a@order", 1), node("b@order"));
        let mut judge = SignalOrder::default();
        let mut tell = |observation| judge.observe(&observation).unwrap();
        for number in 1..=count {
            let way = Way::Name;
            tell(Observation::Sending {
                from,
                to,
                way,
                number,
            });
            tell(Observation::Sent {
                from,
                to,
                number,
                fate: Fate::Sent,
            });
            if lost.contains(&number) {
                let (at, node, connection) = (from, to, None);
                tell(Observation::NodeDown {
                    at,
                    node,
                    connection,
                });
            }
        }
        judge
    }

    fn receive(judge: &mut SignalOrder, number: u64) -> Result<(), String> {
        let (by, from) = (pid("b@order", 1), pid("a@order", 1));
        judge.observe(&Observation::Received { by, from, number })
    }

    #[test]
    fn a_message_out_of_order_twice_or_from_nowhere_is_a_failure() {
        let mut judge = judge(3, &[]);
        assert!(receive(&mut judge, 2).is_ok());
        assert!(receive(&mut judge, 1).is_err());
        assert!(receive(&mut judge, 3).is_ok());
        assert!(receive(&mut judge, 3).is_err());
        assert!(receive(&mut judge, 4).is_err());
    }

    #[test]
    fn a_gap_needs_a_lost_connection() {
        for (lost, failures) in [(&[][..], 1), (&[2][..], 0), (&[3][..], 1)] {
            let mut judge = judge(3, lost);
            receive(&mut judge, 1).unwrap();
            receive(&mut judge, 3).unwrap();
            assert_eq!(judge.converge().len(), failures, "lost after {lost:?}");
        }
    }

    #[test]
    fn what_waited_for_a_connection_may_be_missing_but_keeps_its_place() {
        let mut judge = judge(3, &[]);
        let (from, to, number, fate) = (pid("a@order", 1), node("b@order"), 2, Fate::Held);
        let held = Observation::Sent {
            from,
            to,
            number,
            fate,
        };
        judge.observe(&held).unwrap();
        receive(&mut judge, 1).unwrap();
        receive(&mut judge, 3).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(receive(&mut judge, 2).is_err());
    }

    #[test]
    fn the_last_message_arrives_unless_its_connection_was_lost() {
        for (lost, failures) in [(&[][..], 1), (&[2][..], 1), (&[3][..], 0)] {
            let mut judge = judge(3, lost);
            receive(&mut judge, 1).unwrap();
            assert_eq!(judge.converge().len(), failures, "lost after {lost:?}");
        }
    }

    /// Three messages to an alias that is for one message or for all.
    fn judge_of_alias(is_for_one: bool) -> (SignalOrder, Reference) {
        let (from, of) = (pid("a@order", 1), pid("b@order", 1));
        let reference = Reference::new(of.node, 1, &[1, 2, 3]).unwrap();
        let way = Way::Alias(Alias {
            reference,
            of,
            is_for_one,
        });
        let mut judge = SignalOrder::default();
        for number in 1..=3 {
            let to = of.node;
            let sending = Observation::Sending {
                from,
                to,
                way,
                number,
            };
            judge.observe(&sending).unwrap();
            let fate = Fate::Sent;
            let sent = Observation::Sent {
                from,
                to,
                number,
                fate,
            };
            judge.observe(&sent).unwrap();
        }
        (judge, reference)
    }

    #[test]
    fn by_an_alias_nothing_comes_that_is_too_late_for_it() {
        let (mut judge, alias) = judge_of_alias(false);
        receive(&mut judge, 1).unwrap();
        assert_eq!(judge.converge().len(), 1, "it is one still");
        let by = pid("b@order", 1);
        judge
            .observe(&Observation::Unaliased { by, alias })
            .unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(receive(&mut judge, 2).is_err());
    }

    #[test]
    fn an_alias_for_one_message_is_one_until_that_comes() {
        let (mut judge, _) = judge_of_alias(true);
        assert_eq!(judge.converge().len(), 1, "the first is due");
        receive(&mut judge, 1).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(receive(&mut judge, 2).is_err());
    }

    #[test]
    fn what_was_not_sent_must_not_arrive() {
        let (from, to, by) = (pid("a@order", 1), node("b@order"), pid("b@order", 1));
        let mut judge = SignalOrder::default();
        let (way, number) = (Way::Name, 1);
        judge
            .observe(&Observation::Sending {
                from,
                to,
                way,
                number,
            })
            .unwrap();
        judge
            .observe(&Observation::Received { by, from, number })
            .unwrap();
        let fate = Fate::Refused;
        let refused = Observation::Sent {
            from,
            to,
            number,
            fate,
        };
        assert!(judge.observe(&refused).is_err());
        let reason = atom!("normal").into();
        judge
            .observe(&Observation::Ended { pid: from, reason })
            .unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
    }
}
