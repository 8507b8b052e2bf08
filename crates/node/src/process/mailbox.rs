//! A process of this node as services and programs see it: a mailbox of deliveries.
//!
//! A thin layer over a process of the runtime whose messages are terms, as they were encoded, and
//! what the node itself tells ([`NodeMessage`]). What a process does to its own ties are verbs of
//! [`Process`], which a [`Mailbox`] derefs to: `link`, `monitor`, `trap_exit`, `exit`, ...

use std::ops::Deref;

use purlin_runtime::{Attached, Info, Peek, Process, Reason, Received, Target};
use purlin_term::{Atom, EncodedTerm, Pid, Reference, Term};

use super::{Caller, Destination, NodeEvent, NodeMessage};
use crate::connection::SendError;
use crate::node::Node;

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
    /// A node came or went; for those who asked with `monitor_nodes` or `monitor_node`.
    Node(NodeEvent),
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
            Received::Message(NodeMessage::Node(event, _)) => Self::Node(event),
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

    /// The reply to a spawn request, whatever waits before it.
    pub(crate) async fn receive_spawn_reply(&mut self, request: Reference) -> Delivery {
        let wanted = |peek: Peek<'_, NodeMessage>| peek.is_spawn_reply(&request);
        let received = match &mut self.own {
            Own::Body(process) => process.receive_where(wanted).await,
            Own::Attached(attached) => match attached.receive_where(wanted).await {
                Ok(received) => received,
                Err(_) => std::future::pending().await,
            },
        };
        Delivery::of(received).expect("a spawn reply is received by everyone")
    }

    /// Sends `message`, connecting if need be, waiting while the road is full.
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent; whether a sent message arrives is unknown.
    pub async fn send(&self, to: impl Into<Destination>, message: &Term) -> Result<(), SendError> {
        let (to, message) = (to.into(), EncodedTerm::encode(message)?);
        self.node.send_for(self, to, message).await
    }

    /// Answers a call that was received as [`Envelope::Call`](super::Envelope): `gen_server:reply`. Connects
    /// if need be, and waits while the road is full.
    ///
    /// # Errors
    /// [`SendError`] when the reply cannot be sent; whether a sent reply arrives is unknown.
    pub async fn reply(&self, caller: &Caller, reply: &Term) -> Result<(), SendError> {
        self.node.reply(self, caller, reply).await
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
