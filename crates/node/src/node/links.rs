//! Links that processes of this node make.

use std::sync::Arc;

use purlin_proto::signal::Signal;
use purlin_term::{Pid, atom};

use super::Node;
use crate::process::Effect;

impl Node {
    /// Links `from`, a process of this node, to `to`, anywhere: when one ends, the other gets an
    /// exit signal. One comes at once, with `noproc` or `noconnection`, when `to` has ended or its
    /// node is not connected. A second link between the same two changes nothing.
    pub fn link(&self, from: Pid, to: Pid) {
        let mut state = self.state();
        if from == to || !state.processes.is_alive(from) {
            return;
        }
        // This end of the link: broken by the end of `to`, or of its connection.
        state.processes.link(to, from);
        let broken = |reason| Effect::Exit {
            from: to,
            to: from,
            reason: Arc::new(reason),
        };
        let effect = if to.node == self.name() {
            state.processes.link(from, to)
        } else if let Some(connection) = state.peers.get(to.node) {
            // Where it is ending, its end breaks the link.
            drop(connection.push(from, &Signal::Link { from, to }));
            None
        } else {
            Some(broken(atom!("noconnection").into()))
        };
        self.carry_out(state, effect.into_iter().collect());
    }
}
