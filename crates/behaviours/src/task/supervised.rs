//! Tasks under a supervisor: they are its children, and go when it goes.

use std::sync::{Arc, Mutex, PoisonError};

use purlin_otp::reason::Reason;
use purlin_runtime::Process;
use purlin_term::{Pid, Term, atom};
use tokio::sync::oneshot;

use super::Task;
use crate::gen_server::{Parent, ServerMessage, Starter};
use crate::server_ref::ServerRef;
use crate::supervisor::{Child, ChildError, Ready, StartChild, Started, Supervisor};

/// Starts something once.
struct Once<B>(Mutex<Option<B>>);

impl<B> StartChild for Once<B>
where
    B: FnOnce(&Process<ServerMessage<Supervisor>>) -> Result<Pid, Reason> + Send,
{
    fn start(
        &self,
        supervisor: &Process<ServerMessage<Supervisor>>,
        _: Ready,
    ) -> Result<Started, Reason> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let body = body.ok_or_else(|| Reason::new(atom!("already_run").into()))?;
        body(supervisor).map(Started::Ready)
    }
}

/// A temporary child that is started once.
pub(super) fn child<B>(shown: &str, body: B) -> Child
where
    B: FnOnce(&Process<ServerMessage<Supervisor>>) -> Result<Pid, Reason> + Send + 'static,
{
    let start = Arc::new(Once(Mutex::new(Some(body))));
    Child::started_by(Term::from(atom!("undefined")), shown, start).temporary()
}

pub(super) fn refused(_: impl std::error::Error) -> Reason {
    Reason::new(atom!("system_limit").into())
}

impl Child {
    /// A temporary child that runs `body` once, for what it does: `Task.Supervisor.start_child`.
    pub fn task<F: Future<Output = ()> + Send + 'static>(body: F) -> Self {
        child(
            std::any::type_name::<F>(),
            move |supervisor: &Process<ServerMessage<Supervisor>>| {
                let started = supervisor.spawn_link(move |_: Process<()>| body);
                started.map(|address| address.pid()).map_err(refused)
            },
        )
    }
}

impl ServerRef<Supervisor> {
    /// Starts a task under the supervisor, linked to `by` too if that is a process: Elixir's
    /// `Task.Supervisor.async`. Cancel-safe: dropped before it is ready, nothing of the task runs.
    ///
    /// # Errors
    /// [`ChildError`]: the supervisor was not reached, did not answer in time, or may have no more children. In
    /// each case nothing of the task has run, nor will.
    pub async fn async_<T, F>(
        &self,
        by: &(impl Starter + ?Sized),
        body: F,
    ) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.start_task(by.starting().parent, body).await
    }

    /// Starts a task under the supervisor that nobody else is linked to, and whose failure is its result:
    /// Elixir's `Task.Supervisor.async_nolink`. Cancel-safe as [`async_`](Self::async_) is.
    ///
    /// # Errors
    /// As those of [`async_`](Self::async_).
    pub async fn async_nolink<T, F>(&self, body: F) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.start_task(None, body).await
    }

    /// The task begins when who asks for it has it and is linked to it: else its end may come before the link, and
    /// it may run though who asked has given up.
    async fn start_task<T, F>(
        &self,
        parent: Option<&dyn Parent>,
        body: F,
    ) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (begun, task) = oneshot::channel::<Task<T>>();
        let (go, may_go) = oneshot::channel();
        let start = move |supervisor: &Process<ServerMessage<Supervisor>>| {
            if begun.is_closed() {
                return Err(Reason::new(atom!("noproc").into()));
            }
            let body = |process| wanted(process, may_go, body);
            let started = Task::async_with(supervisor, body).map_err(refused)?;
            let pid = started.pid;
            // Who has given up by now drops `go` too.
            let _ = begun.send(started);
            Ok(pid)
        };
        self.start_child(child(std::any::type_name::<F>(), start))
            .await?;
        // It has answered, so there is one, or it does not start what runs once.
        let not_started = |_| ChildError::Refused(atom!("not_started").into());
        let task = task.await.map_err(not_started)?;
        if let Some(parent) = parent {
            parent.link_to(task.pid);
        }
        let _ = go.send(());
        Ok(task)
    }
}

/// Runs a body when it may; its process ends where it may not any more.
async fn wanted<F: Future>(
    process: Process<()>,
    may_go: oneshot::Receiver<()>,
    body: F,
) -> F::Output {
    if may_go.await.is_err() {
        process.exit(process.pid(), atom!("shutdown"));
        std::future::pending::<()>().await;
    }
    body.await
}
