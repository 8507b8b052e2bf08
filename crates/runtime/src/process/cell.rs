//! The shared side of a process: its queue, and how anything enters it.
//!
//! The queue carries everything that a process receives, in the order of arrival: messages of the
//! process's own type, encoded ones, and signals. Typed addresses push messages straight into it;
//! pids and names reach the same queue through [`AnyProcess`], which hides the type.

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::sync::Arc;

use purlin_mailbox::{Closed, Shared};
use purlin_otp::relations::Info;
use purlin_otp::signal::{Epoch, Signal};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference};

use super::farewell::Batch;
use super::head::Head;
use super::inside::{Inside, Own};
use super::inspect::Inspect;
use super::watermark::push;
use crate::limits::{FOREIGN_BYTES_MAX, FOREIGN_MESSAGES_MAX};
use crate::message::Message;
use crate::send::AliasContent;

/// What lies in the queue of a process whose messages are `M`s.
pub(crate) enum Slot<M> {
    /// A message.
    Message(M),
    /// A message that is still encoded, or that was found to be of another type.
    Encoded(Box<Encoded>),
    /// A message of another node that was decoded and then passed over.
    Passed(Box<Passed<M>>),
    /// What a signal meant for the process to see: it stays in its place among the messages.
    Info(Box<Info>),
    /// What one signal meant for the process to see, all in the place of the signal.
    #[expect(
        clippy::box_collection,
        reason = "rare, and a slot has room for one pointer"
    )]
    Infos(Box<VecDeque<Info>>),
    /// A signal that was not handled yet.
    Signal(Box<Incoming>),
    /// A signal of a process of this node that went to many: one of a batch.
    Shared(Arc<Batch>, u8),
    /// What was here is being looked at, or is gone.
    Gone,
}

/// A signal on its way, or a question from outside that is answered in the order of signals.
pub(crate) enum Incoming {
    /// A signal of OTP's, with the epoch of the connection that it came over.
    Signal(Signal, Epoch),
    /// A message to an alias: delivered if the alias is active when it arrives.
    ToAlias(Reference, AliasContent),
    /// A signal to an alias: it acts if the alias is active when it arrives.
    SignalToAlias(Reference, Signal, Epoch),
    /// The connection to a node ended.
    ConnectionLost(NodeName, Epoch),
    /// A question about the process, answered by itself.
    Ask(Question),
}

impl<M> Slot<M> {
    pub(crate) fn is_signal(&self) -> bool {
        matches!(self, Self::Signal(_) | Self::Shared(..))
    }

    /// What is to be seen of a signal, and one thing more.
    pub(super) fn and(self, info: Info) -> Self {
        let mut infos = match self {
            Self::Info(first) => Box::new(VecDeque::from([*first])),
            Self::Infos(infos) => infos,
            other => return other,
        };
        infos.push_back(info);
        Self::Infos(infos)
    }

    /// The signal in it; what is none comes back.
    pub(crate) fn into_signal(self) -> Result<Incoming, Self> {
        match self {
            Self::Signal(signal) => Ok(*signal),
            Self::Shared(batch, index) => {
                let signal = batch[usize::from(index)].clone();
                Ok(Incoming::Signal(signal, Epoch::LOCAL))
            }
            other => Err(other),
        }
    }
}

/// A decoded message of another node, which counts as long as it lies in the queue.
pub(crate) struct Passed<M> {
    pub(crate) message: M,
    pub(crate) weight: usize,
}

/// A question to a process about itself.
pub(crate) type Question = Box<dyn FnOnce(&mut dyn Inspect) + Send>;

/// A message that came encoded.
#[derive(Debug)]
pub struct Encoded {
    /// The message.
    pub term: EncodedTerm,
    /// Who sent it, where that is known.
    pub from: Option<Pid>,
    /// It was tried and is not of the process's type.
    pub(crate) is_foreign: bool,
    /// What it counts in the bytes that other nodes may put here.
    pub(crate) weight: usize,
}

impl Encoded {
    /// A message of a process of this node, which nothing holds back.
    pub(crate) fn of_here(term: EncodedTerm, from: Option<Pid>) -> Box<Self> {
        Box::new(Self {
            term,
            from,
            is_foreign: false,
            weight: 0,
        })
    }
}

/// Bytes that a message costs besides a constant. Atoms are counted as if nobody else held them: a
/// peer can see to that.
fn weight_of(message: &EncodedTerm) -> usize {
    let atom = |atom: &Atom| size_of::<Atom>() + atom.as_bytes().len();
    message.bytes().len() + message.atoms().iter().map(atom).sum::<usize>()
}

/// A process: its queue, its head, and what its task has of it, in one allocation.
pub(crate) type Cell<M> = Shared<Slot<M>, Head, Own>;

/// What a message of one word, or a signal of a batch, takes in the queue.
const _: () = assert!(size_of::<Slot<u64>>() == 16);

/// What every process costs, beside the two counts of its `Arc` and its task: with these just what
/// lets both fit into half a kibibyte (tokio's tasks are aligned to 128 bytes).
const _: () = assert!(size_of::<Cell<u64>>() <= 216);

/// Why a message did not enter a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The process has ended.
    Dead,
    /// The mailbox is full.
    Full,
    /// The mailbox is full, and whoever can wait may.
    Wait,
}

/// A message that did not enter a queue.
pub(crate) enum Unsent<T> {
    /// As it is, for a receiver of its type.
    Own(T),
    /// Encoded.
    Encoded(EncodedTerm),
}

/// Whether a place in the mailbox has to be found first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It counts against the bound.
    Counted,
    /// It has its place already.
    Admitted,
    /// It is a timer's: it takes a place that is not there if it must.
    Forced,
}

/// A process whose type of messages is not known.
pub(crate) trait AnyProcess: Send + Sync {
    fn head(&self) -> &Head;

    /// The type that [`AnyProcess::push_own`] takes.
    fn message_type(&self) -> TypeId;

    /// Moves a message of the process's own type, an `Option<M>`, into its queue; it stays there if it
    /// is refused.
    fn push_own(&self, message: &mut dyn Any, entry: Entry) -> Result<(), Refused>;

    /// Puts an encoded message into the queue.
    fn push_encoded(
        &self,
        message: &EncodedTerm,
        from: Option<Pid>,
        entry: Entry,
    ) -> Result<(), Refused>;

    /// Puts a message of another node into the queue if there is room, under an alias if it was sent to
    /// one. What is refused is dropped.
    fn push_foreign(&self, message: EncodedTerm, from: Option<Pid>, alias: Option<Reference>);

    /// Puts a signal into the queue; gives it back when the process has ended.
    fn push_signal(&self, signal: Incoming) -> Result<(), Incoming>;

    /// Lets the signals act that wait for a process which has no task, unless it is being used by who has
    /// it; then answers false.
    fn try_handle_signals(&self) -> bool;

    /// Puts one signal of a batch into the queue; false when the process has ended.
    fn push_shared(&self, batch: Arc<Batch>, index: u8) -> bool;
}

impl<M: Message> AnyProcess for Cell<M> {
    fn head(&self) -> &Head {
        self.header()
    }

    fn message_type(&self) -> TypeId {
        TypeId::of::<M>()
    }

    fn push_own(&self, message: &mut dyn Any, entry: Entry) -> Result<(), Refused> {
        let Some(place) = message.downcast_mut::<Option<M>>() else {
            return Ok(());
        };
        if !enter(self.header(), entry)? {
            return Ok(());
        }
        match place.take() {
            Some(message) => push(self, Slot::Message(message)).map_err(|Closed(_)| Refused::Dead),
            None => Ok(()),
        }
    }

    fn push_encoded(
        &self,
        term: &EncodedTerm,
        from: Option<Pid>,
        entry: Entry,
    ) -> Result<(), Refused> {
        if !enter(self.header(), entry)? {
            return Ok(());
        }
        let encoded = Encoded::of_here(term.clone(), from);
        push(self, Slot::Encoded(encoded)).map_err(|Closed(_)| Refused::Dead)
    }

    fn push_foreign(&self, term: EncodedTerm, from: Option<Pid>, alias: Option<Reference>) {
        let (head, times) = (self.header(), if alias.is_some() { 2 } else { 1 });
        let weight = weight_of(&term);
        let has_room = self.len() < times * FOREIGN_MESSAGES_MAX
            && head.admit_bytes(weight, times * FOREIGN_BYTES_MAX);
        if !has_room {
            return head.note_overrun(&"messages of other nodes");
        }
        let mut encoded = Encoded::of_here(term, from);
        encoded.weight = weight;
        if let Some(alias) = alias {
            let content = AliasContent::Encoded(encoded);
            let _ = self.push_signal(Incoming::ToAlias(alias, content));
            return;
        }
        match enter(head, Entry::Counted) {
            Ok(true) => return drop(push(self, Slot::Encoded(encoded))),
            // Nobody is there to wait.
            Err(Refused::Wait) => head.note_overrun(&"messages of other nodes"),
            Ok(false) | Err(Refused::Full | Refused::Dead) => {}
        }
        head.release_bytes(weight);
    }

    fn push_signal(&self, signal: Incoming) -> Result<(), Incoming> {
        self.header().announce_signal();
        let pushed = push(self, Slot::Signal(Box::new(signal)));
        pushed.map_err(|Closed(slot)| match slot {
            Slot::Signal(signal) => *signal,
            _ => unreachable!("what was pushed comes back"),
        })
    }

    fn try_handle_signals(&self) -> bool {
        let Some(owner) = self.try_owner() else {
            return false;
        };
        Inside { owner }.handle_signals();
        true
    }

    fn push_shared(&self, batch: Arc<Batch>, index: u8) -> bool {
        self.header().announce_signal();
        push(self, Slot::Shared(batch, index)).is_ok()
    }
}

/// Puts a message of its own type into the queue of a process; gives it back if it is refused.
#[inline]
pub(crate) fn push_message<M>(
    cell: &Cell<M>,
    message: M,
    entry: Entry,
) -> Result<(), (Refused, Option<M>)> {
    match enter(cell.header(), entry) {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(refused) => return Err((refused, Some(message))),
    }
    push(cell, Slot::Message(message)).map_err(|Closed(_)| (Refused::Dead, None))
}

/// Takes a place in the mailbox; `Ok(false)` if the message is to be dropped instead.
#[inline]
fn enter(head: &Head, entry: Entry) -> Result<bool, Refused> {
    match (head.bound(), entry) {
        (Some(bound), Entry::Counted) => bound.admit(head),
        (Some(bound), Entry::Forced) => {
            bound.force();
            Ok(true)
        }
        (None, _) | (_, Entry::Admitted) => Ok(true),
    }
}
