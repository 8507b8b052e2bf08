//! What is shown of a server: by `sys:get_status`, and by the log when it ends by an error.
//!
//! Source: OTP's `gen_server:format_status/1` and its siblings, and `terminate` of `gen_server.erl`: an end is
//! an error unless its reason is `normal`, `shutdown` or `{shutdown, _}`. Deviation: the message that was being
//! handled is not shown, since it was moved into its handler.
//!
//! What the server says of itself is code of the user's: where it panics that is shown in place of the state, and
//! the server goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use purlin_otp::reason::Reason;
use purlin_runtime::Message;
use purlin_term::{Atom, Term, atom};

use crate::bounded::Bounded;
use crate::gen_server::{Context, GenServer};

/// What is shown of a server or of a handler of events:
/// [`GenServer::format_status`](crate::GenServer::format_status) answers it as it is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStatus {
    /// The state; the name of its type, if it has no form as a term.
    pub state: Term,
    /// Why the server ends: `None` for `sys:get_status`.
    pub reason: Option<Reason>,
    /// The events that `sys:log` has kept.
    pub log: Vec<Term>,
}

/// What is shown of a state machine:
/// [`GenStatem::format_status`](crate::GenStatem::format_status) answers it as it is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatemStatus {
    /// The state.
    pub state: Term,
    /// The data; the name of their type, if they have no form as a term.
    pub data: Term,
    /// The timeouts that run, each `{Which, Event}`.
    pub timeouts: Vec<Term>,
    /// The events that are postponed.
    pub postponed: Vec<Term>,
    /// Why the machine ends: `None` for `sys:get_status`.
    pub reason: Option<Reason>,
    /// The events that `sys:log` has kept.
    pub log: Vec<Term>,
}

/// What kind of process it is to OTP.
pub struct Described {
    /// The module of OTP whose process it is.
    pub(crate) module: Atom,
    /// What OTP calls such a process.
    pub(crate) title: &'static str,
}

/// A server as it is to be shown, whatever its behaviour.
pub struct FormattedStatus {
    pub(crate) reason: Option<Reason>,
    pub(crate) log: Vec<Term>,
    /// What is shown with how the process is.
    pub(crate) details: Vec<(&'static str, Term)>,
    /// The state, under the name that it goes by.
    pub(crate) state: (&'static str, Term),
    /// What that is a part of: `data`, or `items`.
    pub(crate) part: Part,
}

/// In which form OTP shows a state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// `{data, [{"State", State}]}`.
    Data,
    /// `{items, {"Installed handlers", Handlers}}`.
    Items,
}

impl FormattedStatus {
    pub(crate) fn of(status: ServerStatus) -> Self {
        Self {
            reason: status.reason,
            log: status.log,
            details: Vec::new(),
            state: ("State", status.state),
            part: Part::Data,
        }
    }
}

/// A server as it is to be shown, also where it does not say.
pub(crate) fn formatted<S: GenServer>(
    server: &S,
    ctx: &Context<S>,
    reason: Option<&Reason>,
) -> FormattedStatus {
    let (reason, log) = (|| reason.cloned(), || ctx.debug.log());
    let format = || server.formatted_status(reason(), log());
    let formatted = catch_unwind(AssertUnwindSafe(format));
    formatted.unwrap_or_else(|_| {
        FormattedStatus::of(ServerStatus {
            state: panicked::<S>(),
            reason: reason(),
            log: log(),
        })
    })
}

/// In place of what a value did not say of itself.
pub(crate) fn panicked<T>() -> Term {
    let name = std::any::type_name::<T>();
    Term::string(&format!("{name}: format_status panicked"))
}

/// The end of a server by an error, in one line: what the server says, and the crash report of its process.
pub(crate) fn log_end<S: GenServer>(
    server: &S,
    ctx: &mut Context<S>,
    reason: &Reason,
    backtrace: Option<String>,
) {
    if !tracing::enabled!(tracing::Level::ERROR) {
        return;
    }
    let process = ctx.process.crash_report();
    let (pid, label) = (ctx.pid(), process.label);
    let name = process.name.map(tracing::field::display);
    let behaviour = server.described().module;
    let status = formatted(server, ctx, Some(reason));
    let reason = status.reason.as_ref().unwrap_or(reason);
    let (reason, state) = (Bounded(&**reason), Bounded(&status.state.1));
    let log = Term::list(status.log);
    let (queued, messages, links) = (process.queued, process.messages, process.links);
    let server = std::any::type_name::<S>();
    tracing::error!(
        %pid, label, name, server, %behaviour, %reason, %state, log = %Bounded(&log), queued,
        ?messages, %links, backtrace, "a server ended by an error"
    );
}

/// `{callback_failed, {Module, Function}, {error, Reason}}`: what OTP answers where a callback of `sys` fails.
pub(crate) fn callback_failed(module: Atom, function: Atom, reason: &Reason) -> Term {
    let callback = Term::tuple([module.into(), function.into()]);
    let why = Term::tuple([atom!("error").into(), Term::clone(reason)]);
    Term::tuple([atom!("callback_failed").into(), callback, why])
}

/// A value as a term; by the name of its type, if it has no encoding.
pub(crate) fn term_of<M: Message>(value: &M) -> Term {
    let term = value.encode().ok().and_then(|term| term.to_term().ok());
    term.unwrap_or_else(|| std::any::type_name::<M>().into())
}
