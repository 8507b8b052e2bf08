//! How children are ended: one after another, or all dynamic ones at once; and with them the
//! supervisor.
//!
//! Source: `shutdown/1`, `terminate_children/2` and `terminate_dynamic_children/1` of OTP's
//! `supervisor`.

use std::collections::BTreeMap;
use std::time::Duration;

use purlin_term::{Pid, Term};

use super::Supervisor;
use super::answer::{Answer, Status};
use super::children::Place;
use super::job::{Draining, Job, Slot, Terminating, Then};
use super::output::{Context, How, Offender, Output, Who};
use super::spec::{ChildSpec, Restart, Shutdown};
use crate::reason::{self, Reason};

impl<S: Clone, T> Supervisor<S, T> {
    /// The supervisor ends; only the first reason counts.
    pub(super) fn end(&mut self, now: Duration, reason: Reason) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(reason);
        self.pending.clear();
        self.delays.clear();
        match &mut self.job {
            Job::New | Job::Idle => self.end_children(now),
            Job::Starting { token, .. } => {
                let token = *token;
                self.output(Output::GiveUp { token });
            }
            Job::Terminating(terminating) => {
                terminating.then = Then::End;
                terminating.below = None;
            }
            Job::Draining(_) | Job::Ended => {}
        }
    }

    /// Ends what runs, then the supervisor.
    pub(super) fn end_children(&mut self, now: Duration) {
        if self.flags.strategy.is_dynamic() {
            self.drain(now);
        } else {
            self.terminate_below(now, Place::FIRST, None, Then::End);
        }
    }

    /// Ends the children from one on, the last first, beginning before `below`.
    pub(super) fn terminate_below(
        &mut self,
        now: Duration,
        from: Place,
        mut below: Option<Place>,
        then: Then<T>,
    ) {
        while let Some(place) = self.children.last_from(from, below) {
            below = Some(place);
            let slot = Slot::Ordered(place);
            if let Status::Running(pid) = self.status(slot) {
                match self.exits.remove(&pid) {
                    Some(reason) => self.check_reason(slot, pid, reason),
                    None => return self.begin_terminate(now, slot, pid, then),
                }
            }
            self.forget_place(place);
        }
        match then {
            Then::Restart(group) => self.restart_group(now, group),
            Then::End => self.finish(),
            Then::Reply(to) => {
                self.job = Job::Idle;
                self.reply(to, Answer::Done);
            }
        }
    }

    /// `terminate_child` of one that is there.
    pub(super) fn terminate_slot(&mut self, now: Duration, slot: Slot, to: T) {
        if let Status::Running(pid) = self.status(slot) {
            match self.exits.remove(&pid) {
                Some(reason) => self.check_reason(slot, pid, reason),
                None => return self.begin_terminate(now, slot, pid, Then::Reply(to)),
            }
        }
        self.forget(slot);
        self.reply(to, Answer::Done);
    }

    fn begin_terminate(&mut self, now: Duration, slot: Slot, pid: Pid, then: Then<T>) {
        let shutdown = match slot {
            Slot::Ordered(place) => self.children.get(place).map(|child| child.spec.shutdown),
            Slot::Dynamic(pid) => self.instances.get(pid).map(|child| child.spec.shutdown),
        };
        let shutdown = shutdown.unwrap_or(Shutdown::BrutalKill);
        self.job = Job::Terminating(Terminating {
            slot,
            pid,
            deadline: shutdown.time().map(|time| now.saturating_add(time)),
            below: match slot {
                Slot::Ordered(place) => Some(place),
                Slot::Dynamic(_) => None,
            },
            then,
        });
        let how = shutdown.how();
        self.output(Output::Terminate { pid, how });
    }

    /// The child that is being ended has.
    pub(super) fn terminated(&mut self, now: Duration, reason: Reason) {
        let Job::Terminating(done) = std::mem::replace(&mut self.job, Job::Idle) else {
            return;
        };
        self.check_reason(done.slot, done.pid, reason);
        self.forget(done.slot);
        match done.then {
            Then::Reply(to) => self.reply(to, Answer::Done),
            Then::End if self.flags.strategy.is_dynamic() => self.drain(now),
            Then::End => self.terminate_below(now, Place::FIRST, done.below, Then::End),
            Then::Restart(group) => {
                self.terminate_below(now, group.from, done.below, Then::Restart(group));
            }
        }
    }

    /// Kills those whose time is over.
    pub(super) fn kill_overdue(&mut self, now: Duration) {
        let how = How::Kill;
        match &mut self.job {
            Job::Terminating(Terminating { pid, deadline, .. }) => {
                let pid = *pid;
                if deadline.take_if(|deadline| *deadline <= now).is_some() {
                    self.output(Output::Terminate { pid, how });
                }
            }
            Job::Draining(draining) => {
                let mut overdue = Vec::new();
                while let Some(first) = draining.deadlines.first_entry()
                    && *first.key() <= now
                {
                    overdue.push(Shutdown::Timeout(first.remove()));
                }
                for (pid, instance) in self.instances.iter() {
                    if overdue.contains(&instance.spec.shutdown) {
                        self.outbox.push_back(Output::Terminate { pid, how });
                    }
                }
            }
            _ => {}
        }
    }

    /// Ends all dynamic children at once.
    fn drain(&mut self, now: Duration) {
        self.job = Job::Draining(Draining::default());
        let mut deadlines = BTreeMap::new();
        let mut gone = Vec::new();
        for (pid, instance) in self.instances.iter() {
            if instance.is_restarting || self.exits.contains_key(&pid) {
                gone.push(pid);
                continue;
            }
            let shutdown = instance.spec.shutdown;
            if let Some(time) = shutdown.time() {
                deadlines.insert(now.saturating_add(time), time);
            }
            let how = shutdown.how();
            self.outbox.push_back(Output::Terminate { pid, how });
        }
        if let Job::Draining(draining) = &mut self.job {
            draining.deadlines = deadlines;
        }
        for pid in gone {
            match self.exits.remove(&pid) {
                Some(reason) => self.note_drained(pid, reason),
                None => drop(self.instances.remove(pid)),
            }
        }
        self.finish_draining();
    }

    /// One of the dynamic children that are being ended has.
    pub(super) fn drained(&mut self, pid: Pid, reason: Reason) {
        self.note_drained(pid, reason);
        self.finish_draining();
    }

    fn note_drained(&mut self, pid: Pid, reason: Reason) {
        if let Some(instance) = self.instances.remove(pid)
            && let Job::Draining(draining) = &mut self.job
            && !is_expected(&reason, &instance.spec)
        {
            let failed = draining.failed.entry(Term::clone(&reason));
            failed.or_insert((0, instance.spec)).0 += 1;
        }
    }

    fn finish_draining(&mut self) {
        if self.instances.len() > 0 {
            return;
        }
        if let Job::Draining(draining) = &mut self.job {
            for (reason, (count, spec)) in std::mem::take(&mut draining.failed) {
                let (spec, ()) = ChildSpec::clone(&spec).with_start(None);
                let who = Who::Children(count);
                let offender = Offender { who, spec };
                self.report_about(Context::ShutdownError, Reason::new(reason), offender);
            }
        }
        self.finish();
    }

    /// All have ended.
    fn finish(&mut self) {
        self.job = Job::Ended;
        self.exits.clear();
        let reason = self.ending.clone().unwrap_or_else(reason::shutdown);
        self.output(Output::Exit(reason));
    }

    /// A child that was ended is reported if it ended in another way than it should have.
    fn check_reason(&mut self, slot: Slot, pid: Pid, reason: Reason) {
        let is_fine = match slot {
            Slot::Ordered(place) => {
                let child = self.children.get(place);
                child.is_none_or(|child| is_expected(&reason, &child.spec))
            }
            Slot::Dynamic(pid) => {
                let child = self.instances.get(pid);
                child.is_none_or(|child| is_expected(&reason, &child.spec))
            }
        };
        if !is_fine {
            self.report(Context::ShutdownError, reason, slot, Status::Running(pid));
        }
    }
}

impl Shutdown {
    fn how(self) -> How {
        match self {
            Self::BrutalKill => How::Kill,
            Self::Timeout(_) | Self::Infinity => How::Shutdown,
        }
    }

    fn time(self) -> Option<Duration> {
        match self {
            Self::Timeout(time) => Some(time),
            Self::BrutalKill | Self::Infinity => None,
        }
    }
}

/// Whether a child that was ended did so as it should: as it was told, or in good order, where it is
/// not permanent.
fn is_expected<S>(reason: &Reason, spec: &ChildSpec<S>) -> bool {
    let as_told = match spec.shutdown {
        Shutdown::BrutalKill => reason.is_atom("killed"),
        Shutdown::Timeout(_) | Shutdown::Infinity => reason.is_atom("shutdown"),
    };
    as_told || (spec.restart != Restart::Permanent && reason::is_orderly(reason))
}
