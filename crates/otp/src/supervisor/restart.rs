//! What the end of a child leads to: nothing, a restart by the strategy, or the supervisor's end.
//!
//! Source: `do_restart/3`, `restart/2` and `do_auto_shutdown/2` of OTP's `supervisor`. Those who are
//! restarted together are all from `from` on, whether they ran or not, but temporary ones, as in
//! OTP.

use std::time::Duration;

use purlin_term::{Pid, Term, atom};

use super::answer::Status;
use super::children::Place;
use super::job::{Course, Goal, Group, Job, Pending, Slot, Then};
use super::output::Context;
use super::spec::Restart;
use super::{AutoShutdown, Strategy, Supervisor};
use crate::reason::{self, Reason};

impl<S: Clone, T> Supervisor<S, T> {
    pub(super) fn handle_exit(&mut self, now: Duration, pid: Pid, reason: Reason) {
        let Some(slot) = self.slot_of(pid) else {
            return;
        };
        let Some((restart, is_significant)) = self.kind_of_restart(slot) else {
            return;
        };
        let is_orderly = reason::is_orderly(&reason);
        if restart == Restart::Permanent || !is_orderly {
            self.report(Context::ChildTerminated, reason, slot, Status::Running(pid));
        }
        match restart {
            Restart::Permanent => self.restart(now, slot),
            Restart::Transient if !is_orderly => self.restart(now, slot),
            Restart::Transient | Restart::Temporary => {
                self.forget(slot);
                if is_significant {
                    self.shut_down_automatically(now);
                }
            }
        }
    }

    /// Restarts a child, unless there were too many restarts already.
    pub(super) fn restart(&mut self, now: Duration, slot: Slot) {
        let (intensity, period) = (self.flags.intensity, self.flags.period);
        if !self.intensity.add_restart(now, intensity, period) {
            let reason = Reason::new(atom!("reached_max_restart_intensity").into());
            self.report(Context::Shutdown, reason, slot, self.status(slot));
            self.forget(slot);
            return self.end(now, reason::shutdown());
        }
        if self.flags.backoff.is_none() {
            return self.restart_now(now, slot);
        }
        match self.group(slot, true) {
            Some(group) => self.terminate_group(now, group),
            None => {
                self.set_restarting(slot);
                self.wait(now, slot);
            }
        }
    }

    /// Restarts a child, with those that the strategy says.
    pub(super) fn restart_now(&mut self, now: Duration, slot: Slot) {
        match (self.group(slot, false), slot) {
            (Some(group), _) => self.terminate_group(now, group),
            (None, Slot::Ordered(place)) => {
                self.set_restarting(slot);
                self.start_place(place, Goal::Alone(slot));
            }
            (None, Slot::Dynamic(pid)) => {
                self.set_restarting(slot);
                let start = self
                    .instances
                    .get(pid)
                    .and_then(|child| child.start.clone());
                let start = start.expect("only temporary children lack a start");
                self.begin_start(Term::from(atom!("undefined")), start, Goal::Alone(slot));
            }
        }
    }

    /// Ends those of a group that run. That for whose sake it is does not.
    fn terminate_group(&mut self, now: Duration, group: Group) {
        self.forget_place(group.child);
        self.terminate_below(now, group.from, None, Then::Restart(group));
    }

    /// Those of the group have ended.
    pub(super) fn restart_group(&mut self, now: Duration, group: Group) {
        if group.is_delayed {
            self.job = Job::Idle;
            let status = Status::Restarting(group.was);
            self.children.set_status(group.child, status);
            self.wait(now, Slot::Ordered(group.child));
        } else {
            self.start_from(group.from, Course::Restart(group));
        }
    }

    fn wait(&mut self, now: Duration, slot: Slot) {
        if let Some(backoff) = &self.flags.backoff {
            self.delays.wait(now, slot, backoff);
        }
    }

    /// A child that ended for good: it is kept, unless it is temporary.
    pub(super) fn forget(&mut self, slot: Slot) {
        match slot {
            Slot::Ordered(place) => self.forget_place(place),
            Slot::Dynamic(pid) => self.forget_instance(pid),
        }
    }

    pub(super) fn forget_place(&mut self, place: Place) {
        let Some(child) = self.children.get(place) else {
            return;
        };
        if child.spec.is_temporary() {
            self.children.remove(place);
        } else {
            if let Status::Restarting(_) = child.status {
                self.stop_trying(place);
            }
            self.children.set_status(place, Status::Undefined);
        }
    }

    /// What waits to restart an instance finds it gone: no other is ever kept under its pid.
    pub(super) fn forget_instance(&mut self, pid: Pid) {
        self.delays.forget(Slot::Dynamic(pid));
        self.instances.remove(pid);
    }

    /// Nothing that waits restarts this child any more.
    fn stop_trying(&mut self, place: Place) {
        let slot = Slot::Ordered(place);
        self.delays.stop_waiting(slot);
        self.pending.retain(|pending| {
            !matches!(pending, Pending::TryAgain(other) | Pending::Restart(other) if *other == slot)
        });
    }

    /// Those who are restarted with a child, if the strategy has any.
    fn group(&self, slot: Slot, is_delayed: bool) -> Option<Group> {
        let Slot::Ordered(child) = slot else {
            return None;
        };
        let from = match self.flags.strategy {
            Strategy::OneForAll => Place::FIRST,
            Strategy::RestForOne => child,
            _ => return None,
        };
        let was = match self.status(slot) {
            Status::Running(pid) => Some(pid),
            Status::Restarting(was) => was,
            Status::Undefined => None,
        };
        Some(Group {
            from,
            child,
            was,
            is_delayed,
        })
    }

    fn set_restarting(&mut self, slot: Slot) {
        match (slot, self.status(slot)) {
            (Slot::Ordered(place), Status::Running(pid)) => {
                self.children
                    .set_status(place, Status::Restarting(Some(pid)));
            }
            (Slot::Dynamic(pid), _) => self.instances.set_restarting(pid),
            _ => {}
        }
    }

    fn kind_of_restart(&self, slot: Slot) -> Option<(Restart, bool)> {
        match slot {
            Slot::Ordered(place) => {
                let spec = &self.children.get(place)?.spec;
                Some((spec.restart, spec.significant))
            }
            Slot::Dynamic(pid) => Some((self.instances.get(pid)?.spec.restart, false)),
        }
    }

    /// A significant child ended for good.
    fn shut_down_automatically(&mut self, now: Duration) {
        let ends = match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !self
                .children
                .iter()
                .any(|child| child.spec.significant && child.status != Status::Undefined),
        };
        if ends {
            self.end(now, reason::shutdown());
        }
    }
}
