//! The children of the dynamic strategies: by pid, without an order of their own.
//!
//! There may be a hundred thousand and more, so an instance holds what starts it (nothing, where it
//! is temporary) and shares the rest of its spec with those that were started alike.
//!
//! Invariants:
//! - `I1` an instance that waits to be restarted is kept under the pid that it had;
//! - `I2` `restarting` and `supervisors` count those that are so.

use std::collections::BTreeMap;
use std::sync::Arc;

use purlin_term::Pid;

use super::answer::Status;
use super::spec::{ChildSpec, Kind};

#[derive(Debug, Clone)]
pub(super) struct Instance<S> {
    pub(super) start: Option<S>,
    pub(super) spec: Arc<ChildSpec<()>>,
    pub(super) is_restarting: bool,
}

/// What each of a hundred thousand costs, besides its place in the tree.
const _: () = assert!(size_of::<Instance<Arc<()>>>() <= 24);

#[derive(Debug, Clone)]
pub(super) struct Instances<S> {
    by_pid: BTreeMap<Pid, Instance<S>>,
    restarting: usize,
    supervisors: usize,
    /// That of the youngest, which the next is likely to share.
    last: Option<Arc<ChildSpec<()>>>,
}

impl<S> Default for Instances<S> {
    fn default() -> Self {
        Self {
            by_pid: BTreeMap::new(),
            restarting: 0,
            supervisors: 0,
            last: None,
        }
    }
}

impl<S> Instance<S> {
    /// One that runs.
    pub(super) fn new(spec: Arc<ChildSpec<()>>, start: Option<S>) -> Self {
        let is_restarting = false;
        Self {
            start,
            spec,
            is_restarting,
        }
    }

    pub(super) fn status(&self, pid: Pid) -> Status {
        match self.is_restarting {
            true => Status::Restarting(Some(pid)),
            false => Status::Running(pid),
        }
    }

    fn is_supervisor(&self) -> bool {
        self.spec.kind == Kind::Supervisor
    }
}

impl<S> Instances<S> {
    /// `spec`, shared with the youngest child if that has the same.
    pub(super) fn share(&mut self, spec: ChildSpec<()>) -> Arc<ChildSpec<()>> {
        match &self.last {
            Some(last) if **last == spec => last.clone(),
            _ => self.last.insert(Arc::new(spec)).clone(),
        }
    }

    pub(super) fn insert(&mut self, pid: Pid, instance: Instance<S>) {
        self.remove(pid);
        self.restarting += usize::from(instance.is_restarting);
        self.supervisors += usize::from(instance.is_supervisor());
        self.by_pid.insert(pid, instance);
    }

    pub(super) fn remove(&mut self, pid: Pid) -> Option<Instance<S>> {
        let instance = self.by_pid.remove(&pid)?;
        self.restarting -= usize::from(instance.is_restarting);
        self.supervisors -= usize::from(instance.is_supervisor());
        Some(instance)
    }

    pub(super) fn set_restarting(&mut self, pid: Pid) {
        if let Some(instance) = self.by_pid.get_mut(&pid)
            && !std::mem::replace(&mut instance.is_restarting, true)
        {
            self.restarting += 1;
        }
    }

    pub(super) fn get(&self, pid: Pid) -> Option<&Instance<S>> {
        self.by_pid.get(&pid)
    }

    pub(super) fn is_running(&self, pid: Pid) -> bool {
        self.get(pid)
            .is_some_and(|instance| !instance.is_restarting)
    }

    pub(super) fn len(&self) -> usize {
        self.by_pid.len()
    }

    pub(super) fn restarting(&self) -> usize {
        self.restarting
    }

    pub(super) fn supervisors(&self) -> usize {
        self.supervisors
    }

    /// By pid.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Pid, &Instance<S>)> {
        self.by_pid.iter().map(|(pid, instance)| (*pid, instance))
    }
}
