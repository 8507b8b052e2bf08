//! Supervisors: processes that start others, restart them when they end, and end them in order.
//!
//! What a supervisor does is decided by the machine of [`purlin_otp::supervisor`]; this is its driver, a
//! [`GenServer`] whose state the machine is. A child is started without waiting for its `init`: what comes
//! meanwhile, a shutdown too, reaches the machine.
//!
//! An OTP shell sees it as one of its own: `supervisor:which_children/1` and its siblings are answered, and
//! `start_child/2` starts what was offered with [`Supervisor::offer`].
//!
//! - `child`: what is started, and how; `client`: what others ask; `offer`: what shells may start;
//! - `partitioned`: many children of one kind, each for a part of the keys.

mod child;
mod client;
mod offer;
mod partitioned;

use std::collections::BTreeMap;
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
pub use purlin_otp::supervisor::terms::Mfargs;
use purlin_otp::supervisor::{
    Answer, Context as Happened, Flags, How, Output, Report, Request as Asked, StartOutcome,
    Strategy, Token, terms,
};
pub use purlin_otp::supervisor::{
    AutoShutdown, Backoff, ChildInfo, ChildSpec, Counts, Kind, Restart, Shutdown, Status,
};
use purlin_runtime::{Local, Target};
use purlin_term::{Atom, Pid, Reference, Term, atom};
use tokio::task::yield_now;
use tokio::time::Instant;

pub use child::Child;
#[doc(hidden)]
pub use child::{Ready, Start, StartChild, Started};
#[doc(hidden)]
pub use client::{Ask, AskOf};
pub use client::{ChildError, Which};
pub use partitioned::{Partitioned, Partitions, partitioned};

use crate::bounded::Bounded;
use crate::by;
use crate::gen_server::{
    Context, GenServer, HandleCallFrom, HandleInfo, InitError, ServerMessage, handle_next,
};
use crate::messages::Has;
use crate::reply_to::ReplyTo;
use crate::room::{Place, Room};
use client::{Asker, answer_shell, place_for};
use offer::{Offer, Offers};

type Machine = purlin_otp::supervisor::Supervisor<Start, Asker>;

/// A supervisor: its flags and its children, and once it is started, what it does with them.
///
/// Made by [`one_for_one`] and its siblings, and started like any other server, or as a child of another
/// supervisor.
pub struct Supervisor {
    flags: Flags,
    children: Vec<Child>,
    offers: Offers,
    machine: Option<Machine>,
    /// Since when the machine counts time.
    began: Instant,
    /// The start under way, what the child is, and its pid, once it has one.
    starting: Option<(Token, Kind, Option<Pid>)>,
    /// Children that are being ended: they may have unlinked themselves.
    monitors: BTreeMap<Pid, Reference>,
    /// Requests of shells that wait.
    waiting: Room,
    is_ready: bool,
    ended: Option<Reason>,
}

/// A child that has ended is restarted.
pub fn one_for_one() -> Supervisor {
    Supervisor::new(Strategy::OneForOne)
}

/// When a child has ended, all are ended and started again.
pub fn one_for_all() -> Supervisor {
    Supervisor::new(Strategy::OneForAll)
}

/// When a child has ended, it and those started after it are ended and started again.
pub fn rest_for_one() -> Supervisor {
    Supervisor::new(Strategy::RestForOne)
}

/// Children are started while it runs, each by a spec of its own, and known by their pids: Elixir's
/// `DynamicSupervisor`.
pub fn dynamic() -> Supervisor {
    Supervisor::new(Strategy::Dynamic)
}

impl Supervisor {
    /// A supervisor without children.
    fn new(strategy: Strategy) -> Self {
        Self {
            flags: Flags {
                strategy,
                ..Flags::default()
            },
            children: Vec::new(),
            offers: Offers::new(),
            machine: None,
            began: Instant::now(),
            starting: None,
            monitors: BTreeMap::new(),
            waiting: Room::default(),
            is_ready: false,
            ended: None,
        }
    }

    /// It takes so many restarts in that time; one more ends it. OTP's default is one in five seconds.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        (self.flags.intensity, self.flags.period) = (restarts, period);
        self
    }

    /// It ends when significant children have ended.
    pub fn auto_shutdown(mut self, when: AutoShutdown) -> Self {
        self.flags.auto_shutdown = when;
        self
    }

    /// How many dynamic children there may be.
    pub fn max_children(mut self, max: usize) -> Self {
        self.flags.max_children = Some(max);
        self
    }

    /// A delay before each restart of a child: from `min`, doubled by each without a pause, up to `max`. An
    /// addition to OTP.
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        let factor = 2;
        self.flags.backoff = Some(Backoff { min, max, factor });
        self
    }

    /// A child: a permanent server that `make` makes anew for each start. Children are started in the order
    /// in which they are given.
    pub fn child<S: GenServer>(
        self,
        id: impl Into<Term>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.with(Child::new(id, make))
    }

    /// As [`Supervisor::child`], with the id as its registered name too.
    pub fn registered<S: GenServer>(
        self,
        name: impl Into<Atom>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        self.with(Child::new(name.as_str(), make).registered(name))
    }

    /// A child with options of its own.
    pub fn with(mut self, child: Child) -> Self {
        self.children.push(child);
        self
    }

    /// What a shell can start here by `supervisor:start_child(Sup, #{start => {Module, Function, Args}, ..})`:
    /// `make` makes the server, of the arguments, or refuses them, anew for each start. Nothing else is started
    /// for a shell.
    ///
    /// It runs in the supervisor, so it should not take long; the server's `init` may. One that panics has
    /// failed to start the child.
    pub fn offer<S: GenServer>(
        mut self,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        make: impl Fn(&[Term]) -> Option<S> + Send + Sync + 'static,
    ) -> Self {
        let offered = (module.into(), function.into());
        self.offers.insert(offered, Offer::new(make));
        self
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().expect("it has been started")
    }

    /// Carries out what the machine wants, until it wants nothing.
    fn drive(&mut self, ctx: &mut Context<Self>) {
        while let Some(output) = self.machine().poll_output() {
            self.carry_out(output, ctx);
        }
        let at = self.machine().poll_timeout();
        // One that is too far away for the clock never comes.
        ctx.set_deadline(at.and_then(|at| self.began.checked_add(at)));
        // As in OTP, what is under way is carried through before it is suspended: its first starts and its end, too.
        ctx.defer_suspension(self.machine().is_busy());
    }

    fn carry_out(&mut self, output: Output<Start, Asker>, ctx: &mut Context<Self>) {
        match output {
            Output::Start { token, start, .. } => self.start_child(token, &start, ctx),
            Output::GiveUp { token } => {
                if let Some((under_way, kind, Some(pid))) = self.starting
                    && under_way == token
                {
                    // A supervisor that is killed leaves behind whom it has started so far.
                    ctx.exit(
                        pid,
                        match kind {
                            Kind::Worker => atom!("kill"),
                            Kind::Supervisor => atom!("shutdown"),
                        },
                    );
                }
            }
            Output::Terminate { pid, how } => {
                self.watch(pid, ctx);
                let reason = match how {
                    How::Shutdown => atom!("shutdown"),
                    How::Kill => atom!("kill"),
                };
                ctx.exit(pid, reason);
            }
            Output::Reply { to, answer } => {
                let runtime = ctx.runtime().clone();
                to.answer(answer.settle(|pid| runtime.is_process_alive(pid)), ctx);
            }
            Output::Report(report) => log(&report, ctx),
            Output::Started => self.is_ready = true,
            Output::Exit(reason) => {
                self.ended = Some(reason.clone());
                ctx.stop(Term::clone(&reason));
            }
        }
    }

    /// Starts a child; how that came out the machine is told at once, or when the child says.
    fn start_child(&mut self, token: Token, start: &Start, ctx: &mut Context<Self>) {
        let supervisor = ctx.address();
        let runtime = ctx.runtime().clone();
        let tell = move |outcome| {
            let came_out = CameOut { token, outcome };
            runtime.notify(&supervisor, wrap(came_out));
        };
        let mut begun = (token, start.kind, None);
        match start.function.start(&ctx.process, Box::new(tell.clone())) {
            Ok(Started::Ready(pid)) => {
                return self.came_out(token, StartOutcome::Started(pid, None));
            }
            Ok(Started::InInit(pid)) => begun.2 = Some(pid),
            // By the queue: if it is tried again, others have their turn before that.
            Err(reason) => tell(Some(Err(InitError::Error(reason)))),
        }
        self.starting = Some(begun);
    }

    /// Its end is heard of, also if it has unlinked itself.
    fn watch(&mut self, pid: Pid, ctx: &Context<Self>) {
        self.monitors.entry(pid).or_insert_with(|| ctx.monitor(pid));
    }

    fn came_out(&mut self, token: Token, outcome: StartOutcome) {
        self.starting = None;
        let now = self.now();
        self.machine().child_started(now, token, outcome);
    }

    /// A process ended, of which a link or a monitor told.
    fn ended(&mut self, pid: Pid, reason: Reason) {
        let now = self.now();
        match self.starting {
            Some((token, _, Some(started))) if started == pid => {
                self.came_out(token, StartOutcome::Error(reason));
            }
            _ => self.machine().child_exited(now, pid, reason),
        }
    }

    /// A request of OTP's `supervisor`, with the room that it takes if it has to wait; the answer, where it is
    /// refused.
    fn take_request(
        &mut self,
        request: &Term,
        from: &ReplyTo<Term>,
    ) -> Result<(Asked<Start>, Option<Place>), Term> {
        let asked = self.read_request(request)?;
        if !self.machine().is_busy() {
            return Ok((asked, None));
        }
        match place_for(&self.waiting, request, from) {
            Some(place) => Ok((asked, Some(place))),
            None => Err(error(atom!("system_limit").into())),
        }
    }

    /// A request of OTP's `supervisor`; the answer, where it can be given at once.
    fn read_request(&self, request: &Term) -> Result<Asked<Start>, Term> {
        let read = terms::request(request, |spec| self.read_start(spec));
        read.unwrap_or_else(|| {
            let unknown = Term::tuple([atom!("badarg").into(), request.clone()]);
            Err(error(unknown))
        })
    }

    fn read_start(&self, spec: &Term) -> Result<Asked<Start>, Term> {
        let spec = terms::child_spec(spec, Some(self.flags.auto_shutdown));
        let (spec, mfargs) = spec
            .map_err(|refused| error(refused.to_term()))?
            .with_start(());
        let start = offer::start(&self.offers, mfargs);
        Ok(Asked::StartChild(spec.with_start(start).0))
    }
}

fn wrap(came_out: CameOut) -> ServerMessage<Supervisor> {
    type Taken = <Supervisor as GenServer>::Messages;
    let message = <Taken as Has<Supervisor, by::Info<Local<CameOut>>, _>>::wrap(Local(came_out));
    ServerMessage::own(message)
}

/// How the start of a child came out; told by the child.
#[doc(hidden)]
pub struct CameOut {
    token: Token,
    /// `None`: it ended before.
    outcome: Option<Result<Pid, InitError>>,
}

impl GenServer for Supervisor {
    type Messages = (by::Call<Ask>, by::Call<Term>, by::Info<Local<CameOut>>);

    const KIND: Kind = Kind::Supervisor;

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(true);
        self.began = Instant::now();
        let specs = std::mem::take(&mut self.children);
        let specs = specs.into_iter().map(Child::into_spec).collect();
        let machine = Machine::new(self.flags.clone(), specs);
        self.machine = Some(machine.map_err(|refused| InitError::stop(refused.to_term()))?);
        self.machine().start(Duration::ZERO);
        self.drive(ctx);
        while !self.is_ready && self.ended.is_none() {
            if let Some(reason) = handle_next(self, ctx).await {
                let now = self.now();
                self.machine().shutdown(now, reason);
                self.drive(ctx);
            }
        }
        match self.ended.clone() {
            Some(reason) => Err(InitError::Stop(reason)),
            None => Ok(()),
        }
    }

    /// Ends the children, in order.
    async fn terminate(&mut self, reason: &Reason, ctx: &mut Context<Self>) {
        let now = self.now();
        self.machine().shutdown(now, reason.clone());
        self.drive(ctx);
        while self.ended.is_none() {
            // The parent's end was heard already, or is nothing new.
            handle_next(self, ctx).await;
        }
    }

    async fn handle_exit(&mut self, from: Pid, reason: Reason, ctx: &mut Context<Self>) {
        if let Some(monitor) = self.monitors.remove(&from) {
            ctx.demonitor(monitor);
        } else if reason == reason::killed() {
            // Whom a killed supervisor leaves behind hears of it too, and has its turn to end: its successor
            // needs their names.
            yield_now().await;
        }
        self.ended(from, reason);
        self.drive(ctx);
    }

    async fn handle_down(
        &mut self,
        monitor: Reference,
        _: Target,
        reason: Reason,
        ctx: &mut Context<Self>,
    ) {
        let ended = self.monitors.iter().find(|(_, of)| **of == monitor);
        if let Some((pid, _)) = ended.map(|(pid, of)| (*pid, *of)) {
            self.monitors.remove(&pid);
            self.ended(pid, reason);
        }
        self.drive(ctx);
    }

    async fn handle_timeout(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        self.machine().handle_timeout(now);
        self.drive(ctx);
    }
}

impl HandleInfo<Local<CameOut>> for Supervisor {
    async fn handle_info(&mut self, Local(came_out): Local<CameOut>, ctx: &mut Context<Self>) {
        match (self.starting, came_out.outcome) {
            (Some((token, ..)), Some(outcome)) if token == came_out.token => {
                self.came_out(token, read_outcome(outcome));
            }
            // Its exit signal tells why, or else its monitor, if it has unlinked itself.
            (Some((token, _, Some(pid))), None) if token == came_out.token => {
                self.watch(pid, ctx);
            }
            _ => {}
        }
        self.drive(ctx);
    }
}

impl HandleCallFrom<Ask> for Supervisor {
    async fn handle_call_from(
        &mut self,
        Local(request): Ask,
        from: ReplyTo<Local<Answer<Start>>>,
        ctx: &mut Context<Self>,
    ) {
        let now = self.now();
        let request = request.into_request();
        self.machine()
            .handle_request(now, Asker::Typed(from), request);
        self.drive(ctx);
    }
}

impl HandleCallFrom<Term> for Supervisor {
    async fn handle_call_from(
        &mut self,
        request: Term,
        from: ReplyTo<Term>,
        ctx: &mut Context<Self>,
    ) {
        match self.take_request(&request, &from) {
            Ok((request, place)) => {
                let now = self.now();
                self.machine()
                    .handle_request(now, Asker::Shell(from, place), request);
            }
            Err(refused) => answer_shell(from, refused, ctx),
        }
        self.drive(ctx);
    }
}

fn read_outcome(outcome: Result<Pid, InitError>) -> StartOutcome {
    match outcome {
        Ok(pid) => StartOutcome::Started(pid, None),
        Err(InitError::Ignore) => StartOutcome::Ignore,
        Err(InitError::Stop(reason) | InitError::Error(reason)) => StartOutcome::Error(reason),
    }
}

fn error(reason: Term) -> Term {
    Term::tuple([atom!("error").into(), reason])
}

fn log(report: &Report<Start>, ctx: &Context<Supervisor>) {
    let supervisor = ctx.pid();
    // A shell gives the one, whoever ends a child the other.
    let (id, reason) = (Bounded(&report.offender.spec.id), Bounded(&report.reason));
    match report.context {
        // As OTP's, none is shown unless asked for, and of children that others start later than of its own.
        Happened::Progress {
            is_requested: false,
        } => {
            tracing::debug!(%supervisor, %id, "a child is started");
        }
        Happened::Progress { is_requested: true } => {
            tracing::trace!(%supervisor, %id, "a child is started");
        }
        Happened::StartError => {
            tracing::error!(%supervisor, %id, %reason, "a child could not be started");
        }
        Happened::ChildTerminated => {
            tracing::error!(%supervisor, %id, %reason, "a child ended");
        }
        Happened::ShutdownError => {
            tracing::error!(%supervisor, %id, %reason, "a child did not end as it was told to");
        }
        Happened::Shutdown => {
            tracing::error!(%supervisor, %id, %reason, "a supervisor gives up: too many restarts");
        }
    }
}
