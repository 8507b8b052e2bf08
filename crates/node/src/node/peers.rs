//! Which nodes are connected, and who wants to know.

use purlin_term::{NodeName, Pid};

use super::{Node, State};
use crate::connection::Connection;
use crate::process::NodeMessage;

impl Node {
    /// Visible nodes that are connected, sorted by name.
    pub fn nodes(&self) -> Vec<NodeName> {
        self.state().peers.names(true)
    }

    /// Hidden nodes that are connected, sorted by name.
    pub fn hidden_nodes(&self) -> Vec<NodeName> {
        self.state().peers.names(false)
    }

    /// Whether `node` is connected, or this node itself.
    pub(crate) fn is_connected(&self, node: NodeName) -> bool {
        node == self.name() || self.state().peers.get(node).is_some()
    }

    /// Closes the connection to `peer`, if there is one.
    pub fn disconnect(&self, peer: NodeName, reason: &dyn std::fmt::Display) {
        let connection = self.state().peers.get(peer);
        if let Some(connection) = connection {
            connection.close(reason);
        }
    }

    /// Delivers [`NodeMessage::NodeUp`] and [`NodeMessage::NodeDown`] to `watcher` from now on, after a
    /// `NodeUp` for each node that is connected already.
    pub fn monitor_nodes(&self, watcher: Pid) {
        let mut state = self.state();
        self.forget_dead_watchers(&mut state);
        if state.node_watchers.contains(&watcher) {
            return;
        }
        state.node_watchers.push(watcher);
        for visible in [true, false] {
            for node in state.peers.names(visible) {
                let up = NodeMessage::NodeUp { node, visible };
                self.runtime().notify(watcher, up);
            }
        }
    }

    fn forget_dead_watchers(&self, state: &mut State) {
        let is_alive = |watcher: &Pid| self.is_process_alive(*watcher);
        state.node_watchers.retain(is_alive);
    }

    /// Tells the watchers of nodes; called with the connection in or out of the table already.
    pub(crate) fn announce(&self, state: &mut State, event: &NodeMessage) {
        self.forget_dead_watchers(state);
        for watcher in &state.node_watchers {
            self.runtime().notify(*watcher, event.clone());
        }
    }

    /// The connection ended: its reader has stopped, and nothing of it will be delivered any more.
    pub(crate) fn disconnected(&self, connection: &Connection) {
        let (node, visible) = (connection.peer(), connection.is_visible());
        let mut state = self.state();
        if !state.peers.remove(connection) {
            return;
        }
        self.announce(&mut state, &NodeMessage::NodeDown { node, visible });
        for pid in connection.ties.close() {
            self.runtime()
                .connection_lost(pid, node, connection.epoch());
        }
        drop(state);
        self.sweep_reasons();
    }
}
