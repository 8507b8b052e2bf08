//! Who lives on this node: processes, their names, links and monitors.
//!
//! A plain value under the node's lock: it is told what happened and answers, as [`Effect`]s, which
//! signals follow for others. Local and remote processes are treated alike: an effect names a pid,
//! and the node decides whether that is a mailbox here or a connection.
//!
//! The rules are OTP's (reference manual, "Processes"; distribution document, section 6): a link
//! acts once, `kill` sent by `exit/2` cannot be trapped and is seen as `killed`, `normal` from a
//! link does nothing to a process that does not trap, signals to the dead are answered with
//! `noproc` where an answer is due and dropped where not.
//!
//! Invariants:
//! - `I1` a name refers to a live process;
//! - `I2` every monitor fires once: it is removed before its `Down` leaves;
//! - `I3` process numbers count up and are never reused;
//! - `I4` `held` counts, for each node, the links and monitors that its processes have here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use purlin_term::{Atom, NodeName, Pid, Reference, Term, atom};

use super::mailbox::{Delivery, MailboxSender, Watched};
use crate::host::TaskHandle;
use crate::limits::{PROCESSES_MAX, SPAWNED_BYTES_MAX, SPAWNED_MAX};

/// A signal that follows from what happened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// `watched`, which `from` speaks for, ended or is not there.
    Down {
        from: Pid,
        watched: Watched,
        watcher: Pid,
        reference: Reference,
        reason: Arc<Term>,
    },
    /// The link between `from` and `to` broke.
    Exit {
        from: Pid,
        to: Pid,
        reason: Arc<Term>,
    },
}

/// What kind of exit signal arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitKind {
    /// A linked process ended: acts only while the link is active.
    Link,
    /// Somebody called `exit/2`.
    Explicit,
}

struct Process {
    mailbox: MailboxSender,
    task: Option<Box<dyn TaskHandle>>,
    group_leader: Pid,
    trap_exit: bool,
    /// No exit signal ends it.
    is_kept: bool,
    /// The node whose spawn request started it, and the bytes of its arguments.
    spawned_for: Option<(NodeName, usize)>,
    name: Option<Atom>,
    links: BTreeSet<Pid>,
    monitored_by: BTreeMap<Reference, (Pid, Watched)>,
    /// What this process waits for from other nodes: monitors and spawn requests.
    expects: BTreeMap<Reference, Watched>,
    aliases: BTreeSet<Reference>,
}

/// A name that cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another process has the name; nothing was changed.
    #[error("the name is taken by another process")]
    Taken,
    /// The process has a name, or has ended; nothing was changed.
    #[error("the process has a name already, or has ended")]
    NotAvailable,
}

/// The processes of a node.
pub(crate) struct Processes {
    node: NodeName,
    creation: u32,
    next: u64,
    live: BTreeMap<(u32, u32), Process>,
    names: BTreeMap<Atom, Pid>,
    aliases: BTreeMap<Reference, Pid>,
    /// Links and monitors on processes here that processes of each node hold (`I4`).
    held: BTreeMap<NodeName, usize>,
    /// What runs for spawn requests, by the node that asked.
    spawned: BTreeMap<NodeName, Spawned>,
}

#[derive(Default)]
struct Spawned {
    processes: usize,
    bytes: usize,
    was_refused: bool,
}

/// Bits of a process number that go into a pid's id; those above go into its serial.
///
/// OTP's own pids have 28, and tools print them so.
const ID_BITS: u32 = 28;

impl Processes {
    pub(crate) fn new(node: NodeName, creation: u32) -> Self {
        Self {
            node,
            creation,
            next: 1,
            live: BTreeMap::new(),
            names: BTreeMap::new(),
            aliases: BTreeMap::new(),
            held: BTreeMap::new(),
            spawned: BTreeMap::new(),
        }
    }

    /// Links to and monitors of processes here that are held from `node`.
    pub(crate) fn held_from(&self, node: NodeName) -> usize {
        self.held.get(&node).copied().unwrap_or(0)
    }

    fn hold(&mut self, node: NodeName) {
        *self.held.entry(node).or_insert(0) += 1;
    }

    fn let_go(&mut self, node: NodeName, times: usize) {
        let Some(count) = self.held.get_mut(&node) else {
            debug_assert!(times == 0, "I4: nothing was held from {node}");
            return;
        };
        *count -= times;
        if *count == 0 {
            self.held.remove(&node);
        }
    }

    /// From now on no exit signal ends this process: it belongs to the node.
    pub(crate) fn keep(&mut self, pid: Pid) {
        if let Some(process) = self.get_mut(pid) {
            process.is_kept = true;
        }
    }

    /// Makes room for a new process; its task follows with [`Processes::set_task`].
    pub(crate) fn insert(&mut self, group_leader: Option<Pid>) -> (Pid, super::mailbox::Queue) {
        let number = self.next;
        self.next += 1;
        let pid = Pid {
            node: self.node,
            creation: self.creation,
            id: (number & ((1 << ID_BITS) - 1)) as u32,
            serial: (number >> ID_BITS) as u32,
        };
        let (mailbox, queue) = MailboxSender::new(pid);
        let process = Process {
            mailbox,
            task: None,
            group_leader: group_leader.unwrap_or(pid),
            trap_exit: false,
            is_kept: false,
            spawned_for: None,
            name: None,
            links: BTreeSet::new(),
            monitored_by: BTreeMap::new(),
            expects: BTreeMap::new(),
            aliases: BTreeSet::new(),
        };
        self.live.insert((pid.serial, pid.id), process);
        (pid, queue)
    }

    /// As [`Processes::insert`], for a spawn request of `node` with so many bytes of arguments;
    /// `None` when that node has as many processes here as it may.
    pub(crate) fn insert_for(
        &mut self,
        node: NodeName,
        bytes: usize,
        group_leader: Pid,
    ) -> Option<(Pid, super::mailbox::Queue)> {
        let spawned = self.spawned.entry(node).or_default();
        let is_full = spawned.processes >= SPAWNED_MAX
            || spawned.bytes.saturating_add(bytes) > SPAWNED_BYTES_MAX;
        if is_full || self.live.len() >= PROCESSES_MAX {
            if !std::mem::replace(&mut spawned.was_refused, true) {
                let processes = spawned.processes;
                tracing::warn!(peer = %node, processes, "a peer started as many processes as it may");
            }
            return None;
        }
        spawned.processes += 1;
        spawned.bytes += bytes;
        let (pid, queue) = self.insert(Some(group_leader));
        if let Some(process) = self.get_mut(pid) {
            process.spawned_for = Some((node, bytes));
        }
        Some((pid, queue))
    }

    /// A process that ran for a spawn request of `node` has ended.
    fn forget_spawned(&mut self, node: NodeName, bytes: usize) {
        let Some(spawned) = self.spawned.get_mut(&node) else {
            return;
        };
        spawned.processes -= 1;
        spawned.bytes -= bytes;
        if spawned.processes == 0 {
            self.spawned.remove(&node);
        }
    }

    /// Gives the process its task; a process that was ended meanwhile has it aborted.
    pub(crate) fn set_task(&mut self, pid: Pid, task: Box<dyn TaskHandle>) {
        match self.get_mut(pid) {
            Some(process) => process.task = Some(task),
            None => task.abort(),
        }
    }

    pub(crate) fn register(&mut self, name: Atom, pid: Pid) -> Result<(), RegisterError> {
        if self.names.contains_key(&name) {
            return Err(RegisterError::Taken);
        }
        let process = self.get_mut(pid).filter(|process| process.name.is_none());
        process.ok_or(RegisterError::NotAvailable)?.name = Some(name.clone());
        self.names.insert(name, pid);
        Ok(())
    }

    pub(crate) fn set_trap_exit(&mut self, pid: Pid, trap: bool) {
        if let Some(process) = self.get_mut(pid) {
            process.trap_exit = trap;
        }
    }

    pub(crate) fn set_group_leader(&mut self, pid: Pid, leader: Pid) {
        if let Some(process) = self.get_mut(pid) {
            process.group_leader = leader;
        }
    }

    /// Puts `delivery` into the mailbox of `to`; to the dead it is dropped.
    ///
    /// Answers to monitors and spawn requests are taken only when they are expected; false says that
    /// this one was not.
    pub(crate) fn deliver(&mut self, to: Pid, delivery: Delivery) -> bool {
        let Some(process) = self.get_mut(to) else {
            return false;
        };
        if let Delivery::Spawned { reference, pid } = &delivery {
            match process.expects.get_mut(reference) {
                // From now on it is the new process that is expected to end.
                Some(expected) if expected.is_spawn_request() => *expected = Watched::Pid(*pid),
                _ => return false,
            }
        }
        if let Delivery::Down { reference, .. } | Delivery::SpawnFailed { reference, .. } = &delivery
            // A monitor that was taken back, or fired before, does not fire (I2).
            && process.expects.remove(reference).is_none()
        {
            return false;
        }
        process.mailbox.send(delivery);
        true
    }

    /// A monitor of a process of this node. Answers at once when there is no such process.
    pub(crate) fn monitor(
        &mut self,
        watcher: Pid,
        watched: Watched,
        reference: Reference,
    ) -> Option<Effect> {
        let pid = match &watched {
            Watched::Pid(pid) => *pid,
            Watched::Name(name, _) => match self.names.get(name) {
                Some(pid) => *pid,
                None => return Some(self.noproc(watcher, watched, reference)),
            },
        };
        match self.get_mut(pid) {
            Some(process) => {
                let before = process.monitored_by.insert(reference, (watcher, watched));
                self.hold(watcher.node);
                if let Some((watcher, _)) = before {
                    self.let_go(watcher.node, 1);
                }
                None
            }
            None => Some(self.noproc(watcher, watched, reference)),
        }
    }

    fn noproc(&self, watcher: Pid, watched: Watched, reference: Reference) -> Effect {
        let from = match &watched {
            Watched::Pid(pid) => *pid,
            Watched::Name(..) => self.nobody(),
        };
        let reason = Arc::new(atom!("noproc").into());
        Effect::Down {
            from,
            watched,
            watcher,
            reference,
            reason,
        }
    }

    /// A pid of this node that no process has, to speak for names that nobody holds.
    pub(crate) fn nobody(&self) -> Pid {
        Pid {
            node: self.node,
            creation: self.creation,
            id: 0,
            serial: 0,
        }
    }

    pub(crate) fn demonitor(&mut self, watched: &Watched, reference: &Reference) {
        let pid = match watched {
            Watched::Pid(pid) => Some(*pid),
            Watched::Name(name, _) => self.names.get(name).copied(),
        };
        if let Some(process) = pid.and_then(|pid| self.get_mut(pid)) {
            let held = process.monitored_by.remove(reference);
            if let Some((watcher, _)) = held {
                self.let_go(watcher.node, 1);
            }
        }
    }

    /// Notes that `pid` waits for something from another node.
    pub(crate) fn expect(&mut self, pid: Pid, reference: Reference, from: Watched) {
        if let Some(process) = self.get_mut(pid) {
            process.expects.insert(reference, from);
        }
    }

    /// Takes such a note back.
    pub(crate) fn forget(&mut self, pid: Pid, reference: &Reference) -> Option<Watched> {
        self.get_mut(pid)?.expects.remove(reference)
    }

    /// The node from which `pid` waits for something by this reference.
    pub(crate) fn expects_from(&self, pid: Pid, reference: &Reference) -> Option<NodeName> {
        let process = self.live.get(&(pid.serial, pid.id));
        let process = process.filter(|_| self.is_ours(pid))?;
        process.expects.get(reference).map(Watched::node)
    }

    /// `from` links itself to `to`, a process of this node.
    pub(crate) fn link(&mut self, from: Pid, to: Pid) -> Option<Effect> {
        match self.get_mut(to) {
            Some(process) => {
                if process.links.insert(from) {
                    self.hold(from.node);
                }
                None
            }
            None => Some(Effect::Exit {
                from: to,
                to: from,
                reason: Arc::new(atom!("noproc").into()),
            }),
        }
    }

    pub(crate) fn unlink(&mut self, from: Pid, to: Pid) {
        let unlinked = self.get_mut(to).is_some_and(|p| p.links.remove(&from));
        if unlinked {
            self.let_go(from.node, 1);
        }
    }

    /// An exit signal for `to`, a process of this node.
    pub(crate) fn exit(&mut self, from: Pid, to: Pid, reason: Term, kind: ExitKind) -> Vec<Effect> {
        if kind == ExitKind::Link {
            let is_linked = self.get_mut(to).is_some_and(|p| p.links.remove(&from));
            if !is_linked {
                return Vec::new();
            }
            self.let_go(from.node, 1);
        }
        let Some(process) = self.get_mut(to).filter(|process| !process.is_kept) else {
            return Vec::new();
        };
        if kind == ExitKind::Explicit && reason.is_atom("kill") {
            return self.end(to, atom!("killed").into());
        }
        if process.trap_exit {
            process.mailbox.send(Delivery::Exit { from, reason });
            return Vec::new();
        }
        if reason.is_atom("normal") && from != to {
            return Vec::new();
        }
        self.end(to, reason)
    }

    /// The process ends: its name and aliases are free, and whoever is linked to it or watches it is told.
    pub(crate) fn end(&mut self, pid: Pid, reason: Term) -> Vec<Effect> {
        if !self.is_ours(pid) {
            return Vec::new();
        }
        let Some(process) = self.live.remove(&(pid.serial, pid.id)) else {
            return Vec::new();
        };
        if let Some(name) = &process.name {
            self.names.remove(name);
        }
        for alias in &process.aliases {
            self.aliases.remove(alias);
        }
        let reason = Arc::new(reason);
        if let Some((node, bytes)) = process.spawned_for {
            self.forget_spawned(node, bytes);
        }
        if let Some(task) = process.task {
            task.abort();
        }
        let watchers = process.monitored_by.values().map(|(watcher, _)| watcher);
        for holder in process.links.iter().chain(watchers) {
            self.let_go(holder.node, 1);
        }
        let exits = process.links.into_iter().map(|to| Effect::Exit {
            from: pid,
            to,
            reason: reason.clone(),
        });
        let downs = process
            .monitored_by
            .into_iter()
            .map(|(reference, (watcher, watched))| Effect::Down {
                from: pid,
                watched,
                watcher,
                reference,
                reason: reason.clone(),
            });
        exits.chain(downs).collect()
    }

    /// The connection to `node` is gone: links break and expected answers fail with `noconnection`.
    pub(crate) fn node_down(&mut self, node: NodeName) -> Vec<Effect> {
        let reason = Arc::new(Term::from(atom!("noconnection")));
        let (mut effects, mut monitors) = (Vec::new(), 0_usize);
        for (&(serial, id), process) in &mut self.live {
            let pid = Pid {
                node: self.node,
                creation: self.creation,
                id,
                serial,
            };
            let broken = process.links.iter().filter(|linked| linked.node == node);
            effects.extend(broken.map(|from| Effect::Exit {
                from: *from,
                to: pid,
                reason: reason.clone(),
            }));
            let lost = process
                .expects
                .iter()
                .filter(|(_, watched)| watched.node() == node);
            effects.extend(lost.map(|(reference, watched)| Effect::Down {
                from: pid,
                watched: watched.clone(),
                watcher: pid,
                reference: *reference,
                reason: reason.clone(),
            }));
            let before = process.monitored_by.len();
            process
                .monitored_by
                .retain(|_, (watcher, _)| watcher.node != node);
            monitors += before - process.monitored_by.len();
        }
        self.let_go(node, monitors);
        effects
    }

    /// Makes `reference` an address of `owner`, until that ends or the alias is removed.
    pub(crate) fn add_alias(&mut self, reference: Reference, owner: Pid) {
        if let Some(process) = self.get_mut(owner) {
            process.aliases.insert(reference);
            self.aliases.insert(reference, owner);
        }
    }

    pub(crate) fn remove_alias(&mut self, reference: &Reference) {
        let owner = self.aliases.remove(reference);
        if let Some(process) = owner.and_then(|owner| self.get_mut(owner)) {
            process.aliases.remove(reference);
        }
    }

    /// The process behind an alias.
    pub(crate) fn alias(&self, reference: &Reference) -> Option<Pid> {
        self.aliases.get(reference).copied()
    }

    pub(crate) fn whereis(&self, name: &Atom) -> Option<Pid> {
        self.names.get(name).copied()
    }

    pub(crate) fn registered(&self) -> Vec<Atom> {
        self.names.keys().cloned().collect()
    }

    pub(crate) fn pids(&self) -> Vec<Pid> {
        let pid = |&(serial, id): &(u32, u32)| Pid {
            node: self.node,
            creation: self.creation,
            id,
            serial,
        };
        self.live.keys().map(pid).collect()
    }

    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        self.is_ours(pid) && self.live.contains_key(&(pid.serial, pid.id))
    }

    /// The value of a key of `process_info`; `None` for the dead and for unknown keys.
    pub(crate) fn info(&self, pid: Pid, key: &Atom) -> Option<Term> {
        let process = self
            .live
            .get(&(pid.serial, pid.id))
            .filter(|_| self.is_ours(pid))?;
        let pids = |pids: &mut dyn Iterator<Item = Pid>| Term::list(pids.map(Term::from));
        Some(match key.as_str() {
            "registered_name" => process.name.clone().map_or_else(Term::nil, Term::from),
            "message_queue_len" => Term::Int(process.mailbox.len() as i64),
            "links" => pids(&mut process.links.iter().copied()),
            "monitored_by" => pids(&mut process.monitored_by.values().map(|(pid, _)| *pid)),
            "group_leader" => process.group_leader.into(),
            "trap_exit" => process.trap_exit.into(),
            "status" => atom!("waiting").into(),
            _ => return None,
        })
    }

    fn is_ours(&self, pid: Pid) -> bool {
        pid.node == self.node && pid.creation == self.creation
    }

    fn get_mut(&mut self, pid: Pid) -> Option<&mut Process> {
        if !self.is_ours(pid) {
            return None;
        }
        self.live.get_mut(&(pid.serial, pid.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(&Atom::new(name).unwrap()).unwrap()
    }

    fn table() -> Processes {
        Processes::new(node("here@table"), 7)
    }

    fn remote(id: u32) -> Pid {
        Pid {
            node: node("there@table"),
            creation: 1,
            id,
            serial: 0,
        }
    }

    fn reference(n: u32) -> Reference {
        Reference::new(node("there@table"), 1, &[n]).unwrap()
    }

    #[test]
    fn a_death_is_told_once_to_each_link_and_monitor() {
        let mut table = table();
        let (pid, _queue) = table.insert(None);
        assert_eq!(table.link(remote(1), pid), None);
        assert_eq!(
            table.monitor(remote(2), Watched::Pid(pid), reference(1)),
            None
        );
        let reason = Term::from(atom!("bye"));
        let effects = table.end(pid, reason.clone());
        let (watched, watcher, reference) = (Watched::Pid(pid), remote(2), reference(1));
        let exit = Effect::Exit {
            from: pid,
            to: remote(1),
            reason: reason.clone().into(),
        };
        let down = Effect::Down {
            from: pid,
            watched,
            watcher,
            reference,
            reason: reason.into(),
        };
        assert_eq!(effects, [exit, down]);
        assert_eq!(table.end(pid, Term::nil()), []);
    }

    #[test]
    fn pids_of_another_incarnation_are_dead() {
        let mut table = table();
        let (pid, _queue) = table.insert(None);
        let old = Pid { creation: 6, ..pid };
        assert!(matches!(
            table.link(remote(1), old),
            Some(Effect::Exit { .. })
        ));
        assert!(!table.is_alive(old));
        assert_eq!(
            table.exit(remote(1), old, atom!("kill").into(), ExitKind::Explicit),
            []
        );
        assert!(table.is_alive(pid));
    }

    #[test]
    fn an_exit_without_a_link_is_ignored_and_kill_is_seen_as_killed() {
        let mut table = table();
        let (pid, _queue) = table.insert(None);
        table.set_trap_exit(pid, true);
        let kill = || Term::from(atom!("kill"));
        assert_eq!(table.exit(remote(1), pid, kill(), ExitKind::Link), []);
        assert!(table.is_alive(pid));
        table.link(remote(1), pid);
        let effects = table.exit(remote(9), pid, kill(), ExitKind::Explicit);
        let reason = Arc::new(atom!("killed").into());
        assert_eq!(
            effects,
            [Effect::Exit {
                from: pid,
                to: remote(1),
                reason
            }]
        );
    }

    #[test]
    fn a_lost_node_breaks_links_and_answers_what_was_expected_of_it() {
        let mut table = table();
        let (pid, mut queue) = table.insert(None);
        table.set_trap_exit(pid, true);
        table.link(remote(1), pid);
        table.expect(pid, reference(5), Watched::Pid(remote(3)));
        let effects = table.node_down(node("there@table"));
        assert_eq!(effects.len(), 2);
        for effect in effects {
            match effect {
                Effect::Exit { from, to, reason } => {
                    let reason = Term::clone(&reason);
                    assert_eq!(table.exit(from, to, reason, ExitKind::Link), []);
                }
                Effect::Down {
                    watched,
                    watcher,
                    reference,
                    reason,
                    ..
                } => {
                    let down = || Delivery::Down {
                        watched: watched.clone(),
                        reference,
                        reason: Term::clone(&reason),
                    };
                    assert!(table.deliver(watcher, down()));
                    assert!(!table.deliver(watcher, down()), "I2");
                }
            }
        }
        let first = queue.try_recv();
        assert!(
            matches!(first, Some(Delivery::Exit { reason, .. }) if reason.is_atom("noconnection"))
        );
        assert!(matches!(queue.try_recv(), Some(Delivery::Down { .. })));
        assert!(queue.try_recv().is_none(), "I2: the second is dropped");
    }

    #[test]
    fn a_spawn_reply_is_taken_once_and_only_when_it_is_expected() {
        let mut table = table();
        let (pid, mut queue) = table.insert(None);
        let spawned = || Delivery::Spawned {
            reference: reference(5),
            pid: remote(8),
        };
        assert!(!table.deliver(pid, spawned()));
        let request = Watched::spawn_request(node("there@table"));
        table.expect(pid, reference(5), request);
        assert!(table.deliver(pid, spawned()));
        assert!(!table.deliver(pid, spawned()));
        assert!(matches!(queue.try_recv(), Some(Delivery::Spawned { .. })));
        assert!(queue.try_recv().is_none());
        // The end of the new process is expected under the same reference.
        assert_eq!(
            table.forget(pid, &reference(5)),
            Some(Watched::Pid(remote(8)))
        );
    }

    #[test]
    fn an_alias_ends_with_its_process() {
        let mut table = table();
        let (pid, _queue) = table.insert(None);
        table.add_alias(reference(1), pid);
        table.add_alias(reference(2), pid);
        table.remove_alias(&reference(1));
        assert_eq!(table.alias(&reference(1)), None);
        assert_eq!(table.alias(&reference(2)), Some(pid));
        table.end(pid, atom!("normal").into());
        assert_eq!(table.alias(&reference(2)), None);
        assert!(table.aliases.is_empty());
    }

    #[test]
    fn a_name_is_free_again_when_its_process_ends() {
        let mut table = table();
        let (first, _a) = table.insert(None);
        let (second, _b) = table.insert(None);
        let name = atom!("echo");
        assert_eq!(table.register(name.clone(), first), Ok(()));
        assert_eq!(
            table.register(name.clone(), second),
            Err(RegisterError::Taken)
        );
        table.end(first, atom!("normal").into());
        assert_eq!(table.register(name.clone(), second), Ok(()));
        assert_eq!(table.whereis(&name), Some(second));
    }
}
