//! What a supervisor starts, and how.

use std::any::type_name;
use std::sync::Arc;
use std::time::Duration;

use purlin_otp::reason::Reason;
use purlin_otp::supervisor::terms::Mfargs;
use purlin_otp::supervisor::{ChildSpec, Kind, Restart, Shutdown};
use purlin_runtime::{IntoExit, Message, Process, SpawnOptions};
use purlin_term::{Atom, List, Pid, Term, atom};

use super::Supervisor;
use crate::gen_server::{
    Enter, GenServer, InitError, ServerMessage, ServerOptions, StartError, Starter, launch,
    not_started, nowhere,
};

/// Says how the `init` of a child came out; `None`: its process ended before.
pub type Ready = Box<dyn FnOnce(Option<Result<Pid, InitError>>) + Send>;

/// How far the start of a child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It runs.
    Ready(Pid),
    /// Its `init` runs; it says itself how that comes out, if it is not ended before.
    InInit(Pid),
}

/// What starts a child, each time anew.
pub trait StartChild: Send + Sync {
    /// Starts it as a process that is linked to its supervisor.
    ///
    /// # Errors
    /// The reason, as OTP's start functions give it.
    fn start(
        &self,
        supervisor: &Process<ServerMessage<Supervisor>>,
        ready: Ready,
    ) -> Result<Started, Reason>;
}

/// What starts a child, and how `get_childspec` shows that.
#[derive(Clone)]
pub struct Start {
    pub(super) function: Arc<dyn StartChild>,
    pub(super) shown: Mfargs,
    pub(super) kind: Kind,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.shown.to_term())
    }
}

/// A child of a supervisor: what it is called, what starts it, when it is restarted, how it is ended.
pub struct Child {
    id: Term,
    make: Make,
    name: Option<Atom>,
    start_timeout: Option<Duration>,
    shown: Mfargs,
    restart: Restart,
    significant: bool,
    shutdown: Option<Shutdown>,
    kind: Kind,
}

/// What starts a child is made when all is known of it: its name, and how long its `init` may take.
type Make = Box<dyn FnOnce(Option<Atom>, Option<Duration>) -> Arc<dyn StartChild> + Send + Sync>;

impl Child {
    /// A permanent child: a server that `make` makes anew for each start.
    pub fn new<S: GenServer>(
        id: impl Into<Term>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        Self::entered(id.into(), nowhere, make)
    }

    /// As [`Child::new`], for a server that is entered somewhere at each start.
    pub(crate) fn entered<S: GenServer>(
        id: Term,
        enter: impl Enter<S> + Clone + Send + Sync + 'static,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let start: Make = Box::new(move |name, timeout| {
            let start = ServerStart {
                make,
                enter,
                name,
                timeout,
            };
            Arc::new(start)
        });
        Self {
            kind: S::KIND,
            ..Self::made(id, type_name::<S>(), start)
        }
    }

    /// A permanent child that runs `body`, anew for each start.
    pub fn process<M, B, F>(id: impl Into<Term>, body: B) -> Self
    where
        M: Message,
        B: Fn(Process<M>) -> F + Send + Sync + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let body = Arc::new(body);
        let start = move |supervisor: &Process<ServerMessage<Supervisor>>, name: Option<Atom>| {
            let mut options = SpawnOptions::default();
            options.name.clone_from(&name);
            let body = body.clone();
            let runtime = supervisor.runtime().clone();
            let started = supervisor.spawn_link_with(options, move |process| body(process));
            let started = started.map_err(|error| not_started(&runtime, name.as_ref(), error));
            Ok(started?.pid())
        };
        let start: Make = Box::new(move |name, _| Arc::new(ProcessStart { start, name }));
        Self::made(id.into(), type_name::<B>(), start)
    }

    /// A permanent child that `start` starts.
    pub(crate) fn started_by(id: Term, shown: &str, start: Arc<dyn StartChild>) -> Self {
        Self::made(id, shown, Box::new(move |_, _| start))
    }

    fn made(id: Term, shown: &str, make: Make) -> Self {
        // As long as a name may be; it is for people.
        let module = Atom::new(shown).unwrap_or(atom!("purlin"));
        let shown = Mfargs {
            module,
            function: atom!("start_link"),
            args: List::from(Vec::<Term>::new()),
        };
        Self {
            id,
            make,
            name: None,
            start_timeout: None,
            shown,
            restart: Restart::Permanent,
            significant: false,
            shutdown: None,
            kind: Kind::Worker,
        }
    }

    /// It has this registered name before its `init`.
    pub fn registered(mut self, name: impl Into<Atom>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long the `init` of a server may take: then it has failed to start, with `timeout`. Else it may take for
    /// ever, and what is asked of its supervisor waits for it; a shutdown does not. One that holds its thread is ended
    /// by neither before it awaits. OTP has this as an option of the child's own `start_link`.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = Some(timeout);
        self
    }

    /// It is restarted when it ended with another reason than `normal`, `shutdown` or `{shutdown, _}`.
    pub fn transient(mut self) -> Self {
        self.restart = Restart::Transient;
        self
    }

    /// It is never restarted, and forgotten when it has ended.
    pub fn temporary(mut self) -> Self {
        self.restart = Restart::Temporary;
        self
    }

    /// Its end may end the supervisor: see [`Supervisor::auto_shutdown`].
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// How it is ended; else a server has five seconds, and a supervisor all the time it needs.
    pub fn shutdown(mut self, how: Shutdown) -> Self {
        self.shutdown = Some(how);
        self
    }

    pub(super) fn into_spec(self) -> ChildSpec<Start> {
        let function = (self.make)(self.name, self.start_timeout);
        let start = Start {
            function,
            shown: self.shown,
            kind: self.kind,
        };
        let spec = match self.kind {
            Kind::Worker => ChildSpec::worker(self.id, start),
            Kind::Supervisor => ChildSpec::supervisor(self.id, start),
        };
        ChildSpec {
            restart: self.restart,
            significant: self.significant,
            shutdown: self.shutdown.unwrap_or(spec.shutdown),
            ..spec
        }
    }
}

struct ServerStart<F, E> {
    make: Arc<F>,
    enter: E,
    name: Option<Atom>,
    timeout: Option<Duration>,
}

impl<S, F, E> StartChild for ServerStart<F, E>
where
    S: GenServer,
    F: Fn() -> S + Send + Sync + 'static,
    E: Enter<S> + Clone + Send + Sync,
{
    fn start(
        &self,
        supervisor: &Process<ServerMessage<Supervisor>>,
        ready: Ready,
    ) -> Result<Started, Reason> {
        let make = self.make.clone();
        let mut options = ServerOptions::default();
        options.process.name.clone_from(&self.name);
        options.timeout = self.timeout;
        start_server(supervisor, options, ready, self.enter.clone(), move || {
            make()
        })
    }
}

/// Starts a server as a child.
pub(super) fn start_server<S: GenServer>(
    supervisor: &Process<ServerMessage<Supervisor>>,
    options: ServerOptions,
    ready: Ready,
    enter: impl Enter<S>,
    make: impl FnOnce() -> S + Send + 'static,
) -> Result<Started, Reason> {
    let options = options.link();
    let untold = Untold(Some(ready));
    let ready = move |outcome| untold.tell(outcome);
    launch(supervisor.starting(), options, enter, make, ready)
        .map(|address| Started::InInit(address.pid()))
        .map_err(|error| reason_of(&error))
}

/// Who is to be told how an `init` came out, also when it does not.
struct Untold(Option<Ready>);

impl Untold {
    fn tell(mut self, outcome: Result<Pid, InitError>) {
        if let Some(ready) = self.0.take() {
            ready(Some(outcome));
        }
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if let Some(ready) = self.0.take() {
            ready(None);
        }
    }
}

struct ProcessStart<F> {
    start: F,
    name: Option<Atom>,
}

impl<F> StartChild for ProcessStart<F>
where
    F: Fn(&Process<ServerMessage<Supervisor>>, Option<Atom>) -> Result<Pid, StartError>
        + Send
        + Sync,
{
    fn start(
        &self,
        supervisor: &Process<ServerMessage<Supervisor>>,
        _: Ready,
    ) -> Result<Started, Reason> {
        let started = (self.start)(supervisor, self.name.clone());
        started
            .map(Started::Ready)
            .map_err(|error| reason_of(&error))
    }
}

/// As OTP's start functions say it.
fn reason_of(error: &StartError) -> Reason {
    match error {
        StartError::AlreadyStarted(pid) => {
            let already = [atom!("already_started").into(), Term::from(*pid)];
            Reason::new(Term::tuple(already))
        }
        StartError::TooManyProcesses(_) => Reason::new(atom!("system_limit").into()),
        StartError::Failed(reason) => reason.clone(),
        other => Reason::new(other.to_string().as_str().into()),
    }
}
