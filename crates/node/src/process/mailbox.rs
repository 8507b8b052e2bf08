//! The queue of a process and what can lie in it.
//!
//! All signals that a process sees come through one queue, in the order in which they arrived.
//! The queue is bounded: past [`MESSAGES_MAX`] messages or [`BYTES_MAX`] bytes a message is refused
//! and counted, so that a flood costs bounded memory; signals other than messages always enter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term};
use tokio::sync::mpsc;

/// Messages that a mailbox holds. A guess, unmeasured.
pub const MESSAGES_MAX: usize = 1 << 20;

/// Bytes of messages that a mailbox holds: room for several of the largest.
pub const BYTES_MAX: usize = 512 << 20;

/// A process that is watched, as the watcher named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// By its pid.
    Pid(Pid),
    /// By its registered name on a node.
    Name(Atom, NodeName),
}

impl Watched {
    /// The node the process is on.
    pub fn node(&self) -> NodeName {
        match self {
            Self::Pid(pid) => pid.node,
            Self::Name(_, node) => *node,
        }
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
        watched: Watched,
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
        /// The peer's word for why, `notsup` or `system_limit` for instance.
        reason: Atom,
    },
}

/// The sending end of a mailbox.
pub(crate) struct MailboxSender {
    queue: mpsc::UnboundedSender<Delivery>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicU64,
}

/// The receiving end.
pub(crate) struct Queue {
    queue: mpsc::UnboundedReceiver<Delivery>,
    load: Arc<Load>,
}

impl MailboxSender {
    pub(crate) fn new() -> (Self, Queue) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        (
            Self {
                queue: sender,
                load: load.clone(),
            },
            Queue {
                queue: receiver,
                load,
            },
        )
    }

    pub(crate) fn send(&self, delivery: Delivery) {
        if let Delivery::Message(message) = &delivery {
            let bytes = message.bytes().len();
            let messages = self.load.messages.load(Ordering::Relaxed);
            let full = self.load.bytes.load(Ordering::Relaxed) > BYTES_MAX - bytes.min(BYTES_MAX);
            if messages >= MESSAGES_MAX || (full && messages > 0) {
                if self.load.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(messages, "a mailbox is full: messages to it are refused");
                }
                return;
            }
            self.load.messages.fetch_add(1, Ordering::Relaxed);
            self.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        // The receiver is gone when the process ends just now: signals to the dead are dropped.
        let _ = self.queue.send(delivery);
    }

    /// Messages in the queue.
    pub(crate) fn len(&self) -> usize {
        self.load.messages.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// The next signal; `None` once the process was ended from outside.
    pub(crate) async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.queue.recv().await;
        delivery.inspect(|delivery| self.note(delivery))
    }

    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<Delivery> {
        let delivery = self.queue.try_recv().ok();
        delivery.inspect(|delivery| self.note(delivery))
    }

    fn note(&self, delivery: &Delivery) {
        if let Delivery::Message(message) = delivery {
            self.load.messages.fetch_sub(1, Ordering::Relaxed);
            self.load
                .bytes
                .fetch_sub(message.bytes().len(), Ordering::Relaxed);
        }
    }
}
