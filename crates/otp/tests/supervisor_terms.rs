//! OTP's terms of supervisors: what `check_childspecs`, `check_flags` and the log of OTP 28 say.

mod support;

use std::time::Duration;

use purlin_otp::supervisor::terms::{self, Mfargs};
use purlin_otp::supervisor::{
    Answer, AutoShutdown, ChildSpec, Context, Counts, Kind, Modules, Offender, Report, Request,
    RequestError, Restart, Shutdown, Status, Strategy, Who,
};
use purlin_term::Term;
use support::supervised::{child, millis, term, why};
use support::{node, pid};

fn read(text: &str) -> Term {
    text.parse().unwrap()
}

fn check(text: &str, auto_shutdown: Option<AutoShutdown>) -> String {
    match terms::child_specs(&read(text), auto_shutdown) {
        Ok(_) => "ok".into(),
        Err(error) => error.to_term().to_string(),
    }
}

#[test]
fn a_map_has_otps_defaults() {
    let read = |text| terms::child_spec(&read(text), None).unwrap();
    let worker = read("#{id=>a,start=>{m,f,[1]},silly=>true}");
    assert_eq!(worker.id, term("a"));
    assert_eq!(worker.start.to_term().to_string(), "{m,f,[1]}");
    let modules = |spec: &ChildSpec<Mfargs>| spec.modules.to_term().to_string();
    assert_eq!(worker.restart, Restart::Permanent);
    assert!(!worker.significant);
    assert_eq!(worker.shutdown, Shutdown::Timeout(millis(5000)));
    assert_eq!(
        (worker.kind, modules(&worker)),
        (Kind::Worker, "[m]".into())
    );

    let supervisor = read("#{id=>a,start=>{m,f,[]},type=>supervisor,modules=>dynamic}");
    assert_eq!(supervisor.shutdown, Shutdown::Infinity);
    assert_eq!(supervisor.modules, Modules::Dynamic);
    let timed = read("#{id=>a,start=>{m,f,[]},type=>supervisor,shutdown=>7}");
    assert_eq!(timed.shutdown, Shutdown::Timeout(millis(7)));
}

#[test]
fn a_tuple_is_read_as_a_map_is() {
    let spec = terms::child_spec(&read("{a,{m,f,[x]},transient,brutal_kill,worker,[]}"), None);
    let map = "#{id=>a,modules=>[],restart=>transient,shutdown=>brutal_kill,significant=>false,\
               start=>{m,f,[x]},type=>worker}";
    let told = spec.unwrap().to_term(Mfargs::to_term);
    assert_eq!(told, read(map));
    let again = terms::child_spec(&told, None).unwrap();
    assert_eq!(again.to_term(Mfargs::to_term), told);
}

#[test]
fn faulty_specs_are_refused_in_otps_words() {
    let expected = [
        ("x", "{badarg,x}"),
        ("[x]", "{invalid_child_spec,x}"),
        ("[{a,b}]", "{invalid_child_spec,{a,b}}"),
        ("[#{}]", "missing_id"),
        ("[#{id=>a}]", "missing_start"),
        ("[#{start=>{m,f,[]}}]", "missing_id"),
        ("[#{id=>a,start=>mfa}]", "{invalid_mfa,mfa}"),
        ("[{a,{m,f},permanent,1,worker,[]}]", "{invalid_mfa,{m,f}}"),
        (
            "[{a,{m,f,[a]},prmanent,1,worker,[]}]",
            "{invalid_restart_type,prmanent}",
        ),
        (
            "[{a,{m,f,[a]},permanent,-10,worker,[]}]",
            "{invalid_shutdown,-10}",
        ),
        (
            "[{a,{m,f,[a]},permanent,10,wrker,[]}]",
            "{invalid_child_type,wrker}",
        ),
        (
            "[{a,{m,f,[a]},permanent,1,worker,dy}]",
            "{invalid_modules,dy}",
        ),
        (
            "[{a,{m,f,[a]},permanent,1,worker,[1,2]}]",
            "{invalid_module,1}",
        ),
        (
            "[#{id=>a,start=>{m,f,[]},significant=>perhaps}]",
            "{invalid_significant,perhaps}",
        ),
        (
            "[#{id=>a,start=>{m,f,[]},shutdown=>-1,type=>y}]",
            "{invalid_child_type,y}",
        ),
        (
            "[#{id=>a,start=>{m,f,[]},significant=>true,type=>y}]",
            "{bad_combination,[{restart,permanent},{significant,true}]}",
        ),
        (
            "[{a,{m,f,[]},permanent,1,worker,[]},{a,{m,f,[]},permanent,1,worker,[]}]",
            "{duplicate_child_name,a}",
        ),
    ];
    for (text, error) in expected {
        assert_eq!(check(text, None), error, "{text}");
    }
}

#[test]
fn every_combination_that_otp_takes_is_taken() {
    let never = "{bad_combination,[{auto_shutdown,never},{significant,true}]}";
    let permanent = "{bad_combination,[{restart,permanent},{significant,true}]}";
    let mut count = 0;
    for auto in [
        None,
        Some(AutoShutdown::Never),
        Some(AutoShutdown::AnySignificant),
        Some(AutoShutdown::AllSignificant),
    ] {
        for restart in [
            "",
            ",restart=>permanent",
            ",restart=>transient",
            ",restart=>temporary",
        ] {
            for shutdown in [
                "",
                ",shutdown=>0",
                ",shutdown=>infinity",
                ",shutdown=>brutal_kill",
            ] {
                for kind in ["", ",type=>worker", ",type=>supervisor"] {
                    for modules in ["", ",modules=>dynamic", ",modules=>[m1,m2]"] {
                        for significant in ["", ",significant=>false", ",significant=>true"] {
                            let text = format!(
                                "[#{{id=>a,start=>{{m,f,[]}}{restart}{shutdown}{kind}{modules}{significant}}}]"
                            );
                            let is_permanent = restart.is_empty() || restart.ends_with("permanent");
                            let expected = match significant.ends_with("true") {
                                true if auto == Some(AutoShutdown::Never) => never,
                                true if is_permanent => permanent,
                                _ => "ok",
                            };
                            assert_eq!(check(&text, auto), expected, "{auto:?} {text}");
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(count, 4 * 4 * 4 * 3 * 3 * 3);
}

#[test]
fn flags_are_read_with_otps_defaults_and_refused_in_otps_words() {
    let flags = terms::flags(&read("#{silly=>1}")).unwrap();
    assert_eq!(flags, Default::default());
    let flags = terms::flags(&read("{rest_for_one,2,3600}")).unwrap();
    assert_eq!(flags.strategy, Strategy::RestForOne);
    assert_eq!(
        (flags.intensity, flags.period),
        (2, Duration::from_secs(3600))
    );
    let flags = terms::flags(&read(
        "#{auto_shutdown=>all_significant,hibernate_after=>10}",
    ));
    assert_eq!(flags.unwrap().auto_shutdown, AutoShutdown::AllSignificant);

    let expected = [
        ("{none_for_one,2,3600}", "{invalid_strategy,none_for_one}"),
        (
            "#{strategy=>none_for_one}",
            "{invalid_strategy,none_for_one}",
        ),
        (
            "{one_for_one,infinity,3600}",
            "{invalid_intensity,infinity}",
        ),
        ("#{intensity=>-1}", "{invalid_intensity,-1}"),
        ("{one_for_one,2,0}", "{invalid_period,0}"),
        ("#{period=>infinity}", "{invalid_period,infinity}"),
        (
            "#{auto_shutdown=>sometimes}",
            "{invalid_auto_shutdown,sometimes}",
        ),
        ("#{hibernate_after=>-1}", "{invalid_hibernate_after,-1}"),
        ("{one_for_one,2}", "{invalid_type,{one_for_one,2}}"),
        ("nothing", "{invalid_type,nothing}"),
        (
            "#{strategy=>simple_one_for_one,auto_shutdown=>any_significant}",
            "{bad_combination,[{auto_shutdown,any_significant},{strategy,simple_one_for_one}]}",
        ),
    ];
    for (text, error) in expected {
        let refused = terms::flags(&read(text)).unwrap_err();
        assert_eq!(refused.to_term().to_string(), error, "{text}");
    }
}

#[test]
fn requests_are_read_as_otp_sends_them() {
    let request = |text: &str| {
        terms::request(&read(text), |spec| match terms::child_spec(spec, None) {
            Ok(spec) => Ok(Request::StartInstance(spec.start.module)),
            Err(error) => Err(error.to_term().to_string()),
        })
    };
    let id = || term("a");
    let expected = [
        ("which_children", Request::WhichChildren),
        ("count_children", Request::CountChildren),
        ("{terminate_child,a}", Request::TerminateChild(id())),
        ("{restart_child,a}", Request::RestartChild(id())),
        ("{delete_child,a}", Request::DeleteChild(id())),
        ("{which_child,a}", Request::WhichChild(id())),
        ("{get_childspec,a}", Request::GetChildspec(id())),
    ];
    for (text, expected) in expected {
        assert_eq!(request(text), Some(Ok(expected)));
    }
    let refused = Err("{invalid_child_spec,x}".into());
    assert_eq!(request("{start_child,x}"), Some(refused));
    for text in ["stop", "{start_child,x,y}", "{kill_child,a}", "[]", "{1,2}"] {
        assert_eq!(request(text), None, "{text}");
    }
}

#[test]
fn answers_are_otps() {
    let show = |answer: Answer<&'static str>| {
        let start = |start: &Option<&str>| term(start.unwrap_or("undefined"));
        answer.to_term(start).to_string()
    };
    let child_pid = pid(node("a@terms"), 5);
    let shown = Term::from(child_pid).to_string();
    let expected = [
        (Answer::Done, "ok".into()),
        (
            Answer::Started(Some(child_pid), None),
            format!("{{ok,{shown}}}"),
        ),
        (
            Answer::Started(Some(child_pid), Some(term("x"))),
            format!("{{ok,{shown},x}}"),
        ),
        (Answer::Started(None, None), "{ok,undefined}".into()),
        (Answer::Ignored, "ignore".into()),
        (
            Answer::Counts(Counts {
                specs: 3,
                active: 2,
                supervisors: 1,
                workers: 2,
            }),
            "[{specs,3},{active,2},{supervisors,1},{workers,2}]".into(),
        ),
        (
            Answer::Error(RequestError::AlreadyStarted(child_pid)),
            format!("{{error,{{already_started,{shown}}}}}"),
        ),
        (
            Answer::UnknownPid(child_pid, Box::new(Answer::Done)),
            "{error,not_found}".into(),
        ),
    ];
    for (answer, text) in expected {
        assert_eq!(show(answer.clone()), text, "{answer:?}");
    }
}

#[test]
fn reports_are_otps() {
    let (spec, _) = child("a").with_start(Some("a"));
    let child_pid = pid(node("a@terms"), 5);
    let shown = Term::from(child_pid).to_string();
    let show = |context, who| {
        let (reason, spec) = (why("boom"), spec.clone());
        let offender = Offender { who, spec };
        let report = Report {
            context,
            reason,
            offender,
        };
        let start = |start: &Option<&str>| term(start.unwrap_or("undefined"));
        report.to_term(term("sup"), start).to_string()
    };
    let rest = "{id,a},{mfargs,a},{restart_type,permanent},{significant,false},{shutdown,5000},\
                {child_type,worker}]";
    assert_eq!(
        show(
            Context::ChildTerminated,
            Who::Child(Status::Running(child_pid))
        ),
        format!(
            "[{{supervisor,sup}},{{errorContext,child_terminated}},{{reason,boom}},\
             {{offender,[{{pid,{shown}}},{rest}}}]"
        )
    );
    assert_eq!(
        show(Context::ShutdownError, Who::Children(7)),
        format!(
            "[{{supervisor,sup}},{{errorContext,shutdown_error}},{{reason,boom}},\
             {{offender,[{{nb_children,7}},{rest}}}]"
        )
    );
    let progress = Context::Progress {
        is_requested: false,
    };
    assert_eq!(
        show(progress, Who::Child(Status::Restarting(None))),
        format!("[{{supervisor,sup}},{{started,[{{pid,{{restarting,undefined}}}},{rest}}}]")
    );
}
