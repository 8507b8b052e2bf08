//! The life of a server: `init`, the loop, `terminate`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::Info;
use purlin_runtime::{Peek, Process, Received, panics};
use purlin_term::{Pid, Term, atom};
use tokio::time::{self, Instant};

use super::message::Kind;
use super::{Context, GenServer, InitError, ServerMessage};
use crate::messages::Messages;
use crate::{status, sys};

pin_project_lite::pin_project! {
    /// A future whose panic is its output.
    pub(crate) struct Caught<F> {
        #[pin]
        future: F,
    }
}

pub(crate) type Panic = Box<dyn Any + Send>;

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// A future that answers a panic of its own.
pub(crate) fn caught<F: Future>(future: F) -> Caught<F> {
    Caught { future }
}

/// Makes a server and runs it until it ends; answers its exit reason.
pub(super) async fn run<S: GenServer>(
    make: impl FnOnce() -> S + Send,
    process: Process<ServerMessage<S>>,
    parent: Option<Pid>,
    timeout: Option<Duration>,
    ready: impl FnOnce(Result<Pid, InitError>) + Send,
) -> Reason {
    let mut ctx = Context::new(process, parent);
    let mut server = make();
    let init = caught(in_time(timeout, server.init(&mut ctx))).await;
    if !matches!(init, Ok(Some(Ok(())))) {
        // As in OTP: who hears of this may start another under the same name at once.
        ctx.process.let_go();
    }
    match init {
        Ok(Some(Ok(()))) => ready(Ok(ctx.process.pid())),
        Ok(Some(Err(error))) => {
            let reason = error.exit_reason();
            ready(Err(error));
            return reason;
        }
        Ok(None) => {
            let timeout = Reason::new(atom!("timeout").into());
            ready(Err(InitError::Error(timeout)));
            return reason::killed();
        }
        Err(panic) => {
            let reason = panics::exit_reason(&*panic);
            ready(Err(InitError::Stop(reason)));
            resume_unwind(panic);
        }
    }
    let ended = caught(serve(&mut server, &mut ctx)).await;
    // Whatever its end needs to hear is heard.
    ctx.debug.resume();
    end(&mut server, &mut ctx, ended).await
}

/// What it answers, if that comes in time.
async fn in_time<T>(timeout: Option<Duration>, doing: impl Future<Output = T>) -> Option<T> {
    match timeout {
        Some(timeout) => time::timeout(timeout, doing).await.ok(),
        None => Some(doing.await),
    }
}

/// The end of a server: `terminate`, the log, the last reply, in OTP's order.
async fn end<S: GenServer>(
    server: &mut S,
    ctx: &mut Context<S>,
    ended: Result<Reason, Panic>,
) -> Reason {
    let (reason, backtrace) = ended.map_or_else(told, |reason| (reason, None));
    let terminated = caught(server.terminate(&reason, ctx)).await;
    let (reason, backtrace) = match terminated {
        Ok(()) => (reason, backtrace),
        Err(panic) => told(panic),
    };
    if !reason::is_orderly(&reason) {
        status::log_end(server, ctx, &reason, backtrace);
    }
    ctx.give_last_reply().await;
    reason
}

/// What a panic tells that was just caught: the exit reason, and the backtrace if one is wanted. Both are known to
/// the thread alone, until something else panics there: nothing may be awaited before this.
fn told(panic: Panic) -> (Reason, Option<String>) {
    let reason = panics::exit_reason(&*panic);
    (reason, panics::last_backtrace())
}

/// Handles what comes until the server is to end; answers why.
async fn serve<S: GenServer>(server: &mut S, ctx: &mut Context<S>) -> Reason {
    loop {
        if let Some(reason) = ctx.stopping.take() {
            return reason;
        }
        // What is nearly always the case goes by itself: through the futures of the others the message
        // would be moved with each. What is rare is boxed, since a server that waits has room for all of it.
        let ended = if let Some(next) = ctx.next_continue() {
            S::Messages::handle(next, server, ctx).await;
            None
        } else if ctx.is_plain() {
            match ctx.process.receive().await {
                Received::Message(ServerMessage(Kind::Own(message))) => {
                    S::Messages::handle(message, server, ctx).await;
                    None
                }
                other => Box::pin(handle_received(Some(other), server, ctx)).await,
            }
        } else {
            handle_next(server, ctx).await
        };
        if let Some(reason) = ended {
            return reason;
        }
    }
}

/// Handles the next message; answers why the server is to end, if its parent did.
pub(crate) async fn handle_next<S: GenServer>(
    server: &mut S,
    ctx: &mut Context<S>,
) -> Option<Reason> {
    let (timeout, since) = (ctx.timeout, Instant::now());
    let received = match receive(ctx).await {
        Some(Received::Message(ServerMessage(Kind::Own(message)))) => {
            handle_own(message, server, ctx).await;
            return None;
        }
        other => other,
    };
    let is_seen = is_seen(&received);
    let ended = Box::pin(handle_received(received, server, ctx)).await;
    // What no handler has seen, none can set a new timeout for.
    if !is_seen && ctx.timeout.is_none() {
        ctx.timeout = timeout.map(|timeout| timeout.saturating_sub(since.elapsed()));
    }
    ended
}

/// Whether the server itself handles this. Whoever looks into it, or asks what it refuses, does not change what
/// it does.
fn is_seen<S: GenServer>(received: &Option<Received<ServerMessage<S>>>) -> bool {
    !matches!(
        received,
        Some(Received::Message(ServerMessage(
            Kind::System(_) | Kind::Refused(_)
        )))
    )
}

/// As [`handle_next`], for what was received.
async fn handle_received<S: GenServer>(
    received: Option<Received<ServerMessage<S>>>,
    server: &mut S,
    ctx: &mut Context<S>,
) -> Option<Reason> {
    match received {
        Some(Received::Message(message)) => handle(message, server, ctx).await,
        Some(Received::Info(Info::Exit { from, reason })) if from == ctx.parent_or_nobody() => {
            return Some(reason);
        }
        Some(Received::Info(info)) => handle_info(info, server, ctx).await,
        Some(Received::Foreign(_)) => {}
        None => server.handle_timeout(ctx).await,
    }
    None
}

/// The next message; `None` when none came in time, or the deadline is over, whatever waits. A suspended server
/// takes those of `sys` alone, and what its parent's end is to it.
async fn receive<S: GenServer>(ctx: &mut Context<S>) -> Option<Received<ServerMessage<S>>> {
    if ctx.is_suspended() {
        let parent = ctx.parent_or_nobody();
        let wanted = |peek: Peek<'_, ServerMessage<S>>| match peek {
            Peek::Message(message) => matches!(message.0, Kind::System(_)),
            Peek::Info(Info::Exit { from, .. }) => parent == *from,
            _ => false,
        };
        return Some(ctx.process.receive_where(wanted).await);
    }
    let timeout = ctx.timeout.take();
    let until_deadline = ctx
        .deadline
        .map(|at| at.saturating_duration_since(Instant::now()));
    if until_deadline.is_some_and(|left| left.is_zero()) {
        return None;
    }
    match [until_deadline, timeout].into_iter().flatten().min() {
        Some(timeout) => ctx.process.receive_timeout(timeout).await,
        None => Some(ctx.process.receive().await),
    }
}

async fn handle<S: GenServer>(
    ServerMessage(message): ServerMessage<S>,
    server: &mut S,
    ctx: &mut Context<S>,
) {
    match message {
        Kind::Own(message) => handle_own(message, server, ctx).await,
        Kind::System(request) => {
            let (caller, request) = *request;
            sys::handle(server, ctx, &caller, &request).await;
        }
        Kind::Refused(refused) => {
            let (caller, text) = *refused;
            ctx.unhandled(&format_args!("a call of {}: {text}", caller.pid));
            let why = Term::tuple([atom!("badarg").into(), text.as_str().into()]);
            let reply = Term::tuple([atom!("error").into(), why]);
            ctx.answer(&caller, &reply);
        }
        Kind::Other(other) => server.handle_other(*other, ctx).await,
    }
}

async fn handle_own<S: GenServer>(
    message: <S::Messages as Messages<S>>::Any,
    server: &mut S,
    ctx: &mut Context<S>,
) {
    if ctx.debug.is_on() {
        let event = S::Messages::event(&message);
        ctx.debug.note(ctx.process.pid(), event);
    }
    S::Messages::handle(message, server, ctx).await;
}

async fn handle_info<S: GenServer>(info: Info, server: &mut S, ctx: &mut Context<S>) {
    match info {
        Info::Exit { from, reason } => server.handle_exit(from, reason, ctx).await,
        Info::Down {
            reference,
            target,
            reason,
            ..
        } => server.handle_down(reference, target, reason, ctx).await,
        reply => server.handle_spawned(reply, ctx).await,
    }
}
