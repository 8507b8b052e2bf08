//! A supervisor and its children by hand: starts come out and children end as a test planned, at
//! once; what happens is written down in short lines.
//!
//! `start a`, `give up a`, `shutdown 1`, `kill 1` (children by the order in which they came up),
//! `7: ok` (the answer to request 7), `report child_terminated boom a`, `started`, `exit shutdown`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_otp::supervisor::{
    Answer, ChildSpec, Context, Flags, How, Output, Report, Request, Restart, Shutdown,
    StartOutcome, Status, Supervisor, Token, Who,
};
use purlin_term::{Atom, Pid, Term};

use super::{node, pid};

pub(crate) type Start = &'static str;

/// How the next start of a child comes out.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Up,
    UpWith(&'static str),
    Ignore,
    Error(Term),
    /// It does not, until the test says so.
    Hold,
}

pub(crate) struct Supervised {
    pub(crate) machine: Supervisor<Start, u32>,
    pub(crate) now: Duration,
    log: Vec<String>,
    plans: BTreeMap<Start, VecDeque<Plan>>,
    /// Children that do not heed `shutdown`, and what others end with when told to.
    stubborn: BTreeSet<u32>,
    last_words: BTreeMap<u32, Reason>,
    pub(crate) living: BTreeMap<Pid, Start>,
    held: Option<(Token, Start)>,
    /// Starts come out and children end only when the test says so.
    pub(crate) is_slow: bool,
    /// Children that were told to end and live, and with what last.
    pub(crate) told: BTreeMap<u32, How>,
    /// For each progress report, whether the start was asked for.
    pub(crate) progress: Vec<bool>,
    /// When ends of children led to a restart.
    pub(crate) restarts: Vec<Duration>,
    pub(crate) pids: u32,
    pub(crate) requests: u32,
}

pub(crate) fn term(text: &str) -> Term {
    Atom::new(text).unwrap().into()
}

pub(crate) fn why(text: &str) -> Reason {
    Reason::new(term(text))
}

/// `{shutdown, Word}`.
pub(crate) fn shutdown_with(word: &str) -> Reason {
    Reason::new(Term::tuple([term("shutdown"), term(word)]))
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A permanent worker that is started by its id.
pub(crate) fn child(id: Start) -> ChildSpec<Start> {
    ChildSpec::worker(term(id), id)
}

pub(crate) fn child_that_is(id: Start, restart: Restart) -> ChildSpec<Start> {
    ChildSpec {
        restart,
        ..child(id)
    }
}

pub(crate) fn significant(id: Start, restart: Restart) -> ChildSpec<Start> {
    ChildSpec {
        significant: true,
        ..child_that_is(id, restart)
    }
}

pub(crate) fn ended_by(id: Start, shutdown: Shutdown) -> ChildSpec<Start> {
    ChildSpec {
        shutdown,
        ..child(id)
    }
}

impl Supervised {
    /// Before it is started.
    pub(crate) fn new(flags: Flags, specs: impl Into<Vec<ChildSpec<Start>>>) -> Self {
        Self {
            machine: Supervisor::new(flags, specs.into()).unwrap(),
            now: Duration::ZERO,
            log: Vec::new(),
            plans: BTreeMap::new(),
            stubborn: BTreeSet::new(),
            last_words: BTreeMap::new(),
            living: BTreeMap::new(),
            held: None,
            is_slow: false,
            told: BTreeMap::new(),
            progress: Vec::new(),
            restarts: Vec::new(),
            pids: 0,
            requests: 0,
        }
    }

    /// Started, with the log empty.
    pub(crate) fn started(flags: Flags, specs: impl Into<Vec<ChildSpec<Start>>>) -> Self {
        let mut this = Self::new(flags, specs);
        this.start();
        assert_eq!(this.log().last().unwrap(), "started");
        this
    }

    pub(crate) fn start(&mut self) {
        self.machine.start(self.now);
        self.carry_out();
    }

    /// The next starts of a child come out so.
    pub(crate) fn plan(&mut self, id: Start, plans: impl IntoIterator<Item = Plan>) {
        self.plans.entry(id).or_default().extend(plans);
    }

    pub(crate) fn is_stubborn(&mut self, child: u32) {
        self.stubborn.insert(child);
    }

    pub(crate) fn ends_with(&mut self, child: u32, reason: Reason) {
        self.last_words.insert(child, reason);
    }

    pub(crate) fn pid(&self, child: u32) -> Pid {
        pid(node("a@supervisor"), child)
    }

    /// A child ends by itself.
    pub(crate) fn exits(&mut self, child: u32, reason: Reason) {
        let pid = self.pid(child);
        assert!(self.living.remove(&pid).is_some(), "{child} is dead");
        self.told.remove(&child);
        self.machine.child_exited(self.now, pid, reason);
        self.carry_out();
    }

    pub(crate) fn ask(&mut self, request: Request<Start>) {
        self.requests += 1;
        self.machine
            .handle_request(self.now, self.requests, request);
        self.carry_out();
    }

    /// Asks, and gives the one line that is the answer.
    pub(crate) fn answer(&mut self, request: Request<Start>) -> String {
        self.log.clear();
        self.ask(request);
        let prefix = format!("{}: ", self.requests);
        let answers = self
            .log
            .iter()
            .filter_map(|line| line.strip_prefix(&prefix));
        let answers: Vec<_> = answers.map(str::to_owned).collect();
        self.log.clear();
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
        answers[0].clone()
    }

    pub(crate) fn shutdown(&mut self, reason: Reason) {
        self.machine.shutdown(self.now, reason);
        self.carry_out();
    }

    /// The start that was held comes out.
    pub(crate) fn comes_out(&mut self, plan: Plan) {
        let (token, id) = self.held.take().expect("a start is held");
        self.come_out(token, id, plan);
        self.carry_out();
    }

    /// Lets time pass, with what is due on the way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            self.carry_out();
        }
        self.now = end;
    }

    /// Whether a start is under way.
    pub(crate) fn is_starting(&self) -> bool {
        self.held.is_some()
    }

    /// What happened since it was asked last.
    pub(crate) fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// `which_children`, in short: `b 2, a restarting`.
    pub(crate) fn which(&mut self) -> String {
        self.answer(Request::WhichChildren)
    }

    /// `count_children`: specs, active, supervisors, workers.
    pub(crate) fn counts(&mut self) -> String {
        self.answer(Request::CountChildren)
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            assert!(
                !self.log.last().is_some_and(|line| line.starts_with("exit")),
                "I4: {output:?} after the end"
            );
            match output {
                Output::Start { token, id, start } => {
                    let is_named = id.as_atom().is_some() && !id.is_atom("undefined");
                    assert!(!is_named || id == term(start), "{id} is started by {start}");
                    self.log.push(format!("start {start}"));
                    let plan = self.plans.get_mut(start).and_then(VecDeque::pop_front);
                    let usual = if self.is_slow { Plan::Hold } else { Plan::Up };
                    assert!(self.held.is_none(), "I1: two starts at once");
                    self.come_out(token, start, plan.unwrap_or(usual));
                }
                Output::GiveUp { token } => {
                    let (held, id) = self.held.expect("a start is under way");
                    assert_eq!(held, token);
                    self.log.push(format!("give up {id}"));
                }
                Output::Terminate { pid, how } => self.terminate(pid, how),
                Output::Reply { to, answer } => {
                    self.log.push(format!("{to}: {}", show_answer(&answer)));
                }
                Output::Report(report) => self.report(&report),
                Output::Started => self.log.push("started".into()),
                Output::Exit(reason) => {
                    assert!(self.living.is_empty(), "I4: {:?} live", self.living);
                    self.log.push(format!("exit {reason}"));
                }
            }
        }
    }

    fn come_out(&mut self, token: Token, id: Start, plan: Plan) {
        let extra = match plan {
            Plan::UpWith(extra) => Some(term(extra)),
            _ => None,
        };
        let outcome = match plan {
            Plan::Up | Plan::UpWith(_) => {
                self.pids += 1;
                let pid = self.pid(self.pids);
                self.living.insert(pid, id);
                StartOutcome::Started(pid, extra)
            }
            Plan::Ignore => StartOutcome::Ignore,
            Plan::Error(reason) => StartOutcome::Error(Reason::new(reason)),
            Plan::Hold => {
                self.held = Some((token, id));
                return;
            }
        };
        self.machine.child_started(self.now, token, outcome);
    }

    fn terminate(&mut self, pid: Pid, how: How) {
        let word = match how {
            How::Shutdown => "shutdown",
            How::Kill => "kill",
        };
        self.log.push(format!("{word} {}", pid.id));
        assert!(self.living.contains_key(&pid), "{pid:?} is dead");
        if self.is_slow {
            let before = self.told.insert(pid.id, how);
            let is_new = before.is_none_or(|before| before == How::Shutdown && how == How::Kill);
            assert!(is_new, "{pid:?} is told twice to end");
            return;
        }
        let reason = match how {
            How::Kill => reason::killed(),
            How::Shutdown if self.stubborn.contains(&pid.id) => return,
            How::Shutdown => {
                let words = self.last_words.get(&pid.id).cloned();
                words.unwrap_or_else(reason::shutdown)
            }
        };
        self.living.remove(&pid);
        self.machine.child_exited(self.now, pid, reason);
    }

    fn report(&mut self, report: &Report<Start>) {
        match report.context {
            Context::ChildTerminated if !report.offender.spec.is_temporary() => {
                self.restarts.push(self.now);
            }
            // The restart that was one too many, of a start that failed or of a child that ended.
            Context::Shutdown => drop(self.restarts.pop()),
            _ => {}
        }
        let reason = &report.reason;
        if let Context::Progress { is_requested } = report.context {
            self.progress.push(is_requested);
        } else {
            let context = report.context.to_atom();
            let who = match report.offender.who {
                Who::Children(count) => format!("{count} children"),
                Who::Child(_) => report.offender.spec.id.to_string(),
            };
            self.log.push(format!("report {context:?} {reason} {who}"));
        }
    }
}

fn show_status(status: Status) -> String {
    match status {
        Status::Running(pid) => pid.id.to_string(),
        other => other.to_term().to_string(),
    }
}

fn show_answer(answer: &Answer<Start>) -> String {
    match answer {
        Answer::Started(Some(pid), None) => format!("ok {}", pid.id),
        Answer::Started(Some(pid), Some(extra)) => format!("ok {} {extra}", pid.id),
        Answer::Children(children) => {
            let show = |child: &purlin_otp::supervisor::ChildInfo| {
                format!("{} {}", child.id, show_status(child.status))
            };
            children.iter().map(show).collect::<Vec<_>>().join(", ")
        }
        Answer::Child(child) => format!("{} {}", child.id, show_status(child.status)),
        Answer::Counts(it) => {
            format!(
                "{} {} {} {}",
                it.specs, it.active, it.supervisors, it.workers
            )
        }
        Answer::UnknownPid(pid, _) => format!("unknown {}", pid.id),
        Answer::Error(purlin_otp::supervisor::RequestError::AlreadyStarted(pid)) => {
            format!("already_started {}", pid.id)
        }
        other => {
            let start = |start: &Option<Start>| term(start.unwrap_or("undefined"));
            other.to_term(start).to_string()
        }
    }
}
