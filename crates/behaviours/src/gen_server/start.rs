//! Starting a server, and waiting for its `init`.

use std::fmt;
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_runtime::{
    Address, Epoch, Message, Prepared, Process, RegisterError, Runtime, SpawnError, SpawnOptions,
    TooManyProcesses,
};
use purlin_term::{Atom, Pid, Reference, Term, atom};
use tokio::sync::oneshot;
use tokio::time;

use super::{GenServer, ServerMessage, serve};
use crate::server_ref::ServerRef;

/// How long the end of a server is waited for that was killed since its `init` took too long: for one that awaits, it
/// is there at once, and what holds its thread is not to hold whoever starts it, too. A guess, unmeasured.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// How a server is started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How its process is started: its name, its mailbox, its label.
    pub process: SpawnOptions,
    /// It is linked to the process that starts it, from the beginning.
    pub link: bool,
    /// How long its `init` may take; without it, for ever.
    pub timeout: Option<Duration>,
}

impl ServerOptions {
    /// A registered name, which it has before its `init`.
    pub fn name(mut self, name: impl Into<Atom>) -> Self {
        self.process.name = Some(name.into());
        self
    }

    /// It is linked to the process that starts it: `start_link`. Code that is no process links nothing.
    pub fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// How long its `init` may take; when that is over it is killed. Whoever starts it waits for its end, for a
    /// second at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// Why a server is not to be started, as its `init` says.
///
/// Any error becomes one by `?`: the server ends with `{error, Text}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The server is not wanted; that is no failure.
    Ignore,
    /// The process ends with this reason, which those linked to it hear: `{stop, Reason}`.
    Stop(Reason),
    /// The process ends with `normal`, and only whoever starts it hears of the reason: `{error, Reason}`.
    Error(Reason),
}

impl InitError {
    /// [`InitError::Stop`].
    pub fn stop(reason: impl Into<Term>) -> Self {
        Self::Stop(Reason::new(reason.into()))
    }

    /// With what the process ends.
    pub(super) fn exit_reason(&self) -> Reason {
        match self {
            Self::Stop(reason) => reason.clone(),
            Self::Ignore | Self::Error(_) => reason::normal(),
        }
    }
}

impl<E: std::error::Error> From<E> for InitError {
    fn from(error: E) -> Self {
        let text = Term::from(error.to_string().as_str());
        Self::stop(Term::tuple([atom!("error").into(), text]))
    }
}

/// Why a server was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// Its `init` said that it is not wanted.
    Ignored,
    /// Its `init` failed.
    Failed(Reason),
    /// An exit signal ended it before it was ready.
    Ended,
    /// Another process has the name, or the key of a registry.
    AlreadyStarted(Pid),
    /// Its `init` took too long. It was killed, and has ended, unless its `init` holds its thread: then it ends at its
    /// next await. Its name is free at once.
    TimedOut(Duration),
    /// As many processes live as may, or the node is stopping.
    TooManyProcesses(TooManyProcesses),
    /// The name cannot be given.
    Register(RegisterError),
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored => write!(f, "the server does not want to be started"),
            Self::Failed(reason) => write!(f, "the server failed to start: {reason}"),
            Self::Ended => write!(f, "an exit signal ended the server before it was ready"),
            Self::AlreadyStarted(pid) => write!(f, "{pid} has the name or the key already"),
            Self::TimedOut(after) => {
                let ms = after.as_millis();
                write!(f, "the server was not ready within {ms} ms, and was killed")
            }
            Self::TooManyProcesses(error) => error.fmt(f),
            Self::Register(error) => error.fmt(f),
        }
    }
}

/// Whatever can start a process: a runtime, a node, a process.
pub trait Starter: Sync {
    /// Where processes are started, and in whose name.
    #[doc(hidden)]
    fn starting(&self) -> Starting<'_>;
}

/// Where a process is started, and by whom.
#[doc(hidden)]
pub struct Starting<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) parent: Option<&'a dyn Parent>,
}

/// A process that starts others.
#[doc(hidden)]
pub trait Parent: Sync {
    fn pid(&self) -> Pid;
    fn group_leader(&self) -> Pid;
    /// It is linked to a child that does not run yet.
    fn link_to(&self, child: Pid);
    /// It is linked to a child that does not run yet, and that is linked to it already.
    fn note_link(&self, child: Pid);
    /// It is linked to that one no more.
    fn unlink_from(&self, child: Pid);
    /// Something of it failed: answers whether it ends by that, at its next await, as it does if it does
    /// not trap exits.
    fn falls_with(&self, reason: &Reason) -> bool;
}

impl<M: Message> Parent for Process<M> {
    fn pid(&self) -> Pid {
        Process::pid(self)
    }

    fn group_leader(&self) -> Pid {
        Process::group_leader(self)
    }

    fn link_to(&self, child: Pid) {
        self.link(child);
    }

    fn note_link(&self, child: Pid) {
        Process::note_link(self, child);
    }

    fn unlink_from(&self, child: Pid) {
        self.unlink(child);
    }

    fn falls_with(&self, reason: &Reason) -> bool {
        let traps = self.trap_exit(true);
        self.trap_exit(traps);
        if !traps {
            self.exit(Process::pid(self), Term::clone(reason));
        }
        !traps
    }
}

impl<'a> Starting<'a> {
    /// In nobody's name.
    pub fn on(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            parent: None,
        }
    }
}

impl Starter for Runtime {
    fn starting(&self) -> Starting<'_> {
        Starting::on(self)
    }
}

impl<M: Message> Starter for Process<M> {
    fn starting(&self) -> Starting<'_> {
        Starting {
            runtime: self.runtime(),
            parent: Some(self),
        }
    }
}

impl<S: GenServer> Starter for super::Context<S> {
    fn starting(&self) -> Starting<'_> {
        self.process.starting()
    }
}

pub(super) async fn start_monitor<M: Message, S: GenServer>(
    by: &Process<M>,
    options: ServerOptions,
    server: S,
) -> Result<(ServerRef<S>, Reference), StartError> {
    let mut monitor = None;
    let watch = |prepared: &Prepared<ServerMessage<S>>, _: &Runtime| {
        monitor = Some(by.monitor(prepared.pid()));
        Ok(())
    };
    let started = start(by.starting(), options, watch, server).await;
    match (started, monitor) {
        (Ok(server), Some(monitor)) => Ok((server, monitor)),
        (Err(error), Some(monitor)) => {
            by.demonitor(monitor);
            Err(error)
        }
        (started, None) => started.map(|_| unreachable!("who was started is watched")),
    }
}

/// Starts a server, and waits for its `init`.
pub(crate) async fn start<S: GenServer>(
    starting: Starting<'_>,
    mut options: ServerOptions,
    enter: impl Enter<S>,
    server: S,
) -> Result<ServerRef<S>, StartError> {
    let (ready, started) = oneshot::channel();
    // Who waits keeps the time, so that it is over also where an `init` holds its thread.
    let (runtime, timeout) = (starting.runtime.clone(), options.timeout.take());
    let parent = starting.parent.filter(|_| options.link);
    let ready = |started: Result<Pid, InitError>| drop(ready.send(started.map(drop)));
    let address = launch(starting, options, enter, || server, ready)?;
    let pid = address.pid();
    let server = ServerRef::here(address, runtime.clone());
    let waiting = wait_for_init(&runtime, pid, started);
    let Some(timeout) = timeout else {
        return waiting.await.map(|()| server);
    };
    match time::timeout(timeout, waiting).await {
        Ok(started) => started.map(|()| server),
        Err(_) => {
            // As in OTP, who started it learns of this by the error alone.
            if let Some(parent) = parent {
                parent.unlink_from(pid);
            }
            runtime.unregister_process(pid);
            runtime.exit(pid, atom!("kill"));
            let _ = time::timeout(KILLED_WITHIN, wait_for_end(&runtime, pid)).await;
            Err(StartError::TimedOut(timeout))
        }
    }
}

/// Enters a server that does not run yet where others find it; what fails in that is the failure of its start.
pub(crate) trait Enter<S: GenServer>:
    FnOnce(&Prepared<ServerMessage<S>>, &Runtime) -> Result<(), StartError>
{
}

impl<S: GenServer, F> Enter<S> for F where
    F: FnOnce(&Prepared<ServerMessage<S>>, &Runtime) -> Result<(), StartError>
{
}

/// It is found by its pid, and its name if it has one.
pub(crate) fn nowhere<S: GenServer>(
    _: &Prepared<ServerMessage<S>>,
    _: &Runtime,
) -> Result<(), StartError> {
    Ok(())
}

/// Starts the process of a server, which says by `ready` how its `init` came out; if it is ended before that,
/// `ready` is dropped. The server is made in its own process: what goes wrong there is that one's end, and not
/// of who starts it. An `init` that takes longer than the options say ends there.
pub(crate) fn launch<S: GenServer>(
    starting: Starting<'_>,
    mut options: ServerOptions,
    enter: impl Enter<S>,
    make: impl FnOnce() -> S + Send + 'static,
    ready: impl FnOnce(Result<Pid, InitError>) + Send + 'static,
) -> Result<Address<ServerMessage<S>>, StartError> {
    let runtime = starting.runtime;
    if let Some(parent) = starting.parent {
        let leader = &mut options.process.group_leader;
        leader.get_or_insert_with(|| parent.group_leader());
    }
    let name = options.process.name.clone();
    let prepared: Prepared<ServerMessage<S>> = runtime
        .prepare(options.process)
        .map_err(|error| not_started(runtime, name.as_ref(), error))?;
    if let Err(refused) = enter(&prepared, runtime) {
        prepared.discard();
        return Err(refused);
    }
    let parent = starting.parent.filter(|_| options.link);
    if let Some(parent) = parent {
        // Not by a signal: that would have room made in its queue, which an idle server does not need.
        prepared.link(parent.pid(), Epoch::LOCAL);
        parent.note_link(prepared.pid());
    }
    let (parent, timeout) = (parent.map(Parent::pid), options.timeout);
    Ok(prepared.start(move |process| serve::run(make, process, parent, timeout, ready)))
}

async fn wait_for_init(
    runtime: &Runtime,
    pid: Pid,
    started: oneshot::Receiver<Result<(), InitError>>,
) -> Result<(), StartError> {
    match started.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(InitError::Ignore)) => Err(StartError::Ignored),
        Ok(Err(InitError::Stop(reason) | InitError::Error(reason))) => {
            Err(StartError::Failed(reason))
        }
        Err(_) => {
            wait_for_end(runtime, pid).await;
            Err(StartError::Ended)
        }
    }
}

/// Waits until a process that is about to end has ended: who hears of that may start another under the same name.
async fn wait_for_end(runtime: &Runtime, pid: Pid) {
    // Where there may be no more processes, nobody waits.
    if let Ok(mut watcher) = runtime.attach::<()>() {
        watcher.monitor(pid);
        let _ = watcher.receive().await;
    }
}

pub(crate) fn not_started(runtime: &Runtime, name: Option<&Atom>, error: SpawnError) -> StartError {
    let error = match error {
        SpawnError::TooManyProcesses(error) => return StartError::TooManyProcesses(error),
        SpawnError::Register(error) => error,
        error => return StartError::Failed(Reason::new(error.to_string().as_str().into())),
    };
    let holder = name.and_then(|name| runtime.whereis(name));
    match (error, holder) {
        (RegisterError::Taken, Some(holder)) => StartError::AlreadyStarted(holder),
        (error, _) => StartError::Register(error),
    }
}
