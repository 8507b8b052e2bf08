//! Which peers are connected, and which are being dialled.
//!
//! At most one connection or one attempt a name. An attempt has any number of waiters; they are
//! answered together, also when the peer's own dial gets there first. The epoch of the connection to come
//! is known from the attempt's first moment, so that ties can be made over it and signals and messages held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use purlin_runtime::Epoch;
use purlin_term::NodeName;
use tokio::sync::oneshot;

use super::held::{Held, Outgoing, OutgoingMessage, Waiting};
use super::{ConnectError, Connection};
use crate::host::TaskHandle;

/// Nodes that are connected at once. A guess, unmeasured: full meshes end far below.
pub(crate) const PEERS_MAX: usize = 4096;

/// Who waits for a connection, and what they get.
type Waiter = oneshot::Sender<Result<Arc<Connection>, ConnectError>>;

/// How an attempt ends, for one who waits.
pub(crate) type AttemptEnd = oneshot::Receiver<Result<Arc<Connection>, ConnectError>>;

/// An attempt to connect.
struct Attempt {
    number: u64,
    /// That of the connection to come, whoever makes it.
    epoch: Epoch,
    task: Option<Box<dyn TaskHandle>>,
    waiters: Vec<Waiter>,
    held: Held,
}

/// An attempt that came to its end: what was held is to be seen to first, then those who wait are
/// answered.
#[must_use]
pub(crate) struct EndedAttempt {
    pub(crate) epoch: Epoch,
    pub(crate) held: Vec<Waiting>,
    waiters: Vec<Waiter>,
}

impl EndedAttempt {
    pub(crate) fn answer(self, end: &Result<Arc<Connection>, ConnectError>) {
        for waiter in self.waiters {
            let _ = waiter.send(end.clone());
        }
    }
}

impl From<Attempt> for EndedAttempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            epoch: attempt.epoch,
            held: attempt.held.into_queue(),
            waiters: attempt.waiters,
        }
    }
}

#[derive(Default)]
pub(crate) struct Peers {
    up: BTreeMap<NodeName, Arc<Connection>>,
    attempts: BTreeMap<NodeName, Attempt>,
    next_attempt: u64,
    last_epoch: u64,
}

impl Peers {
    pub(crate) fn get(&self, node: NodeName) -> Option<Arc<Connection>> {
        self.up.get(&node).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.up.values().cloned().collect()
    }

    pub(crate) fn names(&self, visible: bool) -> Vec<NodeName> {
        let same = |connection: &&Arc<Connection>| connection.is_visible() == visible;
        self.up
            .values()
            .filter(same)
            .map(|connection| connection.peer())
            .collect()
    }

    /// The epoch of the connection to `node` that there is or that is being made.
    pub(crate) fn epoch(&self, node: NodeName) -> Option<Epoch> {
        match self.up.get(&node) {
            Some(connection) => Some(connection.epoch()),
            None => self.attempts.get(&node).map(|attempt| attempt.epoch),
        }
    }

    /// Notes an attempt to connect and answers its number; `None` if there is a connection or an attempt.
    pub(crate) fn begin_attempt(&mut self, node: NodeName) -> Option<u64> {
        if self.epoch(node).is_some() {
            return None;
        }
        self.next_attempt += 1;
        let attempt = Attempt {
            number: self.next_attempt,
            epoch: self.next_epoch(),
            task: None,
            waiters: Vec::new(),
            held: Held::default(),
        };
        self.attempts.insert(node, attempt);
        Some(self.next_attempt)
    }

    /// A place among those who wait for an attempt; `None` if there is none.
    pub(crate) fn wait_for(&mut self, node: NodeName) -> Option<AttemptEnd> {
        let attempt = self.attempts.get_mut(&node)?;
        let (waiter, end) = oneshot::channel();
        attempt.waiters.retain(|waiter| !waiter.is_closed());
        attempt.waiters.push(waiter);
        Some(end)
    }

    /// The ends of all attempts that messages wait for.
    pub(crate) fn wait_for_messages(&mut self) -> Vec<AttemptEnd> {
        let attempts = self.attempts.iter();
        let with_messages = attempts.filter(|(_, attempt)| attempt.held.has_messages());
        let nodes: Vec<NodeName> = with_messages.map(|(node, _)| *node).collect();
        let ends = nodes.into_iter().filter_map(|node| self.wait_for(node));
        ends.collect()
    }

    /// Keeps a signal for the connection that is being made, if it is meant for that one; given back, it
    /// is to be answered.
    pub(crate) fn hold(&mut self, signal: Outgoing, over: Option<Epoch>) -> Option<Outgoing> {
        let meant = |epoch| over.is_none_or(|over| over == epoch);
        match self.attempts.get_mut(&signal.to.node()) {
            Some(attempt) if meant(attempt.epoch) => attempt.held.hold(signal),
            _ => Some(signal),
        }
    }

    /// Keeps a message for the connection that is being made; given back, there is no room, or none is made.
    pub(crate) fn hold_message(&mut self, message: OutgoingMessage) -> Option<OutgoingMessage> {
        match self.attempts.get_mut(&message.peer) {
            Some(attempt) => attempt.held.hold_message(message),
            None => Some(message),
        }
    }

    fn next_epoch(&mut self) -> Epoch {
        self.last_epoch += 1;
        Epoch(self.last_epoch)
    }

    pub(crate) fn set_task(&mut self, node: NodeName, number: u64, task: Box<dyn TaskHandle>) {
        match self
            .attempts
            .get_mut(&node)
            .filter(|attempt| attempt.number == number)
        {
            Some(attempt) => attempt.task = Some(task),
            // It came to its end before its handle got here.
            None => drop(task),
        }
    }

    /// True while this attempt is under way.
    pub(crate) fn is_attempt(&self, node: NodeName, number: u64) -> bool {
        let attempt = self.attempts.get(&node);
        attempt.is_some_and(|attempt| attempt.number == number)
    }

    /// How this node stands with a peer of that name, known or not.
    pub(crate) fn standing(&self, name: &str) -> purlin_proto::handshake::Standing {
        use purlin_proto::handshake::Standing;
        if self.up.keys().any(|node| node.as_str() == name) {
            Standing::Connected
        } else if self.attempts.keys().any(|node| node.as_str() == name) {
            Standing::Dialling
        } else {
            Standing::Free
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.up.len() >= PEERS_MAX
    }

    /// Makes `connection` the current one, and answers the attempt that this ends. One other than `by` is
    /// given up.
    pub(crate) fn insert(
        &mut self,
        connection: &Arc<Connection>,
        by: Option<u64>,
    ) -> Option<EndedAttempt> {
        let node = connection.peer();
        let mut attempt = self.attempts.remove(&node);
        let epoch = match &attempt {
            Some(attempt) => attempt.epoch,
            None => self.next_epoch(),
        };
        connection.epoch.store(epoch.0, Ordering::Relaxed);
        self.up.insert(node, connection.clone());
        let given_up = attempt.as_mut().filter(|it| by != Some(it.number));
        if let Some(task) = given_up.and_then(|attempt| attempt.task.take()) {
            task.abort();
        }
        attempt.map(EndedAttempt::from)
    }

    /// The attempt of that number failed, if it is still the one.
    pub(crate) fn fail(&mut self, node: NodeName, number: u64) -> Option<EndedAttempt> {
        match self.is_attempt(node, number) {
            true => self.attempts.remove(&node).map(EndedAttempt::from),
            false => None,
        }
    }

    /// Forgets `connection`; false if another one has taken its place.
    pub(crate) fn remove(&mut self, connection: &Connection) -> bool {
        let node = connection.peer();
        let current = self
            .up
            .get(&node)
            .is_some_and(|up| std::ptr::eq(&**up, connection));
        if current {
            self.up.remove(&node);
        }
        current
    }
}
