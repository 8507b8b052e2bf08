//! Starts: of the children in order, of one, and what follows from how they came out.

use std::time::Duration;

use purlin_term::{Pid, Term, atom};

use super::answer::{Answer, RequestError, Status};
use super::children::Place;
use super::instances::Instance;
use super::job::{Course, Goal, Group, Job, Pending, Slot};
use super::output::{Context, Output, StartOutcome, Token};
use super::spec::{ChildSpec, pair};
use super::{Strategy, Supervisor};
use crate::reason::{self, Reason};

impl<S: Clone, T> Supervisor<S, T> {
    /// A start came out. Only that under way counts.
    pub fn child_started(&mut self, now: Duration, token: Token, outcome: StartOutcome) {
        match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Starting { token: this, goal } if this == token => {
                if self.ending.is_some() {
                    self.came_out_too_late(goal, outcome);
                    self.end_children(now);
                } else {
                    self.came_out(now, goal, outcome);
                }
            }
            other => self.job = other,
        }
        self.go_on(now);
    }

    /// Starts all children from one on, which do not run.
    pub(super) fn start_from(&mut self, from: Place, course: Course) {
        let Some(place) = self.children.first_from(from) else {
            self.job = Job::Idle;
            if let Course::Init = course {
                self.output(Output::Started);
            }
            return;
        };
        self.start_place(place, Goal::InOrder(place, course));
    }

    pub(super) fn start_place(&mut self, place: Place, goal: Goal<S, T>) {
        let Some(child) = self.children.get_mut(place) else {
            return;
        };
        let start = match child.spec.is_temporary() {
            true => child.spec.start.take(),
            false => child.spec.start.clone(),
        };
        let start = start.expect("a temporary child is forgotten when it does not run");
        let id = child.spec.id.clone();
        self.begin_start(id, start, goal);
    }

    pub(super) fn begin_start(&mut self, id: Term, start: S, goal: Goal<S, T>) {
        self.starts += 1;
        self.strangers = 0;
        let token = Token(self.starts);
        self.job = Job::Starting { token, goal };
        self.output(Output::Start { token, id, start });
    }

    /// The supervisor ends: a child that came up all the same is kept, to be ended like the others.
    fn came_out_too_late(&mut self, goal: Goal<S, T>, outcome: StartOutcome) {
        let StartOutcome::Started(pid, _) = outcome else {
            return;
        };
        match goal {
            Goal::InOrder(place, _) | Goal::Alone(Slot::Ordered(place)) => {
                self.runs(place, pid, false);
            }
            Goal::Requested(_, place) => self.runs(place, pid, true),
            Goal::Alone(Slot::Dynamic(before)) => self.runs_again(before, pid),
            Goal::New(_, spec) => {
                let place = self.children.push(spec);
                self.runs(place, pid, true);
            }
            Goal::NewInstance(_, spec, start) => {
                self.instances.insert(pid, Instance::new(spec, start));
            }
        }
    }

    fn came_out(&mut self, now: Duration, goal: Goal<S, T>, outcome: StartOutcome) {
        match goal {
            Goal::InOrder(place, course) => self.in_order(now, place, course, outcome),
            Goal::Alone(Slot::Ordered(place)) => self.alone(place, outcome),
            Goal::Alone(Slot::Dynamic(before)) => self.alone_dynamic(before, outcome),
            Goal::New(to, spec) => {
                let answer = self.new_child(spec, outcome);
                self.reply(to, answer);
            }
            Goal::NewInstance(to, spec, start) => {
                let answer = self.new_instance(Instance::new(spec, start), outcome);
                self.reply(to, answer);
            }
            Goal::Requested(to, place) => {
                let answer = self.requested(place, outcome);
                self.reply(to, answer);
            }
        }
    }

    fn new_child(&mut self, spec: ChildSpec<Option<S>>, outcome: StartOutcome) -> Answer<S> {
        match outcome {
            StartOutcome::Started(pid, extra) => {
                let place = self.children.push(spec);
                self.runs(place, pid, true);
                Answer::Started(Some(pid), extra)
            }
            StartOutcome::Ignore => {
                if !spec.is_temporary() {
                    self.children.push(spec);
                }
                Answer::Started(None, None)
            }
            StartOutcome::Error(reason) => Answer::Error(not_started(reason, spec)),
        }
    }

    fn new_instance(&mut self, instance: Instance<S>, outcome: StartOutcome) -> Answer<S> {
        match outcome {
            StartOutcome::Started(pid, extra) => {
                self.instances.insert(pid, instance);
                Answer::Started(Some(pid), extra)
            }
            StartOutcome::Ignore if self.flags.strategy == Strategy::Dynamic => Answer::Ignored,
            StartOutcome::Ignore => Answer::Started(None, None),
            StartOutcome::Error(reason) => Answer::Error(RequestError::Failed(reason)),
        }
    }

    fn requested(&mut self, place: Place, outcome: StartOutcome) -> Answer<S> {
        match outcome {
            StartOutcome::Started(pid, extra) => {
                self.runs(place, pid, true);
                Answer::Started(Some(pid), extra)
            }
            StartOutcome::Ignore => Answer::Started(None, None),
            StartOutcome::Error(reason) => Answer::Error(RequestError::Failed(reason)),
        }
    }

    fn in_order(&mut self, now: Duration, place: Place, course: Course, outcome: StartOutcome) {
        let slot = Slot::Ordered(place);
        match outcome {
            StartOutcome::Started(pid, _) => self.runs(place, pid, false),
            StartOutcome::Ignore => self.forget_if_temporary(place),
            StartOutcome::Error(reason) => {
                self.report(Context::StartError, reason.clone(), slot, Status::Undefined);
                match course {
                    Course::Init => {
                        let reason = self.failed_to_start(place, &reason);
                        self.end(now, reason);
                    }
                    Course::Restart(group) => self.try_group_again(place, group),
                }
                return;
            }
        }
        self.start_from(place.next(), course);
    }

    fn failed_to_start(&self, place: Place, reason: &Reason) -> Reason {
        let id = self.children.get(place).map(|child| child.spec.id.clone());
        let failed = [
            atom!("failed_to_start_child").into(),
            id.unwrap_or_else(|| atom!("undefined").into()),
            Term::clone(reason),
        ];
        let shutdown = Term::clone(&reason::shutdown());
        Reason::new(pair(shutdown, Term::tuple(failed)))
    }

    /// One of several could not be started: those after it do not run, and it is tried again.
    fn try_group_again(&mut self, place: Place, group: Group) {
        let was = group.was.filter(|_| group.child == place);
        self.children.set_status(place, Status::Restarting(was));
        self.pending
            .push_back(Pending::TryAgain(Slot::Ordered(place)));
    }

    fn alone(&mut self, place: Place, outcome: StartOutcome) {
        let slot = Slot::Ordered(place);
        match outcome {
            StartOutcome::Started(pid, _) => self.runs(place, pid, false),
            StartOutcome::Ignore => self.children.set_status(place, Status::Undefined),
            StartOutcome::Error(reason) => {
                self.report(Context::StartError, reason, slot, self.status(slot));
                self.pending.push_back(Pending::TryAgain(slot));
            }
        }
    }

    fn alone_dynamic(&mut self, before: Pid, outcome: StartOutcome) {
        let slot = Slot::Dynamic(before);
        match outcome {
            StartOutcome::Started(pid, _) => self.runs_again(before, pid),
            StartOutcome::Ignore => self.forget_instance(before),
            StartOutcome::Error(reason) => {
                self.report(Context::StartError, reason, slot, self.status(slot));
                self.pending.push_back(Pending::TryAgain(slot));
            }
        }
    }

    fn runs(&mut self, place: Place, pid: Pid, is_requested: bool) {
        let status = Status::Running(pid);
        self.children.set_status(place, status);
        let context = Context::Progress { is_requested };
        self.report(context, reason::normal(), Slot::Ordered(place), status);
    }

    fn runs_again(&mut self, before: Pid, pid: Pid) {
        if let Some(mut instance) = self.instances.remove(before) {
            instance.is_restarting = false;
            self.instances.insert(pid, instance);
            self.delays
                .rename(Slot::Dynamic(before), Slot::Dynamic(pid));
        }
    }

    fn forget_if_temporary(&mut self, place: Place) {
        if self
            .children
            .get(place)
            .is_some_and(|child| child.spec.is_temporary())
        {
            self.children.remove(place);
        }
    }
}

/// OTP 28 tells what is there already as its own `already_started`, anything else with the child.
fn not_started<S>(reason: Reason, spec: ChildSpec<Option<S>>) -> RequestError<S> {
    let running = match reason.as_tuple() {
        Some([tag, pid]) if tag.is_atom("already_started") => pid.as_pid(),
        _ => None,
    };
    match running {
        Some(pid) => RequestError::AlreadyStarted(pid),
        None => RequestError::NotStarted(reason, Box::new(spec)),
    }
}
