//! Event managers: processes that hand each event to all handlers that were added to them.
//!
//! A manager of events `E` is started as [`GenEvent::new`]; handlers, values of any types that implement
//! [`EventHandler`], are added to it by its [`ServerRef`](crate::ServerRef), and can be asked by type through the [`HandlerRef`]
//! that adding them answers. A handler that panics is removed, and the others go on.
//!
//! Source: OTP's `gen_event`. An OTP shell notifies (`{notify, Event}`), asks, lists and deletes handlers as it
//! does with its own, and looks into them with `sys`; it cannot add one, since its code would have to run here.
//! Deviations:
//! - a handler is made by who adds it, so that its `init` gets no arguments; one that takes the place of
//!   another is made of what that one left;
//! - an event that does not decode goes to [`EventHandler::handle_info`], as any other message does.
//!
//! Invariants:
//! - `E1` an event is handed to all handlers that were there when it came, the youngest first, one after
//!   another, and `sync_notify` returns when the last has handled it;
//! - `E2` the end of whoever added a supervised handler removes it, and who added it is told of its removal
//!   once, whatever removed it;
//! - `E3` [`EventHandler::terminate`] runs at most once for a handler, and it handles nothing after it.
//!
//! - `handler`: what handlers are; `client`: what others ask; `terms`: what OTP asks.

mod client;
mod handler;
mod terms;

use purlin_otp::reason::{self, Reason};
use purlin_runtime::{Destination, Local, Message, panics};
use purlin_term::{DeserializeError, EncodedTerm, Pid, SerializeError, Term, atom};

pub use client::{EventError, HandlerRef};
pub use handler::{EventHandler, HandleQuery, HandlerContext, Removed};

use crate::bounded::Bounded;
use crate::by;
use crate::gen_server::{Context, GenServer, HandleCast, HandleInfo, InitError, Other};
use crate::status::{Described, FormattedStatus, Part, ServerStatus};
use client::{Job, Swap};
use handler::{Installed, Successor, Verdict};

/// An event manager, without handlers at first.
pub struct GenEvent<E: Message + Sync> {
    /// The youngest first.
    handlers: Vec<Installed<E>>,
}

impl<E: Message + Sync> GenEvent<E> {
    /// A manager of events `E`, to be started.
    pub fn new() -> Self {
        let handlers = Vec::new();
        Self { handlers }
    }
}

impl<E: Message + Sync> Default for GenEvent<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// An event on its way: `{notify, Event}`.
pub struct Notify<E>(pub E);

impl<E: Message> Message for Notify<E> {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        let tag = encode(&atom!("notify").into())?;
        let event = self.0.encode()?;
        EncodedTerm::tuple([tag.view(), event.view()]).map_err(serde::ser::Error::custom)
    }

    fn decode(term: &EncodedTerm) -> Result<Self, DeserializeError> {
        match term.view().as_tuple_of() {
            Some([tag, event]) if tag.is_atom("notify") => E::decode(&event.to_encoded()).map(Self),
            _ => Err(serde::de::Error::custom("expected {notify, Event}")),
        }
    }
}

/// What is told to who added a supervised handler when that is removed: `{gen_event_EXIT, Handler, Reason}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerExit {
    /// The handler's id.
    pub handler: Term,
    /// Why: `normal` if it was deleted or removed itself, `shutdown` if its manager ended,
    /// `{swapped, NewHandler, NewSupervisor}` if it was replaced, `{'EXIT', Reason}` if it crashed. One that was to
    /// follow another in its manager, and did not come to be, is told of with what its `init` answered, or
    /// with `{'EXIT', Reason}`.
    pub reason: Term,
}

impl Message for HandlerExit {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        let parts = [
            atom!("gen_event_EXIT").into(),
            self.handler.clone(),
            self.reason.clone(),
        ];
        encode(&Term::tuple(parts))
    }

    fn decode(term: &EncodedTerm) -> Result<Self, DeserializeError> {
        let parts = term.view().as_tuple_of();
        match parts.map(|[tag, handler, reason]| (tag, handler.to_term(), reason.to_term())) {
            Some((tag, Ok(handler), Ok(reason))) if tag.is_atom("gen_event_EXIT") => {
                Ok(Self { handler, reason })
            }
            _ => Err(serde::de::Error::custom(
                "expected {gen_event_EXIT, Handler, Reason}",
            )),
        }
    }
}

fn encode(term: &Term) -> Result<EncodedTerm, SerializeError> {
    EncodedTerm::encode(term).map_err(serde::ser::Error::custom)
}

impl<E: Message + Sync> GenServer for GenEvent<E> {
    type Messages = (by::Info<Notify<E>>, by::Cast<Local<Job<E>>>);

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(true);
        Ok(())
    }

    async fn terminate(&mut self, _: &Reason, ctx: &mut Context<Self>) {
        for handler in std::mem::take(&mut self.handlers) {
            let adder = handler.adder();
            self.end(handler, Removed::Stop, reason::shutdown(), ctx)
                .await;
            // Who supervises a handler hears of it, and does not end with the manager.
            if let Some(adder) = adder.filter(|adder| ctx.parent() != Some(*adder)) {
                ctx.unlink(adder);
            }
        }
    }

    async fn handle_exit(&mut self, from: Pid, reason: Reason, ctx: &mut Context<Self>) {
        while let Some(place) = self.place_of_adder(from) {
            let handler = self.handlers.remove(place);
            let why = Removed::AdderEnded(reason.clone());
            self.end(handler, why, reason::shutdown(), ctx).await;
        }
        let exit = [atom!("EXIT").into(), from.into(), Term::clone(&reason)];
        if let Ok(message) = encode(&Term::tuple(exit)) {
            self.inform(&message, ctx).await;
        }
    }

    async fn handle_other(&mut self, other: Other, ctx: &mut Context<Self>) {
        if !self.answer(&other.message, ctx).await {
            self.inform(&other.message, ctx).await;
        }
    }

    fn state(&self) -> Option<Term> {
        Some(Term::list(self.handlers.iter().map(Installed::shown)))
    }

    /// Each handler that is in the list, `{Module, Id, State}`, takes its state or keeps the one that it has, as
    /// where a function of OTP's fails for it.
    fn replace_state(&mut self, states: &EncodedTerm) -> bool {
        let Ok(Term::List(states)) = states.to_term() else {
            return false;
        };
        let states: Vec<Term> = states.to_vec();
        if states.len() != self.handlers.len() {
            return false;
        }
        for (handler, state) in self.handlers.iter_mut().zip(&states) {
            handler.replace_state(state);
        }
        true
    }

    fn described(&self) -> Described {
        Described {
            module: atom!("gen_event"),
            title: "event handler",
        }
    }

    fn formatted_status(&self, reason: Option<Reason>, mut log: Vec<Term>) -> FormattedStatus {
        let handlers = self.handlers.iter();
        let handlers = handlers.map(|handler| handler.formatted(reason.as_ref(), &mut log));
        let handlers = Term::list(handlers.collect::<Vec<_>>());
        let status = ServerStatus {
            state: handlers,
            reason,
            log,
        };
        let formatted = FormattedStatus::of(status);
        FormattedStatus {
            state: ("Installed handlers", formatted.state.1),
            part: Part::Items,
            ..formatted
        }
    }
}

impl<E: Message + Sync> HandleInfo<Notify<E>> for GenEvent<E> {
    async fn handle_info(&mut self, Notify(event): Notify<E>, ctx: &mut Context<Self>) {
        self.notify(&event, ctx).await;
    }
}

impl<E: Message + Sync> HandleCast<Local<Job<E>>> for GenEvent<E> {
    async fn handle_cast(&mut self, Local(job): Local<Job<E>>, ctx: &mut Context<Self>) {
        self.carry_out(job, ctx).await;
    }
}

impl<E: Message + Sync> GenEvent<E> {
    /// `E1`.
    async fn notify(&mut self, event: &E, ctx: &mut Context<Self>) {
        let mut place = 0;
        while let Some(handler) = self.handlers.get_mut(place) {
            let verdict = handler.event(event, ctx).await;
            place += usize::from(self.judge(place, verdict, ctx).await);
        }
    }

    /// A message that is no event goes to all handlers.
    async fn inform(&mut self, message: &EncodedTerm, ctx: &mut Context<Self>) {
        let mut place = 0;
        while let Some(handler) = self.handlers.get_mut(place) {
            let verdict = handler.info(message, ctx).await;
            place += usize::from(self.judge(place, verdict, ctx).await);
        }
    }

    /// Answers whether there is still a handler in that place, which has had what happened.
    async fn judge(&mut self, place: usize, verdict: Verdict<E>, ctx: &mut Context<Self>) -> bool {
        let (why, told) = match verdict {
            Verdict::Stays => return true,
            Verdict::Swaps(new) => return self.succeed(place, new, ctx).await,
            Verdict::Leaves => (Removed::ByItself, reason::normal()),
            Verdict::Panicked(reason) => {
                let told = Reason::new(handler::exit(&reason));
                (Removed::Crashed(reason), told)
            }
        };
        let handler = self.handlers.remove(place);
        self.end(handler, why, told, ctx).await;
        false
    }

    /// A handler puts another in its place; answers whether that wants to be.
    async fn succeed(&mut self, place: usize, new: Successor<E>, ctx: &mut Context<Self>) -> bool {
        let old = self.handlers.remove(place);
        let adder = old.adder();
        let left = self
            .end_swapped(old, new.argument, &new.id, adder, ctx)
            .await;
        let id = new.id.clone();
        let made = Installed::made(new.id, adder, new.make, Some(left));
        let refused = match made {
            Ok(mut handler) => match handler.init(ctx).await {
                Ok(()) => {
                    self.handlers.insert(place, handler);
                    return true;
                }
                Err(refused) => refused,
            },
            Err(refused) => refused,
        };
        tell(adder, &id, &refused, ctx).await;
        false
    }

    fn place(&self, id: &Term) -> Option<usize> {
        self.handlers.iter().position(|handler| handler.id() == id)
    }

    /// The place of a handler that this process supervises.
    fn place_of_adder(&self, adder: Pid) -> Option<usize> {
        let is_theirs = |handler: &Installed<E>| handler.adder() == Some(adder);
        self.handlers.iter().position(is_theirs)
    }

    /// Ends a handler that was taken out of the list, and tells who supervises it; answers what it left.
    async fn end(
        &mut self,
        mut handler: Installed<E>,
        why: Removed,
        told: Reason,
        ctx: &mut Context<Self>,
    ) -> Term {
        if let Removed::Crashed(reason) = &why {
            // What is known of the last panic, before the handler is asked for more.
            let backtrace = panics::last_backtrace();
            let mut log = ctx.debug.log();
            let state = handler.format_status(Some(reason), &mut log);
            let (manager, handler) = (ctx.pid(), handler.id());
            let (reason, state) = (Bounded(&**reason), Bounded(&state));
            tracing::error!(
                %manager, %handler, %reason, %state, backtrace, "an event handler crashed"
            );
        }
        let left = handler.terminate(&why, ctx).await;
        tell(handler.adder(), handler.id(), &told, ctx).await;
        left
    }

    /// Ends a handler whose place another takes.
    async fn end_swapped(
        &mut self,
        old: Installed<E>,
        argument: Term,
        new: &Term,
        adder: Option<Pid>,
        ctx: &mut Context<Self>,
    ) -> Term {
        let supervisor = adder.map_or(atom!("false").into(), Term::from);
        let told = [atom!("swapped").into(), new.clone(), supervisor];
        let told = Reason::new(Term::tuple(told));
        self.end(old, Removed::Swapped(argument), told, ctx).await
    }

    /// Adds a handler; answers why it does not want to be.
    async fn add(
        &mut self,
        mut handler: Installed<E>,
        ctx: &mut Context<Self>,
    ) -> Result<(), Term> {
        if let Some(adder) = handler.adder() {
            ctx.link(adder);
        }
        handler.init(ctx).await?;
        self.handlers.insert(0, handler);
        Ok(())
    }

    /// Takes a handler out; answers what it left, or that there is none.
    async fn delete(&mut self, id: &Term, argument: Term, ctx: &mut Context<Self>) -> Option<Term> {
        let handler = self.handlers.remove(self.place(id)?);
        let why = Removed::Deleted(argument);
        Some(self.end(handler, why, reason::normal(), ctx).await)
    }

    async fn carry_out(&mut self, job: Job<E>, ctx: &mut Context<Self>) {
        match job {
            Job::Add(handler, reply) => {
                let added = self.add(handler, ctx).await;
                let _ = reply.send(added);
            }
            Job::SyncNotify(event, reply) => {
                self.notify(&event, ctx).await;
                let _ = reply.send(());
            }
            Job::Delete(id, argument, reply) => {
                let left = self.delete(&id, argument, ctx).await;
                let _ = reply.send(left);
            }
            Job::Swap(swap, reply) => {
                let added = self.swap(*swap, ctx).await;
                let _ = reply.send(added);
            }
            Job::Ask(id, query, found) => match self.place(&id) {
                Some(place) => {
                    let (verdict, is_its_type) = self.handlers[place].ask(query, ctx).await;
                    if let Some(is_its_type) = is_its_type {
                        let _ = found.send(is_its_type);
                    }
                    self.judge(place, verdict, ctx).await;
                }
                None => drop(found.send(false)),
            },
            Job::Which(reply) => {
                let ids = self.handlers.iter().map(|handler| handler.id().clone());
                let _ = reply.send(ids.collect());
            }
        }
    }

    /// `gen_event:swap_handler` and `swap_sup_handler`: the new one is supervised as the old one was, if
    /// nobody else is to.
    async fn swap(&mut self, swap: Swap<E>, ctx: &mut Context<Self>) -> Result<(), Term> {
        let Swap {
            old,
            new,
            mut adder,
        } = swap;
        let mut left = None;
        if let Some(place) = self.place(&old) {
            let old = self.handlers.remove(place);
            adder = adder.or(old.adder());
            let end = self.end_swapped(old, new.argument, &new.id, adder, ctx);
            left = Some(end.await);
        }
        let handler = Installed::made(new.id, adder, new.make, left)?;
        self.add(handler, ctx).await
    }
}

/// Tells who supervises a handler that it is gone, and why.
async fn tell<E: Message + Sync>(
    supervisor: Option<Pid>,
    handler: &Term,
    reason: &Term,
    ctx: &Context<GenEvent<E>>,
) {
    let Some(supervisor) = supervisor else {
        return;
    };
    let exit = HandlerExit {
        handler: handler.clone(),
        reason: reason.clone(),
    };
    let Ok(exit) = exit.encode() else {
        return;
    };
    let (runtime, pid) = (ctx.runtime().clone(), ctx.pid());
    let to = Destination::Pid(supervisor);
    if let Err(error) = runtime.send_encoded(pid, to, exit).await {
        tracing::debug!(%supervisor, %error, "the end of a handler was not told");
    }
}
