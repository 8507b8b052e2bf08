//! What a handler of a state machine has.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use purlin_otp::statem::{Actions, Next, Timeout, When};
use purlin_term::Term;
use tokio::time::Instant;

use super::{GenStatem, Statem, Timer};
use crate::due::Due;
use crate::gen_server::Context;

type ActionsOf<M> = Actions<<M as GenStatem>::State, <M as GenStatem>::Event, Term>;

/// What a handler of a state machine has: the [`Context`] of its process, to which it derefs, and what a
/// transition is made of. What it asks for happens when the handler is done.
pub struct StatemContext<'a, M: GenStatem> {
    ctx: &'a mut Context<Statem<M>>,
    /// Never locked: handlers lend their context to others by reference, so it has to be `Sync`, which an
    /// event need not be.
    actions: Mutex<ActionsOf<M>>,
    began: Instant,
}

impl<'a, M: GenStatem> StatemContext<'a, M> {
    pub(super) fn new(ctx: &'a mut Context<Statem<M>>, began: Instant) -> Self {
        let actions = Mutex::default();
        Self {
            ctx,
            actions,
            began,
        }
    }

    pub(super) fn into_actions(self) -> ActionsOf<M> {
        let actions = self.actions.into_inner();
        actions.unwrap_or_else(PoisonError::into_inner)
    }

    fn actions(&mut self) -> &mut ActionsOf<M> {
        self.actions
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine goes to this state: `next_state`. If it is another one, it is entered, postponed events
    /// are handled again, and the state timeout is cancelled.
    pub fn next_state(&mut self, state: M::State) {
        self.actions().next = Next::State(state);
    }

    /// The state is entered once more: `repeat_state`.
    pub fn repeat_state(&mut self) {
        self.actions().next = Next::Repeat;
    }

    /// The event is handled again after the next change of the state: `postpone`.
    pub fn postpone(&mut self, event: M::Event) {
        self.actions().postponed = Some(event);
    }

    /// This event is handled next, before all that wait: `next_event`. Several are handled in the order
    /// in which they were given.
    pub fn next_event(&mut self, event: M::Event) {
        self.actions().inserted.push(event);
    }

    /// This event happens unless the state changes before: `state_timeout`.
    pub fn state_timeout(&mut self, due: impl Into<Due>, event: M::Event) {
        self.start(Timer::State, due.into(), event);
    }

    /// This event happens unless another one does before: `timeout`.
    pub fn event_timeout(&mut self, due: impl Into<Due>, event: M::Event) {
        self.start(Timer::Event, due.into(), event);
    }

    /// This event happens, whatever does before: `{timeout, Name}`, OTP's generic timeout. It takes the place of
    /// what was set under the same name.
    pub fn generic_timeout(&mut self, name: impl Into<Term>, due: impl Into<Due>, event: M::Event) {
        self.start(Timer::Named(name.into()), due.into(), event);
    }

    /// A timeout that runs ends with this event, when it is due; else the event happens at once: `update`.
    pub fn update_timeout(&mut self, timer: Timer, event: M::Event) {
        self.actions()
            .timeouts
            .push((timer, Timeout::Update(event)));
    }

    /// A timeout does not happen: `cancel`.
    pub fn cancel_timeout(&mut self, timer: Timer) {
        self.actions().timeouts.push((timer, Timeout::Cancel));
    }

    fn start(&mut self, timer: Timer, due: Due, event: M::Event) {
        let when = match due {
            Due::After(after) => When::After(after),
            Due::At(at) => When::At(at.saturating_duration_since(self.began)),
        };
        let start = Timeout::Start(when, event);
        self.actions().timeouts.push((timer, start));
    }
}

impl<M: GenStatem> Deref for StatemContext<'_, M> {
    type Target = Context<Statem<M>>;

    fn deref(&self) -> &Self::Target {
        self.ctx
    }
}

impl<M: GenStatem> DerefMut for StatemContext<'_, M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.ctx
    }
}
