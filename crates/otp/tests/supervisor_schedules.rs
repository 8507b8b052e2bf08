//! Supervisors under random schedules, compared with OTP's, transcribed, and watched by a judge.
//!
//! A schedule is a list of numbers: the first say what supervisor it is, each other picks one step: a
//! child ends, the start under way comes out, a child that was told to end does, somebody asks, time
//! passes, the supervisor is told to end. After the list it is told to end, and everything is let end.
//! What the machine did must be, line for line, what `reference_supervisor` does. Besides, whatever
//! the reference says:
//!
//! - `J1` no two children of one id live at a time, and one start is under way at most;
//! - `J2` only the living are told to end, ordered children one after another, none twice in the same way;
//! - `J3` after the last output nothing comes, and nobody lives;
//! - `J4` each request is answered once, or not at all if the supervisor ended before;
//! - `J5` within a `period`, no more than `intensity` ends of children lead to a restart.

#![allow(clippy::disallowed_macros, reason = "a search says how far it went")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use purlin_otp::reason::{self, Reason};
use purlin_otp::supervisor::{
    AutoShutdown, Backoff, ChildSpec, Flags, How, Kind, Request, Restart, Shutdown, Strategy,
};
use purlin_term::Term;
use support::reference_supervisor::{Event, Reference};
use support::supervised::{Plan, Start, Supervised, child, millis, shutdown_with, term, why};

type Verdict = Result<(), String>;

const IDS: [Start; 6] = ["a", "b", "c", "d", "e", "f"];
/// Dynamic children that Elixir's supervisor takes here.
const CHILDREN_MAX: usize = 4;
/// Steps after which a supervisor that was told to end has to have ended.
const STEPS_TO_END: usize = 200;

struct World {
    sup: Supervised,
    flags: Flags,
    trace: Vec<(Duration, Event)>,
    lines: Vec<String>,
}

fn flags(numbers: [u8; 4]) -> Flags {
    let [strategy, intensity, auto_shutdown, _] = numbers;
    let strategy = match strategy % 8 {
        0 | 1 => Strategy::OneForOne,
        2 | 3 => Strategy::OneForAll,
        4 | 5 => Strategy::RestForOne,
        6 => Strategy::SimpleOneForOne,
        _ => Strategy::Dynamic,
    };
    Flags {
        strategy,
        intensity: [0, 1, 2, 3, 5, 8, 20, 50][usize::from(intensity % 8)],
        period: millis(60),
        auto_shutdown: match auto_shutdown % 4 {
            _ if strategy.is_dynamic() => AutoShutdown::Never,
            0 | 1 => AutoShutdown::Never,
            2 => AutoShutdown::AnySignificant,
            _ => AutoShutdown::AllSignificant,
        },
        max_children: strategy.is_dynamic().then_some(CHILDREN_MAX),
        backoff: None,
    }
}

fn spec(flags: &Flags, id: Start, how: u8) -> ChildSpec<Start> {
    let restart = match how % 4 {
        0 | 1 => Restart::Permanent,
        2 => Restart::Transient,
        _ => Restart::Temporary,
    };
    let may_be_significant =
        flags.auto_shutdown != AutoShutdown::Never && restart != Restart::Permanent;
    ChildSpec {
        restart,
        significant: may_be_significant && how & 4 != 0,
        shutdown: match how / 8 % 4 {
            0 => Shutdown::BrutalKill,
            1 => Shutdown::Infinity,
            2 => Shutdown::Timeout(millis(20)),
            _ => Shutdown::Timeout(millis(35)),
        },
        kind: match how < 200 {
            true => Kind::Worker,
            false => Kind::Supervisor,
        },
        ..child(id)
    }
}

fn specs(flags: &Flags, how: [u8; 4]) -> Vec<ChildSpec<Start>> {
    match flags.strategy {
        Strategy::SimpleOneForOne => vec![spec(flags, "template", how[0])],
        Strategy::Dynamic => Vec::new(),
        _ => {
            let count = usize::from(how[3] % 4) + 1;
            let hows = how.into_iter().zip(IDS).take(count);
            hows.map(|(how, id)| spec(flags, id, how)).collect()
        }
    }
}

fn why_it_ends(how: u8) -> Reason {
    match how % 8 {
        0 => reason::normal(),
        1 => reason::shutdown(),
        2 => shutdown_with("x"),
        3 => reason::killed(),
        4 => why("bang"),
        _ => why("boom"),
    }
}

fn ensure(holds: bool, offence: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(offence()) }
}

impl World {
    fn new(flags: Flags, specs: Vec<ChildSpec<Start>>) -> Self {
        let mut sup = Supervised::new(flags.clone(), specs);
        sup.is_slow = true;
        Self {
            sup,
            flags,
            trace: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn step(&mut self, [what, which, how, more]: [u8; 4]) -> Verdict {
        let living: Vec<u32> = self.sup.living.keys().map(|pid| pid.id).collect();
        let told: Vec<u32> = self.sup.told.keys().copied().collect();
        match what % 32 {
            0..6 => match living.get(usize::from(which).checked_rem(living.len()).unwrap_or(0)) {
                Some(child) => self.exit(*child, why_it_ends(how)),
                None => Ok(()),
            },
            6..16 if self.sup.is_starting() => self.come_out(how),
            6..16 => match told.get(usize::from(which).checked_rem(told.len()).unwrap_or(0)) {
                Some(child) => self.heed(*child, how),
                None => Ok(()),
            },
            16..26 => self.request(which, how, more),
            26..31 => self.pass(millis(u64::from(how % 25))),
            _ if which < 10 => self.shutdown(why_it_ends(how)),
            _ => Ok(()),
        }
    }

    fn note(&mut self, event: Event) {
        self.trace.push((self.sup.now, event));
    }

    fn start(&mut self) -> Verdict {
        self.note(Event::Start);
        self.sup.start();
        self.judge()
    }

    fn exit(&mut self, child: u32, reason: Reason) -> Verdict {
        self.note(Event::Exit(child, reason.clone()));
        self.sup.exits(child, reason);
        self.judge()
    }

    /// A child ends as it was told to, or in another way.
    fn heed(&mut self, child: u32, how: u8) -> Verdict {
        let reason = match self.sup.told.get(&child) {
            _ if how < 60 => why_it_ends(how),
            Some(How::Kill) => reason::killed(),
            _ => reason::shutdown(),
        };
        self.exit(child, reason)
    }

    fn come_out(&mut self, how: u8) -> Verdict {
        let has_started = self.lines.iter().any(|line| line == "started");
        let plan = match how % 16 {
            0..9 => Plan::Up,
            9 => Plan::UpWith("extra"),
            10 => Plan::Ignore,
            // Most supervisors get beyond their beginning.
            _ if !has_started && how < 200 => Plan::Up,
            _ => Plan::Error(term("e")),
        };
        self.note(Event::Outcome(plan.clone()));
        self.sup.comes_out(plan);
        self.judge()
    }

    fn request(&mut self, which: u8, how: u8, more: u8) -> Verdict {
        let id = IDS[usize::from(which) % IDS.len()];
        let known = match self.flags.strategy.is_dynamic() {
            true => Term::from(self.sup.pid(u32::from(which) % (self.sup.pids + 2))),
            false => term(id),
        };
        let request = match how % 16 {
            0..4 if self.flags.strategy == Strategy::SimpleOneForOne => Request::StartInstance(id),
            0..4 => Request::StartChild(spec(&self.flags, id, more)),
            4..7 => Request::TerminateChild(known),
            7..9 => Request::RestartChild(known),
            9 | 10 => Request::DeleteChild(known),
            11 | 12 => Request::WhichChildren,
            13 => Request::WhichChild(known),
            _ => Request::CountChildren,
        };
        self.note(Event::Request(self.sup.requests + 1, request.clone()));
        self.sup.ask(request);
        self.judge()
    }

    /// Time passes, and each timer fires when it is due.
    fn pass(&mut self, time: Duration) -> Verdict {
        let end = self.sup.now + time;
        while let Some(due) = self.sup.machine.poll_timeout().filter(|due| *due <= end) {
            let step = due.saturating_sub(self.sup.now);
            self.sup.now += step;
            self.note(Event::Time);
            self.sup.pass(Duration::ZERO);
            self.judge()?;
        }
        self.sup.now = end;
        self.note(Event::Time);
        Ok(())
    }

    fn shutdown(&mut self, reason: Reason) -> Verdict {
        self.note(Event::Shutdown(reason.clone()));
        self.sup.shutdown(reason);
        self.judge()
    }

    fn settle(&mut self) -> Verdict {
        self.shutdown(reason::shutdown())?;
        for _ in 0..STEPS_TO_END {
            if self.sup.is_starting() {
                self.come_out(0)?;
            } else if let Some(child) = self.sup.told.keys().next().copied() {
                self.heed(child, u8::MAX)?;
            }
        }
        let has_ended = self.sup.machine.has_ended();
        ensure(has_ended, || "J3: it does not end".into())?;
        ensure(self.sup.living.is_empty(), || "J3: children live".into())
    }

    fn judge(&mut self) -> Verdict {
        self.lines.extend(self.sup.log());
        let (now, period) = (self.sup.now, self.flags.period);
        self.sup.restarts.retain(|restart| now - *restart <= period);
        let (count, intensity) = (self.sup.restarts.len(), self.flags.intensity as usize);
        ensure(count <= intensity, || format!("J5: {count} restarts"))?;
        self.judge_ids()?;
        self.judge_told()
    }

    fn judge_ids(&self) -> Verdict {
        if self.flags.strategy.is_dynamic() {
            return Ok(());
        }
        let mut seen = BTreeMap::new();
        for (pid, id) in &self.sup.living {
            let other = seen.insert(id, pid);
            ensure(other.is_none(), || format!("J1: {id} lives twice"))?;
        }
        Ok(())
    }

    fn judge_told(&self) -> Verdict {
        let told = self.sup.told.len();
        let is_fine = self.flags.strategy.is_dynamic() || told <= 1;
        ensure(is_fine, || format!("J2: {told} are being ended at once"))
    }

    fn judge_replies(&self) -> Verdict {
        let mut answers = BTreeMap::new();
        for line in &self.lines {
            if let Some((to, _)) = line.split_once(": ")
                && let Ok(to) = to.parse::<u32>()
            {
                *answers.entry(to).or_insert(0) += 1;
            }
        }
        let twice = answers.iter().find(|(_, count)| **count > 1);
        ensure(twice.is_none(), || format!("J4: {twice:?}"))
    }
}

/// What both say in short.
fn in_short(line: &str) -> String {
    match line.split_once(": ") {
        Some((to, answer)) if answer.contains("{child,undefined") => format!("{to}: not started"),
        _ => line.to_owned(),
    }
}

fn run(schedule: &[[u8; 4]], backoff: Option<Backoff>) -> Result<Vec<String>, String> {
    let [first, second, steps @ ..] = schedule else {
        return Ok(Vec::new());
    };
    let flags = Flags {
        backoff,
        ..flags(*first)
    };
    let specs = specs(&flags, *second);
    let mut world = World::new(flags.clone(), specs.clone());
    world.start()?;
    for step in steps {
        world.step(*step)?;
    }
    world.settle()?;
    world.judge_replies()?;
    let lines: Vec<_> = world.lines.iter().map(|line| in_short(line)).collect();
    if backoff.is_none() {
        let expected = Reference::run(flags, specs, world.trace);
        let differ = lines.iter().zip(&expected).position(|(a, b)| a != b);
        let at = differ.unwrap_or(lines.len().min(expected.len()));
        ensure(lines == expected, || {
            let (did, should) = (lines.get(at), expected.get(at));
            format!(
                "line {at}: {did:?} and not {should:?}, after {:#?}",
                &lines[..at]
            )
        })?;
    }
    Ok(lines)
}

/// Schedules tried: enough that each thing below happens hundreds of times, in a few seconds.
const CASES: u32 = 8000;

/// What has to happen often enough for the comparison to mean something.
const HAPPENINGS: [&str; 14] = [
    "start a",
    "give up",
    "kill",
    "shutdown",
    "already_started",
    "report start_error",
    "report child_terminated",
    "report shutdown_error",
    "report shutdown reached_max_restart_intensity",
    "exit shutdown",
    "exit {shutdown,{failed_to_start_child",
    "{error,restarting}",
    "max_children",
    "ignore",
];

fn search(backoff: Option<Backoff>) -> BTreeMap<&'static str, usize> {
    let schedules = prop::collection::vec(any::<[u8; 4]>(), 10..200);
    let happened = RefCell::new(BTreeMap::new());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    // The same schedules in every run.
    let seeded = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, seeded).run(&schedules, |schedule| {
        let lines = run(&schedule, backoff).map_err(TestCaseError::fail)?;
        for what in HAPPENINGS {
            let is_it = |line: &&String| {
                let answer = line.split_once(": ").map_or("", |(_, answer)| answer);
                line.starts_with(what) || answer.contains(what)
            };
            let count = lines.iter().filter(is_it).count();
            *happened.borrow_mut().entry(what).or_insert(0) += count;
        }
        Ok(())
    });
    if let Err(offence) = outcome {
        panic!("{offence}");
    }
    happened.into_inner()
}

#[test]
fn a_supervisor_does_what_otps_does_under_any_schedule() {
    let happened = search(None);
    println!("{CASES} schedules: {happened:#?}");
    let least = happened.values().min().copied().unwrap_or(0);
    assert!(
        least > 100,
        "a comparison of nothing proves nothing: {happened:?}"
    );
}

#[test]
fn with_delays_the_judge_has_nothing_to_say_either() {
    search(Some(Backoff {
        min: millis(5),
        max: millis(30),
        factor: 2,
    }));
}

#[test]
fn the_same_schedule_twice_is_the_same_course() {
    let schedule: Vec<[u8; 4]> = (0..200_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    assert_eq!(run(&schedule, None), run(&schedule, None));
}
