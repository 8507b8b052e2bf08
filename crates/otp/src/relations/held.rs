//! What one process holds by references of its own: monitors, aliases and spawn requests.
//!
//! Source: reference manual, "Processes", "Monitors" and "Process Aliases"; `erlang:monitor/3`,
//! `demonitor/2`, `alias/1`, `spawn_request/5`. One reference may be an alias and a monitor, or a
//! spawn request whose monitor comes with its reply, so one record holds what the reference is.
//! Where the manual leaves it open, as seen with OTP 25: an alias asked for with a spawn request is
//! active only from the reply on, and the failing or abandoning of the request ends it in every
//! mode.
//!
//! Invariants:
//! - `I1` a monitor is removed before its `DOWN` is answered, so it fires once, and not at all once
//!   it was taken back;
//! - `I2` no record is empty: each has a monitor, a request or an alias.

use purlin_term::{Atom, NodeName, Pid, Reference, Term};

use super::AliasMode;
use super::small_map::{IntoIter, Kept, SmallMap};
use crate::signal::{Epoch, Target};

/// What one process holds, by reference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Held(SmallMap<Reference, Record>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Record {
    alias: Option<AliasMode>,
    waits: Waits,
    tag: Tag,
}

/// What the owner wants in the place of `'DOWN'` or `spawn_reply`. Boxed: there rarely is one.
pub(super) type Tag = Option<Box<Term>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Waits {
    /// For nothing: the reference is an alias.
    Nothing,
    Down(Monitor),
    SpawnReply(Box<Request>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Monitor {
    /// In the words of the owner.
    pub(super) target: Target,
    /// Who had the name when it was monitored, if that is known here.
    pub(super) holder: Option<Pid>,
    pub(super) epoch: Epoch,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Request {
    pub(super) node: NodeName,
    pub(super) epoch: Epoch,
    /// A link was asked for.
    pub(super) link: bool,
    pub(super) reply_on_success: bool,
    pub(super) reply_on_error: bool,
    pub(super) is_abandoned: bool,
    pub(super) reply_tag: Tag,
}

/// What a lost connection leaves of a reference.
#[derive(Debug)]
pub(super) enum Lost {
    Monitor(Target, Tag),
    Request(Request),
}

impl Held {
    pub(super) fn monitor(
        &mut self,
        reference: Reference,
        monitor: Monitor,
        alias: Option<AliasMode>,
        tag: Tag,
    ) {
        self.insert(reference, alias, Waits::Down(monitor), tag);
    }

    /// Takes a monitor back. A spawn request that is under way has none yet.
    pub(super) fn demonitor(&mut self, reference: &Reference) -> Option<Monitor> {
        self.end_monitor(reference, |_| true)
            .map(|(monitor, _)| monitor)
    }

    /// The monitor fires, if it is there and watches that node.
    pub(super) fn fire(&mut self, reference: &Reference, node: NodeName) -> Option<(Target, Tag)> {
        let ended = self.end_monitor(reference, |monitor| monitor.target.node() == node);
        ended.map(|(monitor, tag)| (monitor.target, tag))
    }

    /// Removes a monitor, and an alias that goes with it (`I1`).
    fn end_monitor(
        &mut self,
        reference: &Reference,
        ends: impl Fn(&Monitor) -> bool,
    ) -> Option<(Monitor, Tag)> {
        let end = |record: &mut Record| match &record.waits {
            Waits::Down(monitor) if ends(monitor) => record.end_monitor(),
            _ => (Kept::Yes, None),
        };
        self.0.change(reference, end)?
    }

    pub(super) fn alias(&mut self, reference: Reference, mode: AliasMode) {
        self.insert(reference, Some(mode), Waits::Nothing, None);
    }

    /// Ends an alias, and nothing but the alias. True if it was there.
    pub(super) fn unalias(&mut self, reference: &Reference) -> bool {
        let end = |record: &mut Record| {
            let was_alias = record.alias.take().is_some();
            (record.kept(), was_alias)
        };
        self.0.change(reference, end).unwrap_or(false)
    }

    /// The mode of an alias to which messages can be sent now.
    pub(super) fn active_alias(&self, reference: &Reference) -> Option<AliasMode> {
        let record = self.0.get(reference)?;
        let is_pending = matches!(record.waits, Waits::SpawnReply(_));
        record.alias.filter(|_| !is_pending)
    }

    pub(super) fn request(
        &mut self,
        reference: Reference,
        request: Request,
        alias: Option<AliasMode>,
        tag: Tag,
    ) {
        let waits = Waits::SpawnReply(Box::new(request));
        self.insert(reference, alias, waits, tag);
    }

    /// Gives a request up: its reply is still due, and will be nobody's. True if it was under way.
    pub(super) fn abandon(&mut self, reference: &Reference) -> bool {
        let Some(record) = self.0.get_mut(reference) else {
            return false;
        };
        match &mut record.waits {
            Waits::SpawnReply(request) if !request.is_abandoned => {
                request.is_abandoned = true;
                record.alias = None;
                true
            }
            _ => false,
        }
    }

    /// The reply of `node` to a request; `monitored` is what its monitor watches from now on.
    pub(super) fn handle_spawn_reply(
        &mut self,
        reference: &Reference,
        node: NodeName,
        monitored: Option<Pid>,
    ) -> Option<Request> {
        let record = self.0.get_mut(reference)?;
        if !matches!(&record.waits, Waits::SpawnReply(request) if request.node == node) {
            return None;
        }
        let waits = std::mem::replace(&mut record.waits, Waits::Nothing);
        let Waits::SpawnReply(request) = waits else {
            return None;
        };
        match monitored.filter(|_| !request.is_abandoned) {
            Some(child) => {
                record.waits = Waits::Down(Monitor {
                    target: child.into(),
                    holder: None,
                    epoch: request.epoch,
                });
            }
            None => {
                self.0.remove(reference);
            }
        }
        Some(*request)
    }

    /// Removes what waits for `node` up to this connection.
    ///
    /// Looks at every record: a node is lost rarely, and an index would cost each monitor.
    pub(super) fn handle_connection_lost(
        &mut self,
        node: NodeName,
        epoch: Epoch,
    ) -> Vec<(Reference, Lost)> {
        let lost = self
            .0
            .iter()
            .filter(|(_, record)| record.waits.is_lost(node, epoch));
        let lost: Vec<Reference> = lost.map(|(reference, _)| *reference).collect();
        let remove = |reference| Some((reference, self.lose(&reference, node)?));
        lost.into_iter().filter_map(remove).collect()
    }

    fn lose(&mut self, reference: &Reference, node: NodeName) -> Option<Lost> {
        match self.fire(reference, node) {
            Some((target, tag)) => Some(Lost::Monitor(target, tag)),
            None => self
                .handle_spawn_reply(reference, node, None)
                .map(Lost::Request),
        }
    }

    /// What is monitored, in the words of the owner.
    pub(super) fn monitors(&self) -> impl Iterator<Item = (&Reference, &Target)> {
        self.0
            .iter()
            .filter_map(|(reference, record)| match &record.waits {
                Waits::Down(monitor) => Some((reference, &monitor.target)),
                _ => None,
            })
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn insert(&mut self, reference: Reference, alias: Option<AliasMode>, waits: Waits, tag: Tag) {
        let record = Record { alias, waits, tag };
        let before = self.0.insert(reference, record);
        debug_assert!(before.is_none(), "a reference is made once: {reference}");
    }
}

impl Record {
    /// A record that has become empty goes (`I2`).
    fn kept(&self) -> Kept {
        match (&self.waits, self.alias) {
            (Waits::Nothing, None) => Kept::No,
            _ => Kept::Yes,
        }
    }

    /// Takes the monitor out, and with it an alias that ends with it.
    fn end_monitor(&mut self) -> (Kept, Option<(Monitor, Tag)>) {
        let waits = std::mem::replace(&mut self.waits, Waits::Nothing);
        if self.alias != Some(AliasMode::ExplicitUnalias) {
            self.alias = None;
        }
        let ended = match waits {
            Waits::Down(monitor) => Some((monitor, self.tag.take())),
            _ => None,
        };
        (self.kept(), ended)
    }
}

impl Waits {
    fn is_lost(&self, node: NodeName, epoch: Epoch) -> bool {
        let of = match self {
            Self::Nothing => return false,
            Self::Down(monitor) => (monitor.target.node(), monitor.epoch),
            Self::SpawnReply(request) => (request.node, request.epoch),
        };
        of.0 == node && of.1 <= epoch
    }
}

impl Monitor {
    /// Whom its signals are for.
    pub(super) fn addressee(&self) -> Target {
        match self.holder {
            Some(pid) => pid.into(),
            None => self.target.clone(),
        }
    }

    /// The name in it, if it is one.
    pub(super) fn name(&self) -> Option<Atom> {
        match &self.target {
            Target::Pid(_) => None,
            Target::Name(name, _) => Some(name.clone()),
        }
    }
}

/// What the owner held when it ended and others must hear of.
pub(super) struct Leftovers(IntoIter<Reference, Record>);

#[derive(Debug)]
pub(super) enum Leftover {
    Monitor(Monitor),
    Request(Request),
}

impl IntoIterator for Held {
    type Item = (Reference, Leftover);
    type IntoIter = Leftovers;

    fn into_iter(self) -> Leftovers {
        Leftovers(self.0.into_iter())
    }
}

impl Iterator for Leftovers {
    type Item = (Reference, Leftover);

    fn next(&mut self) -> Option<(Reference, Leftover)> {
        self.0.find_map(|(reference, record)| match record.waits {
            Waits::Nothing => None,
            Waits::Down(monitor) => Some((reference, Leftover::Monitor(monitor))),
            Waits::SpawnReply(request) => Some((reference, Leftover::Request(*request))),
        })
    }
}
