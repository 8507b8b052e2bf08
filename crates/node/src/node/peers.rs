//! Which nodes are connected, and who wants to know.

use purlin_term::{NodeName, Pid};

use super::{Node, State};
use crate::connection::Connection;
use crate::process::Delivery;

impl Node {
    /// Visible nodes that are connected, sorted by name.
    pub fn nodes(&self) -> Vec<NodeName> {
        self.state().peers.names(true)
    }

    /// Hidden nodes that are connected, sorted by name.
    pub fn hidden_nodes(&self) -> Vec<NodeName> {
        self.state().peers.names(false)
    }

    /// Closes the connection to `peer`, if there is one.
    pub fn disconnect(&self, peer: NodeName, reason: &dyn std::fmt::Display) {
        let connection = self.state().peers.get(peer);
        if let Some(connection) = connection {
            connection.close(reason);
        }
    }

    /// Delivers [`Delivery::NodeUp`] and [`Delivery::NodeDown`] to `watcher` from now on, after a
    /// `NodeUp` for each node that is connected already.
    pub fn monitor_nodes(&self, watcher: Pid) {
        let mut state = self.state();
        if state.node_watchers.contains(&watcher) {
            return;
        }
        state.node_watchers.push(watcher);
        for visible in [true, false] {
            for node in state.peers.names(visible) {
                state
                    .processes
                    .deliver(watcher, Delivery::NodeUp { node, visible });
            }
        }
    }

    /// Tells the watchers of nodes; called with the connection in or out of the table already.
    pub(crate) fn announce(state: &mut State, delivery: &Delivery) {
        for watcher in state.node_watchers.clone() {
            state.processes.deliver(watcher, delivery.clone());
        }
    }

    /// The connection ended: its reader has stopped, and nothing of it will be delivered any more.
    pub(crate) fn disconnected(&self, connection: &Connection) {
        let (node, visible) = (connection.peer(), connection.is_visible());
        let mut state = self.state();
        if !state.peers.remove(connection) {
            return;
        }
        let effects = state.processes.node_down(node);
        Self::announce(&mut state, &Delivery::NodeDown { node, visible });
        self.carry_out(state, effects);
    }
}
