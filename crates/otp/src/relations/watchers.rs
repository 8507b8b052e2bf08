//! The monitors that others hold on one process.
//!
//! Invariants:
//! - `I1` the watcher is of the node that made the reference, so no peer can touch the monitors of
//!   another, and a lost node's lie side by side;
//! - `I2` a monitor is removed when it fires, is taken back, or its connection is lost.

use std::ops::RangeInclusive;

use purlin_term::limits::REFERENCE_WORDS_MAX;
use purlin_term::{Atom, NodeName, Pid, Reference};

use super::small_map::{IntoIter, Kept, SmallMap};

/// The monitors that others hold on one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Watchers(SmallMap<Reference, Watcher>);

/// Who watches, and by which name if by a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Watcher {
    pub(super) pid: Pid,
    pub(super) name: Option<Atom>,
}

impl Watchers {
    /// A monitor under a reference that another node made is not taken (`I1`).
    pub(super) fn handle_monitor(&mut self, pid: Pid, reference: Reference, name: Option<Atom>) {
        if reference.node() == pid.node {
            self.0.insert(reference, Watcher { pid, name });
        }
    }

    pub(super) fn handle_demonitor(&mut self, pid: Pid, reference: &Reference) {
        self.0
            .change(reference, |watcher| match watcher.pid == pid {
                true => (Kept::No, ()),
                false => (Kept::Yes, ()),
            });
    }

    /// Forgets the monitors of `node`: the watchers were told there. They need no epoch, since they
    /// come by signals alone, none of which over a later connection was handled yet.
    pub(super) fn handle_connection_lost(&mut self, node: NodeName) {
        for reference in self.0.keys_in(all_of(node), |_| true) {
            self.0.remove(&reference);
        }
    }

    /// Who watches, by reference; one that watches twice is there twice.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pid> {
        self.0.iter().map(|(_, watcher)| watcher.pid)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for Watchers {
    type Item = (Reference, Watcher);
    type IntoIter = IntoIter<Reference, Watcher>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// From the lowest to the highest reference that `node` can make.
fn all_of(node: NodeName) -> RangeInclusive<Reference> {
    let bound = |n| {
        let words = [n; REFERENCE_WORDS_MAX];
        Reference::new(node, n, &words).expect("a reference may have so many words")
    };
    bound(0)..=bound(u32::MAX)
}
