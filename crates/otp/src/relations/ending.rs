//! What is due to others when a process has ended.
//!
//! An iterator, because a process may have a hundred thousand links: whoever carries the signals
//! takes them as fast as it likes, and the reason is shared among them.

use std::iter::FusedIterator;

use purlin_term::{NodeName, Pid, Reference};

use super::Inner;
use super::held::{Leftover, Leftovers, Monitor, Request};
use super::links::LinkedPids;
use super::small_map::IntoIter;
use super::watchers::Watcher;
use crate::reason::{self, Reason};
use crate::signal::{Signal, Target};

/// One thing that is due to others when a process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Farewell {
    /// Send `signal` to `to`.
    Send {
        /// Whom it is for.
        to: Target,
        /// What.
        signal: Signal,
    },
    /// A spawn request with a link is under way, and whom it creates is still to be told. When its
    /// reply comes, give [`refuse`](crate::signal::refuse) this reason for it; when its connection
    /// is lost, forget it.
    Orphan {
        /// The request.
        reference: Reference,
        /// The node that was asked.
        node: NodeName,
        /// What the child is told.
        reason: Reason,
    },
}

/// What is due to others when a process has ended: links first, the youngest process of a node before the others,
/// then monitors of either kind.
///
/// So the children of a supervisor that was killed hear before the supervisor above, which starts it anew and needs
/// their names. OTP knows no order here.
pub struct Ending {
    me: Pid,
    reason: Reason,
    rest: Option<Rest>,
}

struct Rest {
    links: LinkedPids,
    watchers: IntoIter<Reference, Watcher>,
    held: Leftovers,
}

impl Ending {
    pub(super) fn new(me: Pid, reason: Reason, inner: Option<Box<Inner>>) -> Self {
        let rest = inner.map(|inner| Rest {
            links: inner.links.into_iter(),
            watchers: inner.watchers.into_iter(),
            held: inner.held.into_iter(),
        });
        Self { me, reason, rest }
    }

    fn exit(&self, to: Pid) -> Farewell {
        let (from, reason) = (self.me, self.reason.clone());
        send(to, Signal::Exit { from, reason })
    }

    fn down(&self, reference: Reference, watcher: Watcher) -> Farewell {
        let name = watcher.name.map(|name| Target::Name(name, self.me.node));
        let from = name.unwrap_or(Target::Pid(self.me));
        let reason = self.reason.clone();
        let down = Signal::Down {
            from,
            reference,
            reason,
        };
        send(watcher.pid, down)
    }

    fn demonitor(&self, reference: Reference, monitor: &Monitor) -> Farewell {
        let from = self.me;
        send(monitor.addressee(), Signal::Demonitor { from, reference })
    }

    /// Only whom a request links is told; a monitor of the dead does nothing.
    fn orphan(&self, reference: Reference, request: &Request) -> Option<Farewell> {
        let reason = match request.is_abandoned {
            true => reason::abandoned(),
            false => self.reason.clone(),
        };
        let node = request.node;
        request.link.then_some(Farewell::Orphan {
            reference,
            node,
            reason,
        })
    }
}

impl Iterator for Ending {
    type Item = Farewell;

    fn next(&mut self) -> Option<Farewell> {
        loop {
            let rest = self.rest.as_mut()?;
            if let Some(pid) = rest.links.next() {
                return Some(self.exit(pid));
            }
            if let Some((reference, watcher)) = rest.watchers.next() {
                return Some(self.down(reference, watcher));
            }
            let farewell = match rest.held.next() {
                Some((reference, Leftover::Monitor(monitor))) => {
                    Some(self.demonitor(reference, &monitor))
                }
                Some((reference, Leftover::Request(request))) => self.orphan(reference, &request),
                None => {
                    self.rest = None;
                    return None;
                }
            };
            if farewell.is_some() {
                return farewell;
            }
        }
    }
}

impl FusedIterator for Ending {}

fn send(to: impl Into<Target>, signal: Signal) -> Farewell {
    let to = to.into();
    Farewell::Send { to, signal }
}
