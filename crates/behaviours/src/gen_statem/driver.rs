//! The process of a state machine: a server whose state the machine is.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use purlin_otp::reason::Reason;
use purlin_otp::statem::{Machine, Output, Step, Timer, Token};
use purlin_runtime::{Message, Runtime, Target, TimerRef};
use purlin_term::{Atom, DeserializeError, EncodedTerm, Pid, Reference, Term, View, atom};
use tokio::time::Instant;

use super::{Decoded, EventFrom, EventList, Events, GenStatem, POSTPONED_MAX, StatemContext};
use crate::gen_server::{Context, GenServer, InitError, Other, ServerMessage};
use crate::messages::{Entry, Form, Has, Messages};
use crate::status::{Described, FormattedStatus, ServerStatus, StatemStatus, term_of};

/// Steps of a machine without a message between them before it lets others run: as many as messages that a
/// process receives.
const STEPS_MAX: u32 = purlin_runtime::limits::RECEIVES_MAX;

/// A state machine as a server.
pub struct Statem<M: GenStatem> {
    module: M,
    /// None before `init`.
    machine: Option<Machine<M::State, M::Event, Term>>,
    timers: Timers,
    /// When the machine's time began.
    began: Instant,
}

/// The timers that run: `T1`.
#[derive(Default)]
struct Timers {
    runtime: Option<Runtime>,
    running: BTreeMap<Token, TimerRef>,
}

impl Drop for Timers {
    fn drop(&mut self) {
        if let Some(runtime) = &self.runtime {
            for timer in self.running.values() {
                runtime.cancel_timer(timer);
            }
        }
    }
}

/// The messages of a state machine: those of its events.
pub struct EventsOf<M>(PhantomData<fn(M)>);

/// What comes to a state machine.
pub enum Incoming<E> {
    /// An event.
    Event(Decoded<E>),
    /// A timer is due.
    Timer(Token),
    /// The first state is to be entered.
    Begin,
}

/// The place in [`Has`] of an entry that is an event.
pub struct AsEvent;

impl<M, E> Has<Statem<M>, E, AsEvent> for EventsOf<M>
where
    M: GenStatem,
    M::Event: EventFrom<E>,
    E: Entry,
{
    fn wrap(message: E::Carried) -> Incoming<M::Event> {
        Incoming::Event(Decoded::Event(M::Event::event_from(message)))
    }
}

impl<M: GenStatem> Messages<Statem<M>> for EventsOf<M> {
    type Any = Incoming<M::Event>;

    fn decode(form: &Form<'_>, term: View<'_>) -> Result<Self::Any, Option<DeserializeError>> {
        <M::Event as Events>::Messages::decode(form, term).map(Incoming::Event)
    }

    fn event(message: &Self::Any) -> Term {
        let name = match message {
            Incoming::Event(Decoded::Event(event)) => event.name(),
            Incoming::Event(Decoded::Call(_, request)) => request,
            Incoming::Timer(_) => "timeout",
            Incoming::Begin => "begin",
        };
        named(name)
    }

    async fn handle(message: Self::Any, statem: &mut Statem<M>, ctx: &mut Context<Statem<M>>) {
        match message {
            Incoming::Event(event) => {
                let event = match event {
                    Decoded::Event(event) => event,
                    Decoded::Call(event, _) => event((ctx.runtime().clone(), ctx.pid())),
                };
                statem.machine().handle_event(event);
            }
            Incoming::Timer(token) => {
                statem.timers.running.remove(&token);
                statem.machine().handle_timer(token);
            }
            Incoming::Begin => {}
        }
        statem.go_on(ctx).await;
    }
}

/// The name of an event; one too long for an atom as a text.
fn named(name: &str) -> Term {
    Atom::new(name).map_or_else(|_| name.into(), Term::from)
}

impl<M: GenStatem> Statem<M> {
    pub(super) fn new(module: M) -> Self {
        Self {
            module,
            machine: None,
            timers: Timers::default(),
            began: Instant::now(),
        }
    }

    fn machine(&mut self) -> &mut Machine<M::State, M::Event, Term> {
        self.machine.as_mut().expect("nothing comes before `init`")
    }

    async fn take(&mut self, event: M::Event, ctx: &mut Context<Self>) {
        self.machine().handle_event(event);
        self.go_on(ctx).await;
    }

    /// Handles events until none waits, or one has stopped the machine. Those come from the machine itself, so
    /// nothing else makes it let others run, and exit signals act.
    async fn go_on(&mut self, ctx: &mut Context<Self>) {
        let mut steps = 0;
        while !ctx.is_stopping()
            && let Some(step) = self.machine().poll_step()
        {
            if steps == STEPS_MAX {
                tokio::task::yield_now().await;
                steps = 0;
            }
            steps += 1;
            self.step(step, ctx).await;
            self.carry_out(ctx);
            self.bound_postponed(ctx);
        }
    }

    fn bound_postponed(&mut self, ctx: &mut Context<Self>) {
        if self.machine().postponed().len() > POSTPONED_MAX {
            let most = Term::from(POSTPONED_MAX as i64);
            ctx.stop(Term::tuple([atom!("postponed_max").into(), most]));
        }
    }

    async fn step(&mut self, step: Step<M::Event>, ctx: &mut Context<Self>) {
        let (module, began) = (&mut self.module, self.began);
        let machine = self.machine.as_mut().expect("nothing comes before `init`");
        let mut statem = StatemContext::new(ctx, began);
        match step {
            Step::Enter => {
                let (old, state) = (machine.old_state(), machine.state());
                module.handle_enter(old, state, &mut statem).await;
            }
            Step::Handle(event) => {
                module
                    .handle_event(machine.state(), event, &mut statem)
                    .await;
            }
        }
        if !statem.is_stopping() {
            let actions = statem.into_actions();
            machine.handled(began.elapsed(), actions);
        }
    }

    /// Starts and stops timers.
    fn carry_out(&mut self, ctx: &Context<Self>) {
        while let Some(output) = self.machine().poll_output() {
            let runtime = ctx.runtime();
            match output {
                Output::Start(token, due) => {
                    let message = ServerMessage::own(Incoming::Timer(token));
                    let after = due.saturating_sub(self.began.elapsed());
                    let timer = runtime.send_after(after, ctx.address(), message);
                    self.timers.running.insert(token, timer);
                }
                Output::Stop(token) => {
                    if let Some(timer) = self.timers.running.remove(&token) {
                        runtime.cancel_timer(&timer);
                    }
                }
            }
        }
    }

    fn shown_data(&self) -> Term {
        let opaque = || Term::from(std::any::type_name::<M>());
        self.module.data().unwrap_or_else(opaque)
    }

    /// `{State, Data}` in place of what there is; `None` if it was not taken.
    fn replace(&mut self, state_and_data: &EncodedTerm) -> Option<()> {
        let [state, data] = state_and_data.view().as_tuple_of()?;
        let state = M::State::decode(&state.to_encoded()).ok()?;
        let is_same = data.to_term().ok()? == self.shown_data();
        if is_same || self.module.replace_data(&data.to_encoded()) {
            self.machine.as_mut()?.replace_state(state);
            return Some(());
        }
        None
    }
}

impl<M: GenStatem> GenServer for Statem<M> {
    type Messages = EventsOf<M>;

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        self.began = Instant::now();
        self.timers.runtime = Some(ctx.runtime().clone());
        let mut statem = StatemContext::new(ctx, self.began);
        let state = self.module.init(&mut statem).await?;
        let actions = statem.into_actions();
        let mut machine = Machine::new(state);
        machine.handled(self.began.elapsed(), actions);
        self.machine = Some(machine);
        // Whoever starts the machine does not wait for its first state to be entered.
        ctx.go_on_with(Incoming::Begin);
        Ok(())
    }

    async fn terminate(&mut self, reason: &Reason, ctx: &mut Context<Self>) {
        if let Some(machine) = &self.machine {
            let state = machine.state();
            self.module.terminate(reason, state, ctx).await;
        }
    }

    async fn handle_exit(&mut self, from: Pid, reason: Reason, ctx: &mut Context<Self>) {
        match M::Event::exit(from, &reason) {
            Some(event) => self.take(event, ctx).await,
            None => ctx.unhandled(&format_args!("{{'EXIT', {from}, {reason}}}")),
        }
    }

    async fn handle_down(
        &mut self,
        monitor: Reference,
        _: Target,
        reason: Reason,
        ctx: &mut Context<Self>,
    ) {
        match M::Event::down(monitor, &reason) {
            Some(event) => self.take(event, ctx).await,
            None => ctx.unhandled(&format_args!("{{'DOWN', {monitor}, {reason}}}")),
        }
    }

    async fn handle_other(&mut self, message: Other, ctx: &mut Context<Self>) {
        match M::Event::other(message) {
            Ok(event) => self.take(event, ctx).await,
            Err(message) => ctx.unhandled(&message),
        }
    }

    fn state(&self) -> Option<Term> {
        let state = self.machine.as_ref()?.state().encode().ok()?;
        Some(Term::tuple([state.to_term().ok()?, self.shown_data()]))
    }

    fn described(&self) -> Described {
        Described {
            module: atom!("gen_statem"),
            title: "state machine",
        }
    }

    fn formatted_status(&self, reason: Option<Reason>, log: Vec<Term>) -> FormattedStatus {
        let machine = self.machine.as_ref();
        let state = machine.map(|machine| term_of(machine.state()));
        let status = self.module.format_status(StatemStatus {
            state: state.unwrap_or_else(|| atom!("undefined").into()),
            data: self.shown_data(),
            timeouts: machine.into_iter().flat_map(timeouts).collect(),
            postponed: machine.into_iter().flat_map(postponed).collect(),
            reason,
            log,
        });
        let count = Term::from(status.timeouts.len() as i64);
        let timeouts = Term::tuple([count, Term::list(status.timeouts)]);
        let postponed = Term::list(status.postponed);
        let (reason, log) = (status.reason, status.log);
        let state = Term::tuple([status.state, status.data]);
        FormattedStatus {
            details: vec![("Time-outs", timeouts), ("Postponed", postponed)],
            ..FormattedStatus::of(ServerStatus { state, reason, log })
        }
    }

    fn replace_state(&mut self, state: &EncodedTerm) -> bool {
        self.replace(state).is_some()
    }

    async fn code_change(&mut self, old_version: Term, extra: Term) -> Result<(), Term> {
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        let (module, state) = (&mut self.module, machine.state_mut());
        module.code_change(old_version, state, extra).await
    }
}

/// The timeouts that run, as OTP shows them.
fn timeouts<S: PartialEq, E: Events>(machine: &Machine<S, E, Term>) -> impl Iterator<Item = Term> {
    machine.timeouts().map(|(timer, event)| {
        let timer = match timer {
            Timer::State => atom!("state_timeout").into(),
            Timer::Event => atom!("timeout").into(),
            Timer::Named(name) => Term::tuple([atom!("timeout").into(), name.clone()]),
        };
        Term::tuple([timer, named(event.name())])
    })
}

fn postponed<S: PartialEq, E: Events>(machine: &Machine<S, E, Term>) -> impl Iterator<Item = Term> {
    let postponed = machine.postponed();
    postponed.map(|event| named(event.name()))
}
