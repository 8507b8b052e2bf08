//! What handlers are, and how a manager holds them.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use purlin_otp::reason::Reason;
use purlin_runtime::{Message, panics};
use purlin_term::{EncodedTerm, Pid, Term, atom};

use super::GenEvent;
use crate::gen_server::{Context, caught};
use crate::request::Request;

/// Why a handler ends: the first argument of OTP's `terminate/2`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// It was deleted, with this argument.
    Deleted(Term),
    /// Another takes its place, with this argument.
    Swapped(Term),
    /// It asked for it: [`HandlerContext::remove`].
    ByItself,
    /// Its manager ends.
    Stop,
    /// Who added it, and supervises it, ended.
    AdderEnded(Reason),
    /// It panicked.
    Crashed(Reason),
}

/// A handler of events: its state, and what it does when one happens.
pub trait EventHandler: Sized + Send + 'static {
    /// The events of its manager.
    type Event: Message + Sync;

    /// The first thing that the handler does, in its manager's process.
    ///
    /// # Errors
    /// The reason that whoever adds it is answered; it is not added.
    fn init(
        &mut self,
        ctx: &mut HandlerContext<'_, Self::Event>,
    ) -> impl Future<Output = Result<(), Term>> + Send {
        let _ = ctx;
        async { Ok(()) }
    }

    /// An event happened.
    fn handle_event(
        &mut self,
        event: &Self::Event,
        ctx: &mut HandlerContext<'_, Self::Event>,
    ) -> impl Future<Output = ()> + Send;

    /// The manager got a message that is no event.
    fn handle_info(
        &mut self,
        message: &EncodedTerm,
        ctx: &mut HandlerContext<'_, Self::Event>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (message, ctx);
        async {}
    }

    /// `gen_event:call` from OTP. By type a handler is asked through [`HandleQuery`].
    fn handle_call(
        &mut self,
        query: Term,
        ctx: &mut HandlerContext<'_, Self::Event>,
    ) -> impl Future<Output = Term> + Send {
        let _ = ctx;
        async move {
            let unknown = Term::tuple([atom!("unknown_request").into(), query]);
            Term::tuple([atom!("error").into(), unknown])
        }
    }

    /// The last thing that the handler does; what it answers is for who deletes it, or for what takes
    /// its place.
    fn terminate(
        &mut self,
        why: &Removed,
        ctx: &mut HandlerContext<'_, Self::Event>,
    ) -> impl Future<Output = Term> + Send {
        let _ = (why, ctx);
        async { atom!("ok").into() }
    }

    /// The state as a term, for `sys:get_state`; `None` if it has no form as one.
    fn state(&self) -> Option<Term> {
        None
    }
}

/// Answers requests `R` that are asked of a handler by [`HandlerRef::call`](super::HandlerRef::call).
pub trait HandleQuery<R: Request>: EventHandler {
    /// Answers a request.
    fn handle_query(
        &mut self,
        request: R,
        ctx: &mut HandlerContext<'_, Self::Event>,
    ) -> impl Future<Output = R::Reply> + Send;
}

/// What a handler has: the [`Context`] of its manager, to which it derefs.
pub struct HandlerContext<'a, E: Message + Sync> {
    ctx: &'a mut Context<GenEvent<E>>,
    is_removed: bool,
}

impl<E: Message + Sync> HandlerContext<'_, E> {
    /// The handler ends when this function is done: `remove_handler`.
    pub fn remove(&mut self) {
        self.is_removed = true;
    }
}

impl<E: Message + Sync> Deref for HandlerContext<'_, E> {
    type Target = Context<GenEvent<E>>;

    fn deref(&self) -> &Self::Target {
        self.ctx
    }
}

impl<E: Message + Sync> DerefMut for HandlerContext<'_, E> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.ctx
    }
}

/// What becomes of a handler after it did something.
pub(super) enum Verdict {
    Stays,
    Leaves,
    Panicked(Reason),
}

type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is asked of a handler of the type that it was added as.
pub(super) type Query<E> = Box<
    dyn for<'a> FnOnce(&'a mut (dyn Any + Send), &'a mut HandlerContext<'_, E>) -> Doing<'a, ()>
        + Send,
>;

/// An [`EventHandler`] of whatever type.
pub(super) trait AnyHandler<E: Message + Sync>: Send {
    fn init<'a>(&'a mut self, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, Result<(), Term>>;
    fn event<'a>(&'a mut self, event: &'a E, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, ()>;
    fn info<'a>(
        &'a mut self,
        message: &'a EncodedTerm,
        ctx: &'a mut HandlerContext<'_, E>,
    ) -> Doing<'a, ()>;
    fn call<'a>(&'a mut self, query: Term, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, Term>;
    fn end<'a>(
        &'a mut self,
        why: &'a Removed,
        ctx: &'a mut HandlerContext<'_, E>,
    ) -> Doing<'a, Term>;
    fn state(&self) -> Term;
    fn as_any(&mut self) -> &mut (dyn Any + Send);
}

impl<E: Message + Sync, H: EventHandler<Event = E>> AnyHandler<E> for H {
    fn init<'a>(&'a mut self, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, Result<(), Term>> {
        Box::pin(EventHandler::init(self, ctx))
    }

    fn event<'a>(&'a mut self, event: &'a E, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, ()> {
        Box::pin(self.handle_event(event, ctx))
    }

    fn info<'a>(
        &'a mut self,
        message: &'a EncodedTerm,
        ctx: &'a mut HandlerContext<'_, E>,
    ) -> Doing<'a, ()> {
        Box::pin(self.handle_info(message, ctx))
    }

    fn call<'a>(&'a mut self, query: Term, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, Term> {
        Box::pin(self.handle_call(query, ctx))
    }

    fn end<'a>(
        &'a mut self,
        why: &'a Removed,
        ctx: &'a mut HandlerContext<'_, E>,
    ) -> Doing<'a, Term> {
        Box::pin(self.terminate(why, ctx))
    }

    fn state(&self) -> Term {
        let opaque = || Term::from(std::any::type_name::<H>());
        EventHandler::state(self).unwrap_or_else(opaque)
    }

    fn as_any(&mut self) -> &mut (dyn Any + Send) {
        self
    }
}

/// A handler of a manager.
pub(super) struct Installed<E: Message + Sync> {
    id: Term,
    /// Who added it, if that supervises it.
    adder: Option<Pid>,
    handler: Box<dyn AnyHandler<E>>,
}

impl<E: Message + Sync> Installed<E> {
    pub(super) fn boxed(id: Term, adder: Option<Pid>, handler: Box<dyn AnyHandler<E>>) -> Self {
        Self { id, adder, handler }
    }

    pub(super) fn id(&self) -> &Term {
        &self.id
    }

    pub(super) fn adder(&self) -> Option<Pid> {
        self.adder
    }

    /// `{Module, Id, State}`, as `sys:get_state` shows it.
    pub(super) fn shown(&self) -> Term {
        let (module, id) = match self.id.as_tuple() {
            Some([module, id]) => (module.clone(), id.clone()),
            _ => (self.id.clone(), atom!("false").into()),
        };
        Term::tuple([module, id, self.handler.state()])
    }

    pub(super) async fn init(&mut self, ctx: &mut Context<GenEvent<E>>) -> Result<(), Term> {
        let mut ctx = context(ctx);
        match caught(self.handler.init(&mut ctx)).await {
            Ok(wanted) => wanted,
            Err(panic) => Err(exit(&panics::exit_reason(&*panic))),
        }
    }

    pub(super) async fn event(&mut self, event: &E, ctx: &mut Context<GenEvent<E>>) -> Verdict {
        let mut ctx = context(ctx);
        let done = caught(self.handler.event(event, &mut ctx)).await;
        verdict(done, &ctx).0
    }

    pub(super) async fn info(
        &mut self,
        message: &EncodedTerm,
        ctx: &mut Context<GenEvent<E>>,
    ) -> Verdict {
        let mut ctx = context(ctx);
        let done = caught(self.handler.info(message, &mut ctx)).await;
        verdict(done, &ctx).0
    }

    pub(super) async fn ask(&mut self, query: Query<E>, ctx: &mut Context<GenEvent<E>>) -> Verdict {
        let mut ctx = context(ctx);
        let done = caught(query(self.handler.as_any(), &mut ctx)).await;
        verdict(done, &ctx).0
    }

    /// What is answered to OTP, and what becomes of the handler.
    pub(super) async fn call(
        &mut self,
        query: Term,
        ctx: &mut Context<GenEvent<E>>,
    ) -> (Verdict, Term) {
        let mut ctx = context(ctx);
        let done = caught(self.handler.call(query, &mut ctx)).await;
        let (verdict, reply) = verdict(done, &ctx);
        let crashed = match &verdict {
            Verdict::Panicked(reason) => Term::tuple([atom!("error").into(), exit(reason)]),
            _ => Term::nil(),
        };
        (verdict, reply.unwrap_or(crashed))
    }

    pub(super) async fn terminate(
        &mut self,
        why: &Removed,
        ctx: &mut Context<GenEvent<E>>,
    ) -> Term {
        let mut ctx = context(ctx);
        match caught(self.handler.end(why, &mut ctx)).await {
            Ok(left) => left,
            Err(panic) => exit(&panics::exit_reason(&*panic)),
        }
    }
}

fn context<E: Message + Sync>(ctx: &mut Context<GenEvent<E>>) -> HandlerContext<'_, E> {
    HandlerContext {
        ctx,
        is_removed: false,
    }
}

fn verdict<E: Message + Sync, T>(
    done: Result<T, Box<dyn Any + Send>>,
    ctx: &HandlerContext<'_, E>,
) -> (Verdict, Option<T>) {
    match done {
        Ok(done) if ctx.is_removed => (Verdict::Leaves, Some(done)),
        Ok(done) => (Verdict::Stays, Some(done)),
        Err(panic) => (Verdict::Panicked(panics::exit_reason(&*panic)), None),
    }
}

/// `{'EXIT', Reason}`.
fn exit(reason: &Reason) -> Term {
    Term::tuple([atom!("EXIT").into(), Term::clone(reason)])
}
