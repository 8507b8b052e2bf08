//! The inner side of a process: the receiving end of its queue, and what it knows of others.
//!
//! Only the process's own task comes here, by two ways: its body, which receives, links and monitors,
//! and the task around it, which lets signals act while the body waits for something else. An attached
//! process has no task: who asks for its information comes here as well, between its verbs. Signals are
//! handled when they are met in the queue. A process that has signals looks through its whole queue
//! before it runs, so that `kill` does not wait behind messages; what a signal means for the process to
//! see stays in the signal's place.
//!
//! Invariants:
//! - `I1` everything before `intake` was looked at: no unhandled signal lies there;
//! - `I2` after `Extra::ending` is set nothing is received;
//! - `I3` what is to be seen of one signal is seen in the signal's place: before anything that came later.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::task::{Context, Poll};

use purlin_mailbox::{Cursor, Owner};
use purlin_otp::reason::Reason;
use purlin_otp::relations::{Info, Output, Relations};
use purlin_otp::signal::{Epoch, Signal};
use purlin_term::{Pid, Term};

use super::bound::Bound;
use super::cell::{Cell, Encoded, Incoming, Passed, Slot};
use super::head::{Head, number_of, pid_of};
use super::inspect::{Inspect, ProcessInfo};
use super::outputs::Outputs;
use super::received::{Peek, Received};
use super::watermark::push;
use crate::limits::EXITS_MAX;
use crate::message::Message;
use crate::send::AliasContent;

/// What only the task of a process has of it, beside the receiving side of its queue.
pub(crate) struct Own {
    pub(crate) relations: Relations,
    intake: Cursor,
    /// The number of the process where output goes; zero where `extra` has its pid.
    leader: u64,
    pub(crate) extra: Option<Box<Extra>>,
}

/// What few processes have.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) dictionary: BTreeMap<Term, Term>,
    /// Messages that were of no type the process takes.
    foreign: u64,
    /// Why the process is to end.
    ending: Option<Reason>,
    /// What is still to be seen of a signal that has left the queue: it goes before all that is in it.
    first: VecDeque<Info>,
    /// How many things share a slot of the queue with one before them.
    crowd: usize,
    /// Where output goes, if not to a process of this node.
    leader: Option<Pid>,
    /// What is dropped when it ends.
    pub(super) held: Vec<Box<dyn Send>>,
    /// Whoever runs in it tells the log of its end.
    pub(crate) is_reported: bool,
    /// What is done when it has ended.
    pub(super) at_end: Option<AtEnd>,
}

/// Hears why a process has ended.
pub(super) type AtEnd = Box<dyn FnOnce(&Reason) + Send>;

impl Own {
    pub(crate) fn new(number: u64, pid: Pid) -> Self {
        Self {
            relations: Relations::new(pid),
            intake: Cursor::default(),
            leader: number,
            extra: None,
        }
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Why the process is to end, if it is.
    #[inline]
    pub(crate) fn ending(&self) -> Option<&Reason> {
        self.extra.as_ref()?.ending.as_ref()
    }

    #[inline]
    pub(crate) fn take_ending(&mut self) -> Option<Reason> {
        self.extra.as_mut()?.ending.take()
    }

    /// What is received before anything in the queue.
    #[inline]
    fn pop_first(&mut self) -> Option<Info> {
        self.extra.as_mut()?.first.pop_front()
    }

    /// How many things are to be seen beyond the slots of the queue.
    pub(crate) fn beyond(&self) -> usize {
        let of = |extra: &Extra| extra.first.len() + extra.crowd;
        self.extra.as_deref().map_or(0, of)
    }
}

/// A process while its task has it.
pub(crate) struct Inside<'c, M> {
    pub(crate) owner: Owner<Slot<M>, Head, Own, &'c Cell<M>>,
}

impl<'c, M> Inside<'c, M> {
    pub(crate) fn of(cell: &'c Cell<M>) -> Self {
        Self {
            owner: cell.owner(),
        }
    }

    pub(crate) fn cell(&self) -> &'c Cell<M> {
        self.owner.shared()
    }

    pub(crate) fn head(&self) -> &'c Head {
        self.cell().header()
    }

    pub(crate) fn group_leader(&self) -> Pid {
        let foreign = || self.owner.extra.as_ref()?.leader;
        match self.owner.leader {
            0 => foreign().unwrap_or(self.owner.relations.me()),
            number => pid_of(self.head().runtime(), number),
        }
    }

    pub(crate) fn set_group_leader(&mut self, leader: Pid) {
        let (runtime, number) = (self.head().runtime(), number_of(leader));
        if number != 0 && pid_of(runtime, number) == leader {
            self.owner.leader = number;
        } else {
            self.owner.leader = 0;
            self.owner.extra().leader = Some(leader);
        }
    }
}

impl<M: Message> Inside<'_, M> {
    /// Lets every signal that waits act, wherever it lies.
    pub(crate) fn handle_signals(&mut self) {
        if self.head().signals_waiting() == 0 {
            return;
        }
        while self.owner.ending().is_none() {
            let before = self.owner.intake;
            let mut intake = before;
            let Some(slot) = self.owner.next(&mut intake) else {
                break;
            };
            if slot.is_signal() {
                let signal = mem::replace(slot, Slot::Gone);
                let seen = self.handle(signal);
                self.put_back(before, seen);
            }
            self.owner.intake = intake;
        }
    }

    /// Puts what a signal became into its place, the first after `before`.
    fn put_back(&mut self, before: Cursor, seen: Option<Slot<M>>) {
        let mut cursor = before;
        match (seen, self.owner.next(&mut cursor)) {
            (Some(seen), Some(slot)) => *slot = seen,
            _ => drop(self.owner.take(&cursor)),
        }
    }

    /// A signal acts; answers what the process is to see of it.
    fn handle(&mut self, slot: Slot<M>) -> Option<Slot<M>> {
        let incoming = match slot.into_signal() {
            Ok(incoming) => incoming,
            Err(other) => return Some(other),
        };
        self.head().signal_handled();
        let mut out = Outputs::new();
        match incoming {
            Incoming::Signal(Signal::GroupLeader { leader }, _) => self.set_group_leader(leader),
            Incoming::Signal(signal, epoch) => {
                self.owner.relations.handle_signal(signal, epoch, &mut out);
            }
            Incoming::ToAlias(alias, content) => {
                let is_active = self.owner.relations.handle_alias_message(&alias, &mut out);
                self.carry_out(out, None);
                return if is_active {
                    self.let_in(content)
                } else {
                    self.turn_away(&content);
                    None
                };
            }
            Incoming::SignalToAlias(alias, signal, epoch) => {
                if self.owner.relations.is_alias(&alias) {
                    self.owner.relations.handle_signal(signal, epoch, &mut out);
                }
            }
            Incoming::ConnectionLost(node, epoch) => {
                self.owner
                    .relations
                    .handle_connection_lost(node, epoch, &mut out);
            }
            Incoming::Ask(question) => question(self),
        }
        let seen = self.carry_out(out, None);
        if let Some(Slot::Infos(infos)) = &seen {
            self.owner.extra().crowd += infos.len() - 1;
        }
        seen
    }

    /// Carries out what follows; answers what the process is to see.
    pub(super) fn carry_out(
        &mut self,
        mut outputs: Outputs,
        over: Option<Epoch>,
    ) -> Option<Slot<M>> {
        let mut seen: Option<Slot<M>> = None;
        for output in outputs.drain(..) {
            match output {
                Output::Send { to, signal } => {
                    self.head().runtime().send_signal(
                        self.owner.relations.me(),
                        to.into(),
                        signal,
                        over,
                    );
                }
                Output::Deliver(Info::Exit { from, .. }) if self.is_overfull() => {
                    self.head()
                        .note_overrun(&format_args!("exit signals, the last of {from}"));
                }
                Output::Deliver(info) => {
                    seen = Some(match seen {
                        Some(seen) => seen.and(info),
                        None => Slot::Info(Box::new(info)),
                    });
                }
                Output::Terminate(reason) => {
                    self.owner.extra().ending = Some(reason);
                    // The task is to see it at once, not when a message wakes it.
                    self.head().set_waits(false);
                }
            }
        }
        seen
    }

    /// A signal of this process to itself acts at once.
    pub(crate) fn handle_own(&mut self, signal: Signal) {
        self.handle_at(signal, Epoch::LOCAL);
    }

    /// A signal acts at once: one to itself, or one of before the process runs.
    pub(crate) fn handle_at(&mut self, signal: Signal, epoch: Epoch) {
        let mut out = Outputs::new();
        self.owner.relations.handle_signal(signal, epoch, &mut out);
        self.deliver_own(out, None);
    }

    /// Carries out what a verb of the process caused.
    pub(super) fn deliver_own(&mut self, out: Outputs, over: Option<Epoch>) {
        match self.carry_out(out, over) {
            Some(Slot::Infos(infos)) => {
                for info in *infos {
                    let _ = push(self.cell(), Slot::Info(Box::new(info)));
                }
            }
            Some(slot) => drop(push(self.cell(), slot)),
            None => {}
        }
    }

    /// Even what others may always send, since it is rare, would fill the memory.
    fn is_overfull(&self) -> bool {
        self.cell().len() >= EXITS_MAX
    }

    /// The oldest message, or what a signal has become; `Pending` when there is none.
    #[inline]
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received<M>> {
        self.poll_with(cx, Received::Message, Some)
    }

    /// The oldest message of the process's own type; what comes before it is dropped.
    #[inline]
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<M> {
        self.poll_with(cx, |message| message, Received::message)
    }

    /// What `plain` makes of a message that lies in the queue as one, or `other` of what else comes. Two
    /// ways, since nearly always it is the first, and it is not to be moved more often than it must.
    #[inline(always)]
    fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        plain: impl Fn(M) -> R,
        other: impl Fn(Received<M>) -> Option<R>,
    ) -> Poll<R> {
        if !self.head().has_budget() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.owner.ending().is_none() {
            if let Some(info) = self.owner.pop_first() {
                if let Some(received) = other(Received::Info(info)) {
                    self.head().spend();
                    return Poll::Ready(received);
                }
                continue;
            }
            match self.owner.poll_pop(cx) {
                Poll::Ready(Some(Slot::Message(message))) => {
                    if self.leave() {
                        self.head().spend();
                        return Poll::Ready(plain(message));
                    }
                }
                Poll::Ready(Some(slot)) => {
                    if let Some(received) = self.open(slot).and_then(&other) {
                        self.head().spend();
                        return Poll::Ready(received);
                    }
                }
                Poll::Pending => {
                    self.head().set_waits(true);
                    break;
                }
                // Only who has kept the handle of a process beyond its end comes here.
                Poll::Ready(None) => break,
            }
        }
        Poll::Pending
    }

    /// A message has left the queue; false if it is to be dropped for a newer one.
    #[inline]
    fn leave(&self) -> bool {
        self.head().bound().is_none_or(Bound::leave)
    }

    /// What a slot that is no plain message is for the process.
    #[inline(never)]
    fn open(&mut self, slot: Slot<M>) -> Option<Received<M>> {
        match slot {
            Slot::Info(info) => Some(Received::Info(*info)),
            Slot::Infos(infos) => {
                let mut infos = *infos;
                let first = infos.pop_front();
                let extra = self.owner.extra();
                extra.crowd -= infos.len();
                // `I3`: nothing is left of an earlier signal, or this one would not have been reached.
                extra.first = infos;
                first.map(Received::Info)
            }
            Slot::Message(_) | Slot::Encoded(_) | Slot::Passed(_) => {
                self.release(&slot);
                self.leave()
                    .then(|| self.decode(slot))
                    .flatten()
                    .map(received)
            }
            Slot::Signal(_) | Slot::Shared(..) => {
                let slot = self.handle(slot)?;
                self.open(slot)
            }
            Slot::Gone => None,
        }
    }

    /// The bytes of what leaves the queue do not count any more.
    fn release(&self, slot: &Slot<M>) {
        match slot {
            Slot::Encoded(encoded) => self.head().release_bytes(encoded.weight),
            Slot::Passed(passed) => self.head().release_bytes(passed.weight),
            _ => {}
        }
    }

    /// Decodes a message; one of another type is dropped unless the process takes those. What it is then
    /// counts as much as before.
    fn decode(&mut self, slot: Slot<M>) -> Option<Slot<M>> {
        let encoded = match slot {
            Slot::Encoded(encoded) if !encoded.is_foreign => *encoded,
            decoded => return Some(decoded),
        };
        let Encoded {
            term, from, weight, ..
        } = encoded;
        match M::from_encoded(term) {
            Ok(message) if weight == 0 => Some(Slot::Message(message)),
            Ok(message) => Some(Slot::Passed(Box::new(Passed { message, weight }))),
            Err((term, error)) => {
                let mut encoded = Encoded::of_here(term, from);
                encoded.weight = weight;
                if self.head().takes_foreign() {
                    encoded.is_foreign = true;
                    return Some(Slot::Encoded(encoded));
                }
                self.note_foreign(&encoded, &error);
                None
            }
        }
    }

    /// Counted, and logged the first time: a flood is not to fill the log.
    fn note_foreign(&mut self, encoded: &Encoded, error: &dyn std::fmt::Display) {
        let extra = self.owner.extra();
        extra.foreign += 1;
        if extra.foreign == 1 {
            let pid = self.owner.relations.me();
            let from = encoded.from.map(tracing::field::display);
            tracing::warn!(%pid, from, %error, "a message of another type was dropped");
        }
    }

    /// The first message after `cursor` that `wanted` picks, taken out; `cursor` moves on.
    pub(crate) fn find(
        &mut self,
        cursor: &mut Cursor,
        wanted: &mut impl FnMut(Peek<'_, M>) -> bool,
    ) -> Option<Received<M>> {
        if *cursor == self.owner.start()
            && let Some(info) = self.find_first(wanted)
        {
            return Some(Received::Info(info));
        }
        while self.owner.ending().is_none() {
            let before = *cursor;
            let slot = self.owner.next(cursor)?;
            if let Slot::Infos(infos) = slot {
                let Some(info) = take_where(infos, wanted) else {
                    continue;
                };
                if infos.is_empty() {
                    drop(self.owner.take(cursor));
                } else {
                    // Those after it were not looked at yet.
                    *cursor = before;
                    self.owner.extra().crowd -= 1;
                }
                return Some(Received::Info(info));
            }
            if let Some(peek) = peek(slot) {
                if wanted(peek) {
                    return self.take(cursor);
                }
                continue;
            }
            // What is not yet a message, or never one, is made so in its place and looked at again.
            let raw = mem::replace(slot, Slot::Gone);
            let seen = match raw {
                Slot::Encoded(encoded) => {
                    let weight = encoded.weight;
                    self.decode(Slot::Encoded(encoded)).or_else(|| {
                        self.head().release_bytes(weight);
                        self.leave();
                        None
                    })
                }
                raw => self.handle(raw),
            };
            if seen.is_some() {
                *cursor = before;
            }
            self.put_back(before, seen);
        }
        None
    }

    /// As [`Inside::find`], in what comes before the queue.
    fn find_first(&mut self, wanted: &mut impl FnMut(Peek<'_, M>) -> bool) -> Option<Info> {
        if self.owner.ending().is_some() {
            return None;
        }
        take_where(&mut self.owner.extra.as_mut()?.first, wanted)
    }

    /// Takes out what was visited last. Where an older message should go for a newer one, this does.
    fn take(&mut self, cursor: &Cursor) -> Option<Received<M>> {
        let slot = self.owner.take(cursor)?;
        if !matches!(slot, Slot::Info(_)) {
            self.release(&slot);
            self.leave();
        }
        Some(received(slot))
    }

    /// A message that came by an alias: like a reply, it is never refused.
    fn let_in(&self, content: AliasContent) -> Option<Slot<M>> {
        let slot = match content {
            AliasContent::Own(message) => Slot::Message(*message.downcast::<M>().ok()?),
            AliasContent::Encoded(encoded) => Slot::Encoded(encoded),
        };
        if let Some(bound) = self.head().bound() {
            bound.force();
        }
        Some(slot)
    }

    /// A message that came by an alias that is none any more.
    fn turn_away(&self, content: &AliasContent) {
        if let AliasContent::Encoded(encoded) = content {
            self.head().release_bytes(encoded.weight);
        }
    }

    /// As [`Inside::find`], waiting for what is yet to come.
    pub(crate) fn poll_find(
        &mut self,
        cx: &mut Context<'_>,
        cursor: &mut Cursor,
        wanted: &mut impl FnMut(Peek<'_, M>) -> bool,
    ) -> Poll<Received<M>> {
        loop {
            if let Some(found) = self.find(cursor, wanted) {
                return Poll::Ready(found);
            }
            if self.owner.ending().is_some() || self.owner.poll_arrival(cx, cursor).is_pending() {
                self.head().set_waits(self.owner.ending().is_none());
                return Poll::Pending;
            }
            if self.owner.is_ended() {
                return Poll::Pending;
            }
        }
    }

    /// The body waits for something else than messages: the queue is to wake the task all the same.
    /// Answers whether something came in the meantime.
    pub(crate) fn watch_queue(&mut self, cx: &mut Context<'_>) -> bool {
        // In this order: a signal that lies before `end` was announced, so it is handled here, and
        // one after it makes the queue ready.
        let end = self.owner.end();
        self.handle_signals();
        self.owner.ending().is_some() || self.owner.poll_arrival(cx, &end).is_ready()
    }
}

impl<M> Inside<'_, M> {
    /// What is received before anything in the queue.
    pub(super) fn first(&self) -> impl Iterator<Item = &Info> {
        self.owner.extra.iter().flat_map(|extra| &extra.first)
    }
}

impl<M> Inspect for Inside<'_, M> {
    fn info(&self) -> ProcessInfo {
        let head = self.head();
        ProcessInfo {
            pid: self.owner.relations.me(),
            registered_name: head.runtime().table().name_of(head.number()),
            label: head.label(),
            spawned_at: head.spawned_at(),
            // Without the question itself.
            message_queue_len: (self.owner.len() + self.owner.beyond())
                .saturating_sub(head.signals_waiting() + 1),
            messages_dropped: head.overruns(),
            links: self.owner.relations.links().collect(),
            monitors: self
                .owner
                .relations
                .monitors()
                .map(|(_, target)| target.clone())
                .collect(),
            monitored_by: self.owner.relations.monitored_by().collect(),
            trap_exit: self.owner.relations.traps_exits(),
            group_leader: self.group_leader(),
            dictionary: match &self.owner.extra {
                Some(extra) => extra.dictionary.clone().into_iter().collect(),
                None => Vec::new(),
            },
        }
    }
}

fn peek<M>(slot: &Slot<M>) -> Option<Peek<'_, M>> {
    match slot {
        Slot::Message(message) => Some(Peek::Message(message)),
        Slot::Passed(passed) => Some(Peek::Message(&passed.message)),
        Slot::Info(info) => Some(Peek::Info(info)),
        Slot::Encoded(encoded) if encoded.is_foreign => Some(Peek::Foreign(encoded)),
        Slot::Encoded(_) | Slot::Infos(_) | Slot::Signal(_) | Slot::Shared(..) | Slot::Gone => None,
    }
}

/// The first that `wanted` picks, taken out.
fn take_where<M>(
    infos: &mut VecDeque<Info>,
    wanted: &mut impl FnMut(Peek<'_, M>) -> bool,
) -> Option<Info> {
    let at = infos.iter().position(|info| wanted(Peek::Info(info)))?;
    infos.remove(at)
}

fn received<M>(slot: Slot<M>) -> Received<M> {
    match slot {
        Slot::Message(message) => Received::Message(message),
        Slot::Passed(passed) => Received::Message(passed.message),
        Slot::Info(info) => Received::Info(*info),
        Slot::Encoded(encoded) => Received::Foreign(*encoded),
        Slot::Infos(_) | Slot::Signal(_) | Slot::Shared(..) | Slot::Gone => {
            unreachable!("signals and holes are not received")
        }
    }
}
