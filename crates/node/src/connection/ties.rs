//! What processes of this node have to do with a peer, as far as its connection has to know.
//!
//! Links and monitors belong to the processes; they change them. A connection notes two things as the
//! signals pass through it: which processes to tell when it ends, and how many links and monitors
//! the peer holds here, which is bounded. The count is kept here, and not by what the processes hold,
//! so that it holds before they have come to handle the signals, and ends with the connection.
//!
//! Invariants:
//! - `I1` whoever has a tie over this connection is told of its end: noted before the signal goes on, and
//!   forgotten only when the tie or the process has ended;
//! - `I2` a peer's link or monitor is counted once, from its signal until the signal that ends it, in
//!   whichever direction that goes;
//! - `I3` after [`Ties::close`] nothing is noted.
//!
//! What each spawn request of either side goes through is hashed, with a seed of this OS process; no order of it is
//! ever seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::{HashMap, HashSet};
use purlin_runtime::Reason;
use purlin_term::{Pid, Reference};

use crate::limits::LINKS_AND_MONITORS_MAX;

/// Processes that are noted before the dead among them are looked for. A guess, unmeasured.
const FIRST_SWEEP: usize = 1024;

/// What processes here have to do with a peer.
pub(crate) struct Ties(Mutex<Option<Open>>);

#[derive(Default)]
struct Open {
    /// Processes of this node that made a tie or asked for a process.
    ours: HashSet<Pid>,
    /// How many of them there may be before the dead are dropped.
    sweep_at: usize,
    /// The links that the peer made: its process, and ours.
    links: BTreeSet<(Pid, Pid)>,
    /// The monitors that the peer holds: its process, and ours.
    monitors: HashMap<Reference, (Pid, Pid)>,
    /// Spawn requests of processes that have ended, and what the children are told.
    orphans: BTreeMap<Reference, Reason>,
}

/// Why a tie of the peer is not taken: the connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TieRefused {
    /// It has as many as it may.
    #[error("it holds more than {LINKS_AND_MONITORS_MAX} links and monitors of processes here")]
    TooMany,
    /// References are made once.
    #[error("it used the reference of a monitor for another")]
    ReferenceUsed,
}

impl Default for Ties {
    fn default() -> Self {
        Self(Mutex::new(Some(Open {
            sweep_at: FIRST_SWEEP,
            ..Open::default()
        })))
    }
}

impl Ties {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process here makes a tie; false when the connection has ended.
    pub(crate) fn note(&self, pid: Pid, is_alive: impl Fn(Pid) -> bool) -> bool {
        let mut open = self.open();
        let Some(open) = &mut *open else {
            return false;
        };
        open.ours.insert(pid);
        if open.ours.len() >= open.sweep_at {
            open.ours.retain(|noted| *noted == pid || is_alive(*noted));
            open.sweep_at = FIRST_SWEEP.max(2 * open.ours.len());
        }
        true
    }

    /// A process of the peer links itself to one here.
    pub(crate) fn hold_link(&self, from: Pid, to: Pid) -> Result<(), TieRefused> {
        self.hold(|open| {
            open.links.insert((from, to));
            Ok(())
        })
    }

    /// A process of the peer monitors one here.
    pub(crate) fn hold_monitor(
        &self,
        reference: Reference,
        from: Pid,
        to: Pid,
    ) -> Result<(), TieRefused> {
        self.hold(|open| match open.monitors.insert(reference, (from, to)) {
            None => Ok(()),
            Some(_) => Err(TieRefused::ReferenceUsed),
        })
    }

    fn hold(
        &self,
        tie: impl FnOnce(&mut Open) -> Result<(), TieRefused>,
    ) -> Result<(), TieRefused> {
        let mut open = self.open();
        let Some(open) = &mut *open else {
            return Ok(());
        };
        tie(open)?;
        match open.links.len() + open.monitors.len() > LINKS_AND_MONITORS_MAX {
            true => Err(TieRefused::TooMany),
            false => Ok(()),
        }
    }

    /// The link between a process of the peer and one here ends.
    pub(crate) fn end_link(&self, theirs: Pid, ours: Pid) {
        if let Some(open) = &mut *self.open() {
            open.links.remove(&(theirs, ours));
        }
    }

    /// The peer takes a monitor back; answers what it watched.
    pub(crate) fn take_monitor(&self, reference: &Reference, from: Pid) -> Option<Pid> {
        let mut open = self.open();
        let monitors = &mut open.as_mut()?.monitors;
        let (_, to) = *monitors.get(reference).filter(|held| held.0 == from)?;
        monitors.remove(reference);
        Some(to)
    }

    /// A monitor of the peer fires.
    pub(crate) fn end_monitor(&self, reference: &Reference) {
        if let Some(open) = &mut *self.open() {
            open.monitors.remove(reference);
        }
    }

    /// The child of a spawn request is to be told this when the reply comes.
    pub(crate) fn adopt_orphan(&self, reference: Reference, reason: Reason) {
        if let Some(open) = &mut *self.open() {
            open.orphans.insert(reference, reason);
        }
    }

    pub(crate) fn take_orphan(&self, reference: &Reference) -> Option<Reason> {
        self.open().as_mut()?.orphans.remove(reference)
    }

    /// The connection has ended: the processes here that are to be told, sorted.
    pub(crate) fn close(&self) -> BTreeSet<Pid> {
        let Some(open) = self.open().take() else {
            return BTreeSet::new();
        };
        let mut all: BTreeSet<Pid> = open.ours.into_iter().collect();
        all.extend(open.links.into_iter().map(|(_, ours)| ours));
        all.extend(open.monitors.into_values().map(|(_, ours)| ours));
        all
    }
}

#[cfg(test)]
mod tests {
    use purlin_term::{Atom, NodeName, atom};

    use super::*;

    fn pid(node: &str, id: u32) -> Pid {
        let node = NodeName::new(Atom::new(node).unwrap()).unwrap();
        Pid {
            node,
            creation: 1,
            id,
            serial: 0,
        }
    }

    fn ours(id: u32) -> Pid {
        pid("here@ties", id)
    }

    fn theirs(id: u32) -> Pid {
        pid("there@ties", id)
    }

    fn reference(n: u32) -> Reference {
        Reference::new(theirs(0).node, 1, &[n]).unwrap()
    }

    #[test]
    fn whoever_has_a_tie_is_told_once_and_nothing_is_noted_afterwards() {
        let ties = Ties::default();
        assert!(ties.note(ours(1), |_| true));
        ties.hold_link(theirs(1), ours(2)).unwrap();
        ties.hold_link(theirs(2), ours(2)).unwrap();
        ties.hold_monitor(reference(1), theirs(1), ours(3)).unwrap();
        ties.hold_monitor(reference(2), theirs(1), ours(4)).unwrap();
        ties.end_monitor(&reference(2));
        let told: Vec<Pid> = ties.close().into_iter().collect();
        assert_eq!(told, [ours(1), ours(2), ours(3)]);
        assert!(!ties.note(ours(1), |_| true));
        assert!(ties.close().is_empty());
    }

    #[test]
    fn the_dead_are_forgotten_when_many_were_noted() {
        let ties = Ties::default();
        for id in 0..5000 {
            ties.note(ours(id), |pid| pid.id % 100 == 0);
        }
        let told = ties.close();
        assert!(told.len() < 2 * FIRST_SWEEP, "{}", told.len());
        assert!((0..50).all(|n| told.contains(&ours(100 * n))));
    }

    #[test]
    fn what_a_peer_holds_is_bounded_and_counts_only_while_it_lasts() {
        let ties = Ties::default();
        let most = LINKS_AND_MONITORS_MAX as u32;
        for n in 0..most + 10 {
            ties.hold_link(theirs(n), ours(1)).unwrap();
            ties.end_link(theirs(n), ours(1));
            ties.hold_monitor(reference(n), theirs(1), ours(1)).unwrap();
            assert_eq!(ties.take_monitor(&reference(n), theirs(2)), None);
            assert_eq!(ties.take_monitor(&reference(n), theirs(1)), Some(ours(1)));
        }
        for n in 0..most {
            ties.hold_link(theirs(n), ours(1)).unwrap();
        }
        ties.hold_link(theirs(0), ours(1)).unwrap();
        let more = ties.hold_monitor(reference(0), theirs(1), ours(1));
        assert_eq!(more, Err(TieRefused::TooMany));
    }

    #[test]
    fn a_reference_is_for_one_monitor() {
        let ties = Ties::default();
        ties.hold_monitor(reference(1), theirs(1), ours(1)).unwrap();
        let again = ties.hold_monitor(reference(1), theirs(1), ours(2));
        assert_eq!(again, Err(TieRefused::ReferenceUsed));
    }

    #[test]
    fn an_orphan_is_taken_once() {
        let ties = Ties::default();
        ties.adopt_orphan(reference(1), purlin_runtime::Reason::new(atom!("x").into()));
        assert!(ties.take_orphan(&reference(1)).is_some());
        assert!(ties.take_orphan(&reference(1)).is_none());
    }
}
