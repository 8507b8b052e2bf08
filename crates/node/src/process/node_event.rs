//! What the node itself tells processes: nodes that come and go.

use purlin_runtime::Message;
use purlin_term::{Atom, EncodedTerm, NodeName, SerializeError, Term, atom};

use crate::connection::{Connection, DownReason};
use crate::node::MonitorNodes;

/// What the processes of this module take: any term, and the node's own events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NodeMessage {
    /// A term, not yet decoded.
    Encoded(EncodedTerm),
    /// A node came or went, for who asked with these options.
    Node(NodeEvent, MonitorNodes),
}

/// A node came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A node connected.
    #[non_exhaustive]
    Up {
        /// The node.
        node: NodeName,
        /// False where either side is hidden.
        visible: bool,
        /// The number of the peer's incarnation.
        creation: u32,
        /// Which connection it is: later ones to the same node have higher numbers.
        connection_id: u64,
    },
    /// A node's connection is gone.
    #[non_exhaustive]
    Down {
        /// The node.
        node: NodeName,
        /// False where either side was hidden.
        visible: bool,
        /// Which connection ended; `None` if there was none.
        connection_id: Option<u64>,
        /// Why.
        reason: DownReason,
        /// The peer, a Purlin node, had said that it stops.
        announced: bool,
    },
}

impl NodeEvent {
    pub(crate) fn up(of: &Connection) -> Self {
        Self::Up {
            node: of.peer(),
            visible: of.is_visible(),
            creation: of.creation(),
            connection_id: of.epoch().0,
        }
    }

    pub(crate) fn down(of: &Connection) -> Self {
        Self::Down {
            node: of.peer(),
            visible: of.is_visible(),
            connection_id: Some(of.epoch().0),
            reason: of.down_reason(),
            announced: of.is_leaving(),
        }
    }

    /// There is no connection to `node`, and none can be made.
    pub(crate) fn unreachable(node: NodeName) -> Self {
        Self::Down {
            node,
            visible: true,
            connection_id: None,
            reason: DownReason::ConnectionSetupFailed,
            announced: false,
        }
    }

    /// The node that came or went.
    pub fn node(&self) -> NodeName {
        match self {
            Self::Up { node, .. } | Self::Down { node, .. } => *node,
        }
    }

    /// False where either side is hidden.
    pub fn is_visible(&self) -> bool {
        match self {
            Self::Up { visible, .. } | Self::Down { visible, .. } => *visible,
        }
    }

    fn tag(&self) -> Atom {
        match self {
            Self::Up { .. } => atom!("nodeup"),
            Self::Down { .. } => atom!("nodedown"),
        }
    }

    /// What `net_kernel:monitor_nodes` sends for it.
    fn to_term(self, told: MonitorNodes) -> Term {
        let mut items = vec![self.tag().into(), self.node().into()];
        if told.is_map {
            let info = Term::map(self.info(told));
            items.push(info.expect("its keys differ"));
        } else if told != MonitorNodes::default() {
            let pair = |(key, value)| Term::tuple([key, value]);
            items.push(Term::list(self.info(told).into_iter().map(pair)));
        }
        Term::tuple(items)
    }

    /// `Info`: what was asked for, as far as the event has it.
    fn info(&self, told: MonitorNodes) -> Vec<(Term, Term)> {
        let (id, reason) = match *self {
            Self::Up { connection_id, .. } => (Some(connection_id), None),
            Self::Down {
                connection_id,
                reason,
                ..
            } => (connection_id, Some(reason)),
        };
        let node_type = match self.is_visible() {
            true => atom!("visible"),
            false => atom!("hidden"),
        };
        let reason = reason.filter(|_| told.nodedown_reason);
        let reason = reason.map(|it| (atom!("nodedown_reason"), it.as_atom().into()));
        let id = id.filter(|_| told.connection_id);
        let id = id.map(|it| (atom!("connection_id"), it.into()));
        let node_type = told
            .node_type
            .map(|_| (atom!("node_type"), node_type.into()));
        let all = [reason, id, node_type].into_iter().flatten();
        all.map(|(key, value)| (key.into(), value)).collect()
    }
}

/// For a receiver of another type, the node's events are those of `net_kernel:monitor_nodes/1,2`.
impl Message for NodeMessage {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        match self {
            Self::Encoded(term) => Ok(term.clone()),
            Self::Node(event, told) => EncodedTerm::serialize(&event.to_term(*told)),
        }
    }

    fn decode(term: &EncodedTerm) -> Result<Self, purlin_term::DeserializeError> {
        Ok(Self::Encoded(term.clone()))
    }

    fn from_encoded(
        term: EncodedTerm,
    ) -> Result<Self, (EncodedTerm, purlin_term::DeserializeError)> {
        Ok(Self::Encoded(term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodeType;

    fn shown(event: NodeEvent, told: MonitorNodes) -> String {
        event.to_term(told).to_string()
    }

    /// The texts are what OTP 25 prints, but for the numbers of connections.
    #[test]
    fn what_is_told_has_the_form_that_the_options_give_it() {
        let node = NodeName::new(&atom!("b@127.0.0.1")).unwrap();
        let (visible, connection_id) = (true, 7);
        let up = NodeEvent::Up {
            node,
            visible,
            creation: 5,
            connection_id,
        };
        let down = NodeEvent::Down {
            node,
            visible,
            connection_id: Some(connection_id),
            reason: DownReason::Disconnect,
            announced: false,
        };
        let plain = MonitorNodes::default();
        assert_eq!(shown(up, plain), "{nodeup,'b@127.0.0.1'}");
        assert_eq!(shown(down, plain), "{nodedown,'b@127.0.0.1'}");
        assert_eq!(shown(up, plain.as_map()), "{nodeup,'b@127.0.0.1',#{}}");
        assert_eq!(
            shown(up, plain.nodedown_reason()),
            "{nodeup,'b@127.0.0.1',[]}"
        );
        let all = plain.node_type(NodeType::All).nodedown_reason();
        assert_eq!(
            shown(up, all),
            "{nodeup,'b@127.0.0.1',[{node_type,visible}]}"
        );
        assert_eq!(
            shown(down, all),
            "{nodedown,'b@127.0.0.1',[{nodedown_reason,disconnect},{node_type,visible}]}"
        );
        assert_eq!(
            shown(down, plain.connection_id()),
            "{nodedown,'b@127.0.0.1',[{connection_id,7}]}"
        );
        assert_eq!(
            shown(up, all.connection_id().as_map()),
            "{nodeup,'b@127.0.0.1',#{connection_id => 7,node_type => visible}}"
        );
    }
}
