//! A supervisor: it starts children, restarts them by a strategy, and ends them in order.
//!
//! Source: OTP's `supervisor` (manual page; what it leaves open is as the module of OTP 28 does it)
//! and, for [`Strategy::Dynamic`], Elixir's `DynamicSupervisor`. `docs/otp-suites/supervisor.md`
//! goes through OTP's own tests. [`Backoff`] is ours.
//!
//! The driver is a process that traps exits. It calls [`Supervisor::start`] once, then tells what
//! happens as it happens: [`child_started`](Supervisor::child_started) and
//! [`child_exited`](Supervisor::child_exited) about children, [`handle_request`](Supervisor::handle_request)
//! what others ask, [`shutdown`](Supervisor::shutdown) that its parent ended or wants it to end,
//! [`handle_timeout`](Supervisor::handle_timeout) when [`poll_timeout`](Supervisor::poll_timeout)
//! is due. After each it carries out what [`poll_output`](Supervisor::poll_output) gives, in order. `now` is
//! the time since any one moment. `S` starts a child and is cheap to clone; `T` is who is answered.
//!
//! **One thing at a time.** As in OTP, a start, a restart of several children or the end of a child
//! is carried through before the next thing that came is looked at: ends of other children, requests
//! and failed restarts wait in the order in which they came, because what an end means depends
//! on what came before it (a sibling's restart may take it in). OTP is blocked meanwhile, in the `init`
//! of a child. This machine is in a state, and two things do not wait:
//! - a shutdown: the start under way is given up ([`Output::GiveUp`]), a child that is being
//!   ended is awaited, what waits is dropped (those who asked see the supervisor end), and all
//!   children are ended;
//! - who has ended is known at once: nobody waits for the dead or sends them anything.
//!
//! A driver bounds what others ask while [`Supervisor::is_busy`]: the machine takes whatever comes, and holds
//! it.
//!
//! What the driver sees to: every start comes out, and every end is told, also of a child that has
//! unlinked itself (a monitor; `noproc` if it is dead already). An end may be told before the start
//! came out, and twice.
//!
//! Invariants:
//! - `I1` one start is under way at most, and no child has another started for it while it lives;
//! - `I2` children are started in the order of their specs and ended in reverse order, one after
//!   another; dynamic ones are ended at once;
//! - `I3` there are no more than `intensity` restarts in a `period`, and the next ends the
//!   supervisor; a restart of several children is one, a failed one is one;
//! - `I4` nothing comes after `Exit`, and no child lives then, as far as the driver told the truth;
//! - `I5` a request is answered once, unless the supervisor ends before;
//! - `I6` the order of all outputs follows from the inputs alone.
//!
//! Read next: `restart` for what an end of a child leads to, `terminating` for how they are ended.

mod answer;
mod backoff;
mod children;
mod flags;
mod instances;
mod intensity;
mod job;
mod output;
mod requests;
mod restart;
mod spec;
mod starting;
mod terminating;
pub mod terms;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use purlin_term::{Pid, Term, atom};

pub use answer::{Answer, ChildInfo, Counts, Request, RequestError, Status};
pub use flags::{AutoShutdown, Backoff, Flags, FlagsError, Strategy};
pub use output::{Context, How, Offender, Output, Report, StartOutcome, Token, Who};
pub use spec::{
    ChildSpec, Kind, Modules, Restart, Shutdown, SpecError, WORKER_SHUTDOWN, check_childspecs,
};

use crate::reason::Reason;
use backoff::Delays;
use children::Children;
use instances::Instances;
use intensity::Intensity;
use job::{Job, Pending, Slot, Terminating};
use spec::pair;

/// How many ends of strangers are noted during one start, one of which may be the child's: anybody can
/// send exit signals. A guess; a driver that tells ends after starts needs none.
const STRANGERS_MAX: usize = 1024;

/// A supervisor: see the module.
///
/// ```
/// use std::time::Duration;
/// use purlin_otp::supervisor::{ChildSpec, Flags, Output, Request, StartOutcome, Supervisor};
/// # use purlin_term::{NodeName, Pid, atom};
/// # let node = NodeName::new(&atom!("a@h")).unwrap();
/// # let pid = Pid { node, creation: 1, id: 1, serial: 0 };
/// let now = Duration::ZERO;
/// let cache = ChildSpec::worker(atom!("cache"), "what starts it");
/// let mut supervisor = Supervisor::new(Flags::default(), vec![cache])?;
/// supervisor.start(now);
/// let Some(Output::Start { token, start, .. }) = supervisor.poll_output() else { panic!() };
/// assert_eq!(start, "what starts it");
/// supervisor.handle_request(now, "who asks", Request::CountChildren);
/// assert!(supervisor.is_busy());
///
/// supervisor.child_started(now, token, StartOutcome::Started(pid, None));
/// assert!(matches!(supervisor.poll_output(), Some(Output::Report(_))));
/// assert_eq!(supervisor.poll_output(), Some(Output::Started));
/// assert!(matches!(supervisor.poll_output(), Some(Output::Reply { to: "who asks", .. })));
/// # Ok::<(), purlin_otp::supervisor::InitError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Supervisor<S, T> {
    flags: Flags,
    children: Children<S>,
    instances: Instances<S>,
    /// The one spec of `SimpleOneForOne`.
    template: Option<Template<S>>,
    intensity: Intensity,
    delays: Delays,
    job: Job<S, T>,
    /// Why the supervisor ends, once it does.
    ending: Option<Reason>,
    pending: VecDeque<Pending<S, T>>,
    /// Those that have ended, as long as nothing followed from it.
    exits: BTreeMap<Pid, Reason>,
    starts: u64,
    /// Ends of strangers that were noted during this start.
    strangers: usize,
    outbox: VecDeque<Output<S, T>>,
}

#[derive(Debug, Clone)]
struct Template<S> {
    spec: Arc<ChildSpec<()>>,
    start: S,
}

/// Why there is no such supervisor: the reason with which OTP's ends before it starts a child.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// `{supervisor_data, _}`: the flags.
    #[error("the flags of the supervisor are refused: {0}")]
    Flags(#[from] FlagsError),
    /// `{start_spec, _}`: a child spec.
    #[error("a child of the supervisor is refused: {0}")]
    Spec(#[from] SpecError),
    /// `{bad_start_spec, Ids}`: `SimpleOneForOne` has one spec, `Dynamic` none. OTP has the specs in the
    /// place of the ids.
    #[error("simple_one_for_one takes one child spec, a dynamic supervisor none, and not {}", .0.len())]
    BadStartSpec(Vec<Term>),
}

impl InitError {
    /// As OTP says it.
    pub fn to_term(&self) -> Term {
        match self {
            Self::Flags(error) => pair(atom!("supervisor_data"), error.to_term()),
            Self::Spec(error) => pair(atom!("start_spec"), error.to_term()),
            Self::BadStartSpec(ids) => {
                pair(atom!("bad_start_spec"), Term::list(ids.iter().cloned()))
            }
        }
    }
}

impl<S: Clone, T> Supervisor<S, T> {
    /// A supervisor of these children, which are not started yet.
    ///
    /// # Errors
    /// What OTP's `init` refuses.
    pub fn new(flags: Flags, specs: Vec<ChildSpec<S>>) -> Result<Self, InitError> {
        flags.check().map_err(InitError::Flags)?;
        let is_fitting = match flags.strategy {
            Strategy::SimpleOneForOne => specs.len() == 1,
            Strategy::Dynamic => specs.is_empty(),
            _ => true,
        };
        if !is_fitting {
            let ids = specs.into_iter().map(|spec| spec.id);
            return Err(InitError::BadStartSpec(ids.collect()));
        }
        check_childspecs(&specs, Some(flags.auto_shutdown)).map_err(InitError::Spec)?;
        Ok(Self::checked(flags, specs))
    }

    fn checked(flags: Flags, specs: Vec<ChildSpec<S>>) -> Self {
        let mut supervisor = Self {
            flags,
            children: Children::default(),
            instances: Instances::default(),
            template: None,
            intensity: Intensity::default(),
            delays: Delays::default(),
            job: Job::New,
            ending: None,
            pending: VecDeque::new(),
            exits: BTreeMap::new(),
            starts: 0,
            strangers: 0,
            outbox: VecDeque::new(),
        };
        for spec in specs {
            let (spec, start) = spec.with_start(());
            if supervisor.flags.strategy.is_dynamic() {
                let spec = supervisor.instances.share(spec);
                supervisor.template = Some(Template { spec, start });
            } else {
                let (spec, ()) = spec.with_start(Some(start));
                supervisor.children.push(spec);
            }
        }
        supervisor
    }

    /// Starts the children, once.
    pub fn start(&mut self, now: Duration) {
        debug_assert!(matches!(self.job, Job::New | Job::Ended), "started twice");
        if matches!(self.job, Job::New) {
            self.start_from(children::Place::FIRST, job::Course::Init);
            self.go_on(now);
        }
    }

    /// A child ended, or another process that is linked to the supervisor.
    pub fn child_exited(&mut self, now: Duration, pid: Pid, reason: Reason) {
        match &self.job {
            Job::Ended => {}
            Job::Idle => self.handle_exit(now, pid, reason),
            Job::Terminating(Terminating { pid: awaited, .. }) if *awaited == pid => {
                self.terminated(now, reason);
            }
            Job::Draining(_) => self.drained(pid, reason),
            _ => self.note_exit(pid, reason),
        }
        self.go_on(now);
    }

    /// Somebody asks.
    pub fn handle_request(&mut self, now: Duration, to: T, request: Request<S>) {
        if self.ending.is_none() {
            self.pending.push_back(Pending::Request(to, request));
            self.go_on(now);
        }
    }

    /// The supervisor is to end: its parent did, or it is told to. Only the first counts.
    pub fn shutdown(&mut self, now: Duration, reason: Reason) {
        self.end(now, reason);
    }

    /// Time has passed: see [`Supervisor::poll_timeout`]. Early or for nothing, it does nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.kill_overdue(now);
        while let Some(slot) = self.delays.take_due(now) {
            self.pending.push_back(Pending::Restart(slot));
        }
        self.go_on(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output<S, T>> {
        self.outbox.pop_front()
    }

    /// When [`Supervisor::handle_timeout`] is to be called; asked anew after each input.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let kill = match &self.job {
            Job::Terminating(terminating) => terminating.deadline,
            Job::Draining(draining) => draining.deadlines.keys().next().copied(),
            _ => None,
        };
        [kill, self.delays.next()].into_iter().flatten().min()
    }

    /// Whether something is under way, for which requests wait.
    pub fn is_busy(&self) -> bool {
        !matches!(self.job, Job::Idle)
    }

    /// Whether it has ended: [`Output::Exit`] was the last output.
    pub fn has_ended(&self) -> bool {
        matches!(self.job, Job::Ended)
    }

    /// Its flags.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Takes up what waits, as long as nothing is under way. Each either begins something, and so
    /// ends this loop, or is done for good.
    fn go_on(&mut self, now: Duration) {
        while matches!(self.job, Job::Idle)
            && let Some(next) = self.pending.pop_front()
        {
            match next {
                Pending::Exit(pid) => {
                    if let Some(reason) = self.exits.remove(&pid) {
                        self.handle_exit(now, pid, reason);
                    }
                }
                Pending::TryAgain(slot) if self.is_restarting(slot) => self.restart(now, slot),
                Pending::Restart(slot) if self.is_restarting(slot) => self.restart_now(now, slot),
                Pending::TryAgain(_) | Pending::Restart(_) => {}
                Pending::Request(to, request) => self.request(now, to, request),
            }
        }
    }

    /// An end that has to wait. One of a stranger matters only while it may still turn out to be that
    /// of the child that is being started.
    fn note_exit(&mut self, pid: Pid, reason: Reason) {
        if self.exits.contains_key(&pid) {
            return;
        }
        if self.slot_of(pid).is_none() {
            let is_starting = matches!(self.job, Job::Starting { .. });
            if !is_starting || self.strangers == STRANGERS_MAX {
                return;
            }
            self.strangers += 1;
        }
        self.exits.insert(pid, reason);
        self.pending.push_back(Pending::Exit(pid));
    }

    /// The child that runs under this pid.
    fn slot_of(&self, pid: Pid) -> Option<Slot> {
        if self.flags.strategy.is_dynamic() {
            return self.instances.is_running(pid).then_some(Slot::Dynamic(pid));
        }
        self.children.find_pid(pid).map(Slot::Ordered)
    }

    fn status(&self, slot: Slot) -> Status {
        let status = match slot {
            Slot::Ordered(place) => self.children.get(place).map(|child| child.status),
            Slot::Dynamic(pid) => self.instances.get(pid).map(|child| child.status(pid)),
        };
        status.unwrap_or(Status::Undefined)
    }

    fn is_restarting(&self, slot: Slot) -> bool {
        matches!(self.status(slot), Status::Restarting(_))
    }

    /// The spec of a child, with what starts it if that is kept.
    fn spec(&self, slot: Slot) -> Option<ChildSpec<Option<S>>> {
        match slot {
            Slot::Ordered(place) => self.children.get(place).map(|child| child.spec.clone()),
            Slot::Dynamic(pid) => self.instances.get(pid).map(|child| {
                let spec = ChildSpec::clone(&child.spec);
                spec.with_start(child.start.clone()).0
            }),
        }
    }

    fn output(&mut self, output: Output<S, T>) {
        self.outbox.push_back(output);
    }

    fn reply(&mut self, to: T, answer: Answer<S>) {
        self.output(Output::Reply { to, answer });
    }

    fn report(&mut self, context: Context, reason: Reason, slot: Slot, status: Status) {
        if let Some(spec) = self.spec(slot) {
            let who = Who::Child(status);
            self.report_about(context, reason, Offender { who, spec });
        }
    }

    fn report_about(&mut self, context: Context, reason: Reason, offender: Offender<S>) {
        self.output(Output::Report(Box::new(Report {
            context,
            reason,
            offender,
        })));
    }
}
