//! The queue of a process and what can lie in it.
//!
//! All signals that a process sees come through one queue, in the order in which they arrived.
//! The queue is bounded, so that a flood costs bounded memory. Past [`MESSAGES_MAX`] signals or
//! [`BYTES_MAX`] bytes a message is refused and counted. Other signals still enter, but their
//! reasons are replaced by `system_limit`; past twice as many signals exits are refused too. What
//! the process asked for itself (the end of a monitor, the answer to a spawn request) always enters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term, atom};
use tokio::sync::mpsc;

/// Signals that a mailbox holds. A guess, unmeasured.
pub const MESSAGES_MAX: usize = 1 << 20;

/// Bytes of signals that a mailbox holds, their atoms included: room for several of the largest.
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
    /// A process of `node` that is yet to be spawned.
    pub(crate) fn spawn_request(node: NodeName) -> Self {
        Self::Name(purlin_term::atom!(""), node)
    }

    pub(crate) fn is_spawn_request(&self) -> bool {
        matches!(self, Self::Name(name, _) if name.is_empty())
    }

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
    pid: Pid,
    queue: mpsc::UnboundedSender<(Delivery, usize)>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    signals: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicU64,
}

/// The receiving end.
pub(crate) struct Queue {
    queue: mpsc::UnboundedReceiver<(Delivery, usize)>,
    load: Arc<Load>,
}

impl MailboxSender {
    pub(crate) fn new(pid: Pid) -> (Self, Queue) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        (
            Self {
                pid,
                queue: sender,
                load: load.clone(),
            },
            Queue {
                queue: receiver,
                load,
            },
        )
    }

    pub(crate) fn send(&self, mut delivery: Delivery) {
        let mut weight = weight_of(&delivery);
        let signals = self.load.signals.load(Ordering::Relaxed);
        let bytes = self.load.bytes.load(Ordering::Relaxed);
        let is_full = signals >= MESSAGES_MAX || (signals > 0 && bytes + weight > BYTES_MAX);
        if is_full {
            let refused = match &mut delivery {
                Delivery::Message(_) => true,
                Delivery::Exit { .. } if signals >= 2 * MESSAGES_MAX => true,
                Delivery::Exit { reason, .. } | Delivery::Down { reason, .. } => {
                    *reason = atom!("system_limit").into();
                    false
                }
                _ => false,
            };
            if refused {
                return self.refuse(signals);
            }
            weight = weight_of(&delivery);
        }
        self.load.signals.fetch_add(1, Ordering::Relaxed);
        self.load.bytes.fetch_add(weight, Ordering::Relaxed);
        // The receiver is gone when the process ends just now: signals to the dead are dropped.
        let _ = self.queue.send((delivery, weight));
    }

    fn refuse(&self, signals: usize) {
        if self.load.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            let pid = self.pid;
            tracing::warn!(%pid, signals, "a mailbox is full: what is sent to it is refused");
        }
    }

    /// Signals in the queue.
    pub(crate) fn len(&self) -> usize {
        self.load.signals.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// The next signal; `None` once the process was ended from outside.
    pub(crate) async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.queue.recv().await;
        delivery.map(|delivery| self.note(delivery))
    }

    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<Delivery> {
        let delivery = self.queue.try_recv().ok();
        delivery.map(|delivery| self.note(delivery))
    }

    fn note(&self, (delivery, weight): (Delivery, usize)) -> Delivery {
        self.load.signals.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(weight, Ordering::Relaxed);
        delivery
    }
}

/// Bytes that a delivery costs besides a constant.
fn weight_of(delivery: &Delivery) -> usize {
    match delivery {
        // Atoms are counted as if nobody else held them: a peer can see to that.
        Delivery::Message(message) => {
            message.bytes().len() + message.atoms().iter().map(weight_of_atom).sum::<usize>()
        }
        Delivery::Exit { reason, .. } | Delivery::Down { reason, .. } => weight_of_term(reason),
        _ => 0,
    }
}

fn weight_of_atom(atom: &Atom) -> usize {
    size_of::<Atom>() + atom.as_bytes().len()
}

/// Bytes of a decoded term, about.
fn weight_of_term(term: &Term) -> usize {
    let all = |terms: &[Term]| terms.iter().map(weight_of_term).sum::<usize>();
    let inside = match term {
        Term::Atom(atom) => atom.as_bytes().len(),
        Term::BigInt(number) => number.magnitude().len(),
        Term::Tuple(items) => all(items),
        Term::List(list) => match list.as_bytes() {
            Some(bytes) => bytes.len(),
            None => list.iter().map(weight_of_term).sum(),
        },
        Term::ImproperList(list) => all(list.items()) + weight_of_term(list.tail()),
        Term::Map(map) => {
            let pair = |(key, value): &(Term, Term)| weight_of_term(key) + weight_of_term(value);
            map.pairs().iter().map(pair).sum()
        }
        Term::Binary(binary) => binary.len(),
        Term::BitString(bits) => bits.bytes().len(),
        Term::Fun(fun) => 128 + all(&fun.free),
        Term::Reference(_) | Term::Export(_) => 64,
        _ => 0,
    };
    size_of::<Term>() + inside
}
