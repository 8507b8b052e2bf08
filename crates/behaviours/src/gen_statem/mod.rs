//! State machines: processes with a state, which decides what an event means, and data.
//!
//! A machine is a value, its data, with a type of states, a type of events, an enum each, and one handler
//! that matches on both. What OTP's callbacks return in tuples are verbs of the [`StatemContext`]:
//! [`next_state`](StatemContext::next_state), [`postpone`](StatemContext::postpone),
//! [`state_timeout`](StatemContext::state_timeout). A handler that uses none keeps the state.
//!
//! Source: OTP's `gen_statem`, of whose callback modes this is `[handle_event_function, state_enter]`. What
//! is handled next, and when a timeout is an event, the machine of [`purlin_otp::statem`] decides; this is its
//! driver, a [`GenServer`](crate::GenServer): starting, linking, naming, supervising, ending and `sys` are the
//! same. It is asked by a [`ServerRef`], and by `gen_statem:call` and `cast` from OTP.
//!
//! Deviations:
//! - a timeout ends with an event of the machine's type, not with a form of its own;
//! - a postponed event is given back, so that what it carries has one owner;
//! - the end of a process is an event where the machine's type has one for it ([`Events::down`]), else it is
//!   logged as a message that nobody handles;
//! - a machine postpones [`POSTPONED_MAX`] events at most;
//! - a call that cannot be decoded is answered with `{error, {badarg, Text}}`, as by a server here.
//!
//! Invariants, beside those of the machine:
//! - `T1` timers of a machine that ended do not stay: they are taken back when it is dropped;
//! - `T2` an event that stops the machine changes nothing else of it.
//!
//! - `events`: what events are, and how they come; `context`: what a handler has; `driver`: the process.

mod context;
mod driver;
mod events;

use purlin_otp::reason::Reason;
use purlin_runtime::{Message, Process};
use purlin_term::{EncodedTerm, Reference, Term};

pub use context::StatemContext;
pub use driver::Statem;
pub use events::{Decoded, EventFrom, EventList, Events};

use crate::gen_server::{Context, GenServer, InitError, ServerOptions, StartError, Starter};
use crate::server_ref::ServerRef;
use crate::status::StatemStatus;

/// Events that a machine has postponed at most; one more ends it, with `{postponed_max, N}`. They leave the mailbox
/// and its bounds, so they need one of their own: as many as a mailbox takes of other nodes.
pub const POSTPONED_MAX: usize = purlin_runtime::limits::FOREIGN_MESSAGES_MAX;

/// Which timeout of a machine.
pub type Timer = purlin_otp::statem::Timer<Term>;

/// A state machine as others know it.
pub type StatemRef<M> = ServerRef<Statem<M>>;

/// A state machine: the data of one, and what it does when an event happens to it.
///
/// ```
/// # extern crate self as purlin;
/// # pub mod behaviours { pub use purlin_behaviours::*; }
/// # pub use purlin_macros::{events, message};
/// # pub mod __private { pub use serde; }
/// # use std::time::Duration;
/// use purlin::behaviours::{GenStatem, InitError, ReplyTo, StatemContext};
///
/// #[purlin::message]
/// #[derive(PartialEq)]
/// enum Door {
///     Locked,
///     Open,
/// }
///
/// #[purlin::events]
/// enum Event {
///     #[cast]
///     Button(char),
///     #[call]
///     IsOpen(ReplyTo<bool>),
///     Lock,
/// }
///
/// struct CodeLock {
///     code: String,
///     pressed: String,
/// }
///
/// impl GenStatem for CodeLock {
///     type State = Door;
///     type Event = Event;
///
///     async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<Door, InitError> {
///         Ok(Door::Locked)
///     }
///
///     async fn handle_event(
///         &mut self,
///         state: &Door,
///         event: Event,
///         ctx: &mut StatemContext<'_, Self>,
///     ) {
///         match (state, event) {
///             (Door::Locked, Event::Button(button)) => {
///                 self.pressed.push(button);
///                 if self.pressed.ends_with(&self.code) {
///                     ctx.state_timeout(Duration::from_secs(10), Event::Lock);
///                     ctx.next_state(Door::Open);
///                 }
///             }
///             (Door::Open, event @ Event::Button(_)) => ctx.postpone(event),
///             (_, Event::Lock) => ctx.next_state(Door::Locked),
///             (state, Event::IsOpen(from)) => from.reply(*state == Door::Open).await,
///         }
///     }
/// }
/// # fn main() {}
/// ```
///
/// Started, it is sent `Button('1')` by `cast` and asked `IsOpen` by `call`, messages that the attribute made.
pub trait GenStatem: Sized + Send + 'static {
    /// The states: an enum, mostly. `sys` shows and replaces them by their encoding.
    type State: Message + PartialEq + Sync;

    /// The events.
    type Event: Events;

    /// The first thing that the machine does, in its process; answers its first state, which is then
    /// entered. Whoever starts it waits for this.
    ///
    /// # Errors
    /// [`InitError`]: the machine is not started, and whoever started it is told why.
    fn init(
        &mut self,
        ctx: &mut StatemContext<'_, Self>,
    ) -> impl Future<Output = Result<Self::State, InitError>> + Send;

    /// An event happens in a state: `handle_event/4`.
    fn handle_event(
        &mut self,
        state: &Self::State,
        event: Self::Event,
        ctx: &mut StatemContext<'_, Self>,
    ) -> impl Future<Output = ()> + Send;

    /// A state is entered, the first one too, before any event is handled in it: a state enter call. Neither
    /// changes the state nor postpones; that would end the machine.
    fn handle_enter(
        &mut self,
        old: &Self::State,
        state: &Self::State,
        ctx: &mut StatemContext<'_, Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (old, state, ctx);
        async {}
    }

    /// The last thing that the machine does: as [`GenServer::terminate`](crate::GenServer::terminate).
    fn terminate(
        &mut self,
        reason: &Reason,
        state: &Self::State,
        ctx: &mut Context<Statem<Self>>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, state, ctx);
        async {}
    }

    /// The data as a term, for `sys:get_state`, which shows `{State, Data}`; `None` if it has no form as one.
    fn data(&self) -> Option<Term> {
        None
    }

    /// Takes data that `sys:replace_state` or an operator made; answers whether they were taken.
    fn replace_data(&mut self, data: &EncodedTerm) -> bool {
        let _ = data;
        false
    }

    /// What is shown of the machine by `sys:get_status`, and by the log when it ends by an error: OTP's
    /// `format_status/1`. For data that are large, or that nobody is to see.
    fn format_status(&self, status: StatemStatus) -> StatemStatus {
        status
    }

    /// As [`GenServer::code_change`](crate::GenServer::code_change), of the state too: one that is put in its place
    /// is not entered.
    ///
    /// # Errors
    /// The reason that the caller is answered; the machine goes on.
    fn code_change(
        &mut self,
        old_version: Term,
        state: &mut Self::State,
        extra: Term,
    ) -> impl Future<Output = Result<(), Term>> + Send {
        let _ = (old_version, state, extra);
        async { Ok(()) }
    }

    /// The machine as a server, which supervisors take: `Child::new("lock", || Lock::default().statem())`.
    fn statem(self) -> Statem<Self> {
        Statem::new(self)
    }

    /// Starts the machine as a process of its own, and waits for its `init`: `gen_statem:start/3`.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more.
    fn start(
        self,
        on: &(impl Starter + ?Sized),
    ) -> impl Future<Output = Result<StatemRef<Self>, StartError>> + Send {
        self.statem().start(on)
    }

    /// As [`GenStatem::start`], with a name or other options.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more.
    fn start_with(
        self,
        on: &(impl Starter + ?Sized),
        options: ServerOptions,
    ) -> impl Future<Output = Result<StatemRef<Self>, StartError>> + Send {
        self.statem().start_with(on, options)
    }

    /// As [`GenStatem::start_with`], for a process that monitors the machine from the beginning:
    /// `gen_statem:start_monitor/4`.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more; nor is there a monitor, or a `Down` of it.
    fn start_monitor<P: Message>(
        self,
        by: &Process<P>,
        options: ServerOptions,
    ) -> impl Future<Output = Result<(StatemRef<Self>, Reference), StartError>> + Send {
        self.statem().start_monitor(by, options)
    }
}
