//! What `sys` and the log show of servers, state machines and event managers, and what they say to it.

#[path = "../../runtime/tests/support/log.rs"]
mod log;
mod support;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::time::Duration;

use log::Log;
use purlin_behaviours::gen_event::{EventHandler, GenEvent, HandlerContext};
use purlin_behaviours::supervisor::{Child, one_for_one};
use purlin_behaviours::{
    Context, GenServer, GenStatem, InitError, ServerOptions, ServerRef, ServerStatus,
    StatemContext, StatemStatus, stop,
};
use purlin_macros::{events, gen_server, message};
use purlin_otp::reason::Reason;
use purlin_runtime::{Raw, Runtime, panics};
use purlin_term::{Atom, EncodedTerm, Pid, Term, atom};
use support::{ask_sys, paths, runtime};

const SECOND: Duration = Duration::from_secs(1);

fn named(name: &'static str) -> Term {
    Atom::new(name).unwrap().into()
}

fn parsed(text: &str) -> Term {
    Term::parse(text).unwrap()
}

/// Waits until a process has ended; answers why, or that it was too late for that.
async fn ended(runtime: &Runtime, pid: Pid) -> Reason {
    let mut watcher = runtime.attach::<Raw>().unwrap();
    watcher.monitor(pid);
    watcher.receive().await.unwrap().down().unwrap().2
}

/// A server with a secret.
#[derive(Default)]
struct Safe {
    shows: Shows,
    is_ending_badly: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Shows {
    #[default]
    All,
    NoSecret,
    Panics,
}

#[gen_server(purlin = "crate::paths")]
impl GenServer for Safe {
    async fn terminate(&mut self, _: &Reason, _: &mut Context<Self>) {
        assert!(!self.is_ending_badly, "in terminate");
    }

    fn state(&self) -> Option<Term> {
        assert!(self.shows != Shows::Panics, "no state");
        Some(atom!("secret").into())
    }

    fn replace_state(&mut self, _: &EncodedTerm) -> bool {
        assert!(self.shows != Shows::Panics, "no new state");
        false
    }

    async fn code_change(&mut self, _: Term, extra: Term) -> Result<(), Term> {
        assert!(!extra.is_atom("panic"), "no other code");
        Ok(())
    }

    fn format_status(&self, status: ServerStatus) -> ServerStatus {
        let mut status = status;
        if self.shows == Shows::NoSecret {
            status.state = atom!("hidden").into();
            status.reason = status.reason.map(|_| Reason::new(atom!("told").into()));
            status
                .log
                .retain(|event| !event.to_string().contains("pin"));
        }
        status
    }

    #[call]
    fn open(&mut self) -> bool {
        true
    }

    #[call]
    fn pin(&mut self) -> bool {
        true
    }

    #[cast]
    fn end(&mut self, reason: String, ctx: &mut Context<Self>) {
        ctx.stop(parsed(&reason));
    }

    #[cast]
    fn panic(&mut self) {
        panic!("out of order");
    }
}

async fn safe(runtime: &Runtime, shows: Shows) -> (ServerRef<Safe>, Pid) {
    let safe = Safe {
        shows,
        ..Safe::default()
    };
    let server = safe.start(runtime).await.unwrap();
    let pid = server.pid().unwrap();
    (server, pid)
}

#[tokio::test]
async fn a_server_is_shown_as_it_wants_to_be() {
    let runtime = runtime();
    for (shows, state, log) in [
        (
            Shows::All,
            "{data,[{\"State\",secret}]}",
            "open}},{in,{'$gen_call',undefined,pin",
        ),
        (Shows::NoSecret, "{data,[{\"State\",hidden}]}", "open}}]}"),
    ] {
        let (server, pid) = safe(&runtime, shows).await;
        ask_sys(&runtime, pid, parsed("{debug,{log,true}}")).await;
        assert!(server.call(Open).await.unwrap());
        assert!(server.call(Pin).await.unwrap());
        let status = ask_sys(&runtime, pid, named("get_status")).await;
        assert!(status.contains(state), "{status}");
        let logged = status.split("\"Logged events\",").nth(1).unwrap();
        assert!(logged.contains(log), "{status}");
        let state = ask_sys(&runtime, pid, named("get_state")).await;
        assert_eq!(state, "{ok,secret}", "a state is not formatted");
    }
}

#[tokio::test]
async fn what_panics_when_it_is_looked_at_is_told_and_the_server_goes_on() {
    let runtime = runtime();
    let (server, pid) = safe(&runtime, Shows::Panics).await;
    let state = ask_sys(&runtime, pid, named("get_state")).await;
    let failed = failed("gen_server,system_get_state");
    assert!(state.starts_with(&failed), "{state}");
    let replaced = ask_sys(&runtime, pid, parsed("{replace_state,1}")).await;
    let failed = self::failed("gen_server,system_replace_state");
    assert!(replaced.starts_with(&failed), "{replaced}");
    let status = ask_sys(&runtime, pid, named("get_status")).await;
    assert!(status.contains("Safe: format_status panicked"), "{status}");
    assert_eq!(ask_sys(&runtime, pid, named("suspend")).await, "ok");
    let changed = ask_sys(&runtime, pid, parsed("{change_code,m,1,panic}")).await;
    assert!(changed.starts_with("{error,{'EXIT',"), "{changed}");
    assert_eq!(ask_sys(&runtime, pid, named("resume")).await, "ok");
    assert!(server.call(Open).await.unwrap());
}

/// The beginning of what `sys` is answered where a function of `Module, Function` fails.
fn failed(callback: &str) -> String {
    format!("{{error,{{callback_failed,{{{callback}}},{{error,{{panic,")
}

#[tokio::test]
async fn what_panics_for_sys_is_told_under_the_module_that_it_is_of_to_otp() {
    let runtime = runtime();
    let ask = |pid, request: &str| ask_sys(&runtime, pid, parsed(request));
    let light = Light(NOT_TO_BE_TOLD).start(&runtime).await.unwrap();
    let pid = light.pid().unwrap();
    let state = ask(pid, "get_state").await;
    let in_state = failed("gen_statem,system_get_state");
    assert!(state.starts_with(&in_state), "{state}");
    let replaced = ask(pid, "{replace_state,{off,1}}").await;
    let in_replace = failed("gen_statem,system_replace_state");
    assert!(replaced.starts_with(&in_replace), "{replaced}");
    let (manager, pid) = sums(&runtime).await;
    manager
        .sync_notify(NOT_TO_BE_TOLD as i64 - 3)
        .await
        .unwrap();
    let state = ask(pid, "get_state").await;
    let in_state = failed("gen_event,system_get_state");
    assert!(state.starts_with(&in_state), "{state}");
    assert_eq!(manager.which_handlers().await.unwrap().len(), 2);
}

#[tokio::test]
async fn ends_by_an_error_are_logged_and_others_are_not() {
    let runtime = runtime();
    let (log, _collecting) = Log::collect();
    let logged = || log.take("a server ended by an error");
    for reason in ["normal", "shutdown", "{shutdown,for_now}"] {
        let (server, pid) = safe(&runtime, Shows::All).await;
        server.cast(End(reason.to_owned())).await.unwrap();
        ended(&runtime, pid).await;
        let (_server, pid) = safe(&runtime, Shows::All).await;
        stop(&runtime, pid, parsed(reason), SECOND).await.unwrap();
        assert_eq!(logged(), Vec::<String>::new(), "{reason}");
    }
    for (shows, parts) in [
        (Shows::All, ["reason={bad,reason}", "state=secret"]),
        (Shows::NoSecret, ["reason=told", "state=hidden"]),
        (
            Shows::Panics,
            ["reason={bad,reason}", "format_status panicked"],
        ),
    ] {
        let (server, pid) = safe(&runtime, shows).await;
        server.cast(End("{bad,reason}".to_owned())).await.unwrap();
        ended(&runtime, pid).await;
        let lines = logged();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("ERROR"), "{lines:?}");
        let is_there = |part: &str| lines[0].contains(part);
        assert!(parts.into_iter().all(is_there), "{lines:?}");
        assert!(is_there(&pid.to_string()) && is_there("Safe"), "{lines:?}");
        assert!(is_there("behaviour=gen_server"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_panic_is_logged_once_with_all_that_is_known_and_so_is_one_in_terminate() {
    panics::install_hook();
    let runtime = runtime();
    let (log, _collecting) = Log::collect();
    let logged = || log.take("");
    let mut options = ServerOptions::default();
    options.process = options.process.label("in the cellar").name(atom!("safe"));
    let server = Safe::default().start_with(&runtime, options).await.unwrap();
    server.cast(Panic).await.unwrap();
    let pid = server.pid().unwrap();
    runtime.send(pid, Term::from(77)).await.unwrap();
    let reason = ended(&runtime, pid).await.to_string();
    assert!(reason.contains("looking_in.rs"), "{reason}");
    let lines = logged();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "ERROR",
        "a server ended by an error",
        "Safe",
        "behaviour=gen_server",
        "label=\"in the cellar\"",
        "name=safe",
        &format!("pid={pid}"),
        &format!("reason={reason}"),
        "out of order",
        "state=secret",
        "queued=1",
        "messages=[\"77\"]",
        "links=[]",
    ] {
        assert!(lines[0].contains(part), "{part} in {lines:?}");
    }
    let is_asked_for = Backtrace::capture().status() == BacktraceStatus::Captured;
    assert_eq!(lines[0].contains("backtrace="), is_asked_for, "{lines:?}");
    let bad = Safe {
        is_ending_badly: true,
        ..Safe::default()
    };
    let bad = bad.start(&runtime).await.unwrap();
    bad.cast(End("normal".to_owned())).await.unwrap();
    ended(&runtime, bad.pid().unwrap()).await;
    let lines = logged();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("in terminate"), "{lines:?}");
}

#[tokio::test]
async fn the_place_of_a_panic_is_told_whatever_panics_after_it() {
    panics::install_hook();
    let runtime = runtime();
    let (log, _collecting) = Log::collect();
    let (server, pid) = safe(&runtime, Shows::Panics).await;
    server.cast(Panic).await.unwrap();
    let reason = ended(&runtime, pid).await.to_string();
    let lines = log.take("");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("format_status panicked"), "{lines:?}");
    let logged = format!("reason={reason}");
    assert!(lines[0].contains(&logged), "{logged} in {lines:?}");
}

#[message(purlin = "crate::paths")]
#[derive(PartialEq)]
enum Lamp {
    Off,
    On,
    Dimmed,
}

#[events(purlin = "crate::paths")]
enum LampEvent {
    #[cast]
    Press,
    #[cast]
    Fall,
}

/// A state machine with data that nobody is to see.
struct Light(u64);

/// A state of a machine or a handler that panics when it is asked for that.
const NOT_TO_BE_TOLD: u64 = 13;

impl GenStatem for Light {
    type State = Lamp;
    type Event = LampEvent;

    async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<Lamp, InitError> {
        Ok(Lamp::Off)
    }

    async fn handle_event(
        &mut self,
        state: &Lamp,
        event: LampEvent,
        ctx: &mut StatemContext<'_, Self>,
    ) {
        match event {
            LampEvent::Press if *state == Lamp::Off => {
                self.0 += 1;
                ctx.next_state(Lamp::On);
            }
            LampEvent::Press => ctx.postpone(event),
            LampEvent::Fall => ctx.stop(atom!("broken")),
        }
    }

    fn data(&self) -> Option<Term> {
        assert_ne!(self.0, NOT_TO_BE_TOLD);
        Some(Term::from(self.0 as i64))
    }

    fn format_status(&self, mut status: StatemStatus) -> StatemStatus {
        status.data = atom!("hidden").into();
        status.postponed.truncate(1);
        status
    }

    async fn code_change(
        &mut self,
        old_version: Term,
        state: &mut Lamp,
        extra: Term,
    ) -> Result<(), Term> {
        if old_version.is_atom("unknown") {
            return Err(atom!("no_way").into());
        }
        if *state == Lamp::On {
            *state = Lamp::Dimmed;
        }
        self.0 += extra.as_int().unwrap_or(0) as u64;
        Ok(())
    }
}

#[tokio::test]
async fn a_state_machine_is_shown_as_it_wants_to_be_and_changes_state_and_data_for_other_code() {
    let runtime = runtime();
    let (log, _collecting) = Log::collect();
    let light = Light(0).start(&runtime).await.unwrap();
    let pid = light.pid().unwrap();
    let ask = |request: &str| ask_sys(&runtime, pid, parsed(request));
    for _ in 0..3 {
        light.cast(Press).await.unwrap();
    }
    let status = ask("get_status").await;
    assert!(
        status.contains("{data,[{\"State\",{on,hidden}}]}"),
        "{status}"
    );
    assert!(status.contains("{\"Postponed\",[press]}"), "{status}");
    assert_eq!(ask("get_state").await, "{ok,{on,1}}");
    assert_eq!(
        ask("{change_code,light,1,9}").await,
        "{error,{unknown_system_msg,{change_code,light,1,9}}}"
    );
    assert_eq!(ask("suspend").await, "ok");
    assert_eq!(ask("{change_code,light,unknown,9}").await, "{error,no_way}");
    assert_eq!(ask("{change_code,light,1,9}").await, "ok");
    assert_eq!(ask("get_state").await, "{ok,{dimmed,10}}");
    assert_eq!(ask("resume").await, "ok");
    light.cast(Fall).await.unwrap();
    ended(&runtime, pid).await;
    let lines = log.take("a server ended by an error");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "behaviour=gen_statem",
        "reason=broken",
        "state={dimmed,hidden}",
    ] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
}

/// A handler of numbers.
struct Sum {
    sum: i64,
    takes: bool,
}

impl EventHandler for Sum {
    type Event = i64;

    async fn handle_event(&mut self, event: &i64, _: &mut HandlerContext<'_, i64>) {
        assert!(*event >= 0, "below zero");
        self.sum += event;
    }

    fn state(&self) -> Option<Term> {
        assert_ne!(self.sum, NOT_TO_BE_TOLD as i64);
        Some(self.sum.into())
    }

    fn replace_state(&mut self, state: &EncodedTerm) -> bool {
        assert_ne!(state.deserialize::<i64>().ok(), Some(-1), "below zero");
        match (self.takes, state.deserialize()) {
            (true, Ok(sum)) => self.sum = sum,
            _ => return false,
        }
        true
    }

    fn format_status(&self, mut status: ServerStatus) -> ServerStatus {
        assert!(self.sum < 100, "too much");
        status.state = Term::tuple([atom!("about").into(), status.state]);
        status
    }
}

async fn sums(runtime: &Runtime) -> (ServerRef<GenEvent<i64>>, Pid) {
    let manager = GenEvent::new().start(runtime).await.unwrap();
    let sum = |takes| Sum { sum: 0, takes };
    manager
        .add_handler(atom!("fixed"), sum(false))
        .await
        .unwrap();
    let id = Term::tuple([atom!("sum").into(), 1.into()]);
    manager.add_handler(id, sum(true)).await.unwrap();
    manager.sync_notify(3).await.unwrap();
    let pid = manager.pid().unwrap();
    (manager, pid)
}

#[tokio::test]
async fn handlers_are_shown_as_they_want_to_be_with_the_manager_and_in_the_log() {
    let runtime = runtime();
    let (log, _collecting) = Log::collect();
    let (manager, pid) = sums(&runtime).await;
    let status = ask_sys(&runtime, pid, named("get_status")).await;
    let items = "{items,{\"Installed handlers\",[{handler,sum,1,{about,3},false},{handler,fixed,false,{about,3},false}]}}";
    assert!(status.contains(items), "{status}");
    manager.sync_notify(-1).await.unwrap();
    let lines = log.take("an event handler crashed");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("ERROR") && lines[0].contains("state={about,3}"),
        "{lines:?}"
    );
    let (manager, pid) = sums(&runtime).await;
    manager.sync_notify(100).await.unwrap();
    let status = ask_sys(&runtime, pid, named("get_status")).await;
    assert!(status.contains("format_status panicked"), "{status}");
    assert_eq!(manager.which_handlers().await.unwrap().len(), 2);
}

#[tokio::test]
async fn each_handler_takes_the_state_that_is_given_for_it_or_keeps_its_own() {
    let runtime = runtime();
    let (manager, pid) = sums(&runtime).await;
    let replace = |states: &str| {
        ask_sys(
            &runtime,
            pid,
            parsed(&format!("{{replace_state,{states}}}")),
        )
    };
    let now = replace("[{sum,1,40},{fixed,false,50}]").await;
    assert_eq!(now, "{ok,[{sum,1,40},{fixed,false,3}]}");
    let now = replace("[{other,1,50},{fixed,false,3}]").await;
    assert_eq!(now, "{ok,[{sum,1,40},{fixed,false,3}]}");
    // One that panics with it, too.
    let now = replace("[{sum,1,-1},{fixed,false,3}]").await;
    assert_eq!(now, "{ok,[{sum,1,40},{fixed,false,3}]}");
    for refused in ["[{sum,1,50}]", "50"] {
        assert_eq!(replace(refused).await, "{error,notsup}");
    }
    manager.sync_notify(2).await.unwrap();
    let state = ask_sys(&runtime, pid, named("get_state")).await;
    assert_eq!(state, "{ok,[{sum,1,42},{fixed,false,5}]}");
}

#[tokio::test]
async fn a_supervisor_reports_at_the_levels_of_otp() {
    let runtime = runtime();
    let (log, _collecting) = Log::collect();
    let failing = || Safe::default();
    let supervisor = one_for_one()
        .intensity(10, SECOND)
        .child("first", failing)
        .start(&runtime)
        .await
        .unwrap();
    let lines = log.take("a child is started");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("DEBUG") && lines[0].contains("first"),
        "{lines:?}"
    );
    let second = Child::new("second", failing).transient();
    let second = supervisor.start_child(second).await.unwrap().unwrap();
    let lines = log.take("a child is started");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("TRACE"), "{lines:?}");
    // It ends as it may, and is not restarted: nothing to report.
    stop(&runtime, second, atom!("normal"), SECOND)
        .await
        .unwrap();
    supervisor.which_children().await.unwrap();
    assert_eq!(log.take("a child ended"), Vec::<String>::new());
    let first = supervisor.which_children().await.unwrap();
    let pid = first.iter().find_map(|child| match child.status {
        purlin_behaviours::supervisor::Status::Running(pid) => Some(pid),
        _ => None,
    });
    stop(&runtime, pid.unwrap(), atom!("worn_out"), SECOND)
        .await
        .unwrap();
    supervisor.which_children().await.unwrap();
    let lines = log.take("a child ");
    let is =
        |line: &String, level: &str, what: &str| line.starts_with(level) && line.contains(what);
    assert!(
        lines
            .iter()
            .any(|line| is(line, "ERROR", "a child ended") && line.contains("reason=worn_out")),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| is(line, "DEBUG", "a child is started")),
        "{lines:?}"
    );
}
