//! What a supervisor asks of its driver, and what it reports.

use purlin_term::{Pid, Term};

use super::answer::{Answer, Status};
use super::spec::ChildSpec;
use crate::reason::Reason;

/// Names one start. They ascend, and none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

/// How to end a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `exit(Pid, shutdown)`.
    Shutdown,
    /// `exit(Pid, kill)`.
    Kill,
}

/// How a start came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// `{ok, Child}` or `{ok, Child, Info}`: it runs.
    Started(Pid, Option<Term>),
    /// `ignore`: there is nothing to run.
    Ignore,
    /// `{error, Reason}`: it failed.
    Error(Reason),
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<S, T> {
    /// Start a child, linked, and say how it came out: `child_started` with this token. Inputs may
    /// come before that.
    Start {
        /// Names the start.
        token: Token,
        /// The child's id; `undefined` for dynamic ones.
        id: Term,
        /// What starts it.
        start: S,
    },
    /// Kill the child whose start is under way. How it came out is awaited all the same, and may
    /// still be `Started`.
    GiveUp {
        /// The start.
        token: Token,
    },
    /// Send the child an exit signal. Its end is awaited, by `child_exited`, at once if it is dead
    /// already.
    Terminate {
        /// The child.
        pid: Pid,
        /// With which reason.
        how: How,
    },
    /// Answer a request.
    Reply {
        /// Who asked.
        to: T,
        /// The answer.
        answer: Answer<S>,
    },
    /// Log this.
    Report(Box<Report<S>>),
    /// All children of the beginning are started: `start_link` answers `{ok, Pid}`.
    Started,
    /// All children have ended: the supervisor ends with this reason. Before `Started`,
    /// `start_link` answers `{error, Reason}`. It is the last output.
    Exit(Reason),
}

/// What is reported: the `errorContext` of OTP's supervisor reports, or progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// An ordered child was started: a progress report.
    Progress {
        /// By `start_child` or `restart_child`: OTP 28 logs these at the level `debug`, others at
        /// `info`.
        is_requested: bool,
    },
    /// A child could not be started, at the beginning or again.
    StartError,
    /// A child ended that should have stayed.
    ChildTerminated,
    /// A child that the supervisor ended did so with another reason than it should.
    ShutdownError,
    /// The supervisor gives up, since there were too many restarts.
    Shutdown,
}

/// A report for the log: OTP's supervisor or progress report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<S> {
    /// What happened.
    pub context: Context,
    /// Why; `normal`, and without meaning, for progress.
    pub reason: Reason,
    /// Whom it is about.
    pub offender: Offender<S>,
}

/// Whom a report is about: OTP's `offender`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender<S> {
    /// Which.
    pub who: Who,
    /// Its spec, without its start if that is not kept.
    pub spec: ChildSpec<Option<S>>,
}

/// One child or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// One: `{pid, _}`.
    Child(Status),
    /// That many dynamic children, which ended with the same reason: `{nb_children, N}`.
    Children(usize),
}
