//! Calls to the name server, and the lock and name tables with the monitors of their processes.

use std::collections::BTreeMap;
use std::time::Duration;

use purlin_term::{Pid, Term, atom};

use super::limits::{self, WAITERS_MAX};
use super::locks::SetLock;
use super::names::{External, Op, Registration};
use super::wire::{self, Ignored};
use super::{Global, Output, error};

impl Global {
    // Calls.

    pub(super) fn handle_call(
        &mut self,
        now: Duration,
        from: &Term,
        request: &Term,
    ) -> Result<(), Ignored> {
        let (caller, tag) = wire::pair(from)?;
        let caller = wire::pid(caller)?;
        let reply = match request {
            Term::Atom(atom) => self.handle_plain_call(now, atom.as_str()),
            _ => match wire::parts(request) {
                Ok(("sync", [nodes])) => return self.sync(caller, tag, nodes),
                Ok((verb, parts)) => self.handle_table_call(now, caller, verb, parts),
                Err(ignored) => Err(ignored),
            },
        };
        let (reply, result) = match reply {
            Ok(reply) => (reply, Ok(())),
            // A caller without a time limit would otherwise wait for ever.
            Err(ignored) => (error(atom!("unknown_request")), Err(ignored)),
        };
        self.reply(caller, tag.clone(), reply);
        result
    }

    pub(super) fn handle_plain_call(
        &mut self,
        now: Duration,
        request: &str,
    ) -> Result<Term, Ignored> {
        Ok(match request {
            "get_protocol_version" => limits::VERSION.into(),
            "get_known" => wire::nodes(self.known()),
            "get_synced" => wire::nodes(self.synced()),
            "get_names_ext" => self.names.externals_to_term(),
            "registered_names" => Term::list(self.registered_names().cloned()),
            "disconnect" => wire::nodes(self.disconnect(now)),
            _ => return Err(Ignored::Unknown),
        })
    }

    pub(super) fn handle_table_call(
        &mut self,
        now: Duration,
        caller: Pid,
        verb: &str,
        parts: &[Term],
    ) -> Result<Term, Ignored> {
        match (verb, parts) {
            ("set_lock", [id]) => {
                let (resource, requester) = wire::pair(id)?;
                Ok(self.set_lock(resource, requester, caller).into())
            }
            ("del_lock", [id]) => {
                let (resource, requester) = wire::pair(id)?;
                self.del_lock(now, resource, requester, caller);
                Ok(true.into())
            }
            ("register", [name, pid, method]) => {
                let pid = wire::pid(pid)?;
                let registration = Registration {
                    pid,
                    method: method.clone(),
                    external: None,
                };
                let may_stay = self.locks.lets_process_register(caller);
                Ok(yes_or_no(self.register(name, registration, may_stay)))
            }
            ("register_ext", [name, pid, method, node]) => {
                let pid = wire::pid(pid)?;
                let external = Some(self.node_of(node)?);
                let registration = Registration {
                    pid,
                    method: method.clone(),
                    external,
                };
                let may_stay = self.locks.lets_process_register(caller);
                Ok(yes_or_no(self.register(name, registration, may_stay)))
            }
            ("unregister", [name]) => {
                self.unregister(name);
                Ok(atom!("ok").into())
            }
            _ => Err(Ignored::Unknown),
        }
    }

    // Tables, with the monitors of `I2`.

    pub(super) fn set_lock(&mut self, resource: &Term, requester: &Term, holder: Pid) -> bool {
        match self.locks.set(resource, requester, holder) {
            SetLock::Refused => false,
            SetLock::Held => true,
            SetLock::Granted => {
                self.watch(holder);
                true
            }
        }
    }

    pub(super) fn del_lock(
        &mut self,
        now: Duration,
        resource: &Term,
        requester: &Term,
        holder: Pid,
    ) {
        if self.locks.delete(resource, requester, holder) {
            self.unwatch(holder);
            self.locks_changed(now);
        }
    }

    /// Delayed `whereis` requests are answered, and our locker may try again.
    pub(super) fn locks_changed(&mut self, now: Duration) {
        if self.locks.is_global_locked() {
            return;
        }
        while let Some((caller, tag, name)) = self.delayed_whereis.pop_front() {
            self.answer_whereis(caller, tag, &name);
        }
        self.locker_unblocked(now);
    }

    pub(super) fn whereis_request(&mut self, caller: Pid, tag: &Term, name: &Term) {
        if !self.locks.is_global_locked() {
            self.answer_whereis(caller, tag.clone(), name);
        } else if self.delayed_whereis.len() < WAITERS_MAX {
            self.delayed_whereis
                .push_back((caller, tag.clone(), name.clone()));
        } else {
            self.stats.refused += 1;
        }
    }

    pub(super) fn answer_whereis(&mut self, caller: Pid, tag: Term, name: &Term) {
        let found = self.whereis(name).map(Term::from);
        self.reply(caller, tag, found.unwrap_or(atom!("undefined").into()));
    }

    /// Enters a name in place of an older entry; without `may_stay` only that one is removed: the
    /// lock that the change was made under is gone. False if the table is full.
    pub(super) fn register(
        &mut self,
        name: &Term,
        registration: Registration,
        may_stay: bool,
    ) -> bool {
        if !self.names.has_room_for(name) {
            self.stats.refused += 1;
            return false;
        }
        self.unregister(name);
        if may_stay {
            let pid = registration.pid;
            self.names.insert(name.clone(), registration);
            self.watch(pid);
        }
        true
    }

    pub(super) fn unregister(&mut self, name: &Term) {
        if let Some(old) = self.names.remove(name) {
            self.unwatch(old.pid);
        }
    }

    /// Runs the operations of an exchange that was made under `lock`. False if names were refused
    /// because that lock is not held here.
    pub(super) fn do_ops(
        &mut self,
        ops: &[Op],
        externals: &[External],
        lock: Option<&Term>,
    ) -> bool {
        let may_stay = self.locks.lets_session_register(lock);
        let externals: BTreeMap<&Term, &External> =
            externals.iter().map(|entry| (&entry.name, entry)).collect();
        for op in ops {
            if let Op::Insert(named) = op {
                let entry = externals.get(&named.name);
                let registration = Registration {
                    pid: named.pid,
                    method: named.method.clone(),
                    external: entry.filter(|e| e.pid == named.pid).map(|e| e.node),
                };
                self.register(&named.name, registration, may_stay);
            }
        }
        for op in ops {
            if let Op::Delete(name) = op {
                self.unregister(name);
            }
        }
        may_stay || !ops.iter().any(|op| matches!(op, Op::Insert(_)))
    }

    /// Called after `pid` came into a table.
    pub(super) fn watch(&mut self, pid: Pid) {
        if pid == self.config.locker || self.monitors.contains_key(&pid) {
            return;
        }
        // A monitor of a process whose node is still being connected would fire at once.
        let is_armed = !self.connecting.contains_key(&pid.node);
        self.monitors.insert(pid, is_armed);
        if is_armed {
            self.outbox.push_back(Output::Monitor(pid));
        }
    }

    /// Called after `pid` left a table.
    pub(super) fn unwatch(&mut self, pid: Pid) {
        if self.locks.hold_count(pid) + self.names.count_of(pid) > 0 {
            return;
        }
        if self.monitors.remove(&pid) == Some(true) {
            self.outbox.push_back(Output::Demonitor(pid));
        }
    }
}

fn yes_or_no(done: bool) -> Term {
    Term::Atom(if done { atom!("yes") } else { atom!("no") })
}
