//! What processes of this node do: start and end, send, watch, and what follows for others.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};

use purlin_proto::signal::{Monitored, Recipient, Signal};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term, atom};

use super::{Node, State};
use crate::connection::{Connection, SendError};
use crate::process::{
    CatchUnwind, Delivery, Destination, Effect, ExitKind, Mailbox, RegisterError, Watched,
};

impl Node {
    /// Starts a process that runs `body` and ends with the reason that it answers.
    ///
    /// ```no_run
    /// # async fn example(node: purlin_node::Node) {
    /// use purlin_node::{Delivery, atom};
    /// let pid = node.spawn(|mut mailbox| async move {
    ///     if let Delivery::Message(message) = mailbox.receive().await {
    ///         println!("{message:?}");
    ///     }
    ///     atom!("normal").into()
    /// });
    /// # }
    /// ```
    pub fn spawn<B, F>(&self, body: B) -> Pid
    where
        B: FnOnce(Mailbox) -> F,
        F: Future<Output = Term> + Send + 'static,
    {
        let (pid, queue) = self.state().processes.insert(None);
        self.start_process(
            pid,
            Mailbox::new(self.clone(), pid, pid, queue, false),
            body,
        );
        pid
    }

    /// As [`Node::spawn`], with a group leader.
    pub(crate) fn spawn_with_leader<B, F>(&self, leader: Pid, body: B) -> Pid
    where
        B: FnOnce(Mailbox) -> F,
        F: Future<Output = Term> + Send + 'static,
    {
        let (pid, queue) = self.state().processes.insert(Some(leader));
        self.start_process(
            pid,
            Mailbox::new(self.clone(), pid, leader, queue, false),
            body,
        );
        pid
    }

    pub(super) fn start_process<B, F>(&self, pid: Pid, mailbox: Mailbox, body: B)
    where
        B: FnOnce(Mailbox) -> F,
        F: Future<Output = Term> + Send + 'static,
    {
        let (node, body) = (self.clone(), body(mailbox));
        let task = self.host().spawn(Box::pin(async move {
            let reason = CatchUnwind(Box::pin(body)).await.unwrap_or_else(|panic| {
                tracing::error!(%pid, reason = %panic, "a process panicked");
                panic
            });
            node.end_process(pid, reason);
        }));
        self.state().processes.set_task(pid, task);
    }

    /// A process for code that is not one: it has a pid and a mailbox, and ends when that is
    /// dropped.
    pub fn attach(&self) -> Mailbox {
        let (pid, queue) = self.state().processes.insert(None);
        Mailbox::new(self.clone(), pid, pid, queue, true)
    }

    pub(crate) fn end_process(&self, pid: Pid, reason: Term) {
        let mut state = self.state();
        state.node_watchers.retain(|watcher| *watcher != pid);
        let effects = state.processes.end(pid, reason);
        self.carry_out(state, effects);
    }

    /// Gives a process of this node a name.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(&self, name: Atom, pid: Pid) -> Result<(), RegisterError> {
        self.state().processes.register(name, pid)
    }

    /// The process that has a name.
    pub fn whereis(&self, name: &Atom) -> Option<Pid> {
        self.state().processes.whereis(name)
    }

    /// All registered names, sorted.
    pub fn registered(&self) -> Vec<Atom> {
        self.state().processes.registered()
    }

    /// All processes of this node.
    pub fn processes(&self) -> Vec<Pid> {
        self.state().processes.pids()
    }

    /// True if `pid` is a live process of this incarnation of this node.
    pub fn is_process_alive(&self, pid: Pid) -> bool {
        self.state().processes.is_alive(pid)
    }

    pub(crate) fn process_info(&self, pid: Pid, key: &Atom) -> Option<Term> {
        self.state().processes.info(pid, key)
    }

    pub(crate) fn set_trap_exit(&self, pid: Pid, trap: bool) {
        self.state().processes.set_trap_exit(pid, trap);
    }

    /// Sends an exit signal to a process of this node, as `exit/2` does.
    pub fn exit(&self, pid: Pid, reason: Term) {
        let mut state = self.state();
        let from = state.processes.nobody();
        let effects = state.processes.exit(from, pid, reason, ExitKind::Explicit);
        self.carry_out(state, effects);
    }

    /// Watches a process for `watcher`, which gets one [`Delivery::Down`]: at once, with
    /// `noconnection`, when the node is not connected.
    pub fn monitor(&self, watcher: Pid, watched: Watched) -> Reference {
        let mut state = self.state();
        let reference = state.fresh_reference(self);
        state.processes.expect(watcher, reference, watched.clone());
        if watched.node() == self.name() {
            let effect = state.processes.monitor(watcher, watched, reference);
            self.carry_out(state, effect.into_iter().collect());
            return reference;
        }
        let to = watched.clone().into();
        let signal = Signal::Monitor {
            from: watcher,
            to,
            reference,
        };
        match state.peers.get(watched.node()) {
            // Where it is ending, its end answers the monitor, after what was read before.
            Some(connection) => drop(connection.push(watcher, &signal)),
            None => {
                let down = Delivery::Down {
                    watched,
                    reference,
                    reason: atom!("noconnection").into(),
                };
                state.processes.deliver(watcher, down);
            }
        }
        reference
    }

    /// Takes a monitor back: it will not fire any more.
    pub fn demonitor(&self, watcher: Pid, reference: Reference) {
        let mut state = self.state();
        state.processes.remove_alias(&reference);
        let Some(watched) = state.processes.forget(watcher, &reference) else {
            return;
        };
        if watched.node() == self.name() {
            state.processes.demonitor(&watched, &reference);
            return;
        }
        if watched.is_spawn_request() {
            // Nothing is watched yet, and the reply will find nobody who expects it.
            return;
        }
        let connection = state.peers.get(watched.node());
        drop(state);
        let to = watched.into();
        if let Some(connection) = connection {
            let _ = connection.push(
                watcher,
                &Signal::Demonitor {
                    from: watcher,
                    to,
                    reference,
                },
            );
        }
    }

    /// Makes a new reference.
    pub fn make_reference(&self) -> Reference {
        self.state().fresh_reference(self)
    }

    /// Makes `reference` an address of `owner`, until that ends or the alias is removed.
    pub(crate) fn add_alias(&self, reference: Reference, owner: Pid) {
        self.state().processes.add_alias(reference, owner);
    }

    /// Notes that `pid` waits for the answer to a spawn request to `node`.
    pub(crate) fn expect_spawn(&self, pid: Pid, reference: Reference, node: NodeName) {
        let expected = Watched::spawn_request(node);
        self.state().processes.expect(pid, reference, expected);
    }

    /// Sends a message for `from`, connecting if need be, waiting while the road is full.
    ///
    /// # Errors
    /// [`SendError`] when it cannot be sent; whether a sent message arrives is unknown.
    pub async fn send_from(
        &self,
        from: Pid,
        to: Destination,
        message: &Term,
    ) -> Result<(), SendError> {
        let message = EncodedTerm::encode(message)?;
        self.send_encoded(from, to, message).await
    }

    pub(crate) async fn send_encoded(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        let node = to.node();
        let to = recipient(to);
        if node == self.name() {
            self.deliver_message(&to, message);
            return Ok(());
        }
        let connection = self.connect(node).await?;
        connection
            .send(from, &message_signal(from, to, message))
            .await
    }

    /// Sends a message at once, to nodes that are connected; to others it is dropped. Never waits:
    /// a peer that does not read loses its connection.
    pub(crate) fn push_message(&self, from: Pid, to: Destination, message: &Term) {
        let Ok(message) = EncodedTerm::encode(message) else {
            return;
        };
        let node = to.node();
        let to = recipient(to);
        if node == self.name() {
            return self.deliver_message(&to, message);
        }
        let connection = self.state().peers.get(node);
        if let Some(connection) = connection {
            let _ = connection.push(from, &message_signal(from, to, message));
        }
    }

    /// `exit/2` by `from`, of a process anywhere; to nodes that are not connected it is dropped.
    pub(crate) fn exit_from(&self, from: Pid, pid: Pid, reason: Term) {
        let mut state = self.state();
        if pid.node == self.name() {
            let effects = state.processes.exit(from, pid, reason, ExitKind::Explicit);
            return self.carry_out(state, effects);
        }
        let connection = state.peers.get(pid.node);
        drop(state);
        if let (Some(connection), Ok(reason)) = (connection, EncodedTerm::encode(&reason)) {
            let to = Recipient::Pid(pid);
            let signal = Signal::Exit2 {
                from,
                to,
                reason,
                priority: false,
                token: None,
            };
            let _ = connection.push(from, &signal);
        }
    }

    pub(super) fn deliver_message(&self, to: &Recipient, message: EncodedTerm) {
        let mut state = self.state();
        let pid = match to {
            Recipient::Pid(pid) => Some(*pid),
            Recipient::Name(name) => state.processes.whereis(name),
            Recipient::Alias(reference) => state.processes.alias(reference),
        };
        if let Some(pid) = pid {
            state.processes.deliver(pid, Delivery::Message(message));
        }
    }

    /// Carries out what follows from a change, the lock released before anything is sent.
    pub(super) fn carry_out(&self, mut state: MutexGuard<'_, State>, effects: Vec<Effect>) {
        let mut remote = Vec::new();
        let mut todo = VecDeque::from(effects);
        while let Some(effect) = todo.pop_front() {
            let to = match &effect {
                Effect::Down { watcher, .. } => *watcher,
                Effect::Exit { to, .. } => *to,
            };
            if to.node != self.name() {
                remote.extend(
                    state
                        .peers
                        .get(to.node)
                        .map(|connection| (connection, effect)),
                );
                continue;
            }
            match effect {
                Effect::Down {
                    watched,
                    watcher,
                    reference,
                    reason,
                    ..
                } => {
                    let down = Delivery::Down {
                        watched,
                        reference,
                        reason: Term::clone(&reason),
                    };
                    state.processes.deliver(watcher, down);
                }
                Effect::Exit { from, to, reason } => {
                    let reason = Term::clone(&reason);
                    todo.extend(state.processes.exit(from, to, reason, ExitKind::Link));
                }
            }
        }
        drop(state);
        let mut reasons = Reasons::default();
        for (connection, effect) in remote {
            send_effect(&connection, effect, &mut reasons);
        }
    }
}

fn message_signal(from: Pid, to: Recipient, message: EncodedTerm) -> Signal {
    Signal::Send {
        from: Some(from),
        to,
        message,
        priority: false,
        token: None,
    }
}

/// The reason that was encoded last: an end has one, however many are told of it.
#[derive(Default)]
struct Reasons(Option<(Arc<Term>, EncodedTerm)>);

impl Reasons {
    fn encode(&mut self, reason: &Arc<Term>) -> Option<EncodedTerm> {
        if let Some((last, encoded)) = &self.0
            && Arc::ptr_eq(last, reason)
        {
            return Some(encoded.clone());
        }
        let opaque = || Term::from(atom!("reason_too_large"));
        let encoded = EncodedTerm::encode(reason).or_else(|_| EncodedTerm::encode(&opaque()));
        let encoded = encoded.ok()?;
        self.0 = Some((reason.clone(), encoded.clone()));
        Some(encoded)
    }
}

/// Sends a link's or monitor's end to a peer. A peer whose queue is over its bound even for these
/// does not read: the connection closes itself then, and there is nobody to tell.
fn send_effect(connection: &Connection, effect: Effect, reasons: &mut Reasons) {
    let (Effect::Down { reason, from, .. } | Effect::Exit { reason, from, .. }) = &effect;
    let (flow, Some(reason)) = (*from, reasons.encode(reason)) else {
        return;
    };
    let signal = match effect {
        Effect::Down {
            watched,
            watcher,
            reference,
            ..
        } => Signal::MonitorExit {
            from: watched.into(),
            to: watcher,
            reference,
            reason,
        },
        Effect::Exit { from, to, .. } => Signal::Exit {
            from,
            to,
            reason,
            token: None,
        },
    };
    let _ = connection.push(flow, &signal);
}

impl From<Watched> for Monitored {
    fn from(watched: Watched) -> Self {
        match watched {
            Watched::Pid(pid) => Self::Pid(pid),
            Watched::Name(name, _) => Self::Name(name),
        }
    }
}

fn recipient(to: Destination) -> Recipient {
    match to {
        Destination::Pid(pid) => Recipient::Pid(pid),
        Destination::Name(name, _) => Recipient::Name(name),
        Destination::Alias(reference) => Recipient::Alias(reference),
    }
}

impl State {
    fn fresh_reference(&mut self, node: &Node) -> Reference {
        let number = self.next_reference;
        self.next_reference += 1;
        // Releases before the 64-bit forms keep 18 bits of the first word.
        let words = [
            (number & 0x3_ffff) as u32,
            (number >> 18) as u32,
            (number >> 50) as u32,
        ];
        Reference::new(node.name(), node.creation(), &words).expect("three words")
    }
}
