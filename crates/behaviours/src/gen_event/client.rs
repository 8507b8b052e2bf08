//! What others ask of an event manager, by type.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use purlin_runtime::{Local, Message, SendError};
use purlin_term::{Pid, Term};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::handler::{Installed, Query, Successor};
use super::{EventHandler, GenEvent, HandleQuery, HandlerContext, Notify};
use crate::call::CALL_TIMEOUT;
use crate::request::Request;
use crate::server_ref::ServerRef;

/// What is asked of a manager of this node.
#[doc(hidden)]
pub enum Job<E: Message + Sync> {
    #[allow(private_interfaces)]
    Add(Installed<E>, oneshot::Sender<Result<(), Term>>),
    SyncNotify(E, oneshot::Sender<()>),
    Delete(Term, Term, oneshot::Sender<Option<Term>>),
    #[allow(private_interfaces)]
    Swap(Box<Swap<E>>, oneshot::Sender<Result<(), Term>>),
    #[allow(private_interfaces)]
    Ask(Term, Query<E>, oneshot::Sender<bool>),
    Which(oneshot::Sender<Vec<Term>>),
}

pub(super) struct Swap<E: Message + Sync> {
    pub(super) old: Term,
    pub(super) new: Successor<E>,
    pub(super) adder: Option<Pid>,
}

/// Why an event manager did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The handler does not want to be added, as its `init` says.
    #[error("the handler was not added: {0}")]
    NotAdded(Term),
    /// There is no such handler.
    #[error("there is no such handler")]
    NoHandler,
    /// The manager was not reached: it has ended, or is on another node, where handlers of this one cannot run.
    #[error("the event manager was not reached: {0}")]
    NotSent(#[from] SendError),
    /// The handler did not answer in time. Whether it has done, or will do, what it was asked is unknown.
    #[error("the handler did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The manager ended, or the handler panicked. Whether it was done is unknown.
    #[error("the event manager or its handler ended before it answered")]
    Ended,
}

impl<E: Message + Sync> ServerRef<GenEvent<E>> {
    /// Tells all handlers of an event, without waiting for them: `gen_event:notify/2`. Waits as
    /// [`ServerRef::cast`] does.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub async fn notify(&self, event: E) -> Result<(), SendError> {
        self.notify_server(Notify(event)).await
    }

    /// Tells all handlers of an event, and returns when the last has handled it: `gen_event:sync_notify/2`.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn sync_notify(&self, event: E) -> Result<(), EventError> {
        self.ask(|reply| Job::SyncNotify(event, reply)).await
    }

    /// Adds a handler under an id, which others may have too: `gen_event:add_handler/3`.
    ///
    /// # Errors
    /// [`EventError`]; it was not added.
    pub async fn add_handler<H: EventHandler<Event = E>>(
        &self,
        id: impl Into<Term>,
        handler: H,
    ) -> Result<HandlerRef<H>, EventError> {
        self.add(id.into(), None, handler).await
    }

    /// As [`add_handler`](Self::add_handler), for a process that supervises it: `gen_event:add_sup_handler/3`.
    /// They are linked. The end of the process removes the handler, and its removal is told to the process as
    /// a [`HandlerExit`](super::HandlerExit).
    ///
    /// # Errors
    /// [`EventError`]; it was not added.
    pub async fn add_sup_handler<H: EventHandler<Event = E>>(
        &self,
        supervisor: Pid,
        id: impl Into<Term>,
        handler: H,
    ) -> Result<HandlerRef<H>, EventError> {
        self.add(id.into(), Some(supervisor), handler).await
    }

    async fn add<H: EventHandler<Event = E>>(
        &self,
        id: Term,
        adder: Option<Pid>,
        handler: H,
    ) -> Result<HandlerRef<H>, EventError> {
        let installed = Installed::new(id.clone(), adder, handler);
        let added = self.ask(|reply| Job::Add(installed, reply)).await?;
        added.map_err(EventError::NotAdded)?;
        Ok(HandlerRef::new(self, id))
    }

    /// Takes a handler out, and answers what its `terminate` did, to which the argument goes:
    /// `gen_event:delete_handler/3`.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn delete_handler(
        &self,
        id: impl Into<Term>,
        argument: impl Into<Term>,
    ) -> Result<Term, EventError> {
        let (id, argument) = (id.into(), argument.into());
        let left = self.ask(|reply| Job::Delete(id, argument, reply)).await?;
        left.ok_or(EventError::NoHandler)
    }

    /// Puts a handler in the place of another, made of what that one's `terminate` answered, or of `None` if
    /// there is no such handler: `gen_event:swap_handler/3`. It is supervised as the other was.
    ///
    /// # Errors
    /// [`EventError`]; the other one is removed then, too.
    pub async fn swap_handler<H: EventHandler<Event = E>>(
        &self,
        (old, argument): (impl Into<Term>, impl Into<Term>),
        new: impl Into<Term>,
        make: impl FnOnce(Option<Term>) -> H + Send + 'static,
    ) -> Result<HandlerRef<H>, EventError> {
        let (old, new) = ((old.into(), argument.into()), new.into());
        self.swap(old, new, None, make).await
    }

    /// As [`swap_handler`](Self::swap_handler), for a process that supervises the new one:
    /// `gen_event:swap_sup_handler/3`.
    ///
    /// # Errors
    /// [`EventError`]; the other one is removed then, too.
    pub async fn swap_sup_handler<H: EventHandler<Event = E>>(
        &self,
        supervisor: Pid,
        (old, argument): (impl Into<Term>, impl Into<Term>),
        new: impl Into<Term>,
        make: impl FnOnce(Option<Term>) -> H + Send + 'static,
    ) -> Result<HandlerRef<H>, EventError> {
        let (old, new) = ((old.into(), argument.into()), new.into());
        self.swap(old, new, Some(supervisor), make).await
    }

    async fn swap<H: EventHandler<Event = E>>(
        &self,
        (old, argument): (Term, Term),
        new: Term,
        adder: Option<Pid>,
        make: impl FnOnce(Option<Term>) -> H + Send + 'static,
    ) -> Result<HandlerRef<H>, EventError> {
        let swap = Swap {
            old,
            new: Successor::new(new.clone(), argument, make),
            adder,
        };
        let added = self.ask(|reply| Job::Swap(Box::new(swap), reply)).await?;
        added.map_err(EventError::NotAdded)?;
        Ok(HandlerRef::new(self, new))
    }

    /// The ids of all handlers, the youngest first: `gen_event:which_handlers/1`.
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn which_handlers(&self) -> Result<Vec<Term>, EventError> {
        self.ask(Job::Which).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<T>) -> Job<E>,
    ) -> Result<T, EventError> {
        let (sender, reply) = oneshot::channel();
        self.cast(Local(job(sender))).await?;
        reply.await.map_err(|_| EventError::Ended)
    }
}

/// A handler of an event manager, as who added it knows it.
pub struct HandlerRef<H: EventHandler> {
    manager: ServerRef<GenEvent<H::Event>>,
    id: Term,
    handler: PhantomData<fn(H)>,
}

impl<H: EventHandler> Clone for HandlerRef<H> {
    fn clone(&self) -> Self {
        Self::new(&self.manager, self.id.clone())
    }
}

impl<H: EventHandler> fmt::Debug for HandlerRef<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerRef({} of {:?})", self.id, self.manager)
    }
}

impl<H: EventHandler> HandlerRef<H> {
    fn new(manager: &ServerRef<GenEvent<H::Event>>, id: Term) -> Self {
        let manager = manager.clone();
        let handler = PhantomData;
        Self {
            manager,
            id,
            handler,
        }
    }

    /// Its id.
    pub fn id(&self) -> &Term {
        &self.id
    }

    /// Asks the handler, and waits five seconds for the answer: `gen_event:call/3`.
    ///
    /// # Errors
    /// [`EventError`]: [`NoHandler`](EventError::NoHandler) also where another has its id by now.
    pub async fn call<R: Request>(&self, request: R) -> Result<R::Reply, EventError>
    where
        H: HandleQuery<R>,
    {
        let (sender, reply) = oneshot::channel();
        let (found, is_found) = oneshot::channel();
        let query: Query<H::Event> = Box::new(move |handler, ctx: &mut HandlerContext<'_, _>| {
            Box::pin(async move {
                let Some(handler) = handler.downcast_mut::<H>() else {
                    return false;
                };
                let _ = sender.send(handler.handle_query(request, ctx).await);
                true
            })
        });
        let ask = Job::Ask(self.id.clone(), query, found);
        self.manager.cast(Local(ask)).await?;
        let answer = async {
            match reply.await {
                Ok(reply) => Ok(reply),
                Err(_) if is_found.await == Ok(false) => Err(EventError::NoHandler),
                Err(_) => Err(EventError::Ended),
            }
        };
        let answered = timeout(CALL_TIMEOUT, answer).await;
        answered.unwrap_or(Err(EventError::TimedOut(CALL_TIMEOUT)))
    }

    /// Takes the handler out: [`ServerRef::delete_handler`].
    ///
    /// # Errors
    /// [`EventError`].
    pub async fn delete(&self, argument: impl Into<Term>) -> Result<Term, EventError> {
        self.manager.delete_handler(self.id.clone(), argument).await
    }
}
