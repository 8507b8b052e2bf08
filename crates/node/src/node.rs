//! The node: a value that ties processes, connections and exported functions together.
//!
//! A [`Node`] is a handle, cheap to clone; all its state lies behind it, and nothing of it is
//! static, so fifty nodes fit into one test. It is driven from two sides: processes and callers
//! use the public methods, and connections report what peers did through `handle_signal`,
//! `connected` and `disconnected`.
//!
//! One lock guards processes and peers. Nothing is awaited, and no term is encoded, while it is
//! held; signals for peers that follow from a change are collected and sent after it is released.
//! Order is kept all the same: what one process causes is sent by one task at a time.
//!
//! Invariants:
//! - `I1` at most one connection a peer name is current; signals of others are not delivered;
//! - `I2` a peer's `NodeUp` and `NodeDown` alternate;
//! - `I3` when `NodeDown` is told, the reader of that connection has stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_proto::signal::{Monitored, Recipient, Signal};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term, atom};
use tokio::time::Instant;

use crate::config::Config;
use crate::connection::{Connection, Latch, Peers, SendError};
use crate::export::{Call, Exports, FunctionName, Handler, Outcome};
use crate::host::Host;
use crate::limits::LINKS_AND_MONITORS_MAX;
use crate::process::{
    CatchUnwind, Delivery, Destination, Effect, ExitKind, Mailbox, Processes, RegisterError,
    Watched,
};
use crate::remote_call::{self, SpawnOptions, SpawnRequest};

/// A node of a cluster.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) name: NodeName,
    pub(crate) creation: u32,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) started: Instant,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) listening: Mutex<Option<crate::start::Listening>>,
    pub(crate) stopping: Latch,
    state: Mutex<State>,
    exports: Mutex<Exports>,
}

pub(crate) struct State {
    pub(crate) processes: Processes,
    pub(crate) peers: Peers,
    aliases: BTreeMap<Reference, Pid>,
    node_watchers: Vec<Pid>,
    next_reference: u64,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.0.name)
    }
}

impl Node {
    pub(crate) fn new(config: Config, name: NodeName, creation: u32, host: Arc<dyn Host>) -> Self {
        let state = State {
            processes: Processes::new(name, creation),
            peers: Peers::default(),
            aliases: BTreeMap::new(),
            node_watchers: Vec::new(),
            next_reference: 1,
        };
        let node = Self(Arc::new(Inner {
            config,
            name,
            creation,
            host,
            started: Instant::now(),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            listening: Mutex::new(None),
            stopping: Latch::default(),
            state: Mutex::new(state),
            exports: Mutex::new(Exports::default()),
        }));
        crate::services::start(&node);
        node
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.0.host
    }

    /// The name, `alive@host`.
    pub fn name(&self) -> NodeName {
        self.0.name
    }

    /// The part of the name after `@`.
    pub fn host_name(&self) -> &str {
        self.0
            .name
            .as_str()
            .split_once('@')
            .map_or("nohost", |(_, host)| host)
    }

    /// The number of this incarnation of the name.
    pub fn creation(&self) -> u32 {
        self.0.creation
    }

    /// How long a silent peer is borne, about.
    pub fn net_ticktime(&self) -> Duration {
        self.0.config.net_ticktime
    }

    /// Time since the node started.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub(crate) fn wall_clock(&self) -> Duration {
        self.host().wall_clock()
    }

    pub(crate) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.host().random(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    pub(crate) fn bytes_read_and_written(&self) -> (u64, u64) {
        let read = self.0.bytes_read.load(Ordering::Relaxed);
        (read, self.0.bytes_written.load(Ordering::Relaxed))
    }

    /// Resident bytes of the OS process, zero where the system does not say.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = status
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        // Pages of 4 KiB: true on every platform that has /proc and is supported.
        pages.unwrap_or(0) * 4096
    }
}

/// Processes.
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

    fn start_process<B, F>(&self, pid: Pid, mailbox: Mailbox, body: B)
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
        state.aliases.retain(|_, owner| *owner != pid);
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
        let effects = state.processes.exit(pid, pid, reason, ExitKind::Explicit);
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
        let to = match &watched {
            Watched::Pid(pid) => Monitored::Pid(*pid),
            Watched::Name(name, _) => Monitored::Name(name.clone()),
        };
        let signal = Signal::Monitor {
            from: watcher,
            to,
            reference,
        };
        let sent = match state.peers.get(watched.node()) {
            Some(connection) => connection.push(watcher, &signal).is_ok(),
            None => false,
        };
        if !sent {
            let reason = atom!("noconnection").into();
            state.processes.deliver(
                watcher,
                Delivery::Down {
                    watched,
                    reference,
                    reason,
                },
            );
        }
        reference
    }

    /// Takes a monitor back: it will not fire any more.
    pub fn demonitor(&self, watcher: Pid, reference: Reference) {
        let mut state = self.state();
        state.aliases.remove(&reference);
        let Some(watched) = state.processes.forget(watcher, &reference) else {
            return;
        };
        if watched.node() == self.name() {
            state.processes.demonitor(&watched, &reference);
            return;
        }
        let connection = state.peers.get(watched.node());
        drop(state);
        let to = match watched {
            Watched::Pid(pid) => Monitored::Pid(pid),
            Watched::Name(name, _) => Monitored::Name(name),
        };
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
        self.state().aliases.insert(reference, owner);
    }

    /// Notes that `pid` waits for the answer to a spawn request to `node`.
    pub(crate) fn expect_spawn(&self, pid: Pid, reference: Reference, node: NodeName) {
        let unnamed = Watched::Name(atom!(""), node);
        self.state().processes.expect(pid, reference, unnamed);
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

    fn deliver_message(&self, to: &Recipient, message: EncodedTerm) {
        let mut state = self.state();
        let pid = match to {
            Recipient::Pid(pid) => Some(*pid),
            Recipient::Name(name) => state.processes.whereis(name),
            Recipient::Alias(reference) => state.aliases.get(reference).copied(),
        };
        if let Some(pid) = pid {
            state.processes.deliver(pid, Delivery::Message(message));
        }
    }

    /// Carries out what follows from a change, the lock released before anything is sent.
    fn carry_out(&self, mut state: MutexGuard<'_, State>, effects: Vec<Effect>) {
        let mut remote = Vec::new();
        let mut todo = effects;
        while let Some(effect) = todo.pop() {
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
                        reason,
                    };
                    state.processes.deliver(watcher, down);
                }
                Effect::Exit { from, to, reason } => {
                    todo.extend(state.processes.exit(from, to, reason, ExitKind::Link));
                }
            }
        }
        drop(state);
        for (connection, effect) in remote {
            send_effect(&connection, effect);
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

/// Sends a link's or monitor's end to a peer. A peer whose queue is over its bound even for these
/// does not read: the connection closes itself then, and there is nobody to tell.
fn send_effect(connection: &Connection, effect: Effect) {
    let encode = |reason: &Term| {
        let opaque = || Term::from(atom!("reason_too_large"));
        EncodedTerm::encode(reason).or_else(|_| EncodedTerm::encode(&opaque()))
    };
    let (flow, signal) = match effect {
        Effect::Down {
            from,
            watched,
            watcher,
            reference,
            reason,
        } => {
            let Ok(reason) = encode(&reason) else { return };
            let watched = match watched {
                Watched::Pid(pid) => Monitored::Pid(pid),
                Watched::Name(name, _) => Monitored::Name(name),
            };
            (
                from,
                Signal::MonitorExit {
                    from: watched,
                    to: watcher,
                    reference,
                    reason,
                },
            )
        }
        Effect::Exit { from, to, reason } => {
            let Ok(reason) = encode(&reason) else { return };
            (
                from,
                Signal::Exit {
                    from,
                    to,
                    reason,
                    token: None,
                },
            )
        }
    };
    let _ = connection.push(flow, &signal);
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

/// Exported functions.
impl Node {
    /// Lets other nodes call `module:function/arity`; one exported before is replaced.
    ///
    /// ```no_run
    /// # fn example(node: purlin_node::Node) {
    /// use purlin_node::{Raise, Term};
    /// node.export("demo", "add", 2, |_call, args| async move {
    ///     match args[..] {
    ///         [Term::Int(a), Term::Int(b)] => Ok(Term::Int(a + b)),
    ///         _ => Err(Raise::badarg()),
    ///     }
    /// });
    /// # }
    /// ```
    ///
    /// # Panics
    /// When `module` or `function` has more than 255 characters.
    pub fn export<F, R>(&self, module: &str, function: &str, arity: usize, handler: F)
    where
        F: Fn(Call, Vec<Term>) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let atom = |text| Atom::new(text).expect("names of functions are atoms");
        let name = FunctionName {
            module: atom(module),
            function: atom(function),
            arity,
        };
        self.lock_exports().add(name, handler);
    }

    pub(crate) fn exported(&self, name: &FunctionName) -> Option<Handler> {
        self.lock_exports().get(name)
    }

    pub(crate) fn is_exported(&self, name: &FunctionName) -> bool {
        self.lock_exports().get(name).is_some()
    }

    pub(crate) fn is_module(&self, module: &Atom) -> bool {
        self.lock_exports().has_module(module)
    }

    /// The functions that other nodes may call, built-ins aside.
    pub fn exports(&self) -> Vec<FunctionName> {
        self.lock_exports().names().cloned().collect()
    }

    fn lock_exports(&self) -> MutexGuard<'_, Exports> {
        self.0
            .exports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Peers.
impl Node {
    /// Visible nodes that are connected, sorted by name.
    pub fn nodes(&self) -> Vec<NodeName> {
        self.state().peers.names(true)
    }

    /// Hidden nodes that are connected, sorted by name.
    pub fn hidden_nodes(&self) -> Vec<NodeName> {
        self.state().peers.names(false)
    }

    /// Closes the connection to `peer`, if there is one.
    pub fn disconnect(&self, peer: NodeName, reason: &dyn std::fmt::Display) {
        let connection = self.state().peers.get(peer);
        if let Some(connection) = connection {
            connection.close(reason);
        }
    }

    /// Delivers [`Delivery::NodeUp`] and [`Delivery::NodeDown`] to `watcher` from now on, after a
    /// `NodeUp` for each node that is connected already.
    pub fn monitor_nodes(&self, watcher: Pid) {
        let mut state = self.state();
        if state.node_watchers.contains(&watcher) {
            return;
        }
        state.node_watchers.push(watcher);
        for visible in [true, false] {
            for node in state.peers.names(visible) {
                state
                    .processes
                    .deliver(watcher, Delivery::NodeUp { node, visible });
            }
        }
    }

    /// Tells the watchers of nodes; called with the connection in or out of the table already.
    pub(crate) fn announce(state: &mut State, delivery: &Delivery) {
        for watcher in state.node_watchers.clone() {
            state.processes.deliver(watcher, delivery.clone());
        }
    }

    /// The connection ended: its reader has stopped, and nothing of it will be delivered any more.
    pub(crate) fn disconnected(&self, connection: &Connection) {
        let (node, visible) = (connection.peer(), connection.is_visible());
        let mut state = self.state();
        if !state.peers.remove(connection) {
            return;
        }
        let effects = state.processes.node_down(node);
        Self::announce(&mut state, &Delivery::NodeDown { node, visible });
        self.carry_out(state, effects);
    }
}

/// What peers do.
impl Node {
    /// Carries out a signal that arrived on `connection`.
    ///
    /// A signal in the name of another node than the peer ends the connection: links and monitors
    /// are counted by the node that holds them, and nobody may break those of others.
    pub(crate) fn handle_signal(&self, connection: &Arc<Connection>, signal: Signal) {
        if let Some(other) = self.forged(connection.peer(), &signal) {
            return connection.close(&format_args!("it spoke for {other}"));
        }
        match signal {
            Signal::Send { to, message, .. } => self.deliver_message(&to, message),
            Signal::Link { from, to } => {
                let mut state = self.state();
                let effect = state.processes.link(from, to);
                limit_held(connection, &state);
                self.carry_out(state, effect.into_iter().collect());
            }
            Signal::Unlink { id, from, to } => {
                self.state().processes.unlink(from, to);
                let _ = connection.push(
                    to,
                    &Signal::UnlinkAck {
                        id,
                        from: to,
                        to: from,
                    },
                );
            }
            Signal::UnlinkObsolete { from, to } => self.state().processes.unlink(from, to),
            // Only who unlinks is acknowledged, and no process of this node does so yet.
            Signal::UnlinkAck { .. } => {}
            Signal::Exit {
                from, to, reason, ..
            } => {
                self.exit_signal(from, to, &reason, ExitKind::Link);
            }
            Signal::Exit2 {
                from, to, reason, ..
            } => {
                if let Some(pid) = self.recipient(&to) {
                    self.exit_signal(from, pid, &reason, ExitKind::Explicit);
                }
            }
            Signal::GroupLeader { leader, to } => {
                self.state().processes.set_group_leader(to, leader);
            }
            Signal::Monitor {
                from,
                to,
                reference,
            } => {
                let watched = self.watched(to);
                let mut state = self.state();
                let effect = state.processes.monitor(from, watched, reference);
                limit_held(connection, &state);
                self.carry_out(state, effect.into_iter().collect());
            }
            Signal::Demonitor { to, reference, .. } => {
                let watched = self.watched(to);
                self.state().processes.demonitor(&watched, &reference);
            }
            Signal::MonitorExit {
                from,
                to,
                reference,
                reason,
            } => {
                let watched = match from {
                    Monitored::Pid(pid) => Watched::Pid(pid),
                    Monitored::Name(name) => Watched::Name(name, connection.peer()),
                };
                let reason = decode_reason(&reason);
                let mut state = self.state();
                state.aliases.remove(&reference);
                state.processes.deliver(
                    to,
                    Delivery::Down {
                        watched,
                        reference,
                        reason,
                    },
                );
            }
            Signal::SpawnRequest(request) => self.spawn_for(connection, *request),
            Signal::SpawnReply {
                id,
                to,
                monitored,
                result,
                ..
            } => {
                self.spawn_reply(id, to, monitored, result);
            }
        }
    }

    /// The node, other than `peer`, in whose name `signal` speaks.
    fn forged(&self, peer: NodeName, signal: &Signal) -> Option<NodeName> {
        let expected_from = |to, reference| {
            let expected = self.state().processes.expects_from(to, reference);
            [expected.unwrap_or(peer); 2]
        };
        let nodes = match signal {
            Signal::Link { from, .. }
            | Signal::Unlink { from, .. }
            | Signal::UnlinkAck { from, .. }
            | Signal::UnlinkObsolete { from, .. }
            | Signal::Exit { from, .. }
            | Signal::Exit2 { from, .. } => [from.node; 2],
            Signal::Monitor {
                from, reference, ..
            }
            | Signal::Demonitor {
                from, reference, ..
            } => [from.node, reference.node()],
            Signal::SpawnRequest(request) => [request.from.node, request.id.node()],
            Signal::MonitorExit { to, reference, .. } => expected_from(*to, reference),
            Signal::SpawnReply { to, id, .. } => expected_from(*to, id),
            // Who sends is not looked at, and a group leader may be anywhere.
            Signal::Send { .. } | Signal::GroupLeader { .. } => return None,
        };
        nodes.into_iter().find(|node| *node != peer)
    }

    fn recipient(&self, to: &Recipient) -> Option<Pid> {
        let state = self.state();
        match to {
            Recipient::Pid(pid) => Some(*pid),
            Recipient::Name(name) => state.processes.whereis(name),
            Recipient::Alias(reference) => state.aliases.get(reference).copied(),
        }
    }

    fn watched(&self, monitored: Monitored) -> Watched {
        match monitored {
            Monitored::Pid(pid) => Watched::Pid(pid),
            Monitored::Name(name) => Watched::Name(name, self.name()),
        }
    }

    fn exit_signal(&self, from: Pid, to: Pid, reason: &EncodedTerm, kind: ExitKind) {
        let reason = decode_reason(reason);
        let mut state = self.state();
        let effects = state.processes.exit(from, to, reason, kind);
        self.carry_out(state, effects);
    }

    fn spawn_reply(&self, id: Reference, to: Pid, monitored: bool, result: Result<Pid, Atom>) {
        let mut state = self.state();
        match result {
            Ok(pid) => {
                state
                    .processes
                    .deliver(to, Delivery::Spawned { reference: id, pid });
                if !monitored {
                    state.processes.forget(to, &id);
                }
            }
            Err(reason) => {
                state.processes.deliver(
                    to,
                    Delivery::SpawnFailed {
                        reference: id,
                        reason,
                    },
                );
            }
        }
    }

    /// Starts a process for a peer. The reply is queued before the process runs, so that nothing
    /// of the process can overtake it.
    fn spawn_for(&self, connection: &Arc<Connection>, request: purlin_proto::signal::SpawnRequest) {
        let id = request.id;
        let (from, leader) = (request.from, request.group_leader);
        let bytes = request.arguments.bytes().len();
        let reply = |linked, monitored, result| Signal::SpawnReply {
            id,
            to: from,
            linked,
            monitored,
            result,
            token: None,
        };
        let parsed = request
            .options
            .to_term()
            .ok()
            .and_then(|o| SpawnOptions::parse(&o));
        let (Some(options), Some(request)) = (parsed, decode_request(request)) else {
            let _ = connection.push(from, &reply(false, false, Err(atom!("badopt"))));
            return;
        };
        let mut state = self.state();
        let peer = connection.peer();
        let Some((pid, queue)) = state.processes.insert_for(peer, bytes, leader) else {
            drop(state);
            let _ = connection.push(from, &reply(false, false, Err(atom!("system_limit"))));
            return;
        };
        if options.link {
            state.processes.link(from, pid);
        }
        if options.monitor {
            state.processes.monitor(from, Watched::Pid(pid), id);
        }
        limit_held(connection, &state);
        drop(state);
        let _ = connection.push(pid, &reply(options.link, options.monitor, Ok(pid)));
        let node = self.clone();
        let mailbox = Mailbox::new(self.clone(), pid, leader, queue, false);
        self.start_process(pid, mailbox, move |mailbox| async move {
            let _mailbox = mailbox;
            remote_call::run(&node, request).await
        });
    }
}

/// Ends the connection to a peer that holds more than it may.
fn limit_held(connection: &Connection, state: &State) {
    if state.processes.held_from(connection.peer()) > LINKS_AND_MONITORS_MAX {
        connection.close(&format_args!(
            "it holds more than {LINKS_AND_MONITORS_MAX} links and monitors of processes here"
        ));
    }
}

fn decode_request(request: purlin_proto::signal::SpawnRequest) -> Option<SpawnRequest> {
    let args = request.arguments.to_term().ok()?.as_list()?.to_vec();
    let name = FunctionName {
        module: request.module,
        function: request.function,
        arity: args.len(),
    };
    let (from, group_leader) = (request.from, request.group_leader);
    Some(SpawnRequest {
        from,
        group_leader,
        name,
        args,
    })
}

/// A reason that does not decode (a map with a key twice) is replaced, never lost.
fn decode_reason(reason: &EncodedTerm) -> Term {
    reason
        .to_term()
        .unwrap_or_else(|_| atom!("undecodable_reason").into())
}
