//! Servers: processes with a state that answer calls, take casts and handle what else comes.
//!
//! A server is a value with a list of the messages it takes ([`GenServer::Messages`]) and a handler for each.
//! Its handlers run one after another, in the order in which messages came; while one waits for something,
//! messages wait, and exit signals act. What OTP's callbacks return in tuples are verbs of the [`Context`]
//! here: [`stop`](Context::stop), [`set_timeout`](Context::set_timeout),
//! [`continue_with`](Context::continue_with).
//!
//! Source: OTP's `gen_server` and its design principles. Deviations:
//! - a call that cannot be decoded, or that the server does not take, is answered with
//!   `{error, {badarg, Text}}`, and the server goes on: a `gen_server` ends;
//! - a plain message that nobody handles is logged once, and counted;
//! - a cast that cannot be decoded is as such a message.
//!
//! Invariants:
//! - `G1` handlers of one server never run at the same time;
//! - `G2` what a handler continues with is handled before any message;
//! - `G3` [`GenServer::terminate`] runs at most once, and nothing is handled after it;
//! - `G4` the reply of a handler that stops the server goes after `terminate`, also if that panics;
//! - `G5` a call that was taken out of the queue is answered, kept by its handler, or dropped by it: then
//!   a caller by [`ServerRef`] on the same node is told, and any other waits until its timeout ends.
//!
//! - `context`: what a handler has of its process; `start`: starting, and waiting for `init`;
//! - `serve`: the loop; `message`: what lies in the queue.

mod context;
mod message;
mod serve;
mod start;

use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_otp::supervisor::Kind;
use purlin_runtime::{Message, Process, Target};
use purlin_term::{EncodedTerm, Pid, Reference, Term, atom};

pub use context::Context;
pub use message::{Other, ServerMessage};
pub(crate) use serve::{caught, handle_next};
pub(crate) use start::{Enter, launch, not_started, nowhere, start as start_entered};
pub use start::{InitError, Parent, ServerOptions, StartError, Starter, Starting};

use crate::messages::Messages;
use crate::reply_to::ReplyTo;
use crate::request::Request;
use crate::server_ref::ServerRef;
use crate::status::{Described, FormattedStatus, ServerStatus};

/// A server: the state of one, and what it does when something happens to it.
///
/// ```
/// use purlin_behaviours::{Context, GenServer, HandleCall, Request, by};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Add(i64);
/// impl Request for Add {
///     type Reply = i64;
/// }
///
/// struct Counter(i64);
/// impl GenServer for Counter {
///     type Messages = (by::Call<Add>,);
/// }
/// impl HandleCall<Add> for Counter {
///     async fn handle_call(&mut self, Add(n): Add, _: &mut Context<Self>) -> i64 {
///         self.0 += n;
///         self.0
///     }
/// }
/// ```
pub trait GenServer: Sized + Send + 'static {
    /// The messages that it takes: a tuple of types of [`by`](crate::by).
    type Messages: Messages<Self>;

    /// What it is to its supervisor: its shutdown time follows from that, if no spec says otherwise.
    const KIND: Kind = Kind::Worker;

    /// The first thing that the server does, in its process. Whoever starts it waits for this.
    ///
    /// # Errors
    /// [`InitError`]: the server is not started, and whoever started it is told why.
    fn init(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), InitError>> + Send {
        let _ = ctx;
        async { Ok(()) }
    }

    /// The last thing that the server does, when a handler stopped it or panicked, or its parent asked it
    /// to end and it traps exits. An exit signal that it does not trap ends it without this.
    fn terminate(
        &mut self,
        reason: &Reason,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, ctx);
        async {}
    }

    /// A linked process ended, and this one traps exits. Its parent's end is not seen here: it ends the
    /// server.
    fn handle_exit(
        &mut self,
        from: Pid,
        reason: Reason,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        ctx.unhandled(&format_args!("{{'EXIT', {from}, {reason}}}"));
        async {}
    }

    /// A watched process ended, or was not there: which monitor told it, and what that was made of, a pid or a
    /// name.
    fn handle_down(
        &mut self,
        monitor: Reference,
        target: Target,
        reason: Reason,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = target;
        ctx.unhandled(&format_args!("{{'DOWN', {monitor}, {reason}}}"));
        async {}
    }

    /// The answer to a spawn request.
    fn handle_spawned(
        &mut self,
        reply: Info,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = reply;
        ctx.unhandled(&"the reply to a spawn request");
        async {}
    }

    /// No message came for as long as [`Context::set_timeout`] said.
    fn handle_timeout(&mut self, ctx: &mut Context<Self>) -> impl Future<Output = ()> + Send {
        ctx.unhandled(&"timeout");
        async {}
    }

    /// A message that is none of those that the server takes.
    fn handle_other(
        &mut self,
        message: Other,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        ctx.unhandled(&message);
        async {}
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

    /// What is shown of the server by `sys:get_status`, and by the log when it ends by an error: OTP's
    /// `format_status/1`. For states that are large, or that nobody is to see.
    fn format_status(&self, status: ServerStatus) -> ServerStatus {
        status
    }

    /// What kind of process OTP takes it for.
    #[doc(hidden)]
    fn described(&self) -> Described {
        Described {
            module: atom!("gen_server"),
            title: "generic server",
        }
    }

    /// What `sys:get_status` and the log show: without a reason the one, with why it ends the other, and the events that
    /// `sys:log` has kept.
    #[doc(hidden)]
    fn formatted_status(&self, reason: Option<Reason>, log: Vec<Term>) -> FormattedStatus {
        let state = self.state();
        let state = state.unwrap_or_else(|| std::any::type_name::<Self>().into());
        FormattedStatus::of(self.format_status(ServerStatus { state, reason, log }))
    }

    /// The state is to go on under other code: `sys:change_code` of a server that is suspended, with the version
    /// that the caller names and what else it says.
    ///
    /// # Errors
    /// The reason that the caller is answered; the server goes on as it was.
    fn code_change(
        &mut self,
        old_version: Term,
        extra: Term,
    ) -> impl Future<Output = Result<(), Term>> + Send {
        let _ = (old_version, extra);
        async { Ok(()) }
    }

    /// Starts the server as a process of its own, and waits for its `init`: `gen_server:start/3`.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more.
    fn start(
        self,
        on: &(impl Starter + ?Sized),
    ) -> impl Future<Output = Result<ServerRef<Self>, StartError>> + Send {
        self.start_with(on, ServerOptions::default())
    }

    /// As [`GenServer::start`], with a name or other options.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more.
    fn start_with(
        self,
        on: &(impl Starter + ?Sized),
        options: ServerOptions,
    ) -> impl Future<Output = Result<ServerRef<Self>, StartError>> + Send {
        start::start(on.starting(), options, start::nowhere, self)
    }

    /// As [`GenServer::start_with`], for a process that monitors the server from the beginning:
    /// `gen_server:start_monitor/4`.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more; nor is there a monitor, or a `Down` of it.
    fn start_monitor<M: Message>(
        self,
        by: &Process<M>,
        options: ServerOptions,
    ) -> impl Future<Output = Result<(ServerRef<Self>, Reference), StartError>> + Send {
        start::start_monitor(by, options, self)
    }
}

/// Answers requests `R`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle calls of `{R}`",
    label = "`impl HandleCall<{R}> for {Self}` is missing"
)]
pub trait HandleCall<R: Request>: GenServer {
    /// Answers a request.
    fn handle_call(
        &mut self,
        request: R,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = R::Reply> + Send;
}

/// Takes requests `R` with who waits for the reply, and sees to it that one comes: now, or later.
///
/// Whatever implements [`HandleCall`] does this too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle calls of `{R}`",
    label = "`impl HandleCall<{R}> for {Self}` is missing"
)]
pub trait HandleCallFrom<R: Request>: GenServer {
    /// Handles a request.
    fn handle_call_from(
        &mut self,
        request: R,
        from: ReplyTo<R::Reply>,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;
}

impl<S: HandleCall<R>, R: Request> HandleCallFrom<R> for S {
    async fn handle_call_from(
        &mut self,
        request: R,
        from: ReplyTo<R::Reply>,
        ctx: &mut Context<Self>,
    ) {
        let reply = self.handle_call(request, ctx).await;
        if ctx.is_stopping() {
            return ctx.reply_at_end(Box::pin(from.reply(reply)));
        }
        if let Err((from, reply)) = from.try_reply_here(reply) {
            from.reply(reply).await;
        }
    }
}

/// Takes casts of `M`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle casts of `{M}`",
    label = "`impl HandleCast<{M}> for {Self}` is missing"
)]
pub trait HandleCast<M: Message>: GenServer {
    /// Handles a cast.
    fn handle_cast(
        &mut self,
        message: M,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;
}

/// Takes plain messages of type `M`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle plain messages of type `{M}`",
    label = "`impl HandleInfo<{M}> for {Self}` is missing"
)]
pub trait HandleInfo<M: Message>: GenServer {
    /// Handles a message.
    fn handle_info(
        &mut self,
        message: M,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;
}

/// Goes on with `M`s: what a handler left to be done before the next message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not continue with `{M}`",
    label = "`impl HandleContinue<{M}> for {Self}` is missing"
)]
pub trait HandleContinue<M: Send>: GenServer {
    /// Goes on.
    fn handle_continue(
        &mut self,
        message: M,
        ctx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send;
}
