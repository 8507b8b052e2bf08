//! The table of globally registered names, and the operations that change it on every node.
//!
//! - `I1` `by_pid` is the inverse of `by_name`.

use std::collections::{BTreeMap, BTreeSet};

use purlin_term::{NodeName, Pid, Term, atom};

use super::limits::NAMES_MAX;

#[derive(Debug, Default)]
pub(super) struct Names {
    by_name: BTreeMap<Term, Registration>,
    by_pid: BTreeMap<Pid, BTreeSet<Term>>,
}

/// Who has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) pid: Pid,
    /// The resolving function, opaque: it is sent back to where it can be run.
    pub(super) method: Term,
    /// The node that registered it for a process that is on no Erlang node (`register_ext`).
    pub(super) external: Option<NodeName>,
}

/// A name as it is sent: `{Name, Pid, Method}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: Term,
    pub(super) pid: Pid,
    pub(super) method: Term,
}

/// A change that an exchange of names decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Insert(Named),
    Delete(Term),
}

/// A name of a process on no Erlang node: `{Name, Pid, RegNode}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct External {
    pub(super) name: Term,
    pub(super) pid: Pid,
    pub(super) node: NodeName,
}

impl Names {
    pub(super) fn get(&self, name: &Term) -> Option<&Registration> {
        self.by_name.get(name)
    }

    pub(super) fn has_room_for(&self, name: &Term) -> bool {
        self.by_name.len() < NAMES_MAX || self.by_name.contains_key(name)
    }

    /// Enters a name that is not in the table.
    pub(super) fn insert(&mut self, name: Term, registration: Registration) {
        let names = self.by_pid.entry(registration.pid).or_default();
        names.insert(name.clone());
        let old = self.by_name.insert(name, registration);
        debug_assert!(old.is_none(), "I1: an old registration is removed first");
    }

    pub(super) fn remove(&mut self, name: &Term) -> Option<Registration> {
        let registration = self.by_name.remove(name)?;
        if let Some(names) = self.by_pid.get_mut(&registration.pid) {
            names.remove(name);
            if names.is_empty() {
                self.by_pid.remove(&registration.pid);
            }
        }
        Some(registration)
    }

    /// Removes every name of a dead process.
    pub(super) fn process_died(&mut self, pid: Pid) {
        for name in self.by_pid.remove(&pid).unwrap_or_default() {
            self.by_name.remove(&name);
        }
    }

    /// How many names a process has.
    pub(super) fn count_of(&self, pid: Pid) -> usize {
        self.by_pid.get(&pid).map_or(0, BTreeSet::len)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Term, &Registration)> {
        self.by_name.iter()
    }

    /// `[{Name, Pid, Method}]`, for an exchange.
    pub(super) fn to_term(&self) -> Term {
        Term::list(self.iter().map(|(name, found)| {
            Term::tuple([name.clone(), found.pid.into(), found.method.clone()])
        }))
    }

    /// `[{Name, Pid, RegNode}]`: what goes with operations, so that others know too.
    pub(super) fn externals_to_term(&self) -> Term {
        Term::list(self.iter().filter_map(|(name, found)| {
            let node = found.external?;
            Some(Term::tuple([name.clone(), found.pid.into(), node.into()]))
        }))
    }
}

impl Named {
    fn to_term(&self) -> Term {
        Term::tuple([self.name.clone(), self.pid.into(), self.method.clone()])
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        let [name, Term::Pid(pid), method] = term.as_tuple()? else {
            return None;
        };
        Some(Self {
            name: name.clone(),
            pid: *pid,
            method: method.clone(),
        })
    }
}

impl Op {
    pub(super) fn to_term(&self) -> Term {
        match self {
            Op::Insert(named) => Term::tuple([atom!("insert").into(), named.to_term()]),
            Op::Delete(name) => Term::tuple([atom!("delete").into(), name.clone()]),
        }
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        match term.as_tuple()? {
            [tag, named] if tag.is_atom("insert") => Named::from_term(named).map(Op::Insert),
            [tag, name] if tag.is_atom("delete") => Some(Op::Delete(name.clone())),
            _ => None,
        }
    }

    pub(super) fn list_to_term(ops: &[Op]) -> Term {
        Term::list(ops.iter().map(Op::to_term))
    }
}
