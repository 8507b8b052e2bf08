//! `global`: one name, one lock, one mesh for a whole cluster, as Erlang nodes know it.
//!
//! [`Global`] plays `global_name_server` and its locker process for one node, for protocol version
//! 8 (OTP 25 to 28, `kernel/src/global.erl`). It keeps the name and lock tables that those nodes
//! expect of every visible node, joins partitions with them when a connection comes up, tells its
//! node whom to connect to so that the mesh becomes full, and plays its part in preventing
//! overlapping partitions.
//!
//! A pure machine: the owner feeds it what arrives at the registered name `global_name_server`
//! ([`Global::handle_message`]), what arrives at the pid of [`Config::locker`]
//! ([`Global::handle_locker_message`]), connections of *visible* nodes going up and down, deaths
//! of monitored processes and the time; then it carries out [`Global::poll_output`] until that is
//! empty, in order, and calls [`Global::handle_timeout`] at [`Global::next_timeout`].
//!
//! What the owner promises: `handle_node_up` before anything else of a connection, and
//! `handle_node_down` after everything; deaths that a lost connection causes before that, or not
//! at all (names and locks of a lost node go with it); the order of messages to one node kept.
//!
//! Deviations from OTP: the waits that OTP makes for ever end (see [`limits`]); a lost locker
//! session is begun again; the locker of a lower-named node begins sooner; a node
//! that stays known but not synced, or synced but not known, or whose names had to be refused, is
//! connected anew (OTP leaves it so: the node that was to tell of it died); unknown calls are answered.
//!
//! What it does not promise: a name registered while a partition heals is unique only once the
//! exchange is over, and a name may be gone on some nodes before it is on others.
//!
//! - `I1` a node is in `known` only if it is connected or being connected;
//! - `I2` every process in the lock and name tables is monitored, exactly once;
//! - `I3` a node that is connected has a session or is known, where the mesh is on;
//! - `I4` nothing is sent to a node that is neither connected nor being connected.
//!
//! Read next: `session`, the join; `locker`, the locks under it; `resolver`, clashing names;
//! `partition`, what a lost connection means.

pub mod limits;

mod locker;
mod locks;
mod names;
mod nodes;
mod partition;
mod random;
mod resolver;
mod session;
mod tables;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use purlin_term::{Atom, NameBudget, NodeName, Pid, Term, atom};

use locker::Locker;
use locks::Locks;
use names::{External, Named, Names, Op};
use nodes::{Connecting, Syncer};
use partition::{LostConnection, Unconfirmed};
use random::Random;
use resolver::Resolution;
use session::{InitConnect, Session};
use wire::Ignored;

/// The name server and locker of one node. See the [module](self).
///
/// Times are measured from any origin that stays the same.
#[derive(Debug)]
pub struct Global {
    config: Config,
    random: Random,
    connected: BTreeSet<NodeName>,
    connecting: BTreeMap<NodeName, Connecting>,
    known: BTreeMap<NodeName, i64>,
    pending: BTreeMap<NodeName, i64>,
    removing: BTreeMap<NodeName, Duration>,
    synced: BTreeSet<NodeName>,
    doubts: BTreeMap<NodeName, Duration>,
    resets: BTreeMap<NodeName, u32>,
    refused_names: BTreeSet<NodeName>,
    reconnect: BTreeSet<NodeName>,
    sessions: BTreeMap<NodeName, Session>,
    pre_connect: BTreeMap<NodeName, InitConnect>,
    syncers: Vec<Syncer>,
    delayed_whereis: VecDeque<(Pid, Term, Term)>,
    locks: Locks,
    names: Names,
    monitors: BTreeMap<Pid, bool>,
    locker: Locker,
    resolution: Option<Resolution>,
    lost_connections: BTreeMap<(NodeName, NodeName), LostConnection>,
    unconfirmed: BTreeMap<i64, Unconfirmed>,
    next_operation: i64,
    next_resolution: u64,
    outbox: VecDeque<Output>,
    name_budget: NameBudget,
    stats: Stats,
}

/// What a [`Global`] is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The pid that plays the locker: a process that lives as long as the node, since peers
    /// monitor it, and whose messages go to [`Global::handle_locker_message`]. Its node and
    /// creation are this node's.
    pub locker: Pid,
    /// A random number: it tells this incarnation from others in `lost_connection` messages.
    pub random: u64,
    /// Whether the mesh is full: kernel's `connect_all`.
    pub connect_all: bool,
    /// Kernel's `prevent_overlapping_partitions`.
    pub prevent_overlapping_partitions: bool,
}

/// What the owner is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send `message` as it is to `global_name_server` at `node`, without connecting for it.
    Send {
        /// Where to.
        node: NodeName,
        /// The whole message, casts and calls wrapped.
        message: Term,
    },
    /// Send `message` to a process.
    SendPid {
        /// Where to.
        to: Pid,
        /// The whole message.
        message: Term,
    },
    /// Answer a `$gen_call` from `{to, tag}` by the road that the tag asks for.
    Reply {
        /// The caller.
        to: Pid,
        /// Its tag.
        tag: Term,
        /// The answer.
        reply: Term,
    },
    /// Connect to a node; then [`Global::handle_node_up`] or [`Global::handle_connect_failed`].
    Connect(NodeName),
    /// Close the connection to a node; [`Global::handle_node_down`] follows.
    Disconnect(NodeName),
    /// Monitor a process of any node, this one included; [`Global::handle_down`] when it dies or
    /// does not exist, or when its node is not connected and will not be. Never twice for one pid
    /// without an [`Output::Demonitor`] or a death between.
    Monitor(Pid),
    /// Stop monitoring, and pass no late death on.
    Demonitor(Pid),
    /// `exit(Pid, kill)`: the process lost its name to another in a clash.
    Kill(Pid),
    /// `erpc:call(Node, global, resolve_it, Arguments)`; then [`Global::handle_resolution`].
    Resolve {
        /// Which clash: goes into the answer.
        token: u64,
        /// The node of the second process.
        node: NodeName,
        /// `[Method, Name, Pid1, Pid2]`.
        arguments: [Term; 4],
    },
    /// A line for the log.
    Log(Level, String),
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something was cut or given up.
    Warning,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that are none of this protocol.
    pub unknown: u64,
    /// Messages with a part of the wrong type.
    pub malformed: u64,
    /// Messages that named a node other than the sender's.
    pub forged: u64,
    /// Entries refused because a table was full.
    pub refused: u64,
    /// Sessions that were begun again.
    pub restarts: u64,
}

impl Global {
    /// A name server that knows nobody.
    pub fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.random),
            locker: Locker::default(),
            resolution: None,
            connected: BTreeSet::new(),
            connecting: BTreeMap::new(),
            known: BTreeMap::new(),
            pending: BTreeMap::new(),
            removing: BTreeMap::new(),
            synced: BTreeSet::new(),
            doubts: BTreeMap::new(),
            resets: BTreeMap::new(),
            refused_names: BTreeSet::new(),
            reconnect: BTreeSet::new(),
            sessions: BTreeMap::new(),
            pre_connect: BTreeMap::new(),
            syncers: Vec::new(),
            delayed_whereis: VecDeque::new(),
            locks: Locks::default(),
            names: Names::default(),
            monitors: BTreeMap::new(),
            lost_connections: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            next_operation: 1,
            next_resolution: 1,
            outbox: VecDeque::new(),
            name_budget: NameBudget::new(limits::NEW_NODE_NAMES_MAX),
            stats: Stats::default(),
            config,
        }
    }

    // Inputs.

    /// Takes what arrived at the registered name `global_name_server`; `from` is the sender where
    /// the transport says it.
    pub fn handle_message(&mut self, now: Duration, from: Option<Pid>, message: &Term) {
        let sender = from.map(|pid| pid.node);
        let result = match wire::parts(message) {
            Ok(("$gen_call", [from, request])) => self.handle_call(now, from, request),
            Ok(("$gen_cast", [message])) => self.handle_cast(now, sender, message),
            Ok((tag, parts)) => self.handle_raw(now, sender, tag, parts),
            Err(ignored) => Err(ignored),
        };
        self.count(result);
    }

    /// Takes what arrived at the locker's pid: answers to its calls, and refusals that other
    /// lockers send straight to it.
    pub fn handle_locker_message(&mut self, now: Duration, message: &Term) {
        let result = match message.as_tuple() {
            Some([Term::Int(id), reply]) => {
                self.locker_reply(now, *id, reply);
                Ok(())
            }
            _ => match wire::parts(message) {
                Ok(("lock_set", parts)) => self.lock_set(now, None, parts),
                _ => Err(Ignored::Unknown),
            },
        };
        self.count(result);
    }

    /// Takes the death of a monitored process: its names and locks go.
    pub fn handle_down(&mut self, now: Duration, pid: Pid) {
        self.monitors.remove(&pid);
        self.names.process_died(pid);
        if self.locks.holder_died(pid) > 0 {
            self.locks_changed(now);
        }
    }

    /// Takes that the time is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.nodes_timeout(now);
        self.resolver_timeout(now);
        self.partition_timeout(now);
        self.locker_timeout(now);
    }

    // What the owner wants.

    /// The process of a name. A local process that died a moment ago may still be answered.
    pub fn whereis(&self, name: &Term) -> Option<Pid> {
        Some(self.names.get(name)?.pid)
    }

    /// All registered names, sorted.
    pub fn registered_names(&self) -> impl Iterator<Item = &Term> {
        self.names.iter().map(|(name, _)| name)
    }

    /// Runs a clash of names for another node: what `global:resolve_it/4` does on this one.
    /// Answers the pid that keeps the name, or `none`; what else is to be done is in the outbox.
    ///
    /// `method` can name `global`'s own three functions; any other counts as the first of them,
    /// `random_exit_name`, since there is no Erlang code here to run.
    pub fn resolve_it(&mut self, method: &Term, name: &Term, first: Pid, second: Pid) -> Term {
        self.resolve_here(method, name, first, second)
    }

    /// Calls an orderly shutdown: connections lost from now on are reported to nobody.
    pub fn prepare_shutdown(&mut self) {
        self.config.connect_all = false;
        self.config.prevent_overlapping_partitions = false;
    }

    // Outputs.

    /// The next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call [`Global::handle_timeout`], if ever.
    pub fn next_timeout(&self) -> Option<Duration> {
        [
            self.nodes_deadline(),
            self.resolver_deadline(),
            self.partition_deadline(),
            self.locker_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    // What it knows.

    /// The nodes of this partition, without this one: kernel's `get_known`.
    pub fn known(&self) -> impl Iterator<Item = NodeName> {
        self.known.keys().copied()
    }

    /// The nodes that have the same names as this one.
    pub fn synced(&self) -> impl Iterator<Item = NodeName> {
        self.synced.iter().copied()
    }

    /// How many resources are locked here.
    pub fn lock_count(&self) -> usize {
        self.locks.len()
    }

    /// True if no join is under way and nobody waits for one.
    pub fn is_at_rest(&self) -> bool {
        self.sessions.is_empty()
            && self.connecting.is_empty()
            && self.syncers.is_empty()
            && self.locker_is_idle()
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    // Private from here.

    fn me(&self) -> NodeName {
        self.config.locker.node
    }

    fn handle_cast(
        &mut self,
        now: Duration,
        sender: Option<NodeName>,
        message: &Term,
    ) -> Result<(), Ignored> {
        match wire::parts(message)? {
            ("init_connect", [version, node, init]) => {
                let node = self.sender_of(sender, node)?;
                let init = InitConnect::from_terms(node, version, init)?;
                self.init_connect(now, node, init);
            }
            ("exchange", [node, names, _externals, tag]) => {
                let node = self.sender_of(sender, node)?;
                let names = self.read_list(names, Named::from_term)?;
                self.exchange(now, node, names, tag);
            }
            ("resolved", [node, ops, known, _unused, externals, tag]) => {
                let node = self.sender_of(sender, node)?;
                let his = session::Resolved {
                    ops: self.read_list(ops, Op::from_term)?,
                    known: self.read_nodes(known)?,
                    externals: self.read_externals(externals)?,
                };
                self.handle_resolved(now, node, his, tag);
            }
            ("new_nodes", [node, ops, externals, nodes, extra]) => {
                let node = self.sender_of(sender, node)?;
                let ops = self.read_list(ops, Op::from_term)?;
                let externals = self.read_externals(externals)?;
                let nodes = self.read_nodes(nodes)?;
                self.new_nodes(now, node, &ops, &externals, &nodes, session::lock_of(extra));
            }
            ("in_sync", [node, _]) => {
                let node = self.sender_of(sender, node)?;
                self.in_sync(now, node);
            }
            ("lock_set", parts) => self.lock_set(now, sender, parts)?,
            // Of nodes before R14; OTP ignores them too.
            ("async_del_name" | "async_del_lock", [_, _]) => {}
            _ => return Err(Ignored::Unknown),
        }
        Ok(())
    }

    fn handle_raw(
        &mut self,
        now: Duration,
        sender: Option<NodeName>,
        tag: &str,
        parts: &[Term],
    ) -> Result<(), Ignored> {
        match (tag, parts) {
            ("init_connect_ack", [node, my_tag, his_tag]) => {
                let node = self.sender_of(sender, node)?;
                self.init_connect_ack(now, node, my_tag, his_tag);
            }
            ("cancel_connect", [node, my_tag]) => {
                let node = self.sender_of(sender, node)?;
                self.cancel_connect(now, node, my_tag);
            }
            ("whereis", [name, from]) => {
                let (caller, tag) = wire::pair(from)?;
                self.whereis_request(wire::pid(caller)?, tag, name);
            }
            // Passed on by others, so the sender need not be the first of the nodes.
            ("lost_connection", [reporter, incarnation, operation, lost]) => {
                let (reporter, lost) = (self.node_of(reporter)?, self.node_of(lost)?);
                self.lost_connection(now, reporter, incarnation, operation, lost);
            }
            ("remove_connection", [node]) => {
                let node = self.sender_of(sender, node)?;
                self.remove_connection(now, node);
            }
            _ => return Err(Ignored::Unknown),
        }
        Ok(())
    }

    fn count(&mut self, result: Result<(), Ignored>) {
        match result {
            Ok(()) => {}
            Err(Ignored::Unknown) => self.stats.unknown += 1,
            Err(Ignored::Malformed) => self.stats.malformed += 1,
            Err(Ignored::Forged) => self.stats.forged += 1,
        }
    }

    // Reading of parts that need the budget of node names.

    fn node_of(&mut self, term: &Term) -> Result<NodeName, Ignored> {
        let atom = term.as_atom().ok_or(Ignored::Malformed)?;
        NodeName::intern(atom, &mut self.name_budget).map_err(|_| {
            self.stats.refused += 1;
            Ignored::Malformed
        })
    }

    /// The node that a message says it is from, if it is.
    fn sender_of(&mut self, sender: Option<NodeName>, node: &Term) -> Result<NodeName, Ignored> {
        let node = self.node_of(node)?;
        match sender {
            Some(sender) if sender != node => Err(Ignored::Forged),
            _ => Ok(node),
        }
    }

    /// The elements of a list; those that `read` refuses are counted and left out, since an
    /// exchange that stops halfway would leave the cluster locked.
    fn read_list<T>(
        &mut self,
        term: &Term,
        read: impl Fn(&Term) -> Option<T>,
    ) -> Result<Vec<T>, Ignored> {
        let items = wire::list(term)?;
        let read: Vec<T> = items.iter().filter_map(read).collect();
        self.stats.malformed += (items.len() - read.len()) as u64;
        Ok(read)
    }

    /// `[Node]` or `[{Node, Version}]`, mixed; a node without a version has version 0.
    fn read_nodes(&mut self, term: &Term) -> Result<Vec<(NodeName, i64)>, Ignored> {
        let items = wire::list(term)?;
        let mut nodes = Vec::new();
        for item in items.iter().take(limits::NODES_MAX) {
            let (node, version) = match item.as_tuple() {
                Some([node, Term::Int(version)]) => (node, *version),
                _ => (item, 0),
            };
            match self.node_of(node) {
                Ok(node) => nodes.push((node, version)),
                Err(_) => self.stats.malformed += 1,
            }
        }
        Ok(nodes)
    }

    fn read_externals(&mut self, term: &Term) -> Result<Vec<External>, Ignored> {
        let mut externals = Vec::new();
        for item in wire::list(term)? {
            let Some([name, Term::Pid(pid), node]) = item.as_tuple() else {
                self.stats.malformed += 1;
                continue;
            };
            let node = self.node_of(node)?;
            externals.push(External {
                name: name.clone(),
                pid: *pid,
                node,
            });
        }
        Ok(externals)
    }

    // Sending.

    fn reply(&mut self, to: Pid, tag: Term, reply: Term) {
        self.outbox.push_back(Output::Reply { to, tag, reply });
    }

    fn log(&mut self, level: Level, text: String) {
        self.outbox.push_back(Output::Log(level, text));
    }
}

fn error(reason: Atom) -> Term {
    wire::tagged(atom!("error"), [reason.into()])
}
