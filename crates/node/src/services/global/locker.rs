//! The locker: it locks both partitions before two nodes exchange names.
//!
//! One node of the two begins. It sets the lock on `global` on the *boss* (the highest name of its
//! partition, itself included), then on itself and on the other node, then on the rest of its
//! partition; then it tells the other locker `lock_set`, which does the same on its side and
//! answers. Both use one requester, the sorted list of both lockers, so a node of both partitions
//! grants it twice, and both may begin at once. Whoever is refused anywhere releases everything,
//! the boss last, and waits a random while.
//!
//! OTP has a process for this, which stands still while a call is out; here its places to stand
//! are the variants of `State`. Requests of others that come meanwhile wait in a queue.
//!
//! - `I1` in `Locking`, `AwaitLockSet`, `AwaitCancel` and `Releasing` we may hold locks, in `Idle`
//!   none;
//! - `I2` of each node there is at most one entry and at most one request;
//! - `I3` an answer to a call that is no longer awaited changes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use purlin_term::{NodeName, Pid, Term};

use super::limits::{
    BACK_OFF, BACK_OFF_MAX, LOCK_CALL_WAIT, NODES_MAX, SELECT_WAIT, SELECT_WAIT_ALONE,
    SELECT_WAIT_HIGHER, SELECT_WAIT_MAX, SELECT_WAIT_PER_NODE, SESSION_WAIT,
    VERIFY_CONNECT_VERSION,
};
use super::locks;
use super::wire::{self, Ignored};
use super::{Global, Level};

#[derive(Debug, Default)]
pub(super) struct Locker {
    state: State,
    /// Nodes that want to join, or that we want to.
    others: BTreeMap<NodeName, Him>,
    requests: VecDeque<(Pid, Option<i64>)>,
    select_at: Option<Duration>,
    refusals: u32,
    next_call: i64,
}

/// The other side of a session, as its `init_connect` told.
#[derive(Debug, Clone)]
pub(super) struct Him {
    pub(super) node: NodeName,
    pub(super) locker: Pid,
    pub(super) version: i64,
    pub(super) my_tag: i64,
    pub(super) his_tag: Term,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// Lock calls are out.
    Locking(Locking),
    /// Our side is locked; the other locker is asked.
    AwaitLockSet(Held),
    /// Both sides are locked; the session ends it.
    AwaitCancel(Held),
    /// Release calls are out; the boss, where one is left, comes after the others.
    Releasing {
        lock: Term,
        calls: Calls,
        boss: Option<NodeName>,
    },
}

#[derive(Debug)]
struct Locking {
    him: Him,
    /// Whether we began; else we answer his `lock_set`.
    begins: bool,
    lock: Term,
    phase: Phase,
    boss: NodeName,
    granted: Vec<NodeName>,
    is_refused: bool,
    is_cancelled: bool,
    calls: Calls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Boss,
    Both,
    Partition,
}

#[derive(Debug)]
struct Held {
    node: NodeName,
    my_tag: i64,
    lock: Term,
    nodes: Vec<NodeName>,
    until: Duration,
}

/// A round of calls: who has not answered yet.
#[derive(Debug, Default)]
struct Calls {
    pending: BTreeMap<i64, NodeName>,
    until: Duration,
}

impl Calls {
    fn drop_node(&mut self, node: NodeName) {
        self.pending.retain(|_, other| *other != node);
    }

    fn is_done(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Global {
    // What the session tells.

    pub(super) fn locker_add(&mut self, now: Duration, him: Him) {
        self.locker.others.insert(him.node, him);
        if self.locker.select_at.is_none() {
            self.arm_first_select(now);
        }
    }

    /// The session of `my_tag` with `node` is over.
    pub(super) fn locker_cancel(&mut self, now: Duration, node: NodeName, my_tag: i64) {
        let others = &mut self.locker.others;
        if others.get(&node).is_some_and(|him| him.my_tag == my_tag) {
            others.remove(&node);
        }
        match &mut self.locker.state {
            State::Locking(locking) if locking.him.node == node && locking.him.my_tag == my_tag => {
                locking.is_cancelled = true;
            }
            State::AwaitLockSet(held) | State::AwaitCancel(held)
                if held.node == node && held.my_tag == my_tag =>
            {
                let (lock, nodes) = (held.lock.clone(), std::mem::take(&mut held.nodes));
                // No reason to wait after success: the next one may come at once.
                self.locker.refusals = 0;
                self.locker.select_at = Some(now);
                self.release(now, lock, nodes);
            }
            _ => {}
        }
    }

    pub(super) fn locker_node_down(&mut self, now: Duration, node: NodeName) {
        match &mut self.locker.state {
            State::Locking(locking) => {
                locking.calls.drop_node(node);
                if locking.calls.is_done() {
                    self.phase_done(now);
                }
            }
            State::Releasing { calls, .. } => {
                calls.drop_node(node);
                self.release_next(now);
            }
            _ => {}
        }
    }

    /// Nodes that joined otherwise need no lock of ours.
    pub(super) fn locker_known_grew(&mut self) {
        let known = &self.known;
        self.locker
            .others
            .retain(|node, _| !known.contains_key(node));
    }

    /// The global lock of this node was freed.
    pub(super) fn locker_unblocked(&mut self, now: Duration) {
        if self.locker.select_at.is_some() && matches!(self.locker.state, State::Idle) {
            let soon = now + self.random.wait(BACK_OFF);
            self.locker.select_at = self.locker.select_at.map(|at| at.min(soon));
        }
    }

    // What others say.

    /// `{lock_set, Pid, IsSet, Known}`, with our tag behind it since version 8.
    pub(super) fn lock_set(
        &mut self,
        now: Duration,
        sender: Option<NodeName>,
        parts: &[Term],
    ) -> Result<(), Ignored> {
        let (pid, is_set, tag) = match parts {
            [pid, is_set, _known] => (pid, is_set, None),
            [pid, is_set, _known, tag] => (pid, is_set, Some(tag)),
            _ => return Err(Ignored::Unknown),
        };
        let pid = wire::pid(pid)?;
        if sender.is_some_and(|sender| sender != pid.node) {
            return Err(Ignored::Forged);
        }
        if tag.is_some_and(|tag| !self.has_tag(pid.node, tag)) {
            return Ok(());
        }
        let tag = tag.and_then(Term::as_int);
        if is_set.is_atom("true") {
            self.other_side_is_locked(now, pid, tag);
        } else {
            self.other_side_refused(now, pid.node);
        }
        Ok(())
    }

    fn other_side_is_locked(&mut self, now: Duration, pid: Pid, tag: Option<i64>) {
        match &self.locker.state {
            State::AwaitLockSet(held) if held.node == pid.node => self.both_locked(now),
            State::Idle => self.serve(now, pid, tag),
            _ => self.queue_request(pid, tag),
        }
    }

    fn queue_request(&mut self, pid: Pid, tag: Option<i64>) {
        let requests = &mut self.locker.requests;
        requests.retain(|(other, _)| other.node != pid.node);
        if requests.len() < NODES_MAX {
            requests.push_back((pid, tag));
        }
    }

    fn other_side_refused(&mut self, now: Duration, node: NodeName) {
        let State::AwaitLockSet(held) = &mut self.locker.state else {
            return;
        };
        if held.node == node {
            let (lock, nodes) = (held.lock.clone(), std::mem::take(&mut held.nodes));
            self.back_off(now);
            self.release(now, lock, nodes);
        }
    }

    fn both_locked(&mut self, now: Duration) {
        match std::mem::take(&mut self.locker.state) {
            State::AwaitLockSet(held) => {
                let (node, my_tag, lock) = (held.node, held.my_tag, held.lock.clone());
                self.locker.others.remove(&node);
                self.locker.state = State::AwaitCancel(held);
                self.lock_is_set(now, node, my_tag, lock);
            }
            state => self.locker.state = state,
        }
    }

    /// Answers another locker that has locked its side.
    fn serve(&mut self, now: Duration, pid: Pid, tag: Option<i64>) {
        match self.locker.others.get(&pid.node) {
            Some(him) if tag.is_none_or(|tag| tag == him.my_tag) => {
                let him = him.clone();
                self.start_locking(now, him, false);
            }
            Some(_) => {}
            // He asks on behalf of a session that is over. OTP answers the locker itself here.
            None => {
                let known = wire::nodes(self.known());
                let message = wire::lock_set(self.config.locker, false, known, None);
                self.outbox
                    .push_back(super::Output::SendPid { to: pid, message });
            }
        }
    }

    // Locking.

    fn start_locking(&mut self, now: Duration, him: Him, begins: bool) {
        let me = self.me();
        let boss = self.known().chain([me]).max().unwrap_or(me);
        let mut lockers = [self.config.locker, him.locker];
        lockers.sort();
        let requester = Term::list(lockers.map(Term::from));
        let lock = Term::tuple([locks::global(), requester]);
        let can_set_here = self.can_set(&lock);
        self.locker.state = State::Locking(Locking {
            him,
            begins,
            lock,
            phase: Phase::Boss,
            boss,
            granted: Vec::new(),
            // Locking ourselves first could stop a node that has the boss; only look.
            is_refused: boss != me && !can_set_here,
            is_cancelled: false,
            calls: Calls::default(),
        });
        self.ask(now, vec![boss]);
    }

    fn can_set(&self, lock: &Term) -> bool {
        wire::pair(lock).is_ok_and(|(resource, requester)| self.locks.can_set(resource, requester))
    }

    /// Sets the lock on `nodes`, or goes on if it is refused already.
    fn ask(&mut self, now: Duration, nodes: Vec<NodeName>) {
        let (me, holder) = (self.me(), self.config.locker);
        let State::Locking(locking) = &self.locker.state else {
            return;
        };
        let lock = locking.lock.clone();
        let mut is_refused =
            locking.is_refused || (nodes.len() > 1 && nodes.contains(&me) && !self.can_set(&lock));
        let mut granted = Vec::new();
        let mut calls = Calls {
            pending: BTreeMap::new(),
            until: now + LOCK_CALL_WAIT,
        };
        for node in if is_refused { Vec::new() } else { nodes } {
            if node != me {
                // A node that is not there is passed over, as in a multi-call of OTP.
                self.call_into(&mut calls, node, wire::set_lock(lock.clone()));
            } else if let Ok((resource, requester)) = wire::pair(&lock) {
                let is_set = self.set_lock(resource, requester, holder);
                is_refused |= !is_set;
                granted.extend(is_set.then_some(me));
            }
        }
        if let State::Locking(locking) = &mut self.locker.state {
            locking.is_refused = is_refused;
            locking.granted.extend(granted);
            locking.calls = calls;
            if locking.calls.is_done() {
                self.phase_done(now);
            }
        }
    }

    fn call_into(&mut self, calls: &mut Calls, node: NodeName, request: Term) {
        let id = self.next_locker_call();
        let message = wire::call(self.config.locker, id, request);
        if self.post(node, message) {
            calls.pending.insert(id, node);
        }
    }

    /// A number for a call whose answer comes to the locker.
    pub(super) fn next_locker_call(&mut self) -> i64 {
        let id = self.locker.next_call;
        self.locker.next_call += 1;
        id
    }

    pub(super) fn locker_reply(&mut self, now: Duration, id: i64, reply: &Term) {
        if self.confirm_report(id) {
            return;
        }
        match &mut self.locker.state {
            State::Locking(locking) => {
                let Some(node) = locking.calls.pending.remove(&id) else {
                    return;
                };
                if reply.is_atom("true") {
                    locking.granted.push(node);
                } else {
                    locking.is_refused = true;
                }
                if locking.calls.is_done() {
                    self.phase_done(now);
                }
            }
            State::Releasing { calls, .. } => {
                calls.pending.remove(&id);
                self.release_next(now);
            }
            _ => {}
        }
    }

    fn phase_done(&mut self, now: Duration) {
        let me = self.me();
        let State::Locking(locking) = &mut self.locker.state else {
            return;
        };
        if locking.is_refused || locking.is_cancelled {
            return self.locking_failed(now);
        }
        let boss = locking.boss;
        match locking.phase {
            Phase::Boss => {
                locking.phase = Phase::Both;
                // His node too: no other can then lock his side without him.
                let both = [Some(me), locking.begins.then_some(locking.him.node)];
                let nodes = both.into_iter().flatten().filter(|&node| node != boss);
                let nodes = nodes.collect();
                self.ask(now, nodes);
            }
            Phase::Both => {
                locking.phase = Phase::Partition;
                let nodes = self.known().filter(|&node| node != boss).collect();
                self.ask(now, nodes);
            }
            Phase::Partition => self.locked(now),
        }
    }

    fn locking_failed(&mut self, now: Duration) {
        if let State::Locking(locking) = std::mem::take(&mut self.locker.state) {
            if !locking.begins {
                self.tell_lock_set(&locking.him, false);
            }
            self.back_off(now);
            self.release(now, locking.lock, locking.granted);
        }
    }

    fn locked(&mut self, now: Duration) {
        let State::Locking(locking) = std::mem::take(&mut self.locker.state) else {
            return;
        };
        let him = locking.him;
        let mut nodes: Vec<NodeName> = self.known().chain([self.me()]).collect();
        nodes.extend(
            locking
                .granted
                .iter()
                .filter(|node| !self.known.contains_key(node)),
        );
        let held = Held {
            node: him.node,
            my_tag: him.my_tag,
            lock: locking.lock,
            nodes,
            until: now + SESSION_WAIT,
        };
        self.locker.state = State::AwaitLockSet(held);
        self.tell_lock_set(&him, true);
        let requests = &mut self.locker.requests;
        let queued = requests
            .iter()
            .position(|&(pid, tag)| pid.node == him.node && tag.is_none_or(|tag| tag == him.my_tag))
            .and_then(|at| requests.remove(at));
        // He asked first, or his own request crossed ours.
        if !locking.begins || queued.is_some() {
            self.both_locked(now);
        }
    }

    fn tell_lock_set(&mut self, him: &Him, is_set: bool) {
        let known = wire::nodes(self.known());
        let tag = (him.version >= VERIFY_CONNECT_VERSION).then(|| him.his_tag.clone());
        let message = wire::lock_set(self.config.locker, is_set, known, tag);
        self.post(him.node, wire::cast(message));
    }

    // Releasing.

    fn release(&mut self, now: Duration, lock: Term, mut nodes: Vec<NodeName>) {
        nodes.sort();
        nodes.dedup();
        // The boss last: whoever takes it next finds the others free.
        let boss = nodes.pop();
        let calls = self.release_on(now, &lock, nodes);
        self.locker.state = State::Releasing { lock, calls, boss };
        self.release_next(now);
    }

    fn release_on(&mut self, now: Duration, lock: &Term, nodes: Vec<NodeName>) -> Calls {
        let (me, holder) = (self.me(), self.config.locker);
        let mut calls = Calls {
            pending: BTreeMap::new(),
            until: now + LOCK_CALL_WAIT,
        };
        for node in nodes {
            if node != me {
                self.call_into(&mut calls, node, wire::del_lock(lock.clone()));
            } else if let Ok((resource, requester)) = wire::pair(lock) {
                self.del_lock(now, resource, requester, holder);
            }
        }
        calls
    }

    fn release_next(&mut self, now: Duration) {
        let State::Releasing { lock, calls, boss } = &mut self.locker.state else {
            return;
        };
        if !calls.is_done() {
            return;
        }
        let (lock, boss) = (lock.clone(), boss.take());
        let last = self.release_on(now, &lock, boss.into_iter().collect());
        if !last.is_done() {
            self.locker.state = State::Releasing {
                lock,
                calls: last,
                boss: None,
            };
            return;
        }
        self.locker.state = State::Idle;
        while matches!(self.locker.state, State::Idle) {
            let Some((pid, tag)) = self.locker.requests.pop_front() else {
                break;
            };
            self.serve(now, pid, tag);
        }
    }

    // Time.

    fn arm_first_select(&mut self, now: Duration) {
        let me = self.me();
        let base = if self.known.is_empty() {
            SELECT_WAIT_ALONE
        } else {
            (SELECT_WAIT + SELECT_WAIT_PER_NODE * self.known.len() as u32).min(SELECT_WAIT_MAX)
        };
        let has_higher = self.locker.others.keys().any(|&node| me < node);
        let extra = if has_higher {
            Duration::ZERO
        } else {
            SELECT_WAIT_HIGHER
        };
        self.locker.select_at = Some(now + base + extra + self.random.wait(base / 2));
    }

    fn back_off(&mut self, now: Duration) {
        let bound = (BACK_OFF * (1 << self.locker.refusals.min(5))).min(BACK_OFF_MAX);
        self.locker.refusals += 1;
        self.locker.select_at = Some(now + self.random.wait(bound));
    }

    pub(super) fn locker_timeout(&mut self, now: Duration) {
        match &mut self.locker.state {
            State::Idle => self.select(now),
            State::Locking(locking) if locking.calls.until <= now => {
                // Whoever did not answer may still grant it: release there too.
                let late = std::mem::take(&mut locking.calls.pending);
                locking.granted.extend(late.into_values());
                locking.is_refused = true;
                self.phase_done(now);
            }
            State::Releasing { calls, .. } if calls.until <= now => {
                calls.pending.clear();
                self.release_next(now);
            }
            State::AwaitLockSet(held) | State::AwaitCancel(held) if held.until <= now => {
                let (node, me) = (held.node, self.me());
                let text = format!("'global' at {me} begins again to join {node}: no progress");
                self.log(Level::Warning, text);
                self.restart_stuck(now);
            }
            _ => {}
        }
    }

    fn restart_stuck(&mut self, now: Duration) {
        let (State::AwaitLockSet(held) | State::AwaitCancel(held)) = &self.locker.state else {
            return;
        };
        let (node, my_tag) = (held.node, held.my_tag);
        self.restart_session(now, node);
        // Without a session of that tag nothing released the locks yet.
        self.locker_cancel(now, node, my_tag);
        self.back_off(now);
    }

    /// Picks a node and begins to lock, if it is time and nobody else is at it.
    fn select(&mut self, now: Duration) {
        if self.locker.select_at.is_none_or(|at| at > now) {
            return;
        }
        self.locker.select_at = None;
        if self.locker.others.is_empty() {
            return;
        }
        if self.locks.is_global_locked() {
            return self.arm_first_select(now);
        }
        let at = self.random.below(self.locker.others.len());
        if let Some(him) = self.locker.others.values().nth(at).cloned() {
            self.start_locking(now, him, true);
        }
    }

    /// True if no lock is held or asked for.
    pub(super) fn locker_is_idle(&self) -> bool {
        matches!(self.locker.state, State::Idle) && self.locker.requests.is_empty()
    }

    pub(super) fn locker_deadline(&self) -> Option<Duration> {
        match &self.locker.state {
            State::Idle => self.locker.select_at,
            State::Locking(Locking { calls, .. }) | State::Releasing { calls, .. } => {
                Some(calls.until)
            }
            State::AwaitLockSet(held) | State::AwaitCancel(held) => Some(held.until),
        }
    }
}
