//! The links of one process, each as OTP's link protocol has it.
//!
//! Source: ERTS, *Distribution Protocol*, "Link Protocol". The two ends of a link hold a record
//! each and may disagree while signals are under way; after all have arrived both are linked or
//! neither. What makes it so is that an end that unlinked keeps its record, inactive, until the
//! other end has acknowledged: a `Link` or `Exit` that crossed the `Unlink` meets the inactive
//! record and has no effect. Purlin runs the protocol between processes of one node too, as OTP
//! does.
//!
//! Added to the protocol: the [`Epoch`] of the connection that a record stands for, so that what an
//! older connection still brings does not touch it.
//!
//! Invariants:
//! - `I1` a record is removed by the act that ends the link, so a link acts once;
//! - `I2` an inactive record goes only by the acknowledgement with its id, by a new link, or with
//!   its connection;
//! - `I3` no record's epoch goes down.

use std::num::NonZeroU64;

use purlin_term::{NodeName, Pid};

use super::small_map::{IntoIter, Kept, SmallMap};
use crate::signal::Epoch;

/// The links of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Links(SmallMap<ByNode, Link>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Link {
    /// The id of the `Unlink` that is not yet acknowledged; the link is inactive.
    unlinking: Option<NonZeroU64>,
    epoch: Epoch,
}

/// A pid that sorts by its node first: a lost node's links lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ByNode {
    node: NodeName,
    creation: u32,
    serial: u32,
    id: u32,
}

impl Links {
    /// The owner links. True when a `Link` is to be sent.
    pub(super) fn link(&mut self, to: Pid, epoch: Epoch) -> bool {
        let epoch = match self.0.get(&to.into()) {
            Some(link) if link.is_active() => return false,
            Some(link) => link.epoch.max(epoch),
            None => epoch,
        };
        self.0.insert(to.into(), Link::active(epoch));
        true
    }

    /// The owner unlinks. True when an `Unlink` with this id is to be sent.
    pub(super) fn unlink(&mut self, from: Pid, epoch: Epoch, id: NonZeroU64) -> bool {
        match self.0.get_mut(&from.into()) {
            Some(link) if link.is_active() => {
                link.unlinking = Some(id);
                link.epoch = link.epoch.max(epoch);
                true
            }
            _ => false,
        }
    }

    /// The other end believes in a link that the owner does not want. True when an `Unlink` with
    /// this id is to be sent; what the owner has said itself of that link stays.
    pub(super) fn decline(&mut self, from: Pid, epoch: Epoch, id: NonZeroU64) -> bool {
        let key = from.into();
        let is_new = self.0.get(&key).is_none();
        if is_new {
            let unlinking = Some(id);
            self.0.insert(key, Link { unlinking, epoch });
        }
        is_new
    }

    /// The other end linked. An existing record stays as it is: an active one has the link already,
    /// and past an inactive one the other end has our `Unlink` still to come.
    pub(super) fn handle_link(&mut self, from: Pid, epoch: Epoch) {
        if self.0.get(&from.into()).is_none() {
            self.0.insert(from.into(), Link::active(epoch));
        }
    }

    /// The other end unlinked. What it does not know of, being newer or inactive, stays.
    pub(super) fn handle_unlink(&mut self, from: Pid, epoch: Epoch) {
        self.end_active(from, epoch);
    }

    /// The other end has seen our `Unlink`.
    pub(super) fn handle_unlink_ack(&mut self, from: Pid, id: NonZeroU64) {
        self.0.change(&from.into(), |link| match link.unlinking {
            Some(awaited) if awaited == id => (Kept::No, ()),
            _ => (Kept::Yes, ()),
        });
    }

    /// The other end's exit. True when the link was active, and so acts.
    pub(super) fn handle_exit(&mut self, from: Pid, epoch: Epoch) -> bool {
        self.end_active(from, epoch)
    }

    /// Removes all links with `node` up to this connection, and answers those that act.
    pub(super) fn handle_connection_lost(&mut self, node: NodeName, epoch: Epoch) -> Vec<Pid> {
        let keys = self
            .0
            .keys_in(ByNode::all_of(node), |link| link.epoch <= epoch);
        let removed = keys.into_iter().map(|key| (key, self.0.remove(&key)));
        let acting = removed.filter(|(_, link)| link.as_ref().is_some_and(Link::is_active));
        acting.map(|(key, _)| key.into()).collect()
    }

    pub(super) fn is_linked(&self, to: Pid) -> bool {
        self.0.get(&to.into()).is_some_and(Link::is_active)
    }

    /// The processes that are linked, by node.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pid> {
        let active = self.0.iter().filter(|(_, link)| link.is_active());
        active.map(|(key, _)| (*key).into())
    }

    /// Records, inactive ones among them.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes an active link that is not newer than `epoch`; true if there was one (`I1`).
    fn end_active(&mut self, from: Pid, epoch: Epoch) -> bool {
        let end = |link: &mut Link| match link.is_active() && link.epoch <= epoch {
            true => (Kept::No, true),
            false => (Kept::Yes, false),
        };
        self.0.change(&from.into(), end).unwrap_or(false)
    }
}

/// The processes that are linked when the owner ends, by node, the youngest of a node first: those that it has
/// started hear before who has started it.
pub(super) struct LinkedPids(IntoIter<ByNode, Link>);

impl IntoIterator for Links {
    type Item = Pid;
    type IntoIter = LinkedPids;

    fn into_iter(self) -> LinkedPids {
        LinkedPids(self.0.into_iter())
    }
}

impl Iterator for LinkedPids {
    type Item = Pid;

    fn next(&mut self) -> Option<Pid> {
        let (key, _) = self.0.rfind(|(_, link)| link.is_active())?;
        Some(key.into())
    }
}

impl Link {
    fn active(epoch: Epoch) -> Self {
        Self {
            unlinking: None,
            epoch,
        }
    }

    fn is_active(&self) -> bool {
        self.unlinking.is_none()
    }
}

impl ByNode {
    fn all_of(node: NodeName) -> std::ops::RangeInclusive<Self> {
        let key = |n| Self {
            node,
            creation: n,
            serial: n,
            id: n,
        };
        key(0)..=key(u32::MAX)
    }
}

impl From<Pid> for ByNode {
    fn from(pid: Pid) -> Self {
        Self {
            node: pid.node,
            creation: pid.creation,
            serial: pid.serial,
            id: pid.id,
        }
    }
}

impl From<ByNode> for Pid {
    fn from(key: ByNode) -> Self {
        Self {
            node: key.node,
            creation: key.creation,
            id: key.id,
            serial: key.serial,
        }
    }
}
