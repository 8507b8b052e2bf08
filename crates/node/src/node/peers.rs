//! Which nodes are connected, and who wants to know.

use std::sync::Arc;

use purlin_term::{NodeName, Pid};

use super::{MonitorNodes, Node, State};
use crate::connection::{Connection, ConnectionInfo, DownReason};
use crate::process::NodeEvent;

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

    /// What there is to tell about each connection, sorted by the node's name.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let connections = self.state().peers.all();
        connections.iter().map(|it| it.info()).collect()
    }

    /// Closes the connection to `peer`, as `erlang:disconnect_node/1` does, and returns when it has
    /// ended: links and monitors of processes there were told `noconnection`, `NodeDown` was told. False
    /// if there was none.
    ///
    /// What was queued and not written is lost. Whoever sends to the node connects it again.
    pub async fn disconnect(&self, peer: impl Into<NodeName>) -> bool {
        let peer = peer.into();
        match self.begin_disconnect(peer, &"this node disconnects it") {
            Some(connection) => {
                connection.ended.wait().await;
                true
            }
            None => false,
        }
    }

    /// Has the connection to `peer` end, soon.
    pub(crate) fn begin_disconnect(
        &self,
        peer: NodeName,
        cause: &dyn std::fmt::Display,
    ) -> Option<Arc<Connection>> {
        let connection = self.state().peers.get(peer)?;
        connection.close_for(DownReason::Disconnect, cause);
        Some(connection)
    }

    /// Tells `watcher` of visible nodes that come and go, as `net_kernel:monitor_nodes(true)` does:
    /// [`NodeEvent`](crate::NodeEvent)s, or `{nodeup, Node}` and `{nodedown, Node}` where its messages are terms.
    ///
    /// Answers the connections that there are: the first event is a change of just these. Of them it is
    /// not told, as in OTP. Each further call has it told once more. A process of another node is never told.
    pub fn monitor_nodes(&self, watcher: Pid) -> Vec<ConnectionInfo> {
        self.monitor_nodes_with(watcher, MonitorNodes::default())
    }

    /// As [`Node::monitor_nodes`], with the options of `net_kernel:monitor_nodes/2`. A process may
    /// have subscriptions with different options; each is told for itself.
    pub fn monitor_nodes_with(&self, watcher: Pid, options: MonitorNodes) -> Vec<ConnectionInfo> {
        let mut state = self.state();
        state
            .watchers
            .sweep(|watcher| self.is_process_alive(watcher));
        // Told under the lock of this state, which a way to another node takes.
        if watcher.node == self.name() {
            state.watchers.monitor_nodes(watcher, options);
        }
        let mut connections = state.peers.all();
        drop(state);
        connections.retain(|connection| options.includes(connection.is_visible()));
        connections.iter().map(|it| it.info()).collect()
    }

    /// Ends all subscriptions of `watcher` that [`Node::monitor_nodes`] made. Events that were told
    /// already stay in its mailbox.
    pub fn demonitor_nodes(&self, watcher: Pid) {
        self.demonitor_nodes_with(watcher, MonitorNodes::default());
    }

    /// Ends all subscriptions of `watcher` that were made with just these options.
    pub fn demonitor_nodes_with(&self, watcher: Pid, options: MonitorNodes) {
        self.state().watchers.demonitor_nodes(watcher, options);
    }

    /// Tells `watcher` once when `peer` goes down, as `erlang:monitor_node(peer, true)` does:
    /// [`NodeEvent::Down`](crate::NodeEvent::Down), or `{nodedown, Node}`. Connects where there is no
    /// connection; if that fails, the node is down. Each call has it told once more. A process of another node is
    /// never told.
    pub fn monitor_node(&self, watcher: Pid, peer: impl Into<NodeName>) {
        let peer = peer.into();
        if peer == self.name() || watcher.node != self.name() {
            return;
        }
        let mut state = self.state();
        state
            .watchers
            .sweep(|watcher| self.is_process_alive(watcher));
        state.watchers.monitor_node(watcher, peer);
        let is_connected = state.peers.get(peer).is_some();
        drop(state);
        if !is_connected {
            let node = self.clone();
            let connect = async move { node.connect_for_monitor(peer).await };
            self.host().spawn(Box::pin(connect));
        }
    }

    /// Takes back one call of [`Node::monitor_node`], if `peer` was not told of yet.
    pub fn demonitor_node(&self, watcher: Pid, peer: impl Into<NodeName>) {
        let peer = peer.into();
        self.state().watchers.demonitor_node(watcher, peer);
    }

    async fn connect_for_monitor(&self, peer: NodeName) {
        if self.connect(peer).await.is_ok() {
            return;
        }
        let mut state = self.state();
        // Otherwise the end of that connection will be told.
        if state.peers.get(peer).is_none() {
            let event = NodeEvent::unreachable(peer);
            state.watchers.tell_of_one(event, |watcher, message| {
                self.runtime().notify(watcher, message);
            });
        }
    }

    /// Tells the watchers of nodes; called with the connection in or out of the table already.
    pub(crate) fn announce(&self, state: &mut State, event: NodeEvent) {
        state.watchers.tell(event, |watcher, message| {
            self.runtime().notify(watcher, message);
        });
    }

    /// The connection ended: its reader has stopped, and nothing of it will be delivered any more.
    pub(crate) fn disconnected(&self, connection: &Connection) {
        let node = connection.peer();
        let mut state = self.state();
        if !state.peers.remove(connection) {
            return;
        }
        if connection.tells_of_its_end() {
            self.announce(&mut state, NodeEvent::down(connection));
        }
        for pid in connection.ties.close() {
            self.runtime()
                .connection_lost(pid, node, connection.ended_epoch());
        }
        drop(state);
        self.sweep_reasons();
    }
}
