//! The requests, each taken up when nothing is under way.
//!
//! Source: `handle_call/3` of OTP's `supervisor`.

use std::time::Duration;

use purlin_term::{Term, atom};

use super::answer::{Answer, ChildInfo, Counts, Request, RequestError, Status};
use super::job::{Goal, Slot};
use super::spec::{ChildSpec, Kind, SpecError};
use super::{Strategy, Supervisor};

type Refused<S, A> = Result<A, RequestError<S>>;

impl<S: Clone, T> Supervisor<S, T> {
    pub(super) fn request(&mut self, now: Duration, to: T, request: Request<S>) {
        let answer = match request {
            Request::StartChild(spec) => return self.start_child(to, spec),
            Request::StartInstance(start) => return self.start_instance(to, start),
            Request::TerminateChild(id) => return self.terminate_child(now, to, &id),
            Request::RestartChild(id) => return self.restart_child(to, &id),
            Request::DeleteChild(id) => self.delete_child(&id),
            Request::WhichChildren => Ok(Answer::Children(self.which_children())),
            Request::WhichChild(id) => self.which_child(&id),
            Request::CountChildren => Ok(Answer::Counts(self.count_children())),
            Request::GetChildspec(id) => self.get_childspec(&id),
        };
        self.reply(to, answer.unwrap_or_else(Answer::Error));
    }

    fn start_child(&mut self, to: T, spec: ChildSpec<S>) {
        match self.check_new(&spec) {
            Err(error) => self.reply(to, Answer::Error(error)),
            Ok(()) if self.flags.strategy == Strategy::Dynamic => {
                let (spec, start) = spec.with_start(());
                let spec = self.instances.share(spec);
                let kept = (!spec.is_temporary()).then(|| start.clone());
                self.begin_start(undefined(), start, Goal::NewInstance(to, spec, kept));
            }
            Ok(()) => {
                let id = spec.id.clone();
                let kept = (!spec.is_temporary()).then(|| spec.start.clone());
                let (spec, start) = spec.with_start(kept);
                self.begin_start(id, start, Goal::New(to, spec));
            }
        }
    }

    fn check_new(&self, spec: &ChildSpec<S>) -> Refused<S, ()> {
        match self.flags.strategy {
            Strategy::SimpleOneForOne => return Err(RequestError::SimpleOneForOne),
            Strategy::Dynamic => self.check_room()?,
            _ => {}
        }
        let auto_shutdown = Some(self.flags.auto_shutdown);
        spec.check(auto_shutdown).map_err(RequestError::Invalid)?;
        match self.children.find(&spec.id).map(|(_, child)| child.status) {
            None => Ok(()),
            Some(Status::Running(pid)) => Err(RequestError::AlreadyStarted(pid)),
            Some(_) => Err(RequestError::AlreadyPresent),
        }
    }

    fn check_room(&self) -> Refused<S, ()> {
        let max = self.flags.max_children;
        match max.is_some_and(|max| self.instances.len() >= max) {
            true => Err(RequestError::MaxChildren),
            false => Ok(()),
        }
    }

    fn start_instance(&mut self, to: T, start: S) {
        let Some(template) = &self.template else {
            let error = atom!("invalid_child_spec");
            let value = Term::nil();
            let error = RequestError::Invalid(SpecError::Invalid { error, value });
            return self.reply(to, Answer::Error(error));
        };
        let spec = template.spec.clone();
        match self.check_room() {
            Err(error) => self.reply(to, Answer::Error(error)),
            Ok(()) => {
                let kept = (!spec.is_temporary()).then(|| start.clone());
                self.begin_start(undefined(), start, Goal::NewInstance(to, spec, kept));
            }
        }
    }

    fn terminate_child(&mut self, now: Duration, to: T, id: &Term) {
        match self.find(id) {
            Ok(Found::Slot(slot)) => self.terminate_slot(now, slot, to),
            Ok(Found::Stranger(pid)) => self.reply(to, stranger(pid, Answer::Done)),
            Err(error) => self.reply(to, Answer::Error(error)),
        }
    }

    fn restart_child(&mut self, to: T, id: &Term) {
        match self.find_stopped(id) {
            Ok(place) => self.start_place(place, Goal::Requested(to, place)),
            Err(error) => self.reply(to, Answer::Error(error)),
        }
    }

    fn delete_child(&mut self, id: &Term) -> Refused<S, Answer<S>> {
        let place = self.find_stopped(id)?;
        self.children.remove(place);
        self.delays.forget(Slot::Ordered(place));
        Ok(Answer::Done)
    }

    fn which_child(&self, id: &Term) -> Refused<S, Answer<S>> {
        let Found::Slot(slot) = self.find(id)? else {
            return Err(RequestError::NotFound);
        };
        let spec = self.spec(slot).ok_or(RequestError::NotFound)?;
        let id = match slot {
            Slot::Ordered(_) => spec.id.clone(),
            Slot::Dynamic(_) => undefined(),
        };
        Ok(Answer::Child(info(id, self.status(slot), &spec)))
    }

    fn which_children(&self) -> Vec<ChildInfo> {
        if self.flags.strategy.is_dynamic() {
            let children = self.instances.iter();
            let info = |(pid, child): (_, &super::instances::Instance<S>)| {
                info(undefined(), child.status(pid), &child.spec)
            };
            return children.map(info).collect();
        }
        let children = self.children.iter().rev();
        let info = |child: &super::children::Child<S>| {
            info(child.spec.id.clone(), child.status, &child.spec)
        };
        children.map(info).collect()
    }

    fn count_children(&self) -> Counts {
        if self.flags.strategy.is_dynamic() {
            let (all, supervisors) = (self.instances.len(), self.instances.supervisors());
            return Counts {
                specs: match self.flags.strategy {
                    Strategy::SimpleOneForOne => 1,
                    _ => all,
                },
                active: all - self.instances.restarting(),
                supervisors,
                workers: all - supervisors,
            };
        }
        let mut counts = Counts::default();
        for child in self.children.iter() {
            counts.specs += 1;
            match child.spec.kind {
                Kind::Supervisor => counts.supervisors += 1,
                Kind::Worker => counts.workers += 1,
            }
            if let Status::Running(pid) = child.status {
                counts.active += usize::from(!self.exits.contains_key(&pid));
            }
        }
        counts
    }

    fn get_childspec(&self, id: &Term) -> Refused<S, Answer<S>> {
        if let Some(template) = &self.template {
            let spec = || {
                let start = Some(template.start.clone());
                let (spec, ()) = ChildSpec::clone(&template.spec).with_start(start);
                Answer::Spec(Box::new(spec))
            };
            return match id.as_pid() {
                Some(pid) if self.instances.get(pid).is_none() => Ok(stranger(pid, spec())),
                None if template.spec.id != *id => Err(RequestError::NotFound),
                _ => Ok(spec()),
            };
        }
        match self.find(id)? {
            Found::Slot(slot) => {
                let spec = self.spec(slot).ok_or(RequestError::NotFound)?;
                Ok(Answer::Spec(Box::new(spec)))
            }
            Found::Stranger(_) => Err(RequestError::NotFound),
        }
    }

    fn find(&self, id: &Term) -> Refused<S, Found> {
        if !self.flags.strategy.is_dynamic() {
            let found = self.children.find(id).ok_or(RequestError::NotFound)?;
            return Ok(Found::Slot(Slot::Ordered(found.0)));
        }
        let pid = id.as_pid().ok_or(RequestError::SimpleOneForOne)?;
        match self.instances.get(pid) {
            Some(_) => Ok(Found::Slot(Slot::Dynamic(pid))),
            None if self.flags.strategy == Strategy::Dynamic => Err(RequestError::NotFound),
            None => Ok(Found::Stranger(pid)),
        }
    }

    fn find_stopped(&self, id: &Term) -> Refused<S, super::children::Place> {
        if self.flags.strategy.is_dynamic() {
            return Err(RequestError::SimpleOneForOne);
        }
        let (place, child) = self.children.find(id).ok_or(RequestError::NotFound)?;
        match child.status {
            Status::Undefined => Ok(place),
            Status::Running(_) => Err(RequestError::Running),
            Status::Restarting(_) => Err(RequestError::Restarting),
        }
    }
}

/// Whom a request names.
enum Found {
    Slot(Slot),
    /// A pid that `SimpleOneForOne` does not know.
    Stranger(purlin_term::Pid),
}

fn stranger<S>(pid: purlin_term::Pid, if_dead: Answer<S>) -> Answer<S> {
    Answer::UnknownPid(pid, Box::new(if_dead))
}

fn info<S>(id: Term, status: Status, spec: &ChildSpec<S>) -> ChildInfo {
    ChildInfo {
        id,
        status,
        kind: spec.kind,
        modules: spec.modules.to_term(),
    }
}

fn undefined() -> Term {
    atom!("undefined").into()
}
