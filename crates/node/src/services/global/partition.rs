//! Preventing overlapping partitions: what the loss of a connection means for the others.
//!
//! A node that loses another tells all it knows (`lost_connection`). Whoever hears it first tells
//! it on, lets go of the lost node too, and asks that node to close the connection
//! (`remove_connection`). So a cluster splits into partitions that are each fully connected, at
//! the price of more cuts than needed. OTP has it since 25, kernel's
//! `prevent_overlapping_partitions`.
//!
//! Nothing is sent after [`Global::prepare_shutdown`] or for a connection closed on request.
//!
//! Deviation from OTP: a report leaves one round trip late. A node that leaves the cluster closes
//! all its connections at once, but those who stay do not see it at the same instant; a report that
//! overtakes the end it speaks of makes its receiver expel, and log, a node that was leaving anyway
//! (seen with OTP 28 in about one run in three, of few, on a busy machine). So each member is asked
//! for its protocol version first, and told when it has answered: by then it has seen what lay
//! before the question. A node that is connected again by then was not lost. A node that announced its end
//! ([`Global::handle_node_left`], which Purlin nodes do) is not reported at all: it leaves everybody.
//! A node that another reports lost is told so at once: it cannot expel itself, and if it is frozen, its answer
//! would come when we have given it up, and connect the two again.
//! Who is asked to close a connection while it waits for such an answer says at once what it was to report:
//! now the cluster splits anyhow, and ends as it would have with an OTP node in our place. It closes when
//! the answer is there, since the answer to a node that is gone would connect the two again.

use std::time::Duration;

use purlin_term::{NodeName, Term, atom};

use super::limits::{LOST_CONNECTION_TTL, LOST_CONNECTIONS_MAX, PARTITION_VERSION, REMOVE_WAIT};
use super::{Global, Level, Output, wire};

/// How a node is lost to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The connection went; unless its removal was under way, the others are told.
    Disconnected,
    /// It is let go of so that partitions do not overlap; its connection still stands.
    Removed,
    /// It is let go of and nobody is told.
    Ignored,
}

/// The newest report of one node about another.
#[derive(Debug)]
pub(super) struct LostConnection {
    incarnation: Term,
    operation: Term,
    until: Duration,
}

/// A report that waits for its receiver's answer.
#[derive(Debug, Clone)]
pub(super) struct Unconfirmed {
    to: NodeName,
    /// `None` when it was sent without waiting.
    message: Option<Term>,
    /// The node that we lost ourselves; `None` when the report is another's.
    lost: Option<NodeName>,
    /// The connection is closed when the answer is there.
    closes: bool,
}

impl Global {
    /// Forgets a node and what is under way with it.
    pub(super) fn lose_node(&mut self, now: Duration, node: NodeName, loss: Loss) {
        self.end_session(now, node);
        match loss {
            Loss::Removed => {
                self.drop_processes(now, node);
                if self.connected.contains(&node) {
                    self.removing.insert(node, now + REMOVE_WAIT);
                }
            }
            Loss::Ignored => {
                self.removing.remove(&node);
            }
            Loss::Disconnected => {
                if self.removing.remove(&node).is_none() {
                    self.report_loss(node);
                }
            }
        }
        self.known.remove(&node);
        self.synced.remove(&node);
        self.refused_names.remove(&node);
    }

    /// Names and locks of a node that leaves the partition while its connection still stands: kept,
    /// they would spread to nodes that cannot see those processes die.
    fn drop_processes(&mut self, now: Duration, node: NodeName) {
        for pid in self.monitored_at(node) {
            if self.monitors.get(&pid) == Some(&true) {
                self.outbox.push_back(Output::Demonitor(pid));
            }
            self.handle_down(now, pid);
        }
    }

    fn report_loss(&mut self, node: NodeName) {
        if !self.prevents_overlap() {
            return;
        }
        let operation = self.next_operation;
        self.next_operation += 1;
        let report = wire::tagged(
            atom!("lost_connection"),
            [
                self.me().into(),
                self.incarnation().into(),
                operation.into(),
                node.into(),
            ],
        );
        self.multicast(&report, node, node);
    }

    /// The creation, with random bits above it. OTP's lies in the same range.
    fn incarnation(&self) -> i64 {
        let random = (self.config.random & !u64::from(u32::MAX)) >> 4 & !u64::from(u32::MAX);
        (1 << 59) + random as i64 + i64::from(self.config.locker.creation)
    }

    fn prevents_overlap(&self) -> bool {
        self.config.connect_all && self.config.prevent_overlapping_partitions
    }

    pub(super) fn lost_connection(
        &mut self,
        now: Duration,
        reporter: NodeName,
        incarnation: &Term,
        operation: &Term,
        lost: NodeName,
    ) {
        if !self.prevents_overlap() || reporter == self.me() {
            return;
        }
        let key = (reporter, lost);
        let is_old = self
            .lost_connections
            .get(&key)
            .is_some_and(|last| last.incarnation == *incarnation && *operation <= last.operation);
        if is_old {
            return;
        }
        let report = wire::tagged(
            atom!("lost_connection"),
            [
                reporter.into(),
                incarnation.clone(),
                operation.clone(),
                lost.into(),
            ],
        );
        self.multicast(&report, lost, reporter);
        self.remember(now, key, incarnation, operation);
        // All others remove us; only the reporter is left for us to let go of.
        let node = if lost == self.me() { reporter } else { lost };
        if self.is_member(node) {
            self.expel(now, node);
        }
    }

    fn remember(
        &mut self,
        now: Duration,
        key: (NodeName, NodeName),
        incarnation: &Term,
        operation: &Term,
    ) {
        let is_full = self.lost_connections.len() >= LOST_CONNECTIONS_MAX;
        if is_full && !self.lost_connections.contains_key(&key) {
            let oldest = self
                .lost_connections
                .iter()
                .min_by_key(|(_, lost)| lost.until);
            if let Some(key) = oldest.map(|(&key, _)| key) {
                self.lost_connections.remove(&key);
            }
        }
        let report = LostConnection {
            incarnation: incarnation.clone(),
            operation: operation.clone(),
            until: now + LOST_CONNECTION_TTL,
        };
        self.lost_connections.insert(key, report);
    }

    pub(super) fn expel(&mut self, now: Duration, node: NodeName) {
        let version = self.known.get(&node).or_else(|| self.pending.get(&node));
        let what = if version.is_some_and(|&version| version >= PARTITION_VERSION) {
            self.send_now(node, wire::remove_connection(self.me()));
            "asked for a disconnect from"
        } else {
            self.outbox.push_back(Output::Disconnect(node));
            "disconnected"
        };
        self.log_prevention(what, node);
        self.lose_node(now, node, Loss::Removed);
    }

    pub(super) fn remove_connection(&mut self, now: Duration, node: NodeName) {
        let is_member = self.is_member(node);
        if !is_member && !self.removing.contains_key(&node) {
            return;
        }
        let closes_later = self.closes_when_answered(node);
        if is_member {
            if !closes_later {
                self.outbox.push_back(Output::Disconnect(node));
            }
            self.lose_node(now, node, Loss::Removed);
            self.log_prevention("disconnected", node);
        } else if !closes_later {
            // Both asked at once. OTP would leave the connection.
            self.removing.insert(node, now);
        }
    }

    fn log_prevention(&mut self, what: &str, node: NodeName) {
        let me = self.me();
        let text = format!("'global' at {me} {what} {node} to prevent overlapping partitions");
        self.log(Level::Warning, text);
    }

    /// True if `node` is of our partition, or about to join it.
    fn is_member(&self, node: NodeName) -> bool {
        self.known.contains_key(&node) || self.pending.contains_key(&node)
    }

    /// Tells all members but one that understand it that `about` is lost, each after a round trip; and that
    /// one, where it is not the excepted one, at once.
    fn multicast(&mut self, message: &Term, about: NodeName, except: NodeName) {
        let members: Vec<NodeName> = self
            .known
            .iter()
            .chain(&self.pending)
            .filter(|&(&node, &version)| node != except && version >= PARTITION_VERSION)
            .map(|(&node, _)| node)
            .collect();
        for to in members {
            if to == about {
                self.send_now(to, message.clone());
                continue;
            }
            self.ask_then_send(Unconfirmed {
                to,
                message: Some(message.clone()),
                lost: (about == except).then_some(about),
                closes: false,
            });
        }
    }

    fn ask_then_send(&mut self, report: Unconfirmed) {
        if self.unconfirmed.len() >= LOST_CONNECTIONS_MAX {
            return self.send_report(report);
        }
        let id = self.next_locker_call();
        let question = wire::call(self.config.locker, id, atom!("get_protocol_version").into());
        self.send_now(report.to, question);
        self.unconfirmed.insert(id, report);
    }

    /// Takes the answer to such a question; false if `id` is none.
    pub(super) fn confirm_report(&mut self, id: i64) -> bool {
        let Some(report) = self.unconfirmed.remove(&id) else {
            return false;
        };
        let (from, closes) = (report.to, report.closes);
        self.send_report(report);
        let has_answered_all = self.unconfirmed.values().all(|other| other.to != from);
        if closes && has_answered_all && self.removing.contains_key(&from) {
            self.removing.insert(from, Duration::MAX);
            self.outbox.push_back(Output::Disconnect(from));
        }
        true
    }

    fn send_report(&mut self, report: Unconfirmed) {
        let is_lost = |lost| !self.connected.contains(&lost);
        if let Some(message) = report.message
            && report.lost.is_none_or(is_lost)
        {
            self.send_now(report.to, message);
        }
    }

    /// Reports to `node` what was to wait for an answer of it; true if one is still to come, after which
    /// the connection is closed.
    fn closes_when_answered(&mut self, node: NodeName) -> bool {
        let to_node = self
            .unconfirmed
            .values_mut()
            .filter(|report| report.to == node);
        let early: Vec<Unconfirmed> = to_node
            .map(|report| {
                report.closes = true;
                let early = report.clone();
                report.message = None;
                early
            })
            .collect();
        let is_awaited = !early.is_empty();
        early
            .into_iter()
            .for_each(|report| self.send_report(report));
        is_awaited
    }

    /// Nobody is left to answer.
    pub(super) fn forget_reports_to(&mut self, node: NodeName) {
        self.unconfirmed.retain(|_, report| report.to != node);
    }

    pub(super) fn partition_timeout(&mut self, now: Duration) {
        self.lost_connections.retain(|_, lost| lost.until > now);
        // Asked to close the connection, they did not.
        for (&node, until) in &mut self.removing {
            if *until <= now {
                *until = Duration::MAX;
                self.outbox.push_back(Output::Disconnect(node));
            }
        }
    }

    pub(super) fn partition_deadline(&self) -> Option<Duration> {
        let closing = self
            .removing
            .values()
            .copied()
            .filter(|&at| at < Duration::MAX);
        let forgetting = self.lost_connections.values().map(|lost| lost.until);
        closing.chain(forgetting).min()
    }
}
