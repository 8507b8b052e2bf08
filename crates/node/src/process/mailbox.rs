//! A process of this node as services and programs see it: a mailbox of deliveries.
//!
//! A thin layer over a process of the runtime whose messages are terms, as they were encoded, and
//! what the node itself tells ([`NodeMessage`]). What a process does to its own ties are verbs of
//! [`Process`], which a [`Mailbox`] derefs to: `link`, `monitor`, `trap_exit`, `exit`, ...

use std::ops::Deref;

use purlin_runtime::{Attached, Info, Message, Process, Raw, Reason, Received, Target};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, SerializeError, Term, atom};

use super::Destination;
use crate::connection::SendError;
use crate::node::Node;

/// What the processes of this module take: any term, and the node's own events.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NodeMessage {
    /// A term, not yet decoded.
    Encoded(EncodedTerm),
    /// A node connected.
    NodeUp {
        /// The node.
        node: NodeName,
        /// False for a hidden node.
        visible: bool,
    },
    /// A node's connection is gone.
    NodeDown {
        /// The node.
        node: NodeName,
        /// False for a hidden node.
        visible: bool,
    },
}

/// For a receiver of another type, the node's events are those of `net_kernel:monitor_nodes/1`.
impl Message for NodeMessage {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        let event = |tag: Atom, node: &NodeName| {
            EncodedTerm::serialize(&Term::tuple([tag.into(), (*node).into()]))
        };
        match self {
            Self::Encoded(term) => Ok(term.clone()),
            Self::NodeUp { node, .. } => event(atom!("nodeup"), node),
            Self::NodeDown { node, .. } => event(atom!("nodedown"), node),
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

/// What arrives at a process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Delivery {
    /// A message, in its encoded form.
    Message(EncodedTerm),
    /// A linked process ended, and this one traps exits.
    Exit {
        /// The process that ended.
        from: Pid,
        /// Why.
        reason: Term,
    },
    /// A watched process ended or was not there.
    Down {
        /// The process, as the watcher named it.
        watched: Target,
        /// The reference of the monitor, or of the spawn request.
        reference: Reference,
        /// Why.
        reason: Term,
    },
    /// A process was spawned as asked.
    Spawned {
        /// The reference of the request.
        reference: Reference,
        /// The new process.
        pid: Pid,
    },
    /// A node connected; for those who asked with `monitor_nodes`.
    NodeUp {
        /// The node.
        node: NodeName,
        /// False for a hidden node.
        visible: bool,
    },
    /// A node's connection is gone; for those who asked with `monitor_nodes`.
    NodeDown {
        /// The node.
        node: NodeName,
        /// False for a hidden node.
        visible: bool,
    },
    /// A process was not spawned.
    SpawnFailed {
        /// The reference of the request.
        reference: Reference,
        /// The peer's word for why, `notsup` or `system_limit` for instance; `noconnection` when it
        /// was lost before it answered.
        reason: Atom,
    },
}

impl Delivery {
    /// `None` for what a process that asks for nothing else does not receive.
    fn of(received: Received<NodeMessage>) -> Option<Self> {
        Some(match received {
            Received::Message(NodeMessage::Encoded(term)) => Self::Message(term),
            Received::Message(NodeMessage::NodeUp { node, visible }) => {
                Self::NodeUp { node, visible }
            }
            Received::Message(NodeMessage::NodeDown { node, visible }) => {
                Self::NodeDown { node, visible }
            }
            Received::Info(info) => return Self::of_info(info),
            Received::Foreign(_) => return None,
        })
    }

    fn of_info(info: Info) -> Option<Self> {
        Some(match info {
            Info::Exit { from, reason } => Self::Exit {
                from,
                reason: own(&reason),
            },
            Info::Down {
                reference,
                target,
                reason,
                ..
            } => Self::Down {
                watched: target,
                reference,
                reason: own(&reason),
            },
            Info::Spawned { reference, pid, .. } => Self::Spawned { reference, pid },
            Info::SpawnFailed {
                reference, reason, ..
            } => Self::SpawnFailed { reference, reason },
        })
    }
}

/// The parts of a term are shared, so this is cheap.
fn own(reason: &Reason) -> Term {
    Term::clone(reason)
}

/// A process seen from inside: who it is, and what arrives.
pub struct Mailbox {
    node: Node,
    own: Own,
}

/// Whose the process is.
enum Own {
    /// A body's.
    Body(Process<NodeMessage>),
    /// That of code outside of processes: it ends when this is dropped.
    Attached(Attached<NodeMessage>),
}

impl Mailbox {
    pub(crate) fn of_body(node: Node, process: Process<NodeMessage>) -> Self {
        let own = Own::Body(process);
        Self { node, own }
    }

    pub(crate) fn attached(node: Node, attached: Attached<NodeMessage>) -> Self {
        let own = Own::Attached(attached);
        Self { node, own }
    }

    /// The node this process lives on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The next signal. Cancel-safe: a signal is either returned or still in the mailbox.
    ///
    /// A process that was ended by a signal receives nothing more: this never returns then.
    pub async fn receive(&mut self) -> Delivery {
        loop {
            let received = match &mut self.own {
                Own::Body(process) => process.receive().await,
                Own::Attached(attached) => match attached.receive().await {
                    Ok(received) => received,
                    Err(_) => std::future::pending().await,
                },
            };
            if let Some(delivery) = Delivery::of(received) {
                return delivery;
            }
        }
    }

    /// Sends `message`, connecting if need be, waiting while the road is full.
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent; whether a sent message arrives is unknown.
    pub async fn send(&self, to: impl Into<Destination>, message: &Term) -> Result<(), SendError> {
        let (to, message) = (to.into(), EncodedTerm::encode(message)?);
        if to.node() == self.node.name() {
            return Ok((**self).send(to, Raw(message)).await?);
        }
        self.node.send_outside(self.pid(), to, message).await
    }
}

impl Deref for Mailbox {
    type Target = Process<NodeMessage>;

    fn deref(&self) -> &Process<NodeMessage> {
        match &self.own {
            Own::Body(process) => process,
            Own::Attached(attached) => attached,
        }
    }
}
