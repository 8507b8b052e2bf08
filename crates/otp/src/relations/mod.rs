//! One process and its ties to others: links, monitors, aliases, spawn requests.
//!
//! A [`Relations`] belongs to one process and is changed by that process alone: by its verbs (what
//! the process wants) and by `handle_*` (what arrived for it, in the order in which it arrived).
//! What follows is put into a `Vec` that the caller reuses: signals to others, what the process is
//! to see in the place of a signal, or that the process ends. Others are treated alike on whatever
//! node they live. Whoever carries the signals answers for processes and nodes that cannot be
//! reached, with [`refuse`](crate::signal::refuse).
//!
//! Source: OTP's reference manual, "Processes" ("Signals", "Links", "Monitors", "Process Aliases");
//! ERTS, *Distribution Protocol*, "Link Protocol"; `erlang:exit/2`, `monitor/3`, `demonitor/2`,
//! `alias/1`, `spawn_request/5` and `spawn_request_abandon/1`. What they leave open is as OTP 25
//! does it.
//!
//! Calling order: verbs and `handle_*` as things happen. After [`Output::Terminate`], or when the
//! process ends by itself, [`Relations::exit`]; what arrives after that is answered by `refuse`.
//!
//! What the caller sees to:
//! - signals of one process arrive in the order it sent them, whether they came from here, over a
//!   connection, or from `refuse` in its place;
//! - the loss of a connection is told before anything that came over a later one to that node, and
//!   nothing that came over the lost one follows it;
//! - what a call that was given an epoch answers for another node is sent over that connection, or
//!   dropped when that is gone;
//! - references are made once; what is sent to this process in another's name was sent by its node.
//!
//! Invariants:
//! - `I1` a link acts at most once, and not after [`Relations::unlink`] returned, unless linked
//!   anew;
//! - `I2` a monitor fires at most once, and not after [`Relations::demonitor`] returned;
//! - `I3` after `Terminate` nothing is delivered and nothing else terminates;
//! - `I4` an id of an `Unlink` is never used again by the same process;
//! - `I5` the order of all outputs follows from the inputs alone.
//!
//! Read next: `links` for the protocol of two ends, `held` for what goes by references.

mod ending;
mod held;
mod links;
mod options;
mod output;
mod small_map;
mod spawn;
mod watchers;

use std::num::NonZeroU64;

use purlin_term::{Atom, NodeName, Pid, Reference};

pub use ending::{Ending, Farewell};
pub use options::{AliasMode, MonitorOptions, SpawnOptions};
pub use output::{Info, Output};

use crate::reason::{self, Reason};
use crate::signal::{Epoch, Signal, Target};
use held::{Held, Lost, Monitor};
use links::Links;
use watchers::Watchers;

/// The ties of one process: see the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relations {
    me: Pid,
    /// The id of the last `Unlink` (`I4`).
    unlinks: u64,
    traps_exits: bool,
    is_kept: bool,
    is_ending: bool,
    /// Allocated with the first tie: most processes that only compute never have one.
    inner: Option<Box<Inner>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Inner {
    links: Links,
    watchers: Watchers,
    held: Held,
}

/// What every process costs, with and without ties.
const _: () = assert!(size_of::<Relations>() <= 40 && size_of::<Inner>() <= 96);

/// From whom an exit signal comes, which decides what `kill` and `normal` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitKind {
    Link,
    Explicit,
}

impl Relations {
    /// A process without ties, which does not trap exits. Allocates nothing.
    pub fn new(me: Pid) -> Self {
        Self {
            me,
            unlinks: 0,
            traps_exits: false,
            is_kept: false,
            is_ending: false,
            inner: None,
        }
    }

    /// Sets whether exit signals are delivered instead of ending the process; answers what was set.
    pub fn set_trap_exit(&mut self, trap: bool) -> bool {
        std::mem::replace(&mut self.traps_exits, trap)
    }

    /// From now on no exit signal ends this process or is seen by it: it belongs to the node.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Links this process to another, over the connection of that epoch. To itself, or when the
    /// link is there, nothing happens.
    pub fn link(&mut self, to: Pid, epoch: Epoch, out: &mut Vec<Output>) {
        if to != self.me && self.inner().links.link(to, epoch) {
            let from = self.me;
            send(out, to, Signal::Link { from });
        }
    }

    /// Ends a link: nothing of it is seen any more. True if there was one.
    pub fn unlink(&mut self, from: Pid, epoch: Epoch, out: &mut Vec<Output>) -> bool {
        let id = self.next_unlink();
        let Some(inner) = &mut self.inner else {
            return false;
        };
        if !inner.links.unlink(from, epoch, id) {
            return false;
        }
        self.unlinks = id.get();
        let unlink = Signal::Unlink { from: self.me, id };
        send(out, from, unlink);
        true
    }

    /// Monitors `target` under a fresh reference, over the connection of that epoch. A process that
    /// monitors itself gets nothing, an alias neither, as in OTP.
    pub fn monitor(
        &mut self,
        target: Target,
        reference: Reference,
        options: MonitorOptions,
        epoch: Epoch,
        out: &mut Vec<Output>,
    ) {
        let MonitorOptions { alias, tag, holder } = options;
        if target == Target::Pid(self.me) || holder == Some(self.me) {
            return;
        }
        let monitor = Monitor {
            target,
            holder,
            epoch,
        };
        let signal = Signal::Monitor {
            from: self.me,
            reference,
            name: monitor.name(),
        };
        send(out, monitor.addressee(), signal);
        self.inner().held.monitor(reference, monitor, alias, tag);
    }

    /// Takes a monitor back: it does not fire any more. True if it had not fired.
    ///
    /// `demonitor/2` with `info` answers this. With `flush`, on false, the caller takes an
    /// [`Info::Down`] of this reference out of what it has delivered; on true there is none.
    pub fn demonitor(&mut self, reference: &Reference, out: &mut Vec<Output>) -> bool {
        let inner = self.inner.as_mut();
        let monitor = inner.and_then(|inner| inner.held.demonitor(reference));
        match monitor {
            Some(monitor) => {
                let from = self.me;
                let reference = *reference;
                let demonitor = Signal::Demonitor { from, reference };
                send(out, monitor.addressee(), demonitor);
                true
            }
            None => false,
        }
    }

    /// Makes a fresh reference an alias of this process.
    pub fn alias(&mut self, reference: Reference, mode: AliasMode) {
        self.inner().held.alias(reference, mode);
    }

    /// Ends an alias, but not a monitor that it came with. True if it had not ended.
    pub fn unalias(&mut self, reference: &Reference) -> bool {
        let inner = self.inner.as_mut();
        inner.is_some_and(|inner| inner.held.unalias(reference))
    }

    /// The process ends: what is due to others.
    pub fn exit(self, reason: Reason) -> Ending {
        Ending::new(self.me, reason, self.inner)
    }

    /// A signal for this process, with the epoch of the connection that it came over.
    pub fn handle_signal(&mut self, signal: Signal, epoch: Epoch, out: &mut Vec<Output>) {
        match signal {
            Signal::Link { from } => self.handle_link(from, epoch),
            Signal::Unlink { from, id } => self.handle_unlink(from, id, epoch, out),
            Signal::UnlinkAck { from, id } => {
                if let Some(inner) = &mut self.inner {
                    inner.links.handle_unlink_ack(from, id);
                }
            }
            Signal::Exit { from, reason } => {
                let inner = self.inner.as_mut();
                if inner.is_some_and(|inner| inner.links.handle_exit(from, epoch)) {
                    self.exit_signal(from, reason, ExitKind::Link, out);
                }
            }
            Signal::Exit2 { from, reason } => {
                self.exit_signal(from, reason, ExitKind::Explicit, out);
            }
            Signal::GroupLeader { .. } => {}
            Signal::Monitor {
                from,
                reference,
                name,
            } => self.handle_monitor(from, reference, name),
            Signal::Demonitor { from, reference } => {
                if let Some(inner) = &mut self.inner {
                    inner.watchers.handle_demonitor(from, &reference);
                }
            }
            Signal::Down {
                from,
                reference,
                reason,
            } => self.handle_down(&from, reference, reason, out),
            Signal::Spawned {
                reference,
                child,
                is,
            } => self.handle_spawned(reference, child, is, epoch, out),
            Signal::SpawnFailed {
                reference,
                node,
                reason,
            } => self.handle_spawn_failed(reference, node, reason, out),
        }
    }

    /// A message to an alias of this process. True when it is to be delivered; else it is dropped.
    pub fn handle_alias_message(&mut self, alias: &Reference, out: &mut Vec<Output>) -> bool {
        let Some(inner) = &mut self.inner else {
            return false;
        };
        let Some(mode) = inner.held.active_alias(alias) else {
            return false;
        };
        if mode == AliasMode::ReplyDemonitor && !self.demonitor(alias, out) {
            self.unalias(alias);
        }
        true
    }

    /// A connection to `node` broke: every tie with processes there, up to that epoch, ends with
    /// `noconnection`.
    pub fn handle_connection_lost(&mut self, node: NodeName, epoch: Epoch, out: &mut Vec<Output>) {
        let Some(inner) = &mut self.inner else {
            return;
        };
        inner.watchers.handle_connection_lost(node);
        let links = inner.links.handle_connection_lost(node, epoch);
        let held = inner.held.handle_connection_lost(node, epoch);
        let reason = reason::noconnection();
        for from in links {
            self.exit_signal(from, reason.clone(), ExitKind::Link, out);
        }
        for (reference, lost) in held {
            match lost {
                Lost::Monitor(target, tag) => {
                    let reason = reason.clone();
                    let down = Info::Down {
                        reference,
                        target,
                        reason,
                        tag,
                    };
                    self.deliver(down, out);
                }
                Lost::Request(request) => self.lose_request(reference, request, out),
            }
        }
    }

    /// The process that this is about.
    pub fn me(&self) -> Pid {
        self.me
    }

    /// Whether anybody may have to be told of the end.
    pub fn has_ties(&self) -> bool {
        self.inner.is_some()
    }

    /// Whether exit signals are delivered instead of ending the process.
    pub fn traps_exits(&self) -> bool {
        self.traps_exits
    }

    /// Whether this process is linked to another, as far as it knows.
    pub fn is_linked(&self, to: Pid) -> bool {
        let inner = self.inner.as_ref();
        inner.is_some_and(|inner| inner.links.is_linked(to))
    }

    /// Whether a message to this alias would be delivered.
    pub fn is_alias(&self, reference: &Reference) -> bool {
        let inner = self.inner.as_ref();
        inner.is_some_and(|inner| inner.held.active_alias(reference).is_some())
    }

    /// The processes that this one is linked to, by node.
    pub fn links(&self) -> impl Iterator<Item = Pid> {
        self.inner.iter().flat_map(|inner| inner.links.iter())
    }

    /// What this process monitors, by reference.
    pub fn monitors(&self) -> impl Iterator<Item = (&Reference, &Target)> {
        self.inner.iter().flat_map(|inner| inner.held.monitors())
    }

    /// The processes that monitor this one; one that does so twice is there twice.
    pub fn monitored_by(&self) -> impl Iterator<Item = Pid> {
        self.inner.iter().flat_map(|inner| inner.watchers.iter())
    }

    /// How many records are kept here that others may cause: links, and monitors on this process.
    ///
    /// What one input changes of it is of the node that the input is about, so whoever bounds what
    /// a node may hold here adds up the differences.
    pub fn held_by_others(&self) -> usize {
        let inner = self.inner.as_ref();
        inner.map_or(0, |inner| inner.links.len() + inner.watchers.len())
    }

    /// How many references this process holds: monitors, aliases and spawn requests.
    pub fn held(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.held.len())
    }

    fn handle_link(&mut self, from: Pid, epoch: Epoch) {
        if from != self.me {
            self.inner().links.handle_link(from, epoch);
        }
    }

    /// The acknowledgement is due whether there was a link or not.
    fn handle_unlink(&mut self, from: Pid, id: NonZeroU64, epoch: Epoch, out: &mut Vec<Output>) {
        if let Some(inner) = &mut self.inner {
            inner.links.handle_unlink(from, epoch);
        }
        let ack = Signal::UnlinkAck { from: self.me, id };
        send(out, from, ack);
    }

    /// What `exit/2` and links do: reference manual, "Processes", "Receiving Exit Signals".
    fn exit_signal(&mut self, from: Pid, reason: Reason, kind: ExitKind, out: &mut Vec<Output>) {
        if self.is_kept {
            return;
        }
        let is_explicit = kind == ExitKind::Explicit;
        if is_explicit && reason.is_atom("kill") {
            self.terminate(reason::killed(), out);
        } else if self.traps_exits {
            self.deliver(Info::Exit { from, reason }, out);
        } else if !reason.is_normal() || (is_explicit && from == self.me) {
            self.terminate(reason, out);
        }
    }

    /// A process that monitors itself by a name learns here that it does: there is no such monitor.
    fn handle_monitor(&mut self, from: Pid, reference: Reference, name: Option<Atom>) {
        let me = self.me;
        let inner = self.inner();
        if from == me {
            inner.held.demonitor(&reference);
            inner.held.unalias(&reference);
        } else {
            inner.watchers.handle_monitor(from, reference, name);
        }
    }

    fn handle_down(
        &mut self,
        from: &Target,
        reference: Reference,
        reason: Reason,
        out: &mut Vec<Output>,
    ) {
        let inner = self.inner.as_mut();
        let fired = inner.and_then(|inner| inner.held.fire(&reference, from.node()));
        if let Some((target, tag)) = fired {
            let down = Info::Down {
                reference,
                target,
                reason,
                tag,
            };
            self.deliver(down, out);
        }
    }

    /// `I4`: 2^64 of them are not sent.
    fn next_unlink(&self) -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(self.unlinks)
    }

    fn deliver(&self, info: Info, out: &mut Vec<Output>) {
        if !self.is_ending {
            out.push(Output::Deliver(info));
        }
    }

    fn terminate(&mut self, reason: Reason, out: &mut Vec<Output>) {
        if !std::mem::replace(&mut self.is_ending, true) {
            out.push(Output::Terminate(reason));
        }
    }

    fn inner(&mut self) -> &mut Inner {
        self.inner.get_or_insert_default()
    }
}

fn send(out: &mut Vec<Output>, to: impl Into<Target>, signal: Signal) {
    let to = to.into();
    out.push(Output::Send { to, signal });
}
