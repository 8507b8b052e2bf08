//! The children of the ordered strategies: by id, by pid, and in the order of their starts.
//!
//! Invariants:
//! - `I1` each child has one place, ids and places correspond; places are given in ascending order
//!   and never again;
//! - `I2` a child that is `Running` is found by its pid, unless a later one runs under the same.

use std::collections::BTreeMap;
use std::ops::Bound;

use purlin_term::{Pid, Term};

use super::answer::Status;
use super::spec::ChildSpec;

/// Where a child stands in the order of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

#[derive(Debug, Clone)]
pub(super) struct Child<S> {
    /// A temporary child needs its start once, so it is not kept.
    pub(super) spec: ChildSpec<Option<S>>,
    pub(super) status: Status,
}

#[derive(Debug, Clone)]
pub(super) struct Children<S> {
    by_place: BTreeMap<Place, Child<S>>,
    by_id: BTreeMap<Term, Place>,
    by_pid: BTreeMap<Pid, Place>,
    next: Place,
}

impl Place {
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl<S> Default for Children<S> {
    fn default() -> Self {
        Self {
            by_place: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            next: Place::FIRST,
        }
    }
}

impl<S> Children<S> {
    /// Adds a child after all others; it does not run yet.
    pub(super) fn push(&mut self, spec: ChildSpec<Option<S>>) -> Place {
        let place = self.next;
        self.next = place.next();
        self.by_id.insert(spec.id.clone(), place);
        let status = Status::Undefined;
        self.by_place.insert(place, Child { spec, status });
        place
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.set_status(place, Status::Undefined);
        if let Some(child) = self.by_place.remove(&place) {
            self.by_id.remove(&child.spec.id);
        }
    }

    pub(super) fn set_status(&mut self, place: Place, status: Status) {
        let Some(child) = self.by_place.get_mut(&place) else {
            return;
        };
        let before = std::mem::replace(&mut child.status, status);
        if let Status::Running(pid) = before
            && self.by_pid.get(&pid) == Some(&place)
        {
            self.by_pid.remove(&pid);
        }
        if let Status::Running(pid) = status {
            self.by_pid.insert(pid, place);
        }
    }

    pub(super) fn get(&self, place: Place) -> Option<&Child<S>> {
        self.by_place.get(&place)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Child<S>> {
        self.by_place.get_mut(&place)
    }

    pub(super) fn find(&self, id: &Term) -> Option<(Place, &Child<S>)> {
        let place = *self.by_id.get(id)?;
        Some((place, self.by_place.get(&place)?))
    }

    pub(super) fn find_pid(&self, pid: Pid) -> Option<Place> {
        self.by_pid.get(&pid).copied()
    }

    /// The first child from a place on.
    pub(super) fn first_from(&self, from: Place) -> Option<Place> {
        self.by_place.range(from..).next().map(|(place, _)| *place)
    }

    /// The last child from a place on, and before another if one is given.
    pub(super) fn last_from(&self, from: Place, before: Option<Place>) -> Option<Place> {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = self.by_place.range((Bound::Included(from), end));
        range.next_back().map(|(place, _)| *place)
    }

    /// In the order of starts.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Child<S>> {
        self.by_place.values()
    }
}
