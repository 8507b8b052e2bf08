//! OTP's supervisor, transcribed: simple, slow, and blocked in whatever it waits for.
//!
//! It is a process with a mailbox, run over a trace: all that came to the machine, in order. Where
//! OTP's `supervisor` receives, the next event is taken from the trace; where it waits for a start or for
//! the end of a child, all that comes before that is put into the mailbox. So nothing of the machine's states
//! is in it, and what it writes down must be what the machine did, line for line.
//!
//! It deviates from OTP where the machine does:
//! - a shutdown is heeded at once, in the waits too, and gives up a start;
//! - a child has at most one `try_again_restart` under way, and none once it was ended or restarted
//!   with others;
//! - restarts are timed to the millisecond; `which_child` finds an instance that is restarting, and
//!   `count_children` does not count one that was ended meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_otp::supervisor::{
    AutoShutdown, ChildSpec, Flags, Kind, Request, Restart, Shutdown, Strategy,
};
use purlin_term::Term;

use super::supervised::{Plan, Start};

/// What came.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Start,
    Request(u32, Request<Start>),
    Exit(u32, Reason),
    /// Of the start under way.
    Outcome(Plan),
    Shutdown(Reason),
    /// Time has passed.
    Time,
}

/// Why the supervisor does not go on where it is.
enum Halt {
    Ending,
    /// The machine did not wait for anything more here.
    EndOfTrace,
}

type Go<T> = Result<T, Halt>;

enum Mail {
    Exit(u32, Reason),
    Request(u32, Request<Start>),
    TryAgain(Name),
}

/// By what a child is found.
#[derive(Debug, Clone, PartialEq)]
enum Name {
    Id(Term),
    Was(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pid {
    Undefined,
    Runs(u32),
    Restarting(Option<u32>),
}

#[derive(Debug, Clone)]
struct Child {
    spec: ChildSpec<Start>,
    pid: Pid,
}

pub(crate) struct Reference {
    flags: Flags,
    /// In the order of starts; of dynamic strategies, in the order of pids.
    children: Vec<Child>,
    template: Option<ChildSpec<Start>>,
    restarts: Vec<Duration>,
    trace: VecDeque<(Duration, Event)>,
    mailbox: VecDeque<Mail>,
    now: Duration,
    ending: Option<Reason>,
    pids: u32,
    log: Vec<String>,
}

impl Reference {
    /// What OTP's supervisor does when all this comes to it.
    pub(crate) fn run(
        flags: Flags,
        specs: Vec<ChildSpec<Start>>,
        trace: Vec<(Duration, Event)>,
    ) -> Vec<String> {
        let pid = Pid::Undefined;
        let is_simple = flags.strategy.is_dynamic();
        let mut this = Self {
            flags,
            template: specs.first().filter(|_| is_simple).cloned(),
            children: match is_simple {
                true => Vec::new(),
                false => specs.into_iter().map(|spec| Child { spec, pid }).collect(),
            },
            restarts: Vec::new(),
            trace: trace.into(),
            mailbox: VecDeque::new(),
            now: Duration::ZERO,
            ending: None,
            pids: 0,
            log: Vec::new(),
        };
        match this.init() {
            Err(Halt::EndOfTrace) => this.say("waits in vain"),
            Err(Halt::Ending) | Ok(()) => {
                if this.terminate().is_err() {
                    this.say("waits in vain");
                }
            }
        }
        this.log
    }

    fn say(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }

    fn report(&mut self, context: &str, reason: impl std::fmt::Display, id: &Term) {
        self.say(format!("report {context} {reason} {id}"));
    }

    fn is_simple(&self) -> bool {
        self.flags.strategy.is_dynamic()
    }

    // The process.

    fn receive(&mut self) -> Go<Event> {
        let (now, event) = self.trace.pop_front().ok_or(Halt::EndOfTrace)?;
        self.now = now;
        match &event {
            Event::Request(to, request) => {
                self.mailbox.push_back(Mail::Request(*to, request.clone()));
            }
            Event::Exit(pid, reason) => self.mailbox.push_back(Mail::Exit(*pid, reason.clone())),
            Event::Shutdown(reason) if self.ending.is_none() => self.ending = Some(reason.clone()),
            _ => {}
        }
        Ok(event)
    }

    fn check_ending(&self) -> Go<()> {
        match self.ending {
            Some(_) => Err(Halt::Ending),
            None => Ok(()),
        }
    }

    fn stop<T>(&mut self, reason: Reason) -> Go<T> {
        self.ending.get_or_insert(reason);
        Err(Halt::Ending)
    }

    fn init(&mut self) -> Go<()> {
        while !matches!(self.receive()?, Event::Start) {
            self.check_ending()?;
        }
        if let Err((id, reason)) = self.start_children(0)? {
            let failed = [Term::clone(&failed_to_start()), id, Term::clone(&reason)];
            let shutdown = [Term::clone(&reason::shutdown()), Term::tuple(failed)];
            return self.stop(Reason::new(Term::tuple(shutdown)));
        }
        self.say("started");
        loop {
            self.check_ending()?;
            match self.mailbox.pop_front() {
                Some(mail) => self.handle(mail)?,
                None => drop(self.receive()?),
            }
        }
    }

    fn handle(&mut self, mail: Mail) -> Go<()> {
        match mail {
            Mail::Exit(pid, reason) => self.do_restart(pid, &reason),
            Mail::Request(to, request) => self.handle_call(to, request),
            Mail::TryAgain(name) => match self.find(&name) {
                Some(at) if matches!(self.children[at].pid, Pid::Restarting(_)) => self.restart(at),
                _ => Ok(()),
            },
        }
    }

    fn terminate(&mut self) -> Go<()> {
        if self.is_simple() {
            self.terminate_dynamic_children()?;
        } else {
            while let Some(at) = self.children.len().checked_sub(1) {
                self.do_terminate(at)?;
                self.children.pop();
            }
        }
        let reason = self.ending.clone().expect("it ends");
        self.say(format!("exit {reason}"));
        Ok(())
    }

    // Starts.

    /// Where it came up, the caller notes so before it looks whether the supervisor ends.
    fn do_start_child(&mut self, start: Start) -> Go<Plan> {
        self.say(format!("start {start}"));
        loop {
            let before = self.ending.is_some();
            if let Event::Outcome(outcome) = self.receive()? {
                self.pids += u32::from(matches!(outcome, Plan::Up | Plan::UpWith(_)));
                return Ok(outcome);
            }
            if !before && self.ending.is_some() {
                self.say(format!("give up {start}"));
            }
        }
    }

    fn start_children(&mut self, from: usize) -> Go<Result<(), (Term, Reason)>> {
        let mut at = from;
        while at < self.children.len() && !self.is_simple() {
            let spec = self.children[at].spec.clone();
            match self.do_start_child(spec.start)? {
                Plan::Up | Plan::UpWith(_) => self.children[at].pid = Pid::Runs(self.pids),
                Plan::Error(reason) => {
                    self.check_ending()?;
                    self.report("start_error", &reason, &spec.id);
                    return Ok(Err((spec.id, Reason::new(reason))));
                }
                _ if spec.is_temporary() => {
                    self.children.remove(at);
                    self.check_ending()?;
                    continue;
                }
                _ => {}
            }
            self.check_ending()?;
            at += 1;
        }
        Ok(Ok(()))
    }

    // Ends.

    fn flush_exit(&mut self, pid: u32) -> Option<Reason> {
        let is_it = |mail: &Mail| matches!(mail, Mail::Exit(other, _) if *other == pid);
        let at = self.mailbox.iter().position(is_it)?;
        match self.mailbox.remove(at) {
            Some(Mail::Exit(_, reason)) => Some(reason),
            _ => None,
        }
    }

    fn tell(&mut self, pid: u32, shutdown: Shutdown) -> Option<Duration> {
        let word = match shutdown {
            Shutdown::BrutalKill => "kill",
            _ => "shutdown",
        };
        self.say(format!("{word} {pid}"));
        match shutdown {
            Shutdown::Timeout(time) => Some(self.now + time),
            _ => None,
        }
    }

    fn do_terminate(&mut self, at: usize) -> Go<()> {
        let Child { spec, pid } = self.children[at].clone();
        if let Pid::Runs(pid) = pid {
            let reason = match self.flush_exit(pid) {
                Some(reason) => reason,
                None => self.shutdown(pid, spec.shutdown)?,
            };
            if !is_fine(&spec, &reason) {
                self.report("shutdown_error", &reason, &spec.id);
            }
        }
        Ok(())
    }

    fn shutdown(&mut self, pid: u32, shutdown: Shutdown) -> Go<Reason> {
        let mut deadline = self.tell(pid, shutdown);
        loop {
            let event = self.receive()?;
            if let Some(reason) = self.flush_exit(pid) {
                return Ok(reason);
            }
            let is_over = deadline.is_some_and(|deadline| deadline <= self.now);
            if matches!(event, Event::Time) && is_over {
                deadline = None;
                self.say(format!("kill {pid}"));
            }
        }
    }

    fn terminate_dynamic_children(&mut self) -> Go<()> {
        let mut failed: Vec<(Term, usize)> = Vec::new();
        let mut waits = Vec::new();
        let mut gone = Vec::new();
        for Child { spec, pid } in self.children.clone() {
            let Pid::Runs(pid) = pid else { continue };
            match self.flush_exit(pid) {
                Some(reason) => gone.push((spec, reason)),
                None => {
                    let deadline = self.tell(pid, spec.shutdown);
                    waits.push((pid, spec, deadline));
                }
            }
        }
        while !waits.is_empty() {
            let event = self.receive()?;
            let mut rest = Vec::new();
            for (pid, spec, mut deadline) in waits {
                if let Some(reason) = self.flush_exit(pid) {
                    gone.push((spec, reason));
                    continue;
                }
                let is_over = deadline.is_some_and(|deadline| deadline <= self.now);
                if matches!(event, Event::Time) && is_over {
                    deadline = None;
                    self.say(format!("kill {pid}"));
                }
                rest.push((pid, spec, deadline));
            }
            waits = rest;
        }
        for (spec, reason) in gone {
            if !is_fine(&spec, &reason) {
                let found = failed.iter_mut().find(|(other, _)| *other == *reason);
                match found {
                    Some((_, count)) => *count += 1,
                    None => failed.push((Term::clone(&reason), 1)),
                }
            }
        }
        failed.sort();
        for (reason, count) in failed {
            self.say(format!("report shutdown_error {reason} {count} children"));
        }
        Ok(())
    }

    // Restarts.

    fn do_restart(&mut self, pid: u32, reason: &Reason) -> Go<()> {
        let is_it = |child: &Child| child.pid == Pid::Runs(pid);
        let Some(at) = self.children.iter().position(is_it) else {
            return Ok(());
        };
        let spec = self.children[at].spec.clone();
        let is_orderly = reason::is_orderly(reason);
        if spec.restart == Restart::Permanent || !is_orderly {
            self.report("child_terminated", reason, &spec.id);
        }
        let is_transient = spec.restart == Restart::Transient;
        if spec.restart == Restart::Permanent || (is_transient && !is_orderly) {
            return self.restart(at);
        }
        self.del_child(at);
        let is_significant = |child: &Child| child.spec.significant && child.pid != Pid::Undefined;
        match self.flags.auto_shutdown {
            AutoShutdown::AnySignificant if spec.significant => self.stop(reason::shutdown()),
            AutoShutdown::AllSignificant
                if spec.significant && !self.children.iter().any(is_significant) =>
            {
                self.stop(reason::shutdown())
            }
            _ => Ok(()),
        }
    }

    fn del_child(&mut self, at: usize) {
        self.forget_attempts(at);
        if self.is_simple() || self.children[at].spec.is_temporary() {
            self.children.remove(at);
        } else {
            self.children[at].pid = Pid::Undefined;
        }
    }

    fn restart(&mut self, at: usize) -> Go<()> {
        let (now, period) = (self.now, self.flags.period);
        self.restarts.retain(|restart| now - *restart <= period);
        if self.restarts.len() == self.flags.intensity as usize {
            let id = self.children[at].spec.id.clone();
            self.report("shutdown", "reached_max_restart_intensity", &id);
            self.del_child(at);
            return self.stop(reason::shutdown());
        }
        self.restarts.push(now);
        match self.flags.strategy {
            Strategy::OneForAll => self.restart_multiple_children(0, at),
            Strategy::RestForOne => self.restart_multiple_children(at, at),
            _ => self.restart_one(at),
        }
    }

    fn restart_one(&mut self, at: usize) -> Go<()> {
        let spec = self.children[at].spec.clone();
        let was = self.children[at].pid.was();
        self.children[at].pid = Pid::Restarting(was);
        match self.do_start_child(spec.start)? {
            Plan::Error(reason) => {
                self.check_ending()?;
                self.report("start_error", &reason, &spec.id);
                let name = self.name(at);
                self.mailbox.push_back(Mail::TryAgain(name));
            }
            Plan::Up | Plan::UpWith(_) => self.children[at].pid = Pid::Runs(self.pids),
            _ if self.is_simple() => drop(self.children.remove(at)),
            _ => self.children[at].pid = Pid::Undefined,
        }
        if self.is_simple() {
            self.children.sort_by_key(|child| child.pid.was());
        }
        self.check_ending()
    }

    fn restart_multiple_children(&mut self, from: usize, at: usize) -> Go<()> {
        let child = self.children[at].spec.id.clone();
        let was = self.children[at].pid.was();
        self.forget_attempts(at);
        self.children[at].pid = Pid::Undefined;
        for at in (from..self.children.len()).rev() {
            self.do_terminate(at)?;
            self.del_child(at);
            self.check_ending()?;
        }
        if let Err((failed, _)) = self.start_children(from)? {
            let name = Name::Id(failed.clone());
            let at = self.find(&name).expect("it is there");
            self.children[at].pid = Pid::Restarting(was.filter(|_| failed == child));
            self.mailbox.push_back(Mail::TryAgain(name));
        }
        Ok(())
    }

    fn forget_attempts(&mut self, at: usize) {
        let name = self.name(at);
        self.mailbox
            .retain(|mail| !matches!(mail, Mail::TryAgain(other) if *other == name));
    }

    fn name(&self, at: usize) -> Name {
        match self.is_simple() {
            true => Name::Was(self.children[at].pid.was().unwrap_or_default()),
            false => Name::Id(self.children[at].spec.id.clone()),
        }
    }

    fn find(&self, name: &Name) -> Option<usize> {
        self.children.iter().position(|child| match name {
            Name::Id(id) => child.spec.id == *id,
            Name::Was(pid) => child.pid.was() == Some(*pid),
        })
    }

    // Calls.

    fn handle_call(&mut self, to: u32, request: Request<Start>) -> Go<()> {
        let answer = match request {
            Request::StartChild(_) if self.flags.strategy == Strategy::SimpleOneForOne => {
                error("simple_one_for_one")
            }
            Request::StartChild(spec) => self.start_child(spec)?,
            Request::StartInstance(start) => match self.template.clone() {
                Some(template) => self.start_child(ChildSpec { start, ..template })?,
                None => "{error,{invalid_child_spec,[]}}".into(),
            },
            Request::TerminateChild(id) => match self.find_child(&id) {
                Ok(at) => {
                    let name = self.name(at);
                    self.do_terminate(at)?;
                    let at = self.find(&name).expect("nobody else removes it");
                    self.del_child(at);
                    self.check_ending()?;
                    "ok".into()
                }
                Err(answer) => answer,
            },
            Request::RestartChild(id) => match self.find_stopped(&id) {
                Ok(at) => self.restart_child(at)?,
                Err(answer) => answer,
            },
            Request::DeleteChild(id) => match self.find_stopped(&id) {
                Ok(at) => {
                    self.children.remove(at);
                    "ok".into()
                }
                Err(answer) => answer,
            },
            Request::WhichChildren => {
                let show = |child| self.show(child);
                let mut all: Vec<_> = self.children.iter().map(show).collect();
                if !self.is_simple() {
                    all.reverse();
                }
                all.join(", ")
            }
            Request::WhichChild(id) => match self.find_child(&id) {
                Ok(at) => self.show(&self.children[at]),
                Err(answer) if answer.starts_with("unknown") => error("not_found"),
                Err(answer) => answer,
            },
            Request::CountChildren => self.count_children(),
            Request::GetChildspec(_) => "spec".into(),
        };
        self.say(format!("{to}: {answer}"));
        Ok(())
    }

    fn start_child(&mut self, spec: ChildSpec<Start>) -> Go<String> {
        let is_full = self.flags.max_children == Some(self.children.len());
        let is_elixirs = self.flags.strategy == Strategy::Dynamic;
        if self.is_simple() && is_full {
            return Ok(error("max_children"));
        }
        if !self.is_simple()
            && let Some(at) = self.find(&Name::Id(spec.id.clone()))
        {
            return Ok(match self.children[at].pid {
                Pid::Runs(pid) => format!("already_started {pid}"),
                _ => error("already_present"),
            });
        }
        let outcome = self.do_start_child(spec.start)?;
        let (pid, answer) = match outcome {
            Plan::Up => (Pid::Runs(self.pids), format!("ok {}", self.pids)),
            Plan::UpWith(extra) => (Pid::Runs(self.pids), format!("ok {} {extra}", self.pids)),
            Plan::Error(_) if !self.is_simple() => (Pid::Undefined, "not started".into()),
            Plan::Error(reason) => (Pid::Undefined, format!("{{error,{reason}}}")),
            _ if is_elixirs => (Pid::Undefined, "ignore".into()),
            _ => (Pid::Undefined, "{ok,undefined}".into()),
        };
        let is_ignored = !self.is_simple() && answer.ends_with("undefined}");
        if pid != Pid::Undefined || (is_ignored && !spec.is_temporary()) {
            self.children.push(Child { spec, pid });
        }
        self.check_ending()?;
        Ok(answer)
    }

    fn restart_child(&mut self, at: usize) -> Go<String> {
        let start = self.children[at].spec.start;
        let outcome = self.do_start_child(start)?;
        if let Plan::Up | Plan::UpWith(_) = outcome {
            self.children[at].pid = Pid::Runs(self.pids);
        }
        self.check_ending()?;
        Ok(match outcome {
            Plan::Up => format!("ok {}", self.pids),
            Plan::UpWith(extra) => format!("ok {} {extra}", self.pids),
            Plan::Error(reason) => format!("{{error,{reason}}}"),
            _ => "{ok,undefined}".into(),
        })
    }

    fn find_child(&self, id: &Term) -> Result<usize, String> {
        if !self.is_simple() {
            let found = self.find(&Name::Id(id.clone()));
            return found.ok_or_else(|| error("not_found"));
        }
        let pid = id.as_pid().ok_or_else(|| error("simple_one_for_one"))?;
        self.find(&Name::Was(pid.id))
            .ok_or_else(|| match self.flags.strategy {
                Strategy::Dynamic => error("not_found"),
                _ => format!("unknown {}", pid.id),
            })
    }

    fn find_stopped(&self, id: &Term) -> Result<usize, String> {
        if self.is_simple() {
            return Err(error("simple_one_for_one"));
        }
        let at = self.find_child(id)?;
        match self.children[at].pid {
            Pid::Undefined => Ok(at),
            Pid::Runs(_) => Err(error("running")),
            Pid::Restarting(_) => Err(error("restarting")),
        }
    }

    fn show(&self, child: &Child) -> String {
        let id = match self.is_simple() {
            true => "undefined".into(),
            false => child.spec.id.to_string(),
        };
        match child.pid {
            Pid::Undefined => format!("{id} undefined"),
            Pid::Runs(pid) => format!("{id} {pid}"),
            Pid::Restarting(_) => format!("{id} restarting"),
        }
    }

    fn count_children(&self) -> String {
        let is_alive = |child: &&Child| match child.pid {
            Pid::Runs(_) if self.is_simple() => true,
            Pid::Runs(pid) => !self
                .mailbox
                .iter()
                .any(|mail| matches!(mail, Mail::Exit(other, _) if *other == pid)),
            _ => false,
        };
        let all = self.children.len();
        let active = self.children.iter().filter(is_alive).count();
        let is_supervisor = |child: &&Child| child.spec.kind == Kind::Supervisor;
        let supervisors = self.children.iter().filter(is_supervisor).count();
        let specs = match self.flags.strategy {
            Strategy::SimpleOneForOne => 1,
            _ => all,
        };
        format!("{specs} {active} {supervisors} {}", all - supervisors)
    }
}

impl Pid {
    fn was(self) -> Option<u32> {
        match self {
            Self::Undefined => None,
            Self::Runs(pid) => Some(pid),
            Self::Restarting(was) => was,
        }
    }
}

fn error(word: &str) -> String {
    format!("{{error,{word}}}")
}

fn failed_to_start() -> Reason {
    super::supervised::why("failed_to_start_child")
}

/// The reasons that `shutdown/1` takes for `ok`.
fn is_fine(spec: &ChildSpec<Start>, reason: &Reason) -> bool {
    let is_told = match spec.shutdown {
        Shutdown::BrutalKill => reason.is_atom("killed"),
        _ => reason.is_atom("shutdown"),
    };
    is_told || (spec.restart != Restart::Permanent && reason::is_orderly(reason))
}
