//! The join of two partitions, from `init_connect` to `in_sync`.
//!
//! When two visible nodes connect, each tells the other a fresh tag and its locker
//! (`init_connect`), and confirms both tags (`init_connect_ack`); where they disagree the session
//! is cancelled and begun again. The lockers lock both partitions (`locker`). Then the nodes
//! `exchange` their names, resolve clashes (`resolver`), tell each other the outcome (`resolved`)
//! and tell it to the nodes they know (`new_nodes`). Every node of one side connects to every
//! node of the other and says `in_sync`; those two need no session of their own.
//!
//! A session takes what comes in either order: the names of the other side before our lock is
//! set, the outcome of the other side before ours. Messages with another tag belong to an older
//! session, and cancel only what is left of that one.
//!
//! - `I1` a session exists only for a connected node, and none is begun with a known one;
//! - `I2` `pending` has a node from the other's `init_connect` until its session ends.

use std::time::Duration;

use purlin_term::{NodeName, Pid, Term, atom};

use super::Global;
use super::limits::{NODES_MAX, PARTITION_VERSION, VERIFY_CONNECT_VERSION, VERSION};
use super::locker::Him;
use super::names::{External, Named, Op};
use super::wire::{self, Ignored};

/// A join under way with one node.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) my_tag: i64,
    pub(super) his_tag: Option<Term>,
    /// The lower of both versions.
    version: i64,
    names: Names,
    outcome: Outcome,
    /// The id of the lock that both lockers hold.
    lock: Option<Term>,
}

/// What of his names and our lock came first.
#[derive(Debug)]
enum Names {
    Neither,
    Came(Vec<Named>),
    LockIsSet,
    Taken,
}

/// What of both outcomes came first.
#[derive(Debug)]
enum Outcome {
    Neither,
    Ours(Vec<Op>),
    His(Resolved),
}

/// The content of a `resolved` message.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) ops: Vec<Op>,
    pub(super) known: Vec<(NodeName, i64)>,
    pub(super) externals: Vec<External>,
}

/// The content of an `init_connect` message.
#[derive(Debug)]
pub(super) struct InitConnect {
    version: i64,
    tag: Term,
    locker: Pid,
}

impl InitConnect {
    /// Reads `{Version, Tag, ...}` and `{locker, _, _, Locker}`.
    pub(super) fn from_terms(node: NodeName, version: &Term, init: &Term) -> Result<Self, Ignored> {
        let Some([Term::Int(version), tag, ..]) = version.as_tuple() else {
            return Err(Ignored::Malformed);
        };
        let ("locker", [_, _, locker]) = wire::parts(init)? else {
            return Err(Ignored::Malformed);
        };
        let locker = wire::pid(locker)?;
        if locker.node != node {
            return Err(Ignored::Forged);
        }
        Ok(Self {
            version: *version,
            tag: tag.clone(),
            locker,
        })
    }
}

/// The requester of the lock that `new_nodes` was made under: `{lock, {global, Requester}}` in
/// its list of extras.
pub(super) fn lock_of(extra: &Term) -> Option<&Term> {
    extra.as_list()?.iter().find_map(|item| {
        let ("lock", [id]) = wire::parts(item).ok()? else {
            return None;
        };
        let (_, requester) = wire::pair(id).ok()?;
        Some(requester)
    })
}

impl Global {
    /// Makes ourselves known to a node that was connected.
    pub(super) fn begin_session(&mut self, now: Duration, node: NodeName) {
        if self.known.contains_key(&node) || self.sessions.contains_key(&node) {
            return;
        }
        let session = Session {
            my_tag: (self.random.next() >> 6) as i64,
            his_tag: None,
            version: VERSION,
            names: Names::Neither,
            outcome: Outcome::Neither,
            lock: None,
        };
        let known = self
            .known
            .iter()
            .map(|(&node, &version)| (node.into(), version.into()));
        let known = Term::map(known).unwrap_or_else(|_| Term::nil());
        let message = wire::init_connect(self.me(), session.my_tag, known, self.config.locker);
        self.sessions.insert(node, session);
        self.post(node, message);
        if let Some(init) = self.pre_connect.remove(&node) {
            self.init_connect(now, node, init);
        }
    }

    pub(super) fn init_connect(&mut self, now: Duration, node: NodeName, init: InitConnect) {
        if self.pending.contains_key(&node) {
            // He began again. OTP cancels his new attempt too; taking it saves a round.
            self.restart_session(now, node);
        }
        let Some(session) = self.sessions.get_mut(&node) else {
            if self.pre_connect.len() < NODES_MAX {
                self.pre_connect.insert(node, init);
            }
            return;
        };
        session.his_tag = Some(init.tag.clone());
        session.version = init.version.min(VERSION);
        let him = Him {
            node,
            locker: init.locker,
            version: session.version,
            my_tag: session.my_tag,
            his_tag: init.tag.clone(),
        };
        if init.version >= VERIFY_CONNECT_VERSION {
            let ack = wire::init_connect_ack(self.me(), init.tag, him.my_tag);
            self.send_now(node, ack);
        }
        self.pending.insert(node, init.version);
        self.locker_add(now, him);
    }

    pub(super) fn init_connect_ack(
        &mut self,
        now: Duration,
        node: NodeName,
        my_tag: &Term,
        his_tag: &Term,
    ) {
        let is_agreed = self.sessions.get(&node).is_some_and(|session| {
            *my_tag == Term::Int(session.my_tag) && Some(his_tag) == session.his_tag.as_ref()
        });
        if !is_agreed {
            self.send_now(node, wire::cancel_connect(self.me(), his_tag.clone()));
            self.restart_session(now, node);
        }
    }

    pub(super) fn cancel_connect(&mut self, now: Duration, node: NodeName, my_tag: &Term) {
        if self.has_tag(node, my_tag) {
            // He knows: no `cancel_connect` of ours is needed.
            self.pending.remove(&node);
            self.restart_session(now, node);
        }
    }

    /// Ends the session with a node, if any, and begins a new one.
    pub(super) fn restart_session(&mut self, now: Duration, node: NodeName) {
        if !self.sessions.contains_key(&node) {
            return;
        }
        self.stats.restarts += 1;
        self.end_session(now, node);
        if self.connected.contains(&node) {
            self.begin_session(now, node);
        }
    }

    /// Ends the session with a node, whatever its state: locks are released, a resolution is
    /// dropped, and the node is told if it may think otherwise.
    pub(super) fn end_session(&mut self, now: Duration, node: NodeName) {
        self.pre_connect.remove(&node);
        let was_pending = self.pending.remove(&node);
        let Some(session) = self.sessions.remove(&node) else {
            return;
        };
        self.drop_resolution(node);
        if let (Some(VERIFY_CONNECT_VERSION..), Some(tag)) = (was_pending, session.his_tag) {
            self.send_now(node, wire::cancel_connect(self.me(), tag));
        }
        self.locker_cancel(now, node, session.my_tag);
    }

    /// Called by the locker: both partitions are locked.
    pub(super) fn lock_is_set(&mut self, now: Duration, node: NodeName, my_tag: i64, lock: Term) {
        let names = self.names.to_term();
        let Some(session) = self.sessions.get_mut(&node).filter(|s| s.my_tag == my_tag) else {
            return self.locker_cancel(now, node, my_tag);
        };
        session.lock = Some(lock);
        let his_tag = session.his_tag.clone().unwrap_or_else(undefined);
        match std::mem::replace(&mut session.names, Names::LockIsSet) {
            Names::Came(his_names) => {
                session.names = Names::Taken;
                self.post(node, wire::exchange(self.me(), names, his_tag));
                self.resolve(now, node, his_names);
            }
            _ => {
                self.post(node, wire::exchange(self.me(), names, his_tag));
            }
        }
    }

    pub(super) fn exchange(
        &mut self,
        now: Duration,
        node: NodeName,
        his_names: Vec<Named>,
        my_tag: &Term,
    ) {
        if !self.has_tag(node, my_tag) {
            return self.cancel_old(now, node, my_tag);
        }
        let Some(session) = self.sessions.get_mut(&node) else {
            return;
        };
        match session.names {
            Names::LockIsSet => {
                session.names = Names::Taken;
                self.resolve(now, node, his_names);
            }
            Names::Neither => session.names = Names::Came(his_names),
            Names::Came(_) | Names::Taken => {}
        }
    }

    /// Called by the resolver: what is to be done in our partition, and in his.
    pub(super) fn resolution_done(
        &mut self,
        now: Duration,
        node: NodeName,
        ops: Vec<Op>,
        his_ops: &[Op],
    ) {
        let known = self.known.iter().map(|(&node, &version)| (node, version));
        let Some(session) = self.sessions.get_mut(&node) else {
            return;
        };
        let known = if session.version < PARTITION_VERSION {
            wire::nodes(known.map(|(node, _)| node))
        } else {
            wire::versioned(known)
        };
        let outcome = std::mem::replace(&mut session.outcome, Outcome::Neither);
        let his_tag = session.his_tag.clone().unwrap_or_else(undefined);
        let (his_ops, externals) = (Op::list_to_term(his_ops), self.names.externals_to_term());
        let message = wire::resolved(self.me(), his_ops, known, externals, his_tag);
        self.post(node, message);
        match outcome {
            Outcome::His(his) => self.join(now, node, ops, his),
            _ => self.set_outcome(node, Outcome::Ours(ops)),
        }
    }

    pub(super) fn handle_resolved(
        &mut self,
        now: Duration,
        node: NodeName,
        his: Resolved,
        my_tag: &Term,
    ) {
        if !self.has_tag(node, my_tag) {
            return self.cancel_old(now, node, my_tag);
        }
        let Some(session) = self.sessions.get_mut(&node) else {
            return;
        };
        match std::mem::replace(&mut session.outcome, Outcome::Neither) {
            Outcome::Ours(ops) => self.join(now, node, ops, his),
            Outcome::Neither => self.set_outcome(node, Outcome::His(his)),
            earlier @ Outcome::His(_) => self.set_outcome(node, earlier),
        }
    }

    fn set_outcome(&mut self, node: NodeName, outcome: Outcome) {
        if let Some(session) = self.sessions.get_mut(&node) {
            session.outcome = outcome;
        }
    }

    /// Both outcomes are there: the partitions become one.
    fn join(&mut self, now: Duration, node: NodeName, mut ops: Vec<Op>, his: Resolved) {
        let Some(session) = self.sessions.get(&node) else {
            return;
        };
        let (version, lock) = (session.version, session.lock.clone());
        ops.extend(his.ops);
        let his_version = self.pending.get(&node).copied().unwrap_or(version);
        let his_nodes: Vec<NodeName> = his.known.iter().map(|&(node, _)| node).collect();
        let mut new_nodes = vec![(node, his_version)];
        new_nodes.extend(his.known.iter().map(|&(n, v)| (n, self.version_of(n, v))));

        self.sync_others(now, &his_nodes);
        let requester = lock.as_ref().and_then(|id| wire::pair(id).ok());
        self.do_ops(
            &ops,
            &his.externals,
            requester.map(|(_, requester)| requester),
        );
        self.refused_names.remove(&node);
        self.mark_synced(now, node);
        for &other in &his_nodes {
            self.pending.remove(&other);
            self.end_session(now, other);
        }
        self.tell_partition(&ops, &his.externals, &new_nodes, version, lock);
        // The locks go only now: others see `new_nodes` before `del_lock`.
        self.pending.remove(&node);
        self.end_session(now, node);
        self.add_to_known(now, &new_nodes);
    }

    fn version_of(&self, node: NodeName, told: i64) -> i64 {
        if told != 0 {
            return told;
        }
        let found = self.known.get(&node).or_else(|| self.pending.get(&node));
        found.copied().unwrap_or(0)
    }

    fn tell_partition(
        &mut self,
        ops: &[Op],
        externals: &[External],
        nodes: &[(NodeName, i64)],
        version: i64,
        lock: Option<Term>,
    ) {
        let ops = Op::list_to_term(ops);
        let externals =
            Term::list(externals.iter().map(|entry| {
                Term::tuple([entry.name.clone(), entry.pid.into(), entry.node.into()])
            }));
        let extra = Term::list([
            wire::tagged(atom!("vsn"), [version.into()]),
            wire::tagged(atom!("lock"), [lock.unwrap_or_else(undefined)]),
        ]);
        let known: Vec<(NodeName, i64)> = self.known.iter().map(|(&n, &v)| (n, v)).collect();
        for (node, version) in known {
            let nodes = if version < PARTITION_VERSION {
                wire::nodes(nodes.iter().map(|&(node, _)| node))
            } else {
                wire::versioned(nodes.iter().copied())
            };
            let (ops, externals, extra) = (ops.clone(), externals.clone(), extra.clone());
            let message = wire::new_nodes(self.me(), ops, externals, nodes, extra);
            self.post(node, message);
        }
    }

    pub(super) fn new_nodes(
        &mut self,
        now: Duration,
        node: NodeName,
        ops: &[Op],
        externals: &[External],
        nodes: &[(NodeName, i64)],
        lock: Option<&Term>,
    ) {
        let added = self.add_to_known(now, nodes);
        self.sync_others(now, &added);
        if !self.do_ops(ops, externals, lock) {
            self.doubt_names(now, added.into_iter().chain([node]));
        }
    }

    pub(super) fn in_sync(&mut self, now: Duration, node: NodeName) {
        if !self.connected.contains(&node) {
            return;
        }
        self.mark_synced(now, node);
        self.pending.remove(&node);
        self.end_session(now, node);
    }

    /// True if `tag` is the tag of our session with `node`.
    pub(super) fn has_tag(&self, node: NodeName, tag: &Term) -> bool {
        let session = self.sessions.get(&node);
        session.is_some_and(|session| *tag == Term::Int(session.my_tag))
    }

    /// A message of an older session: what its locker entry still holds is let go.
    fn cancel_old(&mut self, now: Duration, node: NodeName, tag: &Term) {
        if let Term::Int(tag) = tag {
            self.locker_cancel(now, node, *tag);
        }
    }
}

fn undefined() -> Term {
    atom!("undefined").into()
}
