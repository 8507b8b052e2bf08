//! Who wants to know of nodes, as `net_kernel:monitor_nodes/1,2` and `erlang:monitor_node/2` have it.
//!
//! Both are counted as in OTP (tried on release 25): each call is one more message for each event.
//! [`demonitor_nodes`](crate::Node::demonitor_nodes) ends all subscriptions with the same options,
//! [`demonitor_node`](crate::Node::demonitor_node) takes one call back. Nobody is told of the past:
//! a subscription begins with the next event.
//!
//! Invariants:
//! - `I1` what is told is told under the lock of the node's state, by whoever changed it: so events
//!   come in the order of the changes, and what [`Node::monitor_nodes`](crate::Node::monitor_nodes)
//!   answers is the state that the first of them changes;
//! - `I2` a monitor of one node tells once and is gone;
//! - `I3` what the dead asked for is dropped before it is more than the living did, or [`FIRST_SWEEP`].

use std::collections::BTreeMap;

use purlin_term::{NodeName, Pid};

use crate::process::{NodeEvent, NodeMessage};

/// Calls after which what the dead asked for is looked for. A guess, unmeasured.
const FIRST_SWEEP: usize = 1024;

/// Which nodes somebody wants to hear of. Hidden are those where either side of the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeType {
    /// Visible nodes.
    Visible,
    /// Hidden nodes.
    Hidden,
    /// Either.
    All,
}

impl NodeType {
    pub(crate) fn includes(self, visible: bool) -> bool {
        match self {
            Self::Visible => visible,
            Self::Hidden => !visible,
            Self::All => true,
        }
    }
}

/// The options of `net_kernel:monitor_nodes/2`.
///
/// They choose the nodes, and what processes are told whose messages are terms: without any,
/// `{nodeup, Node}` and `{nodedown, Node}`, else `{nodeup, Node, Info}` and `{nodedown, Node, Info}`. A
/// [`Mailbox`](crate::Mailbox) is told everything in any case.
///
/// ```
/// use purlin_node::{MonitorNodes, NodeType};
/// let hidden_too = MonitorNodes::default().node_type(NodeType::All).nodedown_reason();
/// assert_ne!(hidden_too, MonitorNodes::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonitorNodes {
    pub(crate) node_type: Option<NodeType>,
    pub(crate) nodedown_reason: bool,
    pub(crate) connection_id: bool,
    pub(crate) is_map: bool,
}

impl MonitorNodes {
    /// Of which nodes to tell, and `node_type` in what is told. Visible ones unless said otherwise.
    #[must_use]
    pub fn node_type(mut self, node_type: NodeType) -> Self {
        self.node_type = Some(node_type);
        self
    }

    /// `nodedown_reason` in what is told of nodes that go down.
    #[must_use]
    pub fn nodedown_reason(mut self) -> Self {
        self.nodedown_reason = true;
        self
    }

    /// `connection_id` in what is told.
    #[must_use]
    pub fn connection_id(mut self) -> Self {
        self.connection_id = true;
        self
    }

    /// `Info` is a map, as for who gives OTP its options as a map, and not a list.
    #[must_use]
    pub fn as_map(mut self) -> Self {
        self.is_map = true;
        self
    }

    pub(crate) fn includes(self, visible: bool) -> bool {
        self.node_type
            .unwrap_or(NodeType::Visible)
            .includes(visible)
    }
}

/// How often each process asked, by what it asked for.
#[derive(Default)]
pub(super) struct Watchers {
    of_all: BTreeMap<Pid, BTreeMap<MonitorNodes, u32>>,
    of_one: BTreeMap<NodeName, BTreeMap<Pid, u32>>,
    /// Calls since the dead were looked for, and who was left then.
    calls: usize,
    left: usize,
}

impl Watchers {
    pub(super) fn monitor_nodes(&mut self, watcher: Pid, options: MonitorNodes) {
        let subscriptions = self.of_all.entry(watcher).or_default();
        let count = subscriptions.entry(options).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn demonitor_nodes(&mut self, watcher: Pid, options: MonitorNodes) {
        if let Some(subscriptions) = self.of_all.get_mut(&watcher) {
            subscriptions.remove(&options);
        }
    }

    pub(super) fn monitor_node(&mut self, watcher: Pid, node: NodeName) {
        let count = self.of_one.entry(node).or_default().entry(watcher);
        let count = count.or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn demonitor_node(&mut self, watcher: Pid, node: NodeName) {
        let Some(watchers) = self.of_one.get_mut(&node) else {
            return;
        };
        if let Some(count) = watchers.get_mut(&watcher) {
            *count -= 1;
        }
        watchers.retain(|_, count| *count > 0);
        if watchers.is_empty() {
            self.of_one.remove(&node);
        }
    }

    /// Counts a call, and drops what the dead asked for when there were as many as are left.
    pub(super) fn sweep(&mut self, is_alive: impl Fn(Pid) -> bool) {
        self.calls += 1;
        if self.calls >= FIRST_SWEEP.max(self.left) {
            self.forget_dead(is_alive);
            self.left = self.len();
            self.calls = 0;
        }
    }

    fn len(&self) -> usize {
        let of_one = self.of_one.values().map(BTreeMap::len).sum::<usize>();
        self.of_all.len() + of_one
    }

    fn forget_dead(&mut self, is_alive: impl Fn(Pid) -> bool) {
        self.of_all
            .retain(|watcher, asked| !asked.is_empty() && is_alive(*watcher));
        self.of_one.retain(|_, watchers| {
            watchers.retain(|watcher, _| is_alive(*watcher));
            !watchers.is_empty()
        });
    }

    /// Tells of an event, each watcher as often as it asked.
    pub(super) fn tell(&mut self, event: NodeEvent, mut notify: impl FnMut(Pid, NodeMessage)) {
        if let NodeEvent::Down { .. } = event {
            self.tell_of_one(event, &mut notify);
        }
        for (watcher, asked) in &self.of_all {
            for (options, count) in asked.iter().filter(|it| it.0.includes(event.is_visible())) {
                let message = NodeMessage::Node(event, *options);
                (0..*count).for_each(|_| notify(*watcher, message.clone()));
            }
        }
    }

    /// Tells those who watch just this node, and nobody else.
    pub(super) fn tell_of_one(
        &mut self,
        event: NodeEvent,
        mut notify: impl FnMut(Pid, NodeMessage),
    ) {
        let message = NodeMessage::Node(event, MonitorNodes::default());
        for (watcher, count) in self.of_one.remove(&event.node()).unwrap_or_default() {
            (0..count).for_each(|_| notify(watcher, message.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use purlin_term::Atom;

    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(Atom::new(name).unwrap()).unwrap()
    }

    fn pid(id: u32) -> Pid {
        Pid {
            node: node("here@watchers"),
            creation: 1,
            id,
            serial: 0,
        }
    }

    fn told(watchers: &mut Watchers, event: NodeEvent) -> Vec<Pid> {
        let mut told = Vec::new();
        watchers.tell(event, |watcher, _| told.push(watcher));
        told
    }

    #[test]
    fn a_monitor_of_one_node_tells_as_often_as_asked_and_is_gone() {
        let (mut watchers, there) = (Watchers::default(), node("there@watchers"));
        for _ in 0..3 {
            watchers.monitor_node(pid(1), there);
        }
        watchers.monitor_node(pid(2), there);
        watchers.monitor_node(pid(3), node("elsewhere@watchers"));
        watchers.demonitor_node(pid(1), there);
        watchers.demonitor_node(pid(2), there);
        let down = NodeEvent::unreachable(there);
        assert_eq!(told(&mut watchers, down), [pid(1), pid(1)]);
        assert_eq!(told(&mut watchers, down), []);
        watchers.demonitor_node(pid(1), there);
        assert_eq!(watchers.len(), 1);
    }

    #[test]
    fn what_the_dead_asked_for_is_dropped_and_the_living_are_told() {
        let (mut watchers, there) = (Watchers::default(), node("there@watchers"));
        let is_alive = |pid: Pid| pid.id.is_multiple_of(100);
        for id in 0..10_000 {
            watchers.sweep(is_alive);
            match id % 200 {
                0 => watchers.monitor_nodes(pid(id), MonitorNodes::default()),
                _ => watchers.monitor_node(pid(id), there),
            }
        }
        assert!(watchers.len() < 100 + FIRST_SWEEP, "{}", watchers.len());
        let told = told(&mut watchers, NodeEvent::unreachable(there));
        assert!((0..100).all(|n| told.contains(&pid(100 * n))));
    }
}
