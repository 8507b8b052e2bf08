//! The table of global locks: `global:set_lock/1` and `global`'s own.
//!
//! A lock is on a *resource*, by a *requester* (any two terms), and held by the processes that
//! set it with that requester. It is free when the last holder deleted it or died.
//!
//! - `I1` a lock has at least one holder, and no holder twice;
//! - `I2` `by_holder` is the inverse of the holders.

use std::collections::{BTreeMap, BTreeSet};

use purlin_term::{Pid, Term, atom};

use super::limits::{LOCK_HOLDERS_MAX, LOCKS_MAX};

#[derive(Debug, Default)]
pub(super) struct Locks {
    table: BTreeMap<Term, Lock>,
    by_holder: BTreeMap<Pid, BTreeSet<Term>>,
    global_freed_by_death: bool,
}

#[derive(Debug)]
struct Lock {
    requester: Term,
    holders: Vec<Pid>,
}

/// What became of a request for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetLock {
    Refused,
    /// The process held it already.
    Held,
    /// The process is a new holder, and must be monitored.
    Granted,
}

impl Locks {
    pub(super) fn can_set(&self, resource: &Term, requester: &Term) -> bool {
        match self.table.get(resource) {
            Some(lock) => lock.requester == *requester,
            None => self.table.len() < LOCKS_MAX,
        }
    }

    pub(super) fn set(&mut self, resource: &Term, requester: &Term, holder: Pid) -> SetLock {
        if !self.can_set(resource, requester) {
            return SetLock::Refused;
        }
        let lock = self.table.entry(resource.clone()).or_insert_with(|| Lock {
            requester: requester.clone(),
            holders: Vec::new(),
        });
        if lock.holders.contains(&holder) {
            return SetLock::Held;
        }
        if lock.holders.len() >= LOCK_HOLDERS_MAX {
            return SetLock::Refused;
        }
        lock.holders.push(holder);
        self.by_holder
            .entry(holder)
            .or_default()
            .insert(resource.clone());
        SetLock::Granted
    }

    /// Releases the lock for `holder`; true if it held it.
    pub(super) fn delete(&mut self, resource: &Term, requester: &Term, holder: Pid) -> bool {
        let held = self
            .table
            .get(resource)
            .is_some_and(|lock| lock.requester == *requester && lock.holders.contains(&holder));
        if held {
            self.remove_holder(resource, holder, false);
        }
        held
    }

    /// Releases everything that a dead process held; answers how many locks those were.
    pub(super) fn holder_died(&mut self, holder: Pid) -> usize {
        let resources = self.by_holder.get(&holder).cloned().unwrap_or_default();
        for resource in &resources {
            self.remove_holder(resource, holder, true);
        }
        resources.len()
    }

    fn remove_holder(&mut self, resource: &Term, holder: Pid, died: bool) {
        if let Some(resources) = self.by_holder.get_mut(&holder) {
            resources.remove(resource);
            if resources.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
        let Some(lock) = self.table.get_mut(resource) else {
            return;
        };
        lock.holders.retain(|&pid| pid != holder);
        if lock.holders.is_empty() {
            self.table.remove(resource);
            if resource.is_atom("global") {
                self.global_freed_by_death = died;
            }
        }
    }

    pub(super) fn is_global_locked(&self) -> bool {
        self.table.contains_key(&global())
    }

    /// True if a name that `pid` registers may stay: it holds the global lock, or nobody does and
    /// the last holder did not die with it (then the lock of the sender may be the one that went).
    pub(super) fn lets_process_register(&self, pid: Pid) -> bool {
        match self.table.get(&global()) {
            Some(lock) => lock.holders.contains(&pid),
            None => !self.global_freed_by_death,
        }
    }

    /// The same for operations that a name server passes on, made under the lock of `requester`.
    pub(super) fn lets_session_register(&self, requester: Option<&Term>) -> bool {
        match self.table.get(&global()) {
            Some(lock) => requester == Some(&lock.requester),
            None => !self.global_freed_by_death,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn hold_count(&self, holder: Pid) -> usize {
        self.by_holder.get(&holder).map_or(0, BTreeSet::len)
    }
}

/// The resource that protects the name tables.
pub(super) fn global() -> Term {
    Term::Atom(atom!("global"))
}
