//! Which peers are connected, and which are being dialled.
//!
//! At most one connection and one attempt a name. An attempt has any number of waiters; they are
//! answered together, also when the peer's own dial gets there first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use purlin_term::NodeName;
use tokio::sync::oneshot;

use super::{ConnectError, Connection};
use crate::host::TaskHandle;

/// Nodes that are connected at once. A guess, unmeasured: full meshes end far below.
pub(crate) const PEERS_MAX: usize = 4096;

/// Who waits for a connection, and what they get.
type Waiter = oneshot::Sender<Result<Arc<Connection>, ConnectError>>;

/// Those who wait for a connection that is there now. They are told after the watchers of nodes: who
/// connected finds `NodeUp` told.
#[must_use]
pub(crate) struct Waiting(Vec<Waiter>);

impl Waiting {
    pub(crate) fn answer(self, connection: &Arc<Connection>) {
        for waiter in self.0 {
            let _ = waiter.send(Ok(connection.clone()));
        }
    }
}

/// How an attempt ends, for one who waits.
pub(crate) type AttemptEnd = oneshot::Receiver<Result<Arc<Connection>, ConnectError>>;

/// An attempt to connect.
struct Attempt {
    number: u64,
    task: Option<Box<dyn TaskHandle>>,
    waiters: Vec<Waiter>,
}

/// What is there to a name.
pub(crate) enum Found {
    Connected(Arc<Connection>),
    /// An attempt is under way; this is its end.
    Waiting(AttemptEnd),
    /// Nothing was there: the caller starts an attempt of this number.
    Started(u64, AttemptEnd),
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

    /// The connection to `node`, or a place among those who wait for one.
    pub(crate) fn find_or_start(&mut self, node: NodeName) -> Found {
        if let Some(connection) = self.get(node) {
            return Found::Connected(connection);
        }
        let (waiter, receiver) = oneshot::channel();
        if let Some(attempt) = self.attempts.get_mut(&node) {
            attempt.waiters.retain(|waiter| !waiter.is_closed());
            attempt.waiters.push(waiter);
            return Found::Waiting(receiver);
        }
        self.next_attempt += 1;
        let number = self.next_attempt;
        self.attempts.insert(
            node,
            Attempt {
                number,
                task: None,
                waiters: vec![waiter],
            },
        );
        Found::Started(number, receiver)
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

    /// Makes `connection` the current one; answers who waits for it. An attempt other than `by` is
    /// given up.
    pub(crate) fn insert(&mut self, connection: &Arc<Connection>, by: Option<u64>) -> Waiting {
        let node = connection.peer();
        self.last_epoch += 1;
        connection.epoch.store(self.last_epoch, Ordering::Relaxed);
        self.up.insert(node, connection.clone());
        let Some(attempt) = self.attempts.remove(&node) else {
            return Waiting(Vec::new());
        };
        if by != Some(attempt.number)
            && let Some(task) = attempt.task
        {
            task.abort();
        }
        Waiting(attempt.waiters)
    }

    /// The attempt failed: those who wait are told.
    pub(crate) fn fail(&mut self, node: NodeName, number: u64, error: &ConnectError) {
        if self
            .attempts
            .get(&node)
            .is_none_or(|attempt| attempt.number != number)
        {
            return;
        }
        let attempt = self.attempts.remove(&node).expect("it was just there");
        for waiter in attempt.waiters {
            let _ = waiter.send(Err(error.clone()));
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
