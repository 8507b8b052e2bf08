//! What is asked of a supervisor, and its answers.
//!
//! Source: the functions of `supervisor` and their return values, OTP 28; for
//! [`Strategy::Dynamic`](super::Strategy::Dynamic), those of Elixir's `DynamicSupervisor`.

use purlin_term::{Atom, Pid, Term, atom};

use super::spec::{ChildSpec, Kind, SpecError};
use crate::reason::Reason;

/// What is asked, under the names of OTP's functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<S> {
    /// Starts a child, which is kept; for `SimpleOneForOne`, [`Request::StartInstance`].
    StartChild(ChildSpec<S>),
    /// Starts an instance of the one spec of `SimpleOneForOne`, by this in the place of its start.
    StartInstance(S),
    /// Ends a child. Dynamic children are named by their pids, here and below, others by their ids.
    TerminateChild(Term),
    /// Starts a child that has ended and is kept.
    RestartChild(Term),
    /// Forgets a child that has ended.
    DeleteChild(Term),
    /// All children, the youngest first; dynamic ones by pid.
    WhichChildren,
    /// One child.
    WhichChild(Term),
    /// How many there are.
    CountChildren,
    /// The spec of a child.
    GetChildspec(Term),
}

/// What a child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing: it has ended, or there was nothing to start.
    Undefined,
    /// It runs, as far as the supervisor knows.
    Running(Pid),
    /// It is to be restarted; before, it ran under this pid.
    Restarting(Option<Pid>),
}

/// One entry of `which_children`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildInfo {
    /// The child's id; `undefined` for dynamic ones.
    pub id: Term,
    /// What it is doing.
    pub status: Status,
    /// Worker or supervisor.
    pub kind: Kind,
    /// Its modules, as a term.
    pub modules: Term,
}

/// The answer of `count_children`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Specs: for `SimpleOneForOne` always one, for `Dynamic` as many as children.
    pub specs: usize,
    /// Children that run.
    pub active: usize,
    /// Children that are supervisors, whether they run or not.
    pub supervisors: usize,
    /// Children that are workers, whether they run or not.
    pub workers: usize,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<S> {
    /// `ok`.
    Done,
    /// `{ok, Child}` or `{ok, Child, Info}`. No pid: there was nothing to start.
    Started(Option<Pid>, Option<Term>),
    /// `ignore`, for `Dynamic`: there was nothing to start, nothing is kept.
    Ignored,
    /// To [`Request::WhichChildren`].
    Children(Vec<ChildInfo>),
    /// To [`Request::WhichChild`].
    Child(ChildInfo),
    /// To [`Request::CountChildren`].
    Counts(Counts),
    /// To [`Request::GetChildspec`]. Without its start if it is temporary.
    Spec(Box<ChildSpec<Option<S>>>),
    /// `{error, _}`.
    Error(RequestError<S>),
    /// `SimpleOneForOne` knows no such pid. OTP takes it for a child that has ended if no process
    /// has it, and answers as for one; else `{error, not_found}`: see [`Answer::settle`].
    UnknownPid(Pid, Box<Answer<S>>),
}

/// Why a request was refused or failed; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError<S> {
    /// The child runs.
    #[error("the child runs")]
    Running,
    /// The child is to be restarted.
    #[error("the child is being restarted")]
    Restarting,
    /// There is no such child.
    #[error("there is no such child")]
    NotFound,
    /// Dynamic supervisors do not do this.
    #[error("a supervisor of dynamic children does not do this")]
    SimpleOneForOne,
    /// There is a child of this id, which does not run.
    #[error("there is a child of this id already; it does not run")]
    AlreadyPresent,
    /// There is a child of this id, which runs; or the start says that it is there already.
    #[error("the child runs already, as {}", Term::from(*.0))]
    AlreadyStarted(Pid),
    /// There are as many children as there may be.
    #[error("there are as many children as there may be")]
    MaxChildren,
    /// The spec is refused.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// The start of a new child failed. It is not kept.
    #[error("the child could not be started: {0}")]
    NotStarted(Reason, Box<ChildSpec<Option<S>>>),
    /// The start of a child failed: of one that was there, and stays; or of a dynamic one, of
    /// which nothing is kept.
    #[error("the child could not be started: {0}")]
    Failed(Reason),
}

impl Status {
    /// As `which_children` says it.
    pub fn to_term(self) -> Term {
        match self {
            Self::Undefined => atom!("undefined").into(),
            Self::Running(pid) => pid.into(),
            Self::Restarting(_) => atom!("restarting").into(),
        }
    }
}

impl Kind {
    /// As OTP says it.
    pub fn to_atom(self) -> Atom {
        match self {
            Self::Worker => atom!("worker"),
            Self::Supervisor => atom!("supervisor"),
        }
    }
}

impl<S> Answer<S> {
    /// The answer, once it is known whether a process has that pid.
    pub fn settle(self, is_alive: impl FnOnce(Pid) -> bool) -> Self {
        match self {
            Self::UnknownPid(pid, _) if is_alive(pid) => Self::Error(RequestError::NotFound),
            Self::UnknownPid(_, answer) => *answer,
            settled => settled,
        }
    }
}
