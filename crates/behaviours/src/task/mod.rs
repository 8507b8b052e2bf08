//! Tasks: computations in processes of their own, whose results are waited for.
//!
//! A [`Task`] is linked to the process that starts it, and its result is moved to whoever awaits it, without
//! the codec and without the mailbox. [`async_stream`] runs a function over many items, each in a process of its
//! own, so many at once. Under a [`dynamic`](crate::supervisor::dynamic) supervisor tasks outlive the fall of
//! who waits for them: [`ServerRef::async_nolink`](crate::ServerRef::async_nolink) and
//! [`async_stream_nolink`](crate::ServerRef::async_stream_nolink),
//! [`Child::task`](crate::supervisor::Child::task).
//!
//! Source: Elixir's `Task` and `Task.Supervisor`. Deviations:
//! - whoever has the task may await it, not its owner alone;
//! - a failure is an error of whoever awaits, and a link ends him as well, as any link does;
//! - `await` with a timeout answers an error where Elixir ends the caller; a caller that ends with that error
//!   takes the task with it by the link, as there.
//!
//! Invariants:
//! - `T1` a task that is awaited comes out once: with its value, or with the exit reason of its process;
//! - `T2` who is linked to a task and does not trap exits is ended by its failure before he can see it as a
//!   result.
//!
//! - `stream`: many at once; `supervised`: under a supervisor.

mod stream;
mod supervised;

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_otp::supervisor::Shutdown;
use purlin_runtime::{
    Message, Prepared, Process, Runtime, SpawnError, SpawnOptions, TooManyProcesses,
};
use purlin_term::{Pid, atom};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::gen_server::{Starter, Starting};
pub use stream::{AsyncStream, async_stream, async_stream_nolink};

/// How long [`Task::shutdown`] waits before it kills, where nothing else is said: Elixir's.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a task has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its process ended before, with this reason.
    Exit(Reason),
    /// It had no value in time.
    TimedOut(Duration),
    /// There was no room for its process; nothing of it ran.
    NotStarted(TooManyProcesses),
    /// Its supervisor did not start it, or is not there; nothing of it ran.
    Refused,
}

impl std::error::Error for TaskError {}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(reason) => write!(f, "the task ended before it had a result: {reason}"),
            Self::TimedOut(after) => {
                write!(f, "the task had no result within {} ms", after.as_millis())
            }
            Self::NotStarted(error) => error.fmt(f),
            Self::Refused => write!(f, "the supervisor did not start the task"),
        }
    }
}

/// A computation in a process of its own, and the right to its result.
///
/// A future: awaited, it answers the value. Dropped, it is not waited for any more and runs on.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// use purlin_behaviours::task::Task;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("tasks@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let task = Task::async_(&runtime, async { 6 * 7 })?;
/// assert_eq!(task.await?, 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "a task that nobody awaits is better started as a process"]
#[derive(Debug)]
pub struct Task<T> {
    pid: Pid,
    runtime: Runtime,
    waiting: Waiting<T>,
}

/// What a task comes out with: its value, or why its process ended without one.
#[derive(Debug)]
struct Waiting<T> {
    value: Option<oneshot::Receiver<T>>,
    end: oneshot::Receiver<Reason>,
    /// Why its process ended, when that is known and was not said yet (`T2`).
    ended: Option<Reason>,
    /// It has come out (`T1`).
    is_out: bool,
}

impl<T> Waiting<T> {
    /// As the task's own `poll`, which see.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if let Some(reason) = self.ended.take() {
            return Poll::Ready(Err(TaskError::Exit(reason)));
        }
        if let Some(value) = &mut self.value {
            match Pin::new(value).poll(cx) {
                Poll::Ready(Ok(value)) => return Poll::Ready(Ok(value)),
                // There will be none: it remains to hear why.
                Poll::Ready(Err(_)) => self.value = None,
                Poll::Pending => return Poll::Pending,
            }
        }
        let reason = ready!(Pin::new(&mut self.end).poll(cx));
        self.ended = Some(reason.unwrap_or_else(|_| reason::killed()));
        let_signals_act(cx);
        Poll::Pending
    }
}

/// Has whoever is polled be polled again, and not in this turn: signals act at the start of one, and that of an
/// end was sent before the end was said here. A waker that is woken at once may be polled in the same turn,
/// by what holds many futures.
fn let_signals_act(cx: &mut Context<'_>) {
    let yielding = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielding.is_pending(), "it is pending once");
}

impl<T> Unpin for Task<T> {}

impl<T: Send + 'static> Task<T> {
    /// Starts a task, linked to `on` if that is a process: Elixir's `Task.async`.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may; nothing was started.
    pub fn async_<F>(on: &(impl Starter + ?Sized), body: F) -> Result<Self, TooManyProcesses>
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self::async_with(on, |_: Process<()>| body)
    }

    /// As [`Task::async_`], for a body that does something as a process: links, sends, receives.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may; nothing was started.
    pub fn async_with<M, B, F>(
        on: &(impl Starter + ?Sized),
        body: B,
    ) -> Result<Self, TooManyProcesses>
    where
        M: Message,
        B: FnOnce(Process<M>) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let starting = on.starting();
        let prepared = prepare(&starting)?;
        if let Some(parent) = starting.parent {
            parent.link_to(prepared.pid());
        }
        Ok(Self::run(starting.runtime.clone(), prepared, body))
    }

    fn run<M, B, F>(runtime: Runtime, prepared: Prepared<M>, body: B) -> Self
    where
        M: Message,
        B: FnOnce(Process<M>) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (told, end) = oneshot::channel();
        prepared.at_end(move |reason| drop(told.send(reason.clone())));
        let (ready, value) = oneshot::channel();
        let pid = prepared.pid();
        prepared.start(move |process| async move {
            // Nobody may wait for it any more.
            let _ = ready.send(body(process).await);
        });
        let value = Some(value);
        Self {
            pid,
            runtime,
            waiting: Waiting {
                value,
                end,
                ended: None,
                is_out: false,
            },
        }
    }
}

impl<T> Task<T> {
    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the result no longer than `timeout`. When that is over the task runs on, linked as it was,
    /// and what it comes out with is thrown away; [`Task::yield_`] keeps it.
    ///
    /// # Errors
    /// [`TaskError::Exit`], or [`TaskError::TimedOut`].
    pub async fn await_timeout(mut self, timeout: Duration) -> Result<T, TaskError> {
        let result = self.yield_(timeout).await;
        result.unwrap_or(Err(TaskError::TimedOut(timeout)))
    }

    /// Waits for the result for a while; `None` if it is not there yet, and can be waited for again.
    ///
    /// # Panics
    /// If the task has come out before: as any future, it does so once.
    pub async fn yield_(&mut self, timeout: Duration) -> Option<Result<T, TaskError>> {
        self.wait_until(Instant::now().checked_add(timeout)).await
    }

    /// Waits until then, or without an end.
    async fn wait_until(&mut self, deadline: Option<Instant>) -> Option<Result<T, TaskError>> {
        let Some(deadline) = deadline else {
            return Some(self.await);
        };
        match timeout_at(deadline, &mut *self).await {
            Ok(result) => Some(result),
            // It has ended in time, and would say so in the next turn.
            Err(_) if self.waiting.ended.is_some() => Some(self.await),
            Err(_) => None,
        }
    }

    /// Ends the task, and answers what it came out with before; `None` if it ended by this. `by` is who is
    /// linked to it, and is so no more.
    pub async fn shutdown(
        mut self,
        by: &(impl Starter + ?Sized),
        how: Shutdown,
    ) -> Option<Result<T, TaskError>> {
        self.unlink(by);
        let ended = match how {
            Shutdown::BrutalKill => None,
            Shutdown::Timeout(timeout) => {
                self.runtime.exit(self.pid, atom!("shutdown"));
                self.yield_(timeout).await
            }
            Shutdown::Infinity => {
                self.runtime.exit(self.pid, atom!("shutdown"));
                Some((&mut self).await)
            }
        };
        let result = match ended {
            Some(result) => result,
            None => {
                self.runtime.exit(self.pid, atom!("kill"));
                (&mut self).await
            }
        };
        match result {
            Err(TaskError::Exit(reason)) if was_told_to_end(&reason) => None,
            result => Some(result),
        }
    }

    /// Lets the task run on, linked to `by` no more, and answers what it came out with so far.
    pub fn ignore(mut self, by: &(impl Starter + ?Sized)) -> Option<Result<T, TaskError>> {
        self.unlink(by);
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self).poll(&mut cx) {
            Poll::Ready(result) => Some(result),
            // Nobody is linked any more: there is no signal to wait for.
            Poll::Pending => self
                .waiting
                .ended
                .take()
                .map(|reason| Err(TaskError::Exit(reason))),
        }
    }

    fn unlink(&self, by: &(impl Starter + ?Sized)) {
        if let Some(parent) = by.starting().parent {
            parent.unlink_from(self.pid);
        }
    }
}

fn was_told_to_end(reason: &Reason) -> bool {
    let reason = reason.as_atom();
    reason.is_some_and(|reason| matches!(reason.as_str(), "shutdown" | "killed"))
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let out = self.waiting.poll(cx);
        self.waiting.is_out = out.is_ready();
        out
    }
}

/// Waits for many tasks at once, for so long in all: Elixir's `Task.yield_many`. Answers are in the order of the
/// tasks; `None` for one that is not there yet, and can be waited for again, and for one that has come out
/// before.
pub async fn yield_many<T>(
    tasks: &mut [Task<T>],
    timeout: Duration,
) -> Vec<Option<Result<T, TaskError>>> {
    let deadline = Instant::now().checked_add(timeout);
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(match task.waiting.is_out {
            true => None,
            false => task.wait_until(deadline).await,
        });
    }
    results
}

/// A process for a task, which does not run yet; its output goes where its parent's does.
fn prepare<M: Message>(starting: &Starting<'_>) -> Result<Prepared<M>, TooManyProcesses> {
    let mut options = SpawnOptions::default();
    options.group_leader = starting.parent.map(|parent| parent.group_leader());
    match starting.runtime.prepare(options) {
        Ok(prepared) => Ok(prepared),
        Err(SpawnError::TooManyProcesses(error)) => Err(error),
        Err(other) => unreachable!("it has no name: {other}"),
    }
}
