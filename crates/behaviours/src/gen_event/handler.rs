//! What handlers are, and how a manager holds them.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use purlin_otp::reason::Reason;
use purlin_runtime::{Message, panics};
use purlin_term::{EncodedTerm, Pid, Term, atom};

use super::GenEvent;
use crate::gen_server::{Context, caught};
use crate::request::Request;
use crate::status::{self, ServerStatus};

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
///
/// ```
/// use purlin_behaviours::GenServer;
/// use purlin_behaviours::gen_event::{EventHandler, GenEvent, HandlerContext};
///
/// struct Log(Vec<String>);
///
/// impl EventHandler for Log {
///     type Event = String;
///
///     async fn handle_event(&mut self, event: &String, _: &mut HandlerContext<'_, String>) {
///         self.0.push(event.clone());
///     }
/// }
///
/// # async fn example(runtime: purlin_runtime::Runtime) -> Result<(), Box<dyn std::error::Error>> {
/// let events = GenEvent::new().start(&runtime).await?;
/// let log = events.add_handler("log", Log(Vec::new())).await?;
/// events.notify("started".to_owned()).await?;
/// log.delete("done").await?;
/// # Ok(())
/// # }
/// ```
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

    /// Takes a state that `sys:replace_state` or an operator made; answers whether it was taken.
    fn replace_state(&mut self, state: &EncodedTerm) -> bool {
        let _ = state;
        false
    }

    /// What is shown of the handler by `sys:get_status`, and by the log when it crashed: OTP's
    /// `format_status/1`. For states that are large, or that nobody is to see.
    fn format_status(&self, status: ServerStatus) -> ServerStatus {
        status
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
    /// Never locked: handlers lend their context to others by reference, so it has to be `Sync`, which what
    /// makes another handler need not be.
    verdict: Mutex<Verdict<E>>,
}

/// Makes a handler of what the one before it left; `None` if there was none.
pub(super) type Make<E> = Box<dyn FnOnce(Option<Term>) -> Box<dyn AnyHandler<E>> + Send>;

/// What takes the place of a handler.
pub(super) struct Successor<E: Message + Sync> {
    pub(super) id: Term,
    /// What the handler before it is told.
    pub(super) argument: Term,
    pub(super) make: Make<E>,
}

impl<E: Message + Sync> Successor<E> {
    pub(super) fn new<H: EventHandler<Event = E>>(
        id: Term,
        argument: Term,
        make: impl FnOnce(Option<Term>) -> H + Send + 'static,
    ) -> Self {
        let make: Make<E> = Box::new(|left| Box::new(make(left)));
        Self { id, argument, make }
    }
}

impl<E: Message + Sync> HandlerContext<'_, E> {
    /// The handler ends when this function is done: `remove_handler`.
    pub fn remove(&mut self) {
        self.verdict = Mutex::new(Verdict::Leaves);
    }

    /// When this function is done another handler takes the place of this one, made of what this one's
    /// `terminate` answers, to which the argument goes: `swap_handler`.
    pub fn swap<H: EventHandler<Event = E>>(
        &mut self,
        argument: impl Into<Term>,
        id: impl Into<Term>,
        make: impl FnOnce(Term) -> H + Send + 'static,
    ) {
        let make = |left: Option<Term>| make(left.unwrap_or(atom!("error").into()));
        let new = Successor::new(id.into(), argument.into(), make);
        self.verdict = Mutex::new(Verdict::Swaps(new));
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
pub(super) enum Verdict<E: Message + Sync> {
    Stays,
    Leaves,
    Swaps(Successor<E>),
    Panicked(Reason),
}

type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is asked of a handler of the type that it was added as; answers whether it is of that type.
pub(super) type Query<E> = Box<
    dyn for<'a> FnOnce(&'a mut (dyn Any + Send), &'a mut HandlerContext<'_, E>) -> Doing<'a, bool>
        + Send,
>;

/// An [`EventHandler`] of whatever type. Nothing of the handler's runs before what these answer is awaited, so that
/// a panic is one of that, also where a function fails before there is a future of it.
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
    fn replace_state(&mut self, state: &EncodedTerm) -> bool;
    fn format_status(&self, status: ServerStatus) -> ServerStatus;
    fn as_any(&mut self) -> &mut (dyn Any + Send);
}

impl<E: Message + Sync, H: EventHandler<Event = E>> AnyHandler<E> for H {
    fn init<'a>(&'a mut self, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, Result<(), Term>> {
        Box::pin(async move { EventHandler::init(self, ctx).await })
    }

    fn event<'a>(&'a mut self, event: &'a E, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, ()> {
        Box::pin(async move { self.handle_event(event, ctx).await })
    }

    fn info<'a>(
        &'a mut self,
        message: &'a EncodedTerm,
        ctx: &'a mut HandlerContext<'_, E>,
    ) -> Doing<'a, ()> {
        Box::pin(async move { self.handle_info(message, ctx).await })
    }

    fn call<'a>(&'a mut self, query: Term, ctx: &'a mut HandlerContext<'_, E>) -> Doing<'a, Term> {
        Box::pin(async move { self.handle_call(query, ctx).await })
    }

    fn end<'a>(
        &'a mut self,
        why: &'a Removed,
        ctx: &'a mut HandlerContext<'_, E>,
    ) -> Doing<'a, Term> {
        Box::pin(async move { self.terminate(why, ctx).await })
    }

    fn state(&self) -> Term {
        let opaque = || Term::from(std::any::type_name::<H>());
        EventHandler::state(self).unwrap_or_else(opaque)
    }

    fn replace_state(&mut self, state: &EncodedTerm) -> bool {
        EventHandler::replace_state(self, state)
    }

    fn format_status(&self, status: ServerStatus) -> ServerStatus {
        EventHandler::format_status(self, status)
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
    pub(super) fn new<H: EventHandler<Event = E>>(
        id: Term,
        adder: Option<Pid>,
        handler: H,
    ) -> Self {
        let handler = Box::new(handler);
        Self { id, adder, handler }
    }

    /// Made of what the one before it left, by code of the user's, which may panic.
    pub(super) fn made(
        id: Term,
        adder: Option<Pid>,
        make: Make<E>,
        left: Option<Term>,
    ) -> Result<Self, Term> {
        let made = catch_unwind(AssertUnwindSafe(|| make(left)));
        let handler = made.map_err(|panic| exit(&panics::exit_reason(&*panic)))?;
        Ok(Self { id, adder, handler })
    }

    pub(super) fn id(&self) -> &Term {
        &self.id
    }

    pub(super) fn adder(&self) -> Option<Pid> {
        self.adder
    }

    /// `Module` and `Id`, which is `false` where there is none.
    fn module_and_id(&self) -> (Term, Term) {
        match self.id.as_tuple() {
            Some([module, id]) => (module.clone(), id.clone()),
            _ => (self.id.clone(), atom!("false").into()),
        }
    }

    /// `{Module, Id, State}`, as `sys:get_state` shows it.
    pub(super) fn shown(&self) -> Term {
        let (module, id) = self.module_and_id();
        Term::tuple([module, id, self.handler.state()])
    }

    /// Takes the state in `{Module, Id, State}`, if that is one for it and another than it has. A panic in that is the
    /// handler's own matter, as it is in OTP's: it has the state that it has then.
    pub(super) fn replace_state(&mut self, new: &Term) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.take_state(new)));
    }

    fn take_state(&mut self, new: &Term) {
        let (own_module, own_id) = self.module_and_id();
        if let Some([module, id, state]) = new.as_tuple()
            && (module, id) == (&own_module, &own_id)
            && *state != self.handler.state()
            && let Ok(state) = EncodedTerm::encode(state)
        {
            self.handler.replace_state(&state);
        }
    }

    /// The state as it is to be shown, also where the handler does not say.
    pub(super) fn format_status(&self, reason: Option<&Reason>, log: &mut Vec<Term>) -> Term {
        let formatted = catch_unwind(AssertUnwindSafe(|| {
            self.handler.format_status(ServerStatus {
                state: self.handler.state(),
                reason: reason.cloned(),
                log: log.clone(),
            })
        }));
        match formatted {
            Ok(status) => {
                *log = status.log;
                status.state
            }
            Err(_) => status::panicked::<Self>(),
        }
    }

    /// `{handler, Module, Id, State, Supervised}`, as `sys:get_status` shows it: OTP's record.
    pub(super) fn formatted(&self, reason: Option<&Reason>, log: &mut Vec<Term>) -> Term {
        let (module, id) = self.module_and_id();
        let state = self.format_status(reason, log);
        let supervised = self.adder.map_or(atom!("false").into(), Term::from);
        Term::tuple([atom!("handler").into(), module, id, state, supervised])
    }

    pub(super) async fn init(&mut self, ctx: &mut Context<GenEvent<E>>) -> Result<(), Term> {
        let mut ctx = context(ctx);
        match caught(self.handler.init(&mut ctx)).await {
            Ok(wanted) => wanted,
            Err(panic) => Err(exit(&panics::exit_reason(&*panic))),
        }
    }

    pub(super) async fn event(&mut self, event: &E, ctx: &mut Context<GenEvent<E>>) -> Verdict<E> {
        let mut ctx = context(ctx);
        let done = caught(self.handler.event(event, &mut ctx)).await;
        verdict(done, ctx).0
    }

    pub(super) async fn info(
        &mut self,
        message: &EncodedTerm,
        ctx: &mut Context<GenEvent<E>>,
    ) -> Verdict<E> {
        let mut ctx = context(ctx);
        let done = caught(self.handler.info(message, &mut ctx)).await;
        verdict(done, ctx).0
    }

    /// What becomes of the handler, and whether it was of the type that is asked.
    pub(super) async fn ask(
        &mut self,
        query: Query<E>,
        ctx: &mut Context<GenEvent<E>>,
    ) -> (Verdict<E>, Option<bool>) {
        let mut ctx = context(ctx);
        let done = caught(query(self.handler.as_any(), &mut ctx)).await;
        verdict(done, ctx)
    }

    /// What is answered to OTP, and what becomes of the handler.
    pub(super) async fn call(
        &mut self,
        query: Term,
        ctx: &mut Context<GenEvent<E>>,
    ) -> (Verdict<E>, Term) {
        let mut ctx = context(ctx);
        let done = caught(self.handler.call(query, &mut ctx)).await;
        let (verdict, reply) = verdict(done, ctx);
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
    let verdict = Mutex::new(Verdict::Stays);
    HandlerContext { ctx, verdict }
}

fn verdict<E: Message + Sync, T>(
    done: Result<T, Box<dyn Any + Send>>,
    ctx: HandlerContext<'_, E>,
) -> (Verdict<E>, Option<T>) {
    match done {
        Ok(done) => {
            let verdict = ctx.verdict.into_inner();
            let verdict = verdict.unwrap_or_else(PoisonError::into_inner);
            (verdict, Some(done))
        }
        Err(panic) => (Verdict::Panicked(panics::exit_reason(&*panic)), None),
    }
}

/// `{'EXIT', Reason}`.
pub(super) fn exit(reason: &Reason) -> Term {
    Term::tuple([atom!("EXIT").into(), Term::clone(reason)])
}
