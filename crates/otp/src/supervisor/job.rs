//! What a supervisor is doing, and what waits until it has done so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use purlin_term::{Pid, Term};

use super::answer::Request;
use super::children::Place;
use super::output::Token;
use super::spec::ChildSpec;

/// A child that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Ordered(Place),
    /// By its pid, or the one it had.
    Dynamic(Pid),
}

/// The one thing that is under way.
#[derive(Debug, Clone)]
pub(super) enum Job<S, T> {
    /// `start` was not called.
    New,
    Idle,
    Starting {
        token: Token,
        goal: Goal<S, T>,
    },
    Terminating(Terminating<T>),
    Draining(Draining),
    Ended,
}

/// What a start is for.
#[derive(Debug, Clone)]
pub(super) enum Goal<S, T> {
    /// A child among those that are started in order.
    InOrder(Place, Course),
    /// A restart of that child alone.
    Alone(Slot),
    /// `start_child`. What starts it again, if it is.
    New(T, ChildSpec<Option<S>>),
    NewInstance(T, Arc<ChildSpec<()>>, Option<S>),
    /// `restart_child`.
    Requested(T, Place),
}

/// Why children are started in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Course {
    Init,
    Restart(Group),
}

/// Children that are restarted together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// This one and all after it.
    pub(super) from: Place,
    /// For the sake of this one.
    pub(super) child: Place,
    /// The pid that it had.
    pub(super) was: Option<Pid>,
    /// Whether it is to wait before it is started again.
    pub(super) is_delayed: bool,
}

/// One child is being ended.
#[derive(Debug, Clone)]
pub(super) struct Terminating<T> {
    pub(super) slot: Slot,
    pub(super) pid: Pid,
    /// When it is killed.
    pub(super) deadline: Option<Duration>,
    /// Children from here on are not asked for again; none is passed over where there is no such place.
    pub(super) below: Option<Place>,
    pub(super) then: Then<T>,
}

/// What comes when a child has ended.
#[derive(Debug, Clone)]
pub(super) enum Then<T> {
    /// It was `terminate_child`.
    Reply(T),
    /// The others of the group, then a restart.
    Restart(Group),
    /// All others, then the supervisor ends.
    End,
}

/// All dynamic children are being ended at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Draining {
    /// When those with this shutdown time are killed.
    pub(super) deadlines: BTreeMap<Duration, Duration>,
    /// How many ended with a reason that they should not have ended with, and the spec of one.
    pub(super) failed: BTreeMap<Term, (usize, Arc<ChildSpec<()>>)>,
}

/// What waits.
#[derive(Debug, Clone)]
pub(super) enum Pending<S, T> {
    /// The end of a process; why is in `exits`.
    Exit(Pid),
    /// OTP's `try_again_restart`: the restart before has failed.
    TryAgain(Slot),
    /// The delay before a restart is over.
    Restart(Slot),
    Request(T, Request<S>),
}
