//! Sending: from any process or outside code to a process anywhere.
//!
//! [`Address`] is typed: on its own node a message is moved into the queue of the process, and the
//! compiler checks the type. A [`Pid`], a name or an alias is untyped: a message of the receiver's own type is
//! moved all the same if the receiver lives here; any other goes through the codec, here as elsewhere.
//!
//! Sending to a process that has ended succeeds, as in Erlang: a monitor tells of the end. All that one
//! process sends to another arrives in the order sent, by whichever address.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, SerializeError};

use crate::message::{Message, Raw};
use crate::outside::Destination;
use crate::process::{AnyProcess, Cell, Encoded, Entry, Incoming, Refused, Unsent, push_message};
use crate::runtime::Runtime;

/// Why a message was not sent. It was not delivered then, and will not be.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message has no encoding, and needed one.
    #[error("the message cannot be encoded: {0}")]
    Encode(String),
    /// No process of this node has the name.
    #[error("no process has the name {0}")]
    NotRegistered(Atom),
    /// The receiver's mailbox is full, and its policy is to refuse.
    #[error("the mailbox of {0} is full")]
    Full(Pid),
    /// Neither the road nor the mailbox had room in time.
    #[error("there was no room within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The road to the node is full; wait with `send`.
    #[error("the road to {0} is full")]
    Busy(NodeName),
    /// There is no connection to the node.
    #[error("{node} cannot be reached: {why}")]
    NotConnected {
        /// The node.
        node: NodeName,
        /// Why there is none.
        why: String,
    },
}

impl From<SerializeError> for SendError {
    fn from(error: SerializeError) -> Self {
        Self::Encode(error.to_string())
    }
}

/// A typed address: where messages of type `M` go.
///
/// Two addresses are equal if they name the same process.
pub struct Address<M> {
    pid: Pid,
    /// The process, if it lived on this node when the address was made here.
    cell: Option<Arc<Cell<M>>>,
}

impl<M> Address<M> {
    pub(crate) fn here(pid: Pid, cell: Arc<Cell<M>>) -> Self {
        Self {
            pid,
            cell: Some(cell),
        }
    }

    /// The address of a process that takes `M`s, as its user knows.
    pub fn of(pid: Pid) -> Self {
        Self { pid, cell: None }
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self {
            pid: self.pid,
            cell: self.cell.clone(),
        }
    }
}

impl<M> PartialEq for Address<M> {
    fn eq(&self, other: &Self) -> bool {
        self.pid == other.pid
    }
}

impl<M> Eq for Address<M> {}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.pid)
    }
}

/// As a pid.
impl<M> serde::Serialize for Address<M> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.pid.serialize(serializer)
    }
}

/// From a pid.
impl<'de, M> serde::Deserialize<'de> for Address<M> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pid::deserialize(deserializer).map(Self::of)
    }
}

/// Whatever a message of type `T` can be sent to.
pub trait Recipient<T> {
    /// Where the message goes.
    fn route(&self) -> Route<'_, T>;
}

/// Where a message goes.
pub enum Route<'a, T> {
    /// Into this queue.
    #[doc(hidden)]
    Here(RouteHere<'a, T>),
    /// To whoever this is.
    To(Destination),
    /// To whoever has this name here.
    Named(Atom),
}

/// The queue of a process of this node.
pub struct RouteHere<'a, T>(&'a Arc<Cell<T>>);

impl<M> Recipient<M> for Address<M> {
    #[inline]
    fn route(&self) -> Route<'_, M> {
        match &self.cell {
            Some(cell) => Route::Here(RouteHere(cell)),
            None => Route::To(Destination::Pid(self.pid)),
        }
    }
}

impl<T, R: Recipient<T>> Recipient<T> for &R {
    #[inline]
    fn route(&self) -> Route<'_, T> {
        (*self).route()
    }
}

macro_rules! recipients {
    ($($type:ty => |$to:ident| $route:expr,)*) => {$(
        impl<T: Message> Recipient<T> for $type {
            fn route(&self) -> Route<'_, T> {
                let $to = self;
                $route
            }
        }
    )*};
}

recipients! {
    Pid => |pid| Route::To(Destination::Pid(*pid)),
    Destination => |to| Route::To(to.clone()),
    Reference => |alias| Route::To(Destination::Alias(*alias)),
    Atom => |name| Route::Named(name.clone()),
    &'static str => |name| Route::Named(Atom::from(*name)),
}

/// `{Name, Node}`.
impl<T, A, N> Recipient<T> for (A, N)
where
    T: Message,
    A: Into<Atom> + Clone,
    N: Into<NodeName> + Clone,
{
    fn route(&self) -> Route<'_, T> {
        Route::To(Destination::from(self.clone()))
    }
}

/// Whether a message that goes at once or not at all has its node dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Connect {
    IfNeeded,
    Never,
}

/// What is still to be done for a message to arrive.
pub(crate) enum Step<T> {
    /// Nothing.
    Done(Result<(), SendError>),
    /// It goes to another node.
    Outside(Destination, EncodedTerm),
    /// The mailbox is full, and its policy is to wait.
    Wait(Arc<dyn AnyProcess>, Unsent<T>),
}

impl Runtime {
    /// Sends `message`, in nobody's name, waiting while the road or the mailbox is full. Cancel-safe, as
    /// [`Process::send`](crate::Process::send).
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub async fn send<T: Message>(
        &self,
        to: impl Recipient<T>,
        message: T,
    ) -> Result<(), SendError> {
        match self.begin_send(|| self.nobody(), &to, message, Entry::Counted) {
            Step::Done(done) => done,
            step => self.finish_send(self.nobody(), step).await,
        }
    }

    /// Sends a message that is encoded already in the name of `from`, a process of this node, and in its
    /// flow; waits as [`Runtime::send`] does.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    #[doc(hidden)]
    pub async fn send_encoded(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        match self.begin_send_to(from, to, Raw(message), Entry::Counted) {
            Step::Done(done) => done,
            step => self.finish_send(from, step).await,
        }
    }

    /// As [`Runtime::send_encoded`], at once or not at all; no node is dialled for it.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    #[doc(hidden)]
    pub fn try_send_encoded(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        self.try_send_from(|| from, &to, Raw(message), Entry::Counted, Connect::Never)
    }

    /// As [`Runtime::send_encoded`], but not waiting for a connection: to a node that is not connected the
    /// message waits with the connection to come, unless as much as may does so already.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    #[doc(hidden)]
    pub async fn cast_encoded(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        let step = self.begin_send_to(from, to, Raw(message), Entry::Counted);
        if let (Step::Outside(to, message), Some(outside)) = (&step, self.outside()) {
            match outside.try_send(from, to.clone(), message.clone()) {
                Err(SendError::Busy(_)) => {}
                done => return done,
            }
        }
        match step {
            Step::Done(done) => done,
            step => self.finish_send(from, step).await,
        }
    }

    /// Sends `message`, in nobody's name, at once or not at all, as
    /// [`Process::try_send`](crate::Process::try_send).
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub fn try_send<T: Message>(&self, to: impl Recipient<T>, message: T) -> Result<(), SendError> {
        let connect = Connect::IfNeeded;
        self.try_send_from(|| self.nobody(), &to, message, Entry::Counted, connect)
    }

    /// `from` is asked for by those ways only that need it, here and below.
    pub(crate) fn try_send_from<T: Message>(
        &self,
        from: impl Fn() -> Pid,
        to: &impl Recipient<T>,
        message: T,
        entry: Entry,
        connect: Connect,
    ) -> Result<(), SendError> {
        match self.begin_send(&from, to, message, entry) {
            Step::Done(done) => done,
            Step::Wait(process, _) => {
                process.head().note_overrun(&"messages beyond its bound");
                Err(SendError::Full(process.head().pid()))
            }
            Step::Outside(to, message) => match (self.outside(), connect) {
                (Some(outside), Connect::IfNeeded) => outside.try_send(from(), to, message),
                (Some(outside), Connect::Never) => outside.try_send_noconnect(from(), to, message),
                (None, _) => Err(no_network(to.node())),
            },
        }
    }

    /// Waits until what [`Runtime::begin_send`] left can be done, and does it.
    pub(crate) async fn finish_send<T: Message>(
        &self,
        from: Pid,
        step: Step<T>,
    ) -> Result<(), SendError> {
        match step {
            Step::Done(done) => done,
            Step::Outside(to, message) => match self.outside() {
                Some(outside) => outside.send(from, to, message).await,
                None => Err(no_network(to.node())),
            },
            Step::Wait(process, message) => {
                let is_alive = match process.head().bound() {
                    Some(bound) => bound.wait().await,
                    None => true,
                };
                if is_alive {
                    // It has its place, so it is not refused; the dead need none.
                    let _ = push_unsent(&*process, from, message, Entry::Admitted);
                }
                Ok(())
            }
        }
    }

    #[inline]
    pub(crate) fn begin_send<T: Message>(
        &self,
        from: impl Fn() -> Pid,
        to: &impl Recipient<T>,
        message: T,
        entry: Entry,
    ) -> Step<T> {
        match to.route() {
            Route::Here(RouteHere(cell)) => match push_message(cell, message, entry) {
                Ok(()) => Step::Done(Ok(())),
                Err((refused, message)) => refused_here(cell, refused, message),
            },
            Route::To(to) => self.begin_send_to(from(), to, message, entry),
            Route::Named(name) => match self.table().whereis(&name) {
                Some(process) => deliver(process, from(), message, entry),
                None => Step::Done(Err(SendError::NotRegistered(name))),
            },
        }
    }

    fn begin_send_to<T: Message>(
        &self,
        from: Pid,
        to: Destination,
        message: T,
        entry: Entry,
    ) -> Step<T> {
        if to.node() != self.node() {
            return match message.encode() {
                Ok(message) => Step::Outside(to, message),
                Err(error) => Step::Done(Err(error.into())),
            };
        }
        let process = match to {
            Destination::Pid(pid) => self.find(pid),
            // As in OTP, nobody is told that there is no such name.
            Destination::Name(name, _) => self.table().whereis(&name),
            Destination::Alias(alias) => {
                return Step::Done(self.send_to_alias(from, alias, message));
            }
        };
        match process {
            Some(process) => deliver(process, from, message, entry),
            None => Step::Done(Ok(())),
        }
    }

    /// Whether the alias is active is seen when the message arrives.
    fn send_to_alias<T: Message>(
        &self,
        from: Pid,
        alias: Reference,
        message: T,
    ) -> Result<(), SendError> {
        let Some(process) = self.owner_of(&alias) else {
            return Ok(());
        };
        let content = if process.message_type() == TypeId::of::<T>() {
            AliasContent::Own(Box::new(message))
        } else {
            AliasContent::Encoded(Encoded::of_here(message.encode()?, Some(from)))
        };
        let _ = process.push_signal(Incoming::ToAlias(alias, content));
        Ok(())
    }

    /// Delivers a message that came from another node. To the dead it is dropped, and so it is where too
    /// much of other nodes waits already ([`limits`](crate::limits)). Answers as
    /// [`Runtime::deliver_signal`].
    #[doc(hidden)]
    pub fn deliver_encoded(
        &self,
        from: Option<Pid>,
        to: &Destination,
        message: EncodedTerm,
    ) -> usize {
        let (process, alias) = match to {
            Destination::Pid(pid) => (self.find(*pid), None),
            Destination::Name(name, _) => (self.table().whereis(name), None),
            Destination::Alias(alias) => (self.owner_of(alias), Some(*alias)),
        };
        let Some(process) = process else {
            return 0;
        };
        process.push_foreign(message, from, alias);
        process.head().signals_waiting()
    }

    /// Sends what the node itself has to tell, at once: like a timer's, it enters a full mailbox. No node is
    /// dialled for it.
    pub fn notify<T: Message>(&self, to: impl Recipient<T>, message: T) {
        let _ = self.try_send_from(
            || self.nobody(),
            &to,
            message,
            Entry::Forced,
            Connect::Never,
        );
    }
}

/// A message to an alias, as it waits to be let in.
pub(crate) enum AliasContent {
    /// Of the process's own type.
    Own(Box<dyn Any + Send>),
    /// Encoded.
    Encoded(Box<Encoded>),
}

/// Moves `message` to a process of its type; any other gets it encoded.
fn deliver<T: Message>(
    process: Arc<dyn AnyProcess>,
    from: Pid,
    message: T,
    entry: Entry,
) -> Step<T> {
    let message = if process.message_type() == TypeId::of::<T>() {
        Unsent::Own(message)
    } else {
        match message.encode() {
            Ok(message) => Unsent::Encoded(message),
            Err(error) => return Step::Done(Err(error.into())),
        }
    };
    match push_unsent(&*process, from, message, entry) {
        Err((Refused::Wait, Some(message))) => Step::Wait(process, message),
        Err((Refused::Full | Refused::Wait, _)) => {
            Step::Done(Err(SendError::Full(process.head().pid())))
        }
        // What is sent to the dead is dropped without a word.
        Ok(()) | Err((Refused::Dead, _)) => Step::Done(Ok(())),
    }
}

fn push_unsent<T: Message>(
    process: &dyn AnyProcess,
    from: Pid,
    message: Unsent<T>,
    entry: Entry,
) -> Result<(), (Refused, Option<Unsent<T>>)> {
    match message {
        Unsent::Own(message) => {
            let mut place = Some(message);
            let pushed = process.push_own(&mut place, entry);
            pushed.map_err(|refused| (refused, place.map(Unsent::Own)))
        }
        Unsent::Encoded(message) => {
            let pushed = process.push_encoded(&message, Some(from), entry);
            pushed.map_err(|refused| (refused, Some(Unsent::Encoded(message))))
        }
    }
}

#[cold]
fn refused_here<M: Message>(cell: &Arc<Cell<M>>, refused: Refused, message: Option<M>) -> Step<M> {
    match (refused, message) {
        (Refused::Dead, _) => Step::Done(Ok(())),
        (Refused::Wait, Some(message)) => Step::Wait(cell.clone(), Unsent::Own(message)),
        (Refused::Full | Refused::Wait, _) => Step::Done(Err(SendError::Full(cell.header().pid()))),
    }
}

fn no_network(node: NodeName) -> SendError {
    SendError::NotConnected {
        node,
        why: "this runtime has no network".into(),
    }
}
