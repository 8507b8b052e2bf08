//! A supervisor by hand, in virtual time: what OTP's `supervisor_SUITE` tests, and what is ours.
//!
//! `docs/otp-suites/supervisor.md` says which case of the suite is tested where.

mod support;

use std::sync::Arc;

use purlin_otp::reason::{self, Reason};
use purlin_otp::supervisor::{
    Answer, AutoShutdown, Backoff, ChildSpec, Flags, FlagsError, InitError, Output, Request,
    RequestError, Restart, Shutdown, SpecError, StartOutcome, Strategy, Supervisor,
};
use purlin_term::Term;
use support::supervised::{
    Plan, Start, Supervised, child, child_that_is, ended_by, millis, shutdown_with, significant,
    term, why,
};
use support::{node, pid};

const ORDERED: [Strategy; 3] = [
    Strategy::OneForOne,
    Strategy::OneForAll,
    Strategy::RestForOne,
];

fn flags(strategy: Strategy, intensity: u32) -> Flags {
    Flags {
        strategy,
        intensity,
        period: millis(3_600_000),
        ..Flags::default()
    }
}

fn one_for_one() -> Flags {
    flags(Strategy::OneForOne, 3)
}

fn simple(restart: Restart, intensity: u32) -> Supervised {
    let template = child_that_is("template", restart);
    Supervised::started(flags(Strategy::SimpleOneForOne, intensity), [template])
}

fn abc(flags: Flags) -> Supervised {
    Supervised::started(flags, ["a", "b", "c"].map(child))
}

fn error() -> Plan {
    Plan::Error(term("e"))
}

// Beginning and end.

#[test]
fn children_start_in_order_and_end_in_reverse_order() {
    for strategy in ORDERED {
        let mut sup = Supervised::new(flags(strategy, 1), ["b", "c", "a"].map(child));
        sup.start();
        assert_eq!(sup.log(), ["start b", "start c", "start a", "started"]);
        assert_eq!(sup.which(), "a 3, c 2, b 1");
        sup.shutdown(reason::shutdown());
        assert_eq!(
            sup.log(),
            ["shutdown 3", "shutdown 2", "shutdown 1", "exit shutdown"]
        );
        assert!(sup.machine.has_ended());
    }
}

#[test]
fn a_supervisor_without_children_is_started_and_ends() {
    let mut sup = Supervised::started(one_for_one(), []);
    assert_eq!(sup.counts(), "0 0 0 0");
    sup.shutdown(why("other"));
    assert_eq!(sup.log(), ["exit other"]);
}

#[test]
fn a_failed_start_at_the_beginning_ends_those_before_and_the_supervisor() {
    let mut sup = Supervised::new(one_for_one(), ["a", "b", "c", "d"].map(child));
    sup.plan("c", [error()]);
    sup.start();
    let expected = [
        "start a",
        "start b",
        "start c",
        "report start_error e c",
        "shutdown 2",
        "shutdown 1",
        "exit {shutdown,{failed_to_start_child,c,e}}",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn what_was_ignored_at_the_beginning_is_kept_unless_it_is_temporary() {
    let specs = [
        child("a"),
        child_that_is("b", Restart::Temporary),
        child_that_is("c", Restart::Temporary),
    ];
    let mut sup = Supervised::new(one_for_one(), specs);
    sup.plan("a", [Plan::Ignore]);
    sup.plan("b", [Plan::Ignore]);
    sup.start();
    assert_eq!(sup.which(), "c 1, a undefined");
    assert_eq!(sup.counts(), "2 1 0 2");
}

#[test]
fn faulty_children_and_flags_are_refused_before_anything_starts() {
    let new =
        |flags, specs: Vec<ChildSpec<Start>>| Supervisor::<Start, u32>::new(flags, specs).map(drop);
    let error = new(one_for_one(), vec![child("a"), child("a")]).unwrap_err();
    assert_eq!(error, InitError::Spec(SpecError::Duplicate(term("a"))));
    assert_eq!(
        error.to_term().to_string(),
        "{start_spec,{duplicate_child_name,a}}"
    );

    let specs = vec![significant("a", Restart::Transient)];
    let error = new(one_for_one(), specs).unwrap_err();
    assert_eq!(
        error.to_term().to_string(),
        "{start_spec,{bad_combination,[{auto_shutdown,never},{significant,true}]}}"
    );

    let simple = flags(Strategy::SimpleOneForOne, 1);
    let error = new(simple.clone(), vec![]).unwrap_err();
    assert_eq!(error.to_term().to_string(), "{bad_start_spec,[]}");
    let error = new(simple.clone(), vec![child("a"), child("b")]).unwrap_err();
    assert_eq!(error, InitError::BadStartSpec(vec![term("a"), term("b")]));

    let auto_shutdown = AutoShutdown::AnySignificant;
    let error = new(
        Flags {
            auto_shutdown,
            ..simple
        },
        vec![child("a")],
    )
    .unwrap_err();
    assert_eq!(
        error,
        InitError::Flags(FlagsError::AutoShutdownOfDynamic(auto_shutdown))
    );
    let period = millis(0);
    let error = new(
        Flags {
            period,
            ..one_for_one()
        },
        vec![],
    )
    .unwrap_err();
    assert_eq!(
        error.to_term().to_string(),
        "{supervisor_data,{invalid_period,0}}"
    );
}

// How children are ended.

#[test]
fn a_child_that_does_not_heed_shutdown_is_killed_after_its_time() {
    let specs = [child("a"), ended_by("b", Shutdown::Timeout(millis(200)))];
    let mut sup = Supervised::started(one_for_one(), specs);
    sup.is_stubborn(2);
    sup.shutdown(reason::shutdown());
    sup.pass(millis(199));
    assert_eq!(sup.log(), ["shutdown 2"]);
    sup.pass(millis(1));
    let expected = [
        "kill 2",
        "report shutdown_error killed b",
        "shutdown 1",
        "exit shutdown",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn brutal_kill_kills_at_once_and_infinity_waits() {
    let specs = [
        ended_by("a", Shutdown::Infinity),
        ended_by("b", Shutdown::BrutalKill),
    ];
    let mut sup = Supervised::started(one_for_one(), specs);
    sup.is_stubborn(1);
    sup.shutdown(reason::shutdown());
    assert_eq!(sup.log(), ["kill 2", "shutdown 1"]);
    sup.pass(millis(1_000_000_000));
    assert_eq!(sup.log(), [""; 0]);
    sup.exits(1, reason::shutdown());
    assert_eq!(sup.log(), ["exit shutdown"]);
}

#[test]
fn a_child_that_ends_otherwise_than_it_was_told_is_reported() {
    let reasons = [
        (reason::shutdown(), "none"),
        (shutdown_with("x"), "permanent"),
        (reason::normal(), "permanent"),
        (why("boom"), "all"),
    ];
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for (reason, reported_of) in reasons.clone() {
            let mut sup = Supervised::started(one_for_one(), [child_that_is("a", restart)]);
            sup.ends_with(1, reason.clone());
            sup.shutdown(reason::shutdown());
            let is_reported = match reported_of {
                "none" => false,
                "all" => true,
                _ => restart == Restart::Permanent,
            };
            let report = format!("report shutdown_error {reason} a");
            let log = sup.log();
            assert_eq!(log.contains(&report), is_reported, "{restart:?} {reason}");
            assert_eq!(log.last().unwrap(), "exit shutdown");
        }
    }
}

#[test]
fn who_is_killed_and_ends_in_good_order_before_is_reported_only_if_permanent() {
    for (restart, count) in [(Restart::Permanent, 1), (Restart::Transient, 0)] {
        let spec = ChildSpec {
            shutdown: Shutdown::BrutalKill,
            ..child_that_is("a", restart)
        };
        let mut sup = Supervised::started(one_for_one(), [spec, child("b")]);
        sup.is_stubborn(2);
        sup.shutdown(reason::shutdown());
        sup.exits(1, reason::normal());
        sup.exits(2, reason::shutdown());
        let log = sup.log();
        let reports = log.iter().filter(|line| line.starts_with("report"));
        assert_eq!(reports.count(), count, "{log:?}");
    }
}

#[test]
fn nobody_waits_for_a_child_that_ended_while_another_was_being_ended() {
    let mut sup = abc(one_for_one());
    sup.is_stubborn(3);
    sup.shutdown(reason::shutdown());
    sup.exits(1, reason::shutdown());
    sup.exits(2, why("boom"));
    assert_eq!(sup.log(), ["shutdown 3"]);
    sup.exits(3, reason::shutdown());
    assert_eq!(sup.log(), ["report shutdown_error boom b", "exit shutdown"]);
}

#[test]
fn only_the_first_shutdown_counts() {
    let mut sup = abc(one_for_one());
    sup.is_stubborn(3);
    sup.shutdown(why("first"));
    sup.shutdown(why("second"));
    sup.exits(3, reason::shutdown());
    assert_eq!(sup.log().last().unwrap(), "exit first");
    sup.shutdown(why("third"));
    assert_eq!(sup.log(), [""; 0]);
}

// Requests.

#[test]
fn requests_are_answered_as_otp_does() {
    let mut sup = Supervised::started(one_for_one(), [child("a")]);
    let a = || term("a");
    assert_eq!(
        sup.answer(Request::StartChild(child("a"))),
        "already_started 1"
    );
    for request in [
        Request::TerminateChild(term("x")),
        Request::DeleteChild(term("x")),
        Request::RestartChild(term("x")),
        Request::GetChildspec(term("x")),
        Request::WhichChild(term("x")),
        Request::TerminateChild(sup.pid(1).into()),
    ] {
        assert_eq!(sup.answer(request), "{error,not_found}");
    }
    assert_eq!(sup.answer(Request::DeleteChild(a())), "{error,running}");
    assert_eq!(sup.answer(Request::RestartChild(a())), "{error,running}");
    assert_eq!(sup.answer(Request::WhichChild(a())), "a 1");
    assert_eq!(sup.counts(), "1 1 0 1");

    assert_eq!(sup.answer(Request::TerminateChild(a())), "ok");
    assert!(sup.living.is_empty());
    assert_eq!(sup.which(), "a undefined");
    assert_eq!(sup.counts(), "1 0 0 1");
    assert_eq!(sup.answer(Request::TerminateChild(a())), "ok");
    assert_eq!(
        sup.answer(Request::StartChild(child("a"))),
        "{error,already_present}"
    );

    assert_eq!(sup.answer(Request::RestartChild(a())), "ok 2");
    assert_eq!(sup.which(), "a 2");
    assert_eq!(sup.answer(Request::TerminateChild(a())), "ok");
    assert_eq!(sup.answer(Request::DeleteChild(a())), "ok");
    assert_eq!(sup.answer(Request::RestartChild(a())), "{error,not_found}");
    assert_eq!(sup.counts(), "0 0 0 0");
    assert_eq!(sup.answer(Request::StartChild(child("a"))), "ok 3");
}

#[test]
fn a_start_tells_what_it_adds_and_why_it_failed() {
    let mut sup = Supervised::started(one_for_one(), []);
    let running = sup.pid(77);
    let already = Term::tuple([term("already_started"), running.into()]);
    sup.plan("a", [error(), Plan::Error(already), Plan::UpWith("extra")]);
    assert_eq!(
        sup.answer(Request::StartChild(child("a"))),
        "{error,{e,{child,undefined,a,a,permanent,false,5000,worker,[]}}}"
    );
    assert_eq!(
        sup.answer(Request::StartChild(child("a"))),
        "already_started 77"
    );
    assert_eq!(sup.which(), "");
    assert_eq!(sup.answer(Request::StartChild(child("a"))), "ok 1 extra");

    sup.answer(Request::TerminateChild(term("a")));
    sup.plan("a", [error(), Plan::Ignore, Plan::UpWith("more")]);
    assert_eq!(sup.answer(Request::RestartChild(term("a"))), "{error,e}");
    assert_eq!(sup.which(), "a undefined");
    assert_eq!(
        sup.answer(Request::RestartChild(term("a"))),
        "{ok,undefined}"
    );
    assert_eq!(sup.answer(Request::RestartChild(term("a"))), "ok 2 more");
}

#[test]
fn a_new_child_that_is_ignored_is_kept_unless_it_is_temporary() {
    let mut sup = Supervised::started(one_for_one(), []);
    sup.plan("a", [Plan::Ignore]);
    sup.plan("b", [Plan::Ignore]);
    let temporary = || Request::StartChild(child_that_is("b", Restart::Temporary));
    assert_eq!(
        sup.answer(Request::StartChild(child("a"))),
        "{ok,undefined}"
    );
    assert_eq!(sup.answer(temporary()), "{ok,undefined}");
    assert_eq!(sup.which(), "a undefined");
    assert_eq!(sup.answer(temporary()), "ok 1");
    assert_eq!(sup.which(), "b 1, a undefined");
}

#[test]
fn a_spec_that_does_not_fit_is_refused() {
    let mut sup = Supervised::started(one_for_one(), []);
    let spec = significant("a", Restart::Transient);
    assert_eq!(
        sup.answer(Request::StartChild(spec)),
        "{error,{bad_combination,[{auto_shutdown,never},{significant,true}]}}"
    );
    let auto_shutdown = AutoShutdown::AllSignificant;
    let mut sup = Supervised::started(
        Flags {
            auto_shutdown,
            ..one_for_one()
        },
        [],
    );
    let spec = significant("a", Restart::Permanent);
    assert_eq!(
        sup.answer(Request::StartChild(spec)),
        "{error,{bad_combination,[{restart,permanent},{significant,true}]}}"
    );
}

#[test]
fn the_spec_of_a_child_is_told_without_the_start_of_a_temporary_one() {
    let mut sup = Supervised::started(one_for_one(), [child("a")]);
    let mut temporary = child_that_is("b", Restart::Temporary);
    temporary.shutdown = Shutdown::BrutalKill;
    sup.answer(Request::StartChild(temporary));
    let spec = |start, restart, shutdown| {
        let spec = format!(
            "restart=>{restart},shutdown=>{shutdown},significant=>false,start=>{start},type=>worker"
        );
        format!("modules=>[],{spec}")
    };
    assert_eq!(
        sup.answer(Request::GetChildspec(term("a")))
            .replace(' ', ""),
        format!("{{ok,#{{id=>a,{}}}}}", spec("a", "permanent", "5000"))
    );
    assert_eq!(
        sup.answer(Request::GetChildspec(term("b")))
            .replace(' ', ""),
        format!(
            "{{ok,#{{id=>b,{}}}}}",
            spec("undefined", "temporary", "brutal_kill")
        )
    );
}

#[test]
fn progress_is_reported_of_ordered_children_and_says_whether_it_was_asked_for() {
    let mut sup = Supervised::started(one_for_one(), [child("a")]);
    sup.exits(1, why("boom"));
    sup.answer(Request::StartChild(child("b")));
    sup.answer(Request::TerminateChild(term("b")));
    sup.answer(Request::RestartChild(term("b")));
    assert_eq!(sup.progress, [false, false, true, true]);
    let mut sup = simple(Restart::Permanent, 1);
    sup.answer(Request::StartInstance("x"));
    assert_eq!(sup.progress, []);
}

#[test]
fn supervisors_are_counted_apart_from_workers() {
    let specs = [
        ChildSpec::supervisor(term("s"), "s"),
        child("a"),
        child("b"),
    ];
    let mut sup = Supervised::started(one_for_one(), specs);
    assert_eq!(sup.counts(), "3 3 1 2");
    sup.answer(Request::TerminateChild(term("s")));
    assert_eq!(sup.counts(), "3 2 1 2");
}

// What the end of a child leads to.

#[test]
fn permanent_transient_and_temporary_children_are_restarted_or_kept_or_forgotten() {
    use Restart::{Permanent, Temporary, Transient};
    let orderly = [reason::normal(), reason::shutdown(), shutdown_with("x")];
    let failures = [why("boom"), reason::killed(), reason::noproc()];
    let run = |restart, reason: &Reason| {
        let mut sup = Supervised::started(one_for_one(), [child_that_is("a", restart)]);
        sup.exits(1, reason.clone());
        let log = sup.log();
        let report = format!("report child_terminated {reason} a");
        (sup.which(), log.contains(&report))
    };
    for reason in &orderly {
        assert_eq!(run(Permanent, reason), ("a 2".into(), true));
        assert_eq!(run(Transient, reason), ("a undefined".into(), false));
        assert_eq!(run(Temporary, reason), (String::new(), false));
    }
    for reason in &failures {
        assert_eq!(run(Permanent, reason), ("a 2".into(), true));
        assert_eq!(run(Transient, reason), ("a 2".into(), true));
        assert_eq!(run(Temporary, reason), (String::new(), true));
    }
}

#[test]
fn a_temporary_child_can_be_started_anew_under_its_id() {
    let mut sup = Supervised::started(one_for_one(), []);
    let temporary = || Request::StartChild(child_that_is("a", Restart::Temporary));
    sup.answer(temporary());
    sup.exits(1, why("boom"));
    assert_eq!(sup.answer(temporary()), "ok 2");
    assert_eq!(sup.answer(Request::TerminateChild(term("a"))), "ok");
    assert_eq!(sup.answer(temporary()), "ok 3");
}

#[test]
fn one_for_one_restarts_the_one() {
    let mut sup = abc(one_for_one());
    sup.exits(2, why("boom"));
    assert_eq!(sup.log(), ["report child_terminated boom b", "start b"]);
    assert_eq!(sup.which(), "c 3, b 4, a 1");
}

#[test]
fn one_for_all_restarts_all_and_forgets_temporary_ones() {
    let specs = [
        child("a"),
        child("b"),
        child_that_is("t", Restart::Temporary),
        child("c"),
    ];
    let mut sup = Supervised::started(flags(Strategy::OneForAll, 3), specs);
    sup.exits(2, why("boom"));
    let expected = [
        "report child_terminated boom b",
        "shutdown 4",
        "shutdown 3",
        "shutdown 1",
        "start a",
        "start b",
        "start c",
    ];
    assert_eq!(sup.log(), expected);
    assert_eq!(sup.which(), "c 7, b 6, a 5");
}

#[test]
fn rest_for_one_restarts_the_one_and_those_after_it() {
    let mut sup = Supervised::started(flags(Strategy::RestForOne, 3), ["x", "a", "y"].map(child));
    sup.exits(2, why("boom"));
    let expected = [
        "report child_terminated boom a",
        "shutdown 3",
        "start a",
        "start y",
    ];
    assert_eq!(sup.log(), expected);
    assert_eq!(sup.which(), "y 5, a 4, x 1");
}

#[test]
fn a_temporary_child_that_ends_takes_nobody_with_it() {
    for strategy in ORDERED {
        let specs = [
            child("a"),
            child_that_is("t", Restart::Temporary),
            child("c"),
        ];
        let mut sup = Supervised::started(flags(strategy, 3), specs);
        sup.exits(2, why("boom"));
        assert_eq!(sup.log(), ["report child_terminated boom t"]);
        assert_eq!(sup.which(), "c 3, a 1");
    }
}

#[test]
fn a_restart_of_several_starts_those_that_did_not_run_too() {
    let specs = [
        child("a"),
        child_that_is("b", Restart::Transient),
        child("c"),
    ];
    let mut sup = Supervised::started(flags(Strategy::OneForAll, 3), specs);
    sup.exits(2, reason::normal());
    sup.answer(Request::TerminateChild(term("c")));
    assert_eq!(sup.which(), "c undefined, b undefined, a 1");
    sup.exits(1, why("boom"));
    assert_eq!(sup.which(), "c 6, b 5, a 4");
}

#[test]
fn a_sibling_that_ended_too_is_part_of_the_restart_and_does_not_count_again() {
    let mut sup = Supervised::started(flags(Strategy::OneForAll, 1), ["a", "b"].map(child));
    sup.plan("n", [Plan::Hold]);
    sup.ask(Request::StartChild(child("n")));
    sup.exits(1, why("boom"));
    sup.exits(2, why("bang"));
    assert_eq!(sup.log(), ["start n"]);
    sup.comes_out(Plan::Up);
    let expected = [
        "1: ok 3",
        "report child_terminated boom a",
        "shutdown 3",
        "report shutdown_error bang b",
        "start a",
        "start b",
        "start n",
    ];
    assert_eq!(sup.log(), expected);
    assert_eq!(sup.which(), "n 6, b 5, a 4");
}

#[test]
fn a_child_that_is_ignored_when_restarted_stays_without_a_process() {
    let mut sup = abc(one_for_one());
    sup.plan("b", [Plan::Ignore]);
    sup.exits(2, why("boom"));
    assert_eq!(sup.which(), "c 3, b undefined, a 1");
    assert_eq!(sup.answer(Request::RestartChild(term("b"))), "ok 4");
}

// Restart intensity.

#[test]
fn one_restart_too_many_ends_the_supervisor() {
    let mut sup = Supervised::started(flags(Strategy::OneForOne, 2), ["a", "b"].map(child));
    sup.exits(1, why("boom"));
    sup.exits(2, why("boom"));
    sup.log();
    sup.exits(3, reason::normal());
    let expected = [
        "report child_terminated normal a",
        "report shutdown reached_max_restart_intensity a",
        "shutdown 4",
        "exit shutdown",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn restarts_long_ago_do_not_count() {
    let (intensity, period) = (1, millis(1000));
    let flags = Flags {
        intensity,
        period,
        ..Flags::default()
    };
    let mut sup = Supervised::started(flags, [child("a")]);
    for run in 1..=5 {
        sup.exits(run, why("boom"));
        sup.pass(millis(1001));
    }
    assert_eq!(sup.which(), "a 6");
    sup.exits(6, why("boom"));
    sup.exits(7, why("boom"));
    assert!(sup.machine.has_ended());
}

#[test]
fn a_restart_that_fails_is_tried_until_the_intensity_is_reached() {
    for strategy in ORDERED {
        let mut sup = Supervised::started(flags(strategy, 4), ["a", "b"].map(child));
        sup.plan("a", vec![error(); 10]);
        sup.exits(1, why("boom"));
        let log = sup.log();
        let failed = log.iter().filter(|line| *line == "start a");
        assert_eq!(failed.count(), 4, "{strategy:?}: {log:?}");
        let end = &log[log.len() - 3..];
        assert_eq!(end.last().unwrap(), "exit shutdown");
        let report = "report shutdown reached_max_restart_intensity a";
        assert!(end.contains(&report.to_owned()), "{end:?}");
    }
}

#[test]
fn when_another_child_fails_in_a_restart_of_all_those_before_it_are_ended_again() {
    let mut sup = abc(flags(Strategy::OneForAll, 3));
    sup.plan("b", [error()]);
    sup.exits(1, why("boom"));
    let expected = [
        "report child_terminated boom a",
        "shutdown 3",
        "shutdown 2",
        "start a",
        "start b",
        "report start_error e b",
        "shutdown 4",
        "start a",
        "start b",
        "start c",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn when_another_child_fails_in_a_restart_of_the_rest_it_is_tried_from_that_one() {
    let mut sup = abc(flags(Strategy::RestForOne, 3));
    sup.plan("b", [error()]);
    sup.exits(1, why("boom"));
    let expected = [
        "report child_terminated boom a",
        "shutdown 3",
        "shutdown 2",
        "start a",
        "start b",
        "report start_error e b",
        "start b",
        "start c",
    ];
    assert_eq!(sup.log(), expected);
    assert_eq!(sup.which(), "c 6, b 5, a 4");
}

#[test]
fn what_was_asked_while_a_restart_failed_comes_before_the_next_attempt() {
    for strategy in [Strategy::OneForOne, Strategy::RestForOne] {
        let mut sup = abc(flags(strategy, 8));
        sup.plan("b", [Plan::Hold]);
        sup.exits(2, why("boom"));
        sup.log();
        let b = || term("b");
        sup.ask(Request::StartChild(child("b")));
        sup.ask(Request::RestartChild(b()));
        sup.ask(Request::DeleteChild(b()));
        sup.ask(Request::WhichChildren);
        sup.ask(Request::CountChildren);
        sup.ask(Request::TerminateChild(b()));
        sup.ask(Request::WhichChild(b()));
        assert_eq!(sup.log(), [""; 0], "requests wait");
        sup.comes_out(error());
        let (which, counts) = match strategy {
            Strategy::OneForOne => ("c 3, b restarting, a 1", "3 2 0 3"),
            _ => ("c undefined, b restarting, a 1", "3 1 0 3"),
        };
        let expected = [
            "report start_error e b",
            "1: {error,already_present}",
            "2: {error,restarting}",
            "3: {error,restarting}",
            &format!("4: {which}"),
            &format!("5: {counts}"),
            "6: ok",
            "7: b undefined",
        ];
        assert_eq!(sup.log(), expected, "and b is left alone");
        assert_eq!(sup.answer(Request::RestartChild(b())), "ok 4");
    }
}

// Dynamic children.

#[test]
fn instances_are_started_counted_and_ended_by_their_pids() {
    let mut sup = simple(Restart::Permanent, 2);
    assert_eq!(sup.which(), "");
    assert_eq!(sup.counts(), "1 0 0 0");
    assert_eq!(sup.answer(Request::StartInstance("x")), "ok 1");
    assert_eq!(sup.answer(Request::StartInstance("y")), "ok 2");
    assert_eq!(sup.which(), "undefined 1, undefined 2");
    assert_eq!(sup.counts(), "1 2 0 2");
    let (first, second): (Term, Term) = (sup.pid(1).into(), sup.pid(2).into());
    assert_eq!(
        sup.answer(Request::WhichChild(first.clone())),
        "undefined 1"
    );
    for request in [
        Request::TerminateChild(term("template")),
        Request::RestartChild(term("template")),
        Request::DeleteChild(first.clone()),
        Request::WhichChild(term("template")),
        Request::StartChild(child("z")),
    ] {
        assert_eq!(sup.answer(request), "{error,simple_one_for_one}");
    }
    assert_eq!(sup.answer(Request::TerminateChild(first.clone())), "ok");
    assert_eq!(sup.counts(), "1 1 0 1");
    assert_eq!(
        sup.answer(Request::TerminateChild(first.clone())),
        "unknown 1"
    );
    assert_eq!(
        sup.answer(Request::WhichChild(first.clone())),
        "{error,not_found}"
    );
    let spec = |it: &str| it.contains("id => template") || it.contains("id=>template");
    assert!(spec(&sup.answer(Request::GetChildspec(second))));
    assert!(spec(&sup.answer(Request::GetChildspec(term("template")))));
    assert_eq!(sup.answer(Request::GetChildspec(first)), "unknown 1");
}

#[test]
fn a_pid_that_is_no_child_is_taken_for_one_that_ended_if_it_is_dead() {
    let mut sup = simple(Restart::Permanent, 2);
    let pid = sup.pid(50);
    let answer = || Answer::<Start>::UnknownPid(pid, Box::new(Answer::Done));
    assert_eq!(answer().settle(|_| false), Answer::Done);
    assert_eq!(
        answer().settle(|_| true),
        Answer::Error(RequestError::NotFound)
    );
    assert_eq!(Answer::<Start>::Done.settle(|_| true), Answer::Done);
    assert_eq!(
        sup.answer(Request::TerminateChild(pid.into())),
        "unknown 50"
    );
}

#[test]
fn an_instance_is_restarted_by_what_started_it() {
    let mut sup = simple(Restart::Permanent, 2);
    sup.plan("x", [Plan::UpWith("extra")]);
    assert_eq!(sup.answer(Request::StartInstance("x")), "ok 1 extra");
    sup.answer(Request::StartInstance("y"));
    sup.exits(1, why("boom"));
    assert_eq!(
        sup.log(),
        ["report child_terminated boom template", "start x"]
    );
    assert_eq!(sup.which(), "undefined 2, undefined 3");
    sup.exits(2, why("boom"));
    sup.exits(3, why("boom"));
    let log = sup.log();
    assert!(log.contains(&"report shutdown reached_max_restart_intensity template".into()));
    assert_eq!(log.last().unwrap(), "exit shutdown");
}

#[test]
fn instances_that_are_being_restarted_are_counted_and_can_be_ended() {
    let mut sup = simple(Restart::Permanent, 20);
    for id in ["x", "y", "z"] {
        sup.answer(Request::StartInstance(id));
    }
    sup.plan("x", [error(), Plan::Hold]);
    sup.exits(1, why("boom"));
    sup.ask(Request::CountChildren);
    sup.ask(Request::WhichChildren);
    sup.ask(Request::TerminateChild(sup.pid(1).into()));
    sup.ask(Request::CountChildren);
    sup.log();
    sup.comes_out(error());
    let expected = [
        "report start_error e template",
        "4: 1 2 0 3",
        "5: undefined restarting, undefined 2, undefined 3",
        "6: ok",
        "7: 1 2 0 2",
    ];
    assert_eq!(sup.log(), expected, "and nobody tries x again");
}

#[test]
fn an_instance_that_is_ignored_is_not_kept() {
    for restart in [Restart::Permanent, Restart::Transient] {
        let mut sup = simple(restart, 10);
        sup.plan("x", [Plan::Ignore, Plan::Up, Plan::Ignore]);
        assert_eq!(sup.answer(Request::StartInstance("x")), "{ok,undefined}");
        assert_eq!(sup.answer(Request::StartInstance("x")), "ok 1");
        sup.exits(1, reason::killed());
        assert_eq!(sup.which(), "");
        assert_eq!(sup.counts(), "1 0 0 0");
    }
}

#[test]
fn an_instance_that_cannot_be_started_is_told_why() {
    let mut sup = simple(Restart::Permanent, 10);
    sup.plan("x", [error()]);
    assert_eq!(sup.answer(Request::StartInstance("x")), "{error,e}");
    assert_eq!(sup.which(), "");
}

#[test]
fn dynamic_children_are_ended_at_once_and_reported_by_reason() {
    let template = ended_by("template", Shutdown::Timeout(millis(2000)));
    let mut sup = Supervised::started(flags(Strategy::SimpleOneForOne, 2), [template]);
    for id in ["a", "b", "c", "d", "e"] {
        sup.answer(Request::StartInstance(id));
    }
    sup.is_stubborn(5);
    sup.ends_with(2, why("boom"));
    sup.ends_with(3, why("boom"));
    sup.shutdown(reason::shutdown());
    let all = [1, 2, 3, 4, 5].map(|child| format!("shutdown {child}"));
    assert_eq!(sup.log(), all);
    sup.pass(millis(2000));
    let log = sup.log();
    assert_eq!(log[0], "kill 5");
    assert!(log.contains(&"report shutdown_error boom 2 children".into()));
    assert!(log.contains(&"report shutdown_error killed 1 children".into()));
    assert_eq!(log.len(), 4);
    assert_eq!(log[3], "exit shutdown");
}

#[test]
fn a_dynamic_supervisor_answers_as_elixirs() {
    let max_children = Some(2);
    let dynamic = Flags {
        max_children,
        ..flags(Strategy::Dynamic, 3)
    };
    let mut sup = Supervised::started(dynamic, []);
    let start = |id| Request::StartChild(ChildSpec::worker(term("same"), id));
    sup.plan("a", [Plan::Ignore, error()]);
    assert_eq!(sup.answer(start("a")), "ignore");
    assert_eq!(sup.answer(start("a")), "{error,e}");
    assert_eq!(sup.answer(start("a")), "ok 1");
    let supervisor = ChildSpec {
        restart: Restart::Temporary,
        ..ChildSpec::supervisor(term("same"), "s")
    };
    assert_eq!(sup.answer(Request::StartChild(supervisor)), "ok 2");
    assert_eq!(sup.answer(start("b")), "{error,max_children}");
    assert_eq!(sup.counts(), "2 2 1 1");
    let stranger = sup.pid(9).into();
    assert_eq!(
        sup.answer(Request::TerminateChild(stranger)),
        "{error,not_found}"
    );
    sup.exits(2, reason::normal());
    assert_eq!(sup.answer(start("b")), "ok 3");
    assert_eq!(sup.counts(), "2 2 0 2");
    sup.exits(1, why("boom"));
    assert_eq!(sup.which(), "undefined 3, undefined 4");
}

#[test]
fn dynamic_children_are_killed_each_after_its_own_time() {
    let mut sup = Supervised::started(flags(Strategy::Dynamic, 3), []);
    for (id, time) in [("a", 300), ("b", 100), ("c", 300)] {
        sup.answer(Request::StartChild(ended_by(
            id,
            Shutdown::Timeout(millis(time)),
        )));
    }
    for child in 1..=3 {
        sup.is_stubborn(child);
    }
    sup.shutdown(reason::shutdown());
    assert_eq!(sup.log(), ["shutdown 1", "shutdown 2", "shutdown 3"]);
    sup.pass(millis(299));
    assert_eq!(sup.log(), ["kill 2"]);
    sup.pass(millis(1));
    assert_eq!(sup.log()[..2], ["kill 1", "kill 3"]);
    assert!(sup.machine.has_ended());
}

#[test]
fn simple_one_for_one_takes_no_more_than_max_children() {
    let max_children = Some(1);
    let flags = Flags {
        max_children,
        ..flags(Strategy::SimpleOneForOne, 1)
    };
    let mut sup = Supervised::started(flags, [child("template")]);
    assert_eq!(sup.answer(Request::StartInstance("x")), "ok 1");
    assert_eq!(
        sup.answer(Request::StartInstance("y")),
        "{error,max_children}"
    );
}

#[test]
fn a_hundred_thousand_children_come_and_go() {
    const MANY: u32 = 100_000;
    let mut sup = simple(Restart::Temporary, 1);
    for _ in 0..MANY {
        sup.ask(Request::StartInstance("x"));
    }
    assert_eq!(sup.counts(), format!("1 {MANY} 0 {MANY}"));
    for child in 1..=MANY / 2 {
        sup.exits(child, reason::normal());
    }
    assert_eq!(
        sup.answer(Request::TerminateChild(sup.pid(MANY).into())),
        "ok"
    );
    sup.shutdown(reason::shutdown());
    assert_eq!(sup.log().len(), MANY as usize / 2);
    assert!(sup.machine.has_ended());
}

#[test]
fn many_ordered_children_come_and_go() {
    const MANY: u32 = 20_000;
    let mut sup = Supervised::started(one_for_one(), []);
    let id = |number: u32| Term::from(i64::from(number));
    for number in 1..=MANY {
        sup.ask(Request::StartChild(ChildSpec::worker(id(number), "x")));
    }
    for number in 1..=MANY / 2 {
        sup.ask(Request::TerminateChild(id(number)));
    }
    assert_eq!(sup.counts(), format!("{MANY} {} 0 {MANY}", MANY / 2));
    sup.shutdown(reason::shutdown());
    assert_eq!(sup.log().len(), MANY as usize / 2 + 1);
}

#[test]
fn the_start_of_a_temporary_child_is_not_kept() {
    let held = |specs: Vec<ChildSpec<Arc<()>>>, strategy, request: fn(Arc<()>) -> Request<_>| {
        let mut machine = Supervisor::<Arc<()>, u32>::new(flags(strategy, 1), specs).unwrap();
        machine.start(millis(0));
        let start = Arc::new(());
        machine.handle_request(millis(0), 1, request(start.clone()));
        while let Some(output) = machine.poll_output() {
            if let Output::Start { token, .. } = output {
                let up = StartOutcome::Started(pid(node("a@supervisor"), 1), None);
                machine.child_started(millis(0), token, up);
            }
        }
        Arc::strong_count(&start) > 1
    };
    let template = |restart| ChildSpec {
        restart,
        ..ChildSpec::worker(term("template"), Arc::new(()))
    };
    let simple = Strategy::SimpleOneForOne;
    let instance = Request::StartInstance;
    assert!(held(vec![template(Restart::Permanent)], simple, instance));
    assert!(held(vec![template(Restart::Transient)], simple, instance));
    assert!(!held(vec![template(Restart::Temporary)], simple, instance));
    for strategy in ORDERED.into_iter().chain([Strategy::Dynamic]) {
        let permanent = |start| Request::StartChild(ChildSpec::worker(term("a"), start));
        let temporary = |start| {
            let restart = Restart::Temporary;
            let spec = ChildSpec::worker(term("a"), start);
            Request::StartChild(ChildSpec { restart, ..spec })
        };
        assert!(held(vec![], strategy, permanent));
        assert!(!held(vec![], strategy, temporary));
    }
}

// Significant children.

fn auto_shutdown(strategy: Strategy, auto_shutdown: AutoShutdown) -> Flags {
    Flags {
        auto_shutdown,
        ..flags(strategy, 5)
    }
}

const EACH: [AutoShutdown; 3] = [
    AutoShutdown::Never,
    AutoShutdown::AnySignificant,
    AutoShutdown::AllSignificant,
];

#[test]
fn children_that_are_not_significant_never_end_the_supervisor() {
    for auto in EACH {
        for restart in [Restart::Transient, Restart::Temporary] {
            for reason in [reason::killed(), why("boom"), reason::normal()] {
                let flags = auto_shutdown(Strategy::OneForOne, auto);
                let mut sup = Supervised::started(flags, [child_that_is("a", restart)]);
                sup.exits(1, reason);
                assert!(!sup.machine.has_ended());
                sup.answer(Request::TerminateChild(term("a")));
                assert!(!sup.machine.has_ended());
            }
        }
    }
}

#[test]
fn any_significant_child_that_is_not_restarted_ends_the_supervisor() {
    let flags = || auto_shutdown(Strategy::OneForOne, AutoShutdown::AnySignificant);
    let ends = |restart, reason| {
        let specs = [significant("a", restart), child("b")];
        let mut sup = Supervised::started(flags(), specs);
        sup.exits(1, reason);
        let has_ended = sup.machine.has_ended();
        assert_eq!(has_ended, sup.log().ends_with(&["exit shutdown".into()]));
        has_ended
    };
    assert!(ends(Restart::Transient, reason::normal()));
    assert!(!ends(Restart::Transient, why("boom")));
    assert!(ends(Restart::Temporary, reason::normal()));
    assert!(ends(Restart::Temporary, why("boom")));
    assert!(ends(Restart::Temporary, reason::killed()));
}

#[test]
fn only_the_last_of_all_significant_children_ends_the_supervisor() {
    for restart in [Restart::Transient, Restart::Temporary] {
        let flags = auto_shutdown(Strategy::OneForOne, AutoShutdown::AllSignificant);
        let specs = [
            significant("a", restart),
            significant("b", restart),
            child("c"),
        ];
        let mut sup = Supervised::started(flags, specs);
        sup.exits(1, reason::normal());
        assert!(!sup.machine.has_ended());
        sup.exits(2, reason::normal());
        assert_eq!(sup.log(), ["shutdown 3", "exit shutdown"]);
    }
}

#[test]
fn a_significant_child_that_is_being_restarted_keeps_the_supervisor() {
    let flags = auto_shutdown(Strategy::OneForOne, AutoShutdown::AllSignificant);
    let specs = ["a", "b"].map(|id| significant(id, Restart::Transient));
    let mut sup = Supervised::started(flags, specs);
    sup.plan("a", [error(), Plan::Hold]);
    sup.exits(1, why("boom"));
    sup.exits(2, reason::normal());
    sup.comes_out(error());
    assert!(!sup.machine.has_ended());
    assert_eq!(sup.which(), "b undefined, a 3");
}

#[test]
fn a_significant_child_that_the_supervisor_ends_does_not_end_it() {
    for strategy in ORDERED {
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            let specs = [
                significant("a", Restart::Transient),
                child("b"),
                significant("c", Restart::Temporary),
            ];
            let mut sup = Supervised::started(auto_shutdown(strategy, auto), specs);
            sup.exits(2, why("boom"));
            sup.answer(Request::TerminateChild(term("a")));
            sup.answer(Request::TerminateChild(term("c")));
            assert!(!sup.machine.has_ended());
        }
    }
}

#[test]
fn what_the_end_of_a_significant_child_means_depends_on_what_came_before() {
    let flags = auto_shutdown(Strategy::RestForOne, AutoShutdown::AnySignificant);
    let specs = [child("a"), significant("s", Restart::Transient)];
    let mut sup = Supervised::started(flags, specs);
    sup.plan("n", [Plan::Hold]);
    sup.ask(Request::StartChild(child("n")));
    sup.exits(1, why("boom"));
    sup.exits(2, reason::normal());
    sup.comes_out(Plan::Up);
    assert_eq!(sup.which(), "n 6, s 5, a 4");
}

// While a start is under way.

#[test]
fn a_shutdown_gives_up_the_start_under_way() {
    let mut sup = Supervised::new(one_for_one(), ["a", "b", "c"].map(child));
    sup.plan("b", [Plan::Hold]);
    sup.start();
    assert!(sup.machine.is_busy());
    sup.ask(Request::WhichChildren);
    sup.shutdown(reason::shutdown());
    assert_eq!(sup.log(), ["start a", "start b", "give up b"]);
    sup.comes_out(Plan::Error(term("killed")));
    assert_eq!(sup.log(), ["shutdown 1", "exit shutdown"]);
}

#[test]
fn a_child_that_came_up_although_it_was_given_up_is_ended_in_its_place() {
    type Prepare = fn(&mut Supervised);
    let cases: [(Prepare, Strategy); 4] = [
        (|sup| sup.exits(2, why("boom")), Strategy::OneForOne),
        (|sup| sup.exits(2, why("boom")), Strategy::RestForOne),
        (
            |sup| sup.ask(Request::StartChild(child_that_is("b2", Restart::Temporary))),
            Strategy::OneForOne,
        ),
        (
            |sup| {
                sup.ask(Request::TerminateChild(term("b")));
                sup.ask(Request::RestartChild(term("b")));
            },
            Strategy::OneForOne,
        ),
    ];
    for (prepare, strategy) in cases {
        let mut sup = abc(flags(strategy, 3));
        sup.plan("b", [Plan::Hold]);
        sup.plan("b2", [Plan::Hold]);
        prepare(&mut sup);
        sup.log();
        sup.shutdown(reason::shutdown());
        sup.comes_out(Plan::Up);
        let log = sup.log();
        assert!(log[0].starts_with("give up b"), "{log:?}");
        assert!(log.contains(&"shutdown 4".into()), "{log:?}");
        assert_eq!(log.last().unwrap(), "exit shutdown");
        assert!(!log.iter().any(|line| line.contains(": ")), "{log:?}");
    }
}

#[test]
fn an_instance_that_came_up_although_it_was_given_up_is_ended() {
    let mut sup = simple(Restart::Permanent, 1);
    sup.plan("x", [Plan::Hold, Plan::Hold]);
    sup.ask(Request::StartInstance("x"));
    sup.comes_out(Plan::Up);
    sup.exits(1, why("boom"));
    sup.shutdown(reason::shutdown());
    sup.log();
    sup.comes_out(Plan::Up);
    assert_eq!(sup.log(), ["shutdown 2", "exit shutdown"]);
}

#[test]
fn ends_of_siblings_wait_for_the_start_under_way_in_their_order() {
    let mut sup = abc(one_for_one());
    sup.plan("n", [Plan::Hold]);
    sup.ask(Request::StartChild(child("n")));
    sup.exits(3, why("boom"));
    sup.ask(Request::WhichChild(term("c")));
    sup.exits(1, why("bang"));
    assert_eq!(sup.log(), ["start n"]);
    sup.comes_out(Plan::Up);
    let expected = [
        "1: ok 4",
        "report child_terminated boom c",
        "start c",
        "2: c 5",
        "report child_terminated bang a",
        "start a",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn nobody_waits_for_who_ended_during_a_start_that_was_given_up() {
    let mut sup = abc(one_for_one());
    sup.plan("n", [Plan::Hold]);
    sup.ask(Request::StartChild(child("n")));
    sup.exits(2, why("boom"));
    sup.shutdown(reason::shutdown());
    sup.exits(3, reason::shutdown());
    sup.log();
    sup.comes_out(error());
    let expected = [
        "report shutdown_error boom b",
        "shutdown 1",
        "exit shutdown",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn a_child_may_end_before_it_is_told_that_it_came_up() {
    let mut sup = Supervised::started(one_for_one(), []);
    sup.plan("a", [Plan::Hold]);
    sup.ask(Request::StartChild(child("a")));
    let (now, pid) = (sup.now, sup.pid(1));
    sup.machine.child_exited(now, pid, why("boom"));
    sup.comes_out(Plan::Up);
    let expected = [
        "start a",
        "1: ok 1",
        "report child_terminated boom a",
        "start a",
    ];
    assert_eq!(sup.log(), expected);
    assert_eq!(sup.which(), "a 2");
}

#[test]
fn ends_of_strangers_are_ignored() {
    let mut sup = abc(one_for_one());
    let (now, stranger) = (sup.now, sup.pid(40));
    sup.machine.child_exited(now, stranger, why("boom"));
    sup.plan("n", [Plan::Hold]);
    sup.ask(Request::StartChild(child("n")));
    sup.machine.child_exited(now, stranger, why("boom"));
    sup.comes_out(Plan::Up);
    assert_eq!(sup.log(), ["start n", "1: ok 4"]);
    assert_eq!(sup.which(), "n 4, c 3, b 2, a 1");
}

#[test]
fn a_flood_of_ends_of_strangers_during_a_start_is_not_kept() {
    let mut sup = Supervised::started(one_for_one(), [child("a")]);
    sup.plan("n", [Plan::Hold]);
    sup.ask(Request::StartChild(child("n")));
    for stranger in 100..10_100 {
        let (now, pid) = (sup.now, sup.pid(stranger));
        sup.machine.child_exited(now, pid, why("boom"));
    }
    sup.exits(1, why("boom"));
    sup.comes_out(Plan::Up);
    let expected = [
        "start n",
        "1: ok 2",
        "report child_terminated boom a",
        "start a",
    ];
    assert_eq!(sup.log(), expected);
}

#[test]
fn a_shutdown_while_a_child_is_being_ended_waits_for_that_child_alone() {
    let mut sup = abc(flags(Strategy::OneForAll, 3));
    sup.is_stubborn(3);
    sup.exits(1, why("boom"));
    sup.ask(Request::WhichChildren);
    sup.shutdown(reason::shutdown());
    sup.log();
    sup.exits(3, reason::shutdown());
    assert_eq!(sup.log(), ["shutdown 2", "exit shutdown"]);
}

#[test]
fn a_shutdown_during_terminate_child_ends_those_after_that_child_too() {
    let mut sup = abc(one_for_one());
    sup.is_stubborn(1);
    sup.ask(Request::TerminateChild(term("a")));
    sup.shutdown(reason::shutdown());
    sup.log();
    sup.exits(1, reason::shutdown());
    assert_eq!(sup.log(), ["shutdown 3", "shutdown 2", "exit shutdown"]);
}

#[test]
fn requests_before_the_start_wait_for_it() {
    let mut sup = Supervised::new(one_for_one(), [child("a")]);
    sup.ask(Request::WhichChildren);
    sup.start();
    assert_eq!(sup.log(), ["start a", "started", "1: a 1"]);
    let mut sup = Supervised::new(one_for_one(), [child("a")]);
    sup.shutdown(reason::shutdown());
    sup.start();
    assert_eq!(sup.log(), ["exit shutdown"]);
}

// Back-off.

fn patient(strategy: Strategy, intensity: u32) -> Flags {
    let backoff = Some(Backoff {
        min: millis(100),
        max: millis(350),
        factor: 2,
    });
    Flags {
        backoff,
        ..flags(strategy, intensity)
    }
}

#[test]
fn restarts_wait_longer_and_longer_and_not_so_long_after_a_pause() {
    for dynamic in [false, true] {
        let mut sup = match dynamic {
            false => Supervised::started(patient(Strategy::OneForOne, 100), [child("a")]),
            true => {
                let flags = patient(Strategy::SimpleOneForOne, 100);
                let mut sup = Supervised::started(flags, [child("template")]);
                sup.answer(Request::StartInstance("a"));
                sup
            }
        };
        let mut run = 0;
        for (lived, delay) in [
            (9, 100),
            (50, 200),
            (350, 350),
            (1, 350),
            (351, 100),
            (350, 200),
        ] {
            run += 1;
            sup.pass(millis(lived));
            sup.exits(run, why("boom"));
            sup.pass(millis(delay - 1));
            assert_eq!(sup.log().len(), 1, "{delay}: the report");
            sup.pass(millis(1));
            assert_eq!(sup.log(), ["start a"], "{delay}");
        }
    }
}

#[test]
fn a_child_that_waits_is_restarting_and_can_be_ended_or_overtaken() {
    let mut sup = Supervised::started(patient(Strategy::OneForOne, 9), ["a", "b"].map(child));
    let a = || term("a");
    sup.exits(1, why("boom"));
    assert_eq!(sup.which(), "b 2, a restarting");
    assert_eq!(sup.answer(Request::RestartChild(a())), "{error,restarting}");
    assert_eq!(sup.answer(Request::TerminateChild(a())), "ok");
    assert_eq!(sup.machine.poll_timeout(), None);
    sup.pass(millis(10_000));
    assert_eq!(sup.which(), "b 2, a undefined");
    assert_eq!(sup.answer(Request::RestartChild(a())), "ok 3");
    sup.exits(3, why("boom"));
    sup.shutdown(reason::shutdown());
    assert_eq!(sup.log().last().unwrap(), "exit shutdown");
    assert_eq!(sup.machine.poll_timeout(), None);
}

#[test]
fn siblings_that_are_restarted_too_end_at_once_and_start_after_the_delay() {
    let mut sup = abc(patient(Strategy::OneForAll, 9));
    sup.exits(2, why("boom"));
    let expected = ["report child_terminated boom b", "shutdown 3", "shutdown 1"];
    assert_eq!(sup.log(), expected);
    assert_eq!(sup.which(), "c undefined, b restarting, a undefined");
    sup.plan("b", [error()]);
    sup.pass(millis(100));
    let expected = ["start a", "start b", "report start_error e b", "shutdown 4"];
    assert_eq!(sup.log(), expected);
    sup.pass(millis(199));
    assert_eq!(sup.log(), [""; 0]);
    sup.pass(millis(1));
    assert_eq!(sup.log(), ["start a", "start b", "start c"]);
}

#[test]
fn delays_do_not_hide_restarts_from_the_intensity() {
    let mut sup = Supervised::started(patient(Strategy::OneForOne, 1), [child("a")]);
    sup.exits(1, why("boom"));
    sup.pass(millis(100));
    sup.exits(2, why("boom"));
    assert_eq!(sup.log().last().unwrap(), "exit shutdown");
}
