//! Which nodes are there: connections, those being made, and who waits for whom to be synced.
//!
//! A node that a peer names in `resolved` or `new_nodes` is connected to, and told `in_sync` once
//! it is; messages to it wait until then. If it cannot be connected it counts as lost, which the
//! others are told (OTP does the same: kernel's `sync_others`).

use std::collections::BTreeSet;
use std::time::Duration;

use purlin_term::{NodeName, Pid, Term, atom};

use super::limits::{
    CONFIRM_WAIT, CONNECT_WAIT, NODES_MAX, QUEUED_MESSAGES_MAX, RESETS_MAX, VERSION, WAITERS_MAX,
};
use super::partition::Loss;
use super::wire::{self, Ignored};
use super::{Global, Level, Output};

/// A node that is being connected on our demand.
#[derive(Debug)]
pub(super) struct Connecting {
    until: Duration,
    queue: Vec<Term>,
}

/// A caller of `sync`.
#[derive(Debug)]
pub(super) struct Syncer {
    caller: Pid,
    tag: Term,
    waiting_for: BTreeSet<NodeName>,
}

impl Global {
    /// Takes that a visible node was connected. `tag` is random and fresh: it tells the session
    /// that begins here from those of earlier connections.
    pub fn handle_node_up(&mut self, now: Duration, node: NodeName, tag: u64) {
        if node == self.me() || self.connected.contains(&node) {
            return;
        }
        if self.connected.len() >= NODES_MAX {
            self.stats.refused += 1;
            return;
        }
        self.random.stir(tag);
        self.connected.insert(node);
        if let Some(waiting) = self.connecting.remove(&node) {
            for message in waiting.queue {
                self.post(node, message);
            }
            self.arm_monitors_of(node);
        }
        if self.config.connect_all {
            self.begin_session(now, node);
        }
    }

    /// Takes that the connection to a visible node was lost, whoever closed it.
    pub fn handle_node_down(&mut self, now: Duration, node: NodeName) {
        self.connection_ended(now, node, Loss::Disconnected);
    }

    /// Takes that a node that had announced that it stops is gone. So it is for everybody, or will be in a
    /// moment: nobody needs to be told, and who were told sooner than they see it would expel it.
    pub fn handle_node_left(&mut self, now: Duration, node: NodeName) {
        self.connection_ended(now, node, Loss::Ignored);
    }

    fn connection_ended(&mut self, now: Duration, node: NodeName, loss: Loss) {
        if self.connected.remove(&node) {
            self.forget_reports_to(node);
            self.forget_node(now, node, loss);
            if self.reconnect.remove(&node) {
                self.outbox.push_back(Output::Connect(node));
            }
        }
    }

    /// Takes that an [`Output::Connect`] came to nothing.
    pub fn handle_connect_failed(&mut self, now: Duration, node: NodeName) {
        if self.connecting.remove(&node).is_none() {
            return;
        }
        let text = format!("'global' at {} failed to connect to {node}", self.me());
        self.log(Level::Warning, text);
        self.forget_node(now, node, Loss::Disconnected);
    }

    /// Leaves every node without a report of lost connections: `global:disconnect/0`. Answers
    /// the nodes.
    pub fn disconnect(&mut self, now: Duration) -> Vec<NodeName> {
        let nodes: Vec<NodeName> = self.connected.iter().copied().collect();
        for &node in &nodes {
            self.outbox.push_back(Output::Disconnect(node));
            self.connected.remove(&node);
            self.forget_reports_to(node);
            self.forget_node(now, node, Loss::Ignored);
        }
        nodes
    }

    /// What goes with a node, in the order in which OTP's server sees it go: the processes, then
    /// the node.
    fn forget_node(&mut self, now: Duration, node: NodeName, loss: Loss) {
        for pid in self.monitored_at(node) {
            self.handle_down(now, pid);
        }
        for syncer in &mut self.syncers {
            syncer.waiting_for.remove(&node);
        }
        self.answer_syncers();
        self.doubts.remove(&node);
        self.locker_node_down(now, node);
        self.resolver_node_down(now, node);
        self.lose_node(now, node, loss);
    }

    pub(super) fn nodes_timeout(&mut self, now: Duration) {
        let late: Vec<NodeName> = self
            .connecting
            .iter()
            .filter(|(_, waiting)| waiting.until <= now)
            .map(|(&node, _)| node)
            .collect();
        for node in late {
            self.handle_connect_failed(now, node);
        }
        let doubted: Vec<NodeName> = self
            .doubts
            .iter()
            .filter(|&(_, &until)| until <= now)
            .map(|(&node, _)| node)
            .collect();
        for node in doubted {
            self.settle_doubt(now, node);
        }
    }

    /// A node that is known and not synced, or the other way round: the node that was to tell one
    /// of us of the other is gone. Or a node whose names we had to refuse. The connection is closed, which nobody reports, and made again.
    fn settle_doubt(&mut self, now: Duration, node: NodeName) {
        self.doubts.remove(&node);
        let is_waiting = self.sessions.contains_key(&node) || !self.connected.contains(&node);
        if self.is_settled(node) || is_waiting {
            return;
        }
        let resets = self.resets.entry(node).or_default();
        if *resets < RESETS_MAX {
            *resets += 1;
            self.known.entry(node).or_insert(VERSION);
            self.expel(now, node);
            self.reconnect.insert(node);
        }
    }

    fn is_settled(&self, node: NodeName) -> bool {
        self.known.contains_key(&node) == self.synced.contains(&node)
            && !self.refused_names.contains(&node)
    }

    /// Names passed on by or with these nodes could not be taken: our table differs from theirs
    /// until the next exchange with each.
    pub(super) fn doubt_names(&mut self, now: Duration, nodes: impl IntoIterator<Item = NodeName>) {
        for node in nodes {
            if self.known.contains_key(&node) {
                self.refused_names.insert(node);
                self.doubt_or_settle(now, node);
            }
        }
    }

    /// Called when a node became known or synced.
    fn doubt_or_settle(&mut self, now: Duration, node: NodeName) {
        if self.is_settled(node) {
            self.doubts.remove(&node);
            self.resets.remove(&node);
        } else if self.doubts.len() < NODES_MAX {
            self.doubts.entry(node).or_insert(now + CONFIRM_WAIT);
        }
    }

    pub(super) fn nodes_deadline(&self) -> Option<Duration> {
        let connecting = self.connecting.values().map(|waiting| waiting.until);
        connecting.chain(self.doubts.values().copied()).min()
    }

    /// Adds nodes to the partition; answers those that are new.
    pub(super) fn add_to_known(
        &mut self,
        now: Duration,
        nodes: &[(NodeName, i64)],
    ) -> Vec<NodeName> {
        let mut added = Vec::new();
        for &(node, version) in nodes {
            if node == self.me() || self.known.contains_key(&node) {
                continue;
            }
            if self.known.len() >= NODES_MAX {
                self.stats.refused += 1;
                continue;
            }
            self.known.insert(node, version);
            self.doubt_or_settle(now, node);
            added.push(node);
        }
        self.locker_known_grew();
        added
    }

    /// Tells nodes that we have their names, after connecting to those that are not connected.
    pub(super) fn sync_others(&mut self, now: Duration, nodes: &[NodeName]) {
        for &node in nodes {
            if node == self.me() {
                continue;
            }
            let is_absent = !self.connected.contains(&node) && !self.connecting.contains_key(&node);
            if is_absent && self.connecting.len() >= NODES_MAX {
                self.stats.refused += 1;
                continue;
            }
            if is_absent {
                let waiting = Connecting {
                    until: now + CONNECT_WAIT,
                    queue: Vec::new(),
                };
                self.connecting.insert(node, waiting);
                self.outbox.push_back(Output::Connect(node));
            }
            self.post(node, wire::in_sync(self.me()));
        }
    }

    /// Sends to a name server, now or when it is connected. False if it is neither connected nor
    /// being connected, or too much waits for it already.
    pub(super) fn post(&mut self, node: NodeName, message: Term) -> bool {
        if self.connected.contains(&node) {
            self.outbox.push_back(Output::Send { node, message });
            return true;
        }
        match self.connecting.get_mut(&node) {
            Some(waiting) if waiting.queue.len() < QUEUED_MESSAGES_MAX => {
                waiting.queue.push(message);
                true
            }
            _ => false,
        }
    }

    /// Sends to a name server if it is connected at this moment.
    pub(super) fn send_now(&mut self, node: NodeName, message: Term) {
        if self.connected.contains(&node) {
            self.outbox.push_back(Output::Send { node, message });
        }
    }

    pub(super) fn monitored_at(&self, node: NodeName) -> Vec<Pid> {
        let pids = self.monitors.keys().filter(|pid| pid.node == node);
        pids.copied().collect()
    }

    fn arm_monitors_of(&mut self, node: NodeName) {
        for (&pid, is_armed) in &mut self.monitors {
            if pid.node == node && !*is_armed {
                *is_armed = true;
                self.outbox.push_back(Output::Monitor(pid));
            }
        }
    }

    // Callers of `sync`.

    pub(super) fn sync(&mut self, caller: Pid, tag: &Term, nodes: &Term) -> Result<(), Ignored> {
        let nodes = self.read_nodes(nodes)?;
        let is_awaited = |node: &NodeName| {
            !self.synced.contains(node)
                && (self.connected.contains(node) || self.connecting.contains_key(node))
        };
        let waiting_for = nodes.iter().map(|&(node, _)| node).filter(is_awaited);
        let syncer = Syncer {
            caller,
            tag: tag.clone(),
            waiting_for: waiting_for.collect(),
        };
        if self.syncers.len() < WAITERS_MAX {
            self.syncers.push(syncer);
            self.answer_syncers();
        } else {
            self.stats.refused += 1;
            let reply = super::error(atom!("system_limit"));
            self.reply(caller, tag.clone(), reply);
        }
        Ok(())
    }

    pub(super) fn mark_synced(&mut self, now: Duration, node: NodeName) {
        self.synced.insert(node);
        self.doubt_or_settle(now, node);
        for syncer in &mut self.syncers {
            syncer.waiting_for.remove(&node);
        }
        self.answer_syncers();
    }

    fn answer_syncers(&mut self) {
        let (done, waiting): (Vec<Syncer>, Vec<Syncer>) = std::mem::take(&mut self.syncers)
            .into_iter()
            .partition(|syncer| syncer.waiting_for.is_empty());
        self.syncers = waiting;
        for syncer in done {
            self.reply(syncer.caller, syncer.tag, atom!("ok").into());
        }
    }
}
