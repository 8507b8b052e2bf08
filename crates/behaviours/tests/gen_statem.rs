//! State machines as their users know them.

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use purlin_behaviours::supervisor::{Child, one_for_one};
use purlin_behaviours::{
    CallError, Context, GenServer, GenStatem, InitError, POSTPONED_MAX, ReplyTo, ServerOptions,
    ServerRef, StartError, Statem, StatemContext, StatemRef, Timer, call, cast,
};
use purlin_macros::{events, message};
use purlin_otp::reason::Reason;
use purlin_runtime::{Process, Raw, Runtime, Target};
use purlin_term::{EncodedTerm, Pid, Reference, Term, atom};
use support::{ask_sys, paths, runtime};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[message(purlin = "crate::paths")]
#[derive(Debug, PartialEq, Clone, Copy)]
enum Door {
    Locked,
    Open,
}

#[events(purlin = "crate::paths")]
enum DoorEvent {
    #[cast]
    Button(u8),
    #[call]
    CodeLength(ReplyTo<usize>),
    Lock,
}

/// The door lock of OTP's design principles.
struct CodeLock {
    code: Vec<u8>,
    pressed: VecDeque<u8>,
    seen: mpsc::UnboundedSender<String>,
}

impl GenStatem for CodeLock {
    type State = Door;
    type Event = DoorEvent;

    async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<Door, InitError> {
        Ok(Door::Locked)
    }

    async fn handle_enter(&mut self, _: &Door, state: &Door, ctx: &mut StatemContext<'_, Self>) {
        let _ = self.seen.send(format!("{state:?}"));
        match state {
            Door::Locked => self.pressed.clear(),
            Door::Open => ctx.state_timeout(Duration::from_secs(10), DoorEvent::Lock),
        }
    }

    async fn handle_event(
        &mut self,
        state: &Door,
        event: DoorEvent,
        ctx: &mut StatemContext<'_, Self>,
    ) {
        match (state, event) {
            (Door::Locked, DoorEvent::Button(button)) => {
                self.pressed.push_back(button);
                while self.pressed.len() > self.code.len() {
                    self.pressed.pop_front();
                }
                if self.pressed == self.code {
                    ctx.next_state(Door::Open);
                }
            }
            (Door::Open, event @ DoorEvent::Button(_)) => ctx.postpone(event),
            (_, DoorEvent::Lock) => ctx.next_state(Door::Locked),
            (_, DoorEvent::CodeLength(from)) => from.reply(self.code.len()).await,
        }
    }

    async fn terminate(&mut self, reason: &Reason, state: &Door, _: &mut Context<Statem<Self>>) {
        let _ = self.seen.send(format!("{state:?} ends: {reason}"));
    }

    fn data(&self) -> Option<Term> {
        let pressed = self.pressed.iter().map(|n| Term::from(i64::from(*n)));
        Some(Term::list(pressed))
    }
}

fn code_lock() -> (CodeLock, mpsc::UnboundedReceiver<String>) {
    let (seen, events) = mpsc::unbounded_channel();
    let lock = CodeLock {
        code: vec![1, 2],
        pressed: VecDeque::new(),
        seen,
    };
    (lock, events)
}

#[tokio::test(start_paused = true)]
async fn a_door_opens_by_its_code_and_locks_after_its_time_and_keeps_what_was_pressed_meanwhile() {
    let runtime = runtime();
    let (lock, mut seen) = code_lock();
    let lock = lock.start(&runtime).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "Locked");
    for button in [2, 1, 2, 1, 2] {
        lock.cast(Button(button)).await.unwrap();
    }
    assert_eq!(seen.recv().await.unwrap(), "Open");
    let opened = Instant::now();
    assert_eq!(lock.call(CodeLength).await.unwrap(), 2);
    assert_eq!(seen.recv().await.unwrap(), "Locked");
    assert!(opened.elapsed() >= Duration::from_secs(10));
    // Two were pressed while it was open.
    assert_eq!(seen.recv().await.unwrap(), "Open");
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_asked_by_name_and_by_terms_as_otp_asks() {
    let runtime = runtime();
    let (lock, mut seen) = code_lock();
    let options = ServerOptions::default().name(atom!("lock"));
    let pid = lock.start_with(&runtime, options).await.unwrap().pid();
    let again = code_lock().0;
    let options = ServerOptions::default().name(atom!("lock"));
    let again = again.start_with(&runtime, options).await.unwrap_err();
    assert_eq!(again, StartError::AlreadyStarted(pid.unwrap()));
    let name = Target::Name(atom!("lock"), runtime.node());
    let by_type: StatemRef<CodeLock> = ServerRef::of(&runtime, name.clone());
    assert_eq!(by_type.call(CodeLength).await.unwrap(), 2);
    let patience = Duration::from_secs(1);
    let length = Term::from(atom!("code_length"));
    let reply = call(&runtime, name.clone(), &length, patience).await;
    assert_eq!(reply.unwrap(), Term::from(2));
    for button in [1, 2] {
        let button = Term::tuple([atom!("button").into(), button.into()]);
        cast(&runtime, name.clone(), &button).await.unwrap();
    }
    assert_eq!(seen.recv().await.unwrap(), "Locked");
    assert_eq!(seen.recv().await.unwrap(), "Open");
    let wrong = Term::from(atom!("what"));
    let reply = call(&runtime, name, &wrong, patience).await.unwrap();
    assert!(reply.to_string().starts_with("{error,{badarg,"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn sys_sees_state_and_data_and_replaces_them() {
    let runtime = runtime();
    let (lock, mut seen) = code_lock();
    let lock = lock.start(&runtime).await.unwrap();
    let pid = lock.pid().unwrap();
    lock.cast(Button(1)).await.unwrap();
    let ask = |request: &'static str| ask_sys(&runtime, pid, atom_named(request));
    assert_eq!(ask("get_state").await, "{ok,{locked,[1]}}");
    assert_eq!(ask("suspend").await, "ok");
    lock.cast(Button(2)).await.unwrap();
    assert_eq!(ask("get_state").await, "{ok,{locked,[1]}}");
    let status = ask("get_status").await;
    assert!(status.contains("{module,gen_statem}"), "{status}");
    assert!(status.contains("Status for state machine"), "{status}");
    assert!(status.contains("suspended"), "{status}");
    assert_eq!(ask("resume").await, "ok");
    assert_eq!(ask("get_state").await, "{ok,{open,[1,2]}}");
    let status = ask("get_status").await;
    assert!(status.contains("[{state_timeout,lock}]"), "{status}");
    let same_data = Term::list([1.into(), 2.into()]);
    let state = |state: Term, data: Term| {
        let state = Term::tuple([state, data]);
        Term::tuple([atom!("replace_state").into(), state])
    };
    let locked = state(atom!("locked").into(), same_data);
    assert_eq!(ask_sys(&runtime, pid, locked).await, "{ok,{locked,[1,2]}}");
    for refused in [
        state(atom!("ajar").into(), Term::list([1.into(), 2.into()])),
        state(atom!("open").into(), Term::nil()),
    ] {
        assert_eq!(ask_sys(&runtime, pid, refused).await, "{error,notsup}");
    }
    assert_eq!(ask("get_state").await, "{ok,{locked,[1,2]}}");
    let end = Term::tuple([atom!("terminate").into(), atom!("enough").into()]);
    assert_eq!(ask_sys(&runtime, pid, end).await, "ok");
    for expected in ["Locked", "Open", "Locked ends: enough"] {
        assert_eq!(seen.recv().await.unwrap(), expected);
    }
}

fn atom_named(name: &str) -> Term {
    purlin_term::Atom::new(name).unwrap().into()
}

/// So many an interval; those above wait for the next.
struct RateLimiter {
    left: u32,
}

const PER_INTERVAL: u32 = 2;
const INTERVAL: Duration = Duration::from_secs(1);

#[message(purlin = "crate::paths")]
#[derive(PartialEq)]
enum Rate {
    Free,
    Exhausted,
}

#[events(purlin = "crate::paths")]
enum RateEvent {
    #[call]
    Acquire(ReplyTo<u32>),
    Refill,
}

impl GenStatem for RateLimiter {
    type State = Rate;
    type Event = RateEvent;

    async fn init(&mut self, ctx: &mut StatemContext<'_, Self>) -> Result<Rate, InitError> {
        ctx.generic_timeout("refill", INTERVAL, RateEvent::Refill);
        Ok(Rate::Free)
    }

    async fn handle_event(
        &mut self,
        state: &Rate,
        event: RateEvent,
        ctx: &mut StatemContext<'_, Self>,
    ) {
        match (state, event) {
            (Rate::Free, RateEvent::Acquire(from)) => {
                self.left -= 1;
                from.reply(self.left).await;
                if self.left == 0 {
                    ctx.next_state(Rate::Exhausted);
                }
            }
            (Rate::Exhausted, event @ RateEvent::Acquire(_)) => ctx.postpone(event),
            (_, RateEvent::Refill) => {
                self.left = PER_INTERVAL;
                ctx.generic_timeout("refill", INTERVAL, RateEvent::Refill);
                ctx.next_state(Rate::Free);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limiter_lets_callers_wait_for_the_next_interval() {
    let runtime = runtime();
    let began = Instant::now();
    let limiter = RateLimiter { left: PER_INTERVAL };
    let limiter = limiter.start(&runtime).await.unwrap();
    let pending: Vec<_> = (0..5).map(|_| limiter.send_request(Acquire)).collect();
    let mut answered = Vec::new();
    for reply in pending {
        answered.push((reply.await.unwrap(), began.elapsed().as_secs()));
    }
    assert_eq!(answered, [(1, 0), (0, 0), (1, 1), (0, 1), (1, 2)]);
}

/// A machine that does what it is told, and tells what it sees.
struct Script {
    seen: mpsc::UnboundedSender<String>,
    watched: Option<(Pid, Reference)>,
}

#[events(purlin = "crate::paths")]
enum Told {
    #[cast]
    Insert(u8),
    #[cast]
    EventTimeout(u64),
    #[cast]
    Named(u64),
    #[cast]
    Update,
    #[cast]
    Cancel,
    #[cast]
    Repeat,
    #[cast]
    Spin,
    #[cast]
    Postpone(u32),
    #[cast]
    Crash,
    #[cast]
    Finish(String),
    #[call]
    Bye(String, ReplyTo<bool>),
    #[cast]
    Watch(Pid),
    #[info]
    Ping(u8),
    #[down]
    Down(Reference, Reason),
    #[exit]
    Exit(Pid, Reason),
    Fired(&'static str),
}

impl GenStatem for Script {
    type State = bool;
    type Event = Told;

    async fn init(&mut self, ctx: &mut StatemContext<'_, Self>) -> Result<bool, InitError> {
        ctx.trap_exit(true);
        ctx.next_event(Told::Fired("first"));
        Ok(false)
    }

    async fn handle_enter(&mut self, old: &bool, state: &bool, _: &mut StatemContext<'_, Self>) {
        self.say(format!("enter {old} {state}"));
    }

    async fn handle_event(&mut self, _: &bool, event: Told, ctx: &mut StatemContext<'_, Self>) {
        match event {
            Told::Insert(0) => self.say("inserted"),
            Told::Insert(n) => {
                ctx.next_event(Told::Insert(n - 1));
                ctx.next_event(Told::Fired("second"));
            }
            Told::EventTimeout(ms) => ctx.event_timeout(millis(ms), Told::Fired("event")),
            Told::Named(ms) => {
                let at = Instant::now() + millis(ms);
                ctx.generic_timeout(atom!("named"), at, Told::Fired("named"));
            }
            Told::Update => ctx.update_timeout(named(), Told::Fired("updated")),
            Told::Cancel => ctx.cancel_timeout(named()),
            Told::Repeat => ctx.repeat_state(),
            Told::Spin => ctx.state_timeout(Duration::ZERO, Told::Spin),
            Told::Postpone(n) => {
                if n > 0 {
                    ctx.next_event(Told::Postpone(n - 1));
                }
                ctx.postpone(Told::Postpone(0));
            }
            Told::Crash => panic!("as it was told"),
            Told::Finish(reason) => {
                ctx.next_state(true);
                ctx.stop(reason.as_str());
            }
            Told::Bye(reason, from) => {
                from.reply(true).await;
                ctx.stop(reason.as_str());
            }
            Told::Watch(pid) => {
                self.watched = Some((pid, ctx.monitor(pid)));
                ctx.link(pid);
            }
            Told::Ping(n) => self.say(format!("ping {n}")),
            Told::Down(monitor, reason) => {
                assert_eq!(self.watched.map(|(_, of)| of), Some(monitor));
                self.say(format!("down {reason}"));
            }
            Told::Exit(from, reason) => {
                assert_eq!(self.watched.map(|(pid, _)| pid), Some(from));
                self.say(format!("exit {reason}"));
            }
            Told::Fired(what) => self.say(what),
        }
    }

    async fn terminate(&mut self, reason: &Reason, state: &bool, _: &mut Context<Statem<Self>>) {
        self.say(format!("{state} ends: {reason}"));
    }
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn named() -> Timer {
    Timer::Named(atom!("named").into())
}

impl Script {
    fn new(seen: mpsc::UnboundedSender<String>) -> Self {
        let watched = None;
        Self { seen, watched }
    }

    fn say(&self, what: impl Into<String>) {
        let _ = self.seen.send(what.into());
    }
}

async fn script(runtime: &Runtime) -> (StatemRef<Script>, mpsc::UnboundedReceiver<String>) {
    let (seen, mut said) = mpsc::unbounded_channel();
    let script = Script::new(seen).start(runtime).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "enter false false");
    assert_eq!(said.recv().await.unwrap(), "first");
    (script, said)
}

#[tokio::test(start_paused = true)]
async fn inserted_events_are_handled_before_those_that_came() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    script.cast(Insert(2)).await.unwrap();
    script.send(Ping(1)).await.unwrap();
    for expected in ["inserted", "second", "second", "ping 1"] {
        assert_eq!(said.recv().await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_cancelled_updated_and_replaced() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    let began = Instant::now();
    script.cast(EventTimeout(5)).await.unwrap();
    script.cast(Named(20)).await.unwrap();
    script.cast(Named(10)).await.unwrap();
    script.cast(Update).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "updated");
    assert_eq!(began.elapsed().as_millis(), 10);
    script.cast(EventTimeout(5)).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "event");
    script.cast(Named(10)).await.unwrap();
    script.cast(Cancel).await.unwrap();
    script.cast(Update).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "updated");
    assert_eq!(began.elapsed().as_millis(), 15);
    script.cast(Repeat).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "enter false false");
    tokio::time::sleep(millis(100)).await;
    assert!(said.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn ends_of_watched_and_linked_processes_are_events() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    let other = runtime.spawn(async |mut process: Process<Raw>| {
        process.receive_message().await;
        Reason::new(atom!("over").into())
    });
    let other = other.unwrap().pid();
    script.cast(Watch(other)).await.unwrap();
    script.cast(Insert(0)).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "inserted");
    let nothing = EncodedTerm::encode(&Term::nil()).unwrap();
    runtime.send(other, Raw(nothing)).await.unwrap();
    let mut ends = [said.recv().await.unwrap(), said.recv().await.unwrap()];
    ends.sort();
    assert_eq!(ends, ["down over", "exit over"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_stops_the_machine_changes_nothing_else_and_its_timers_end_with_it() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    let before = runtime.timer_count();
    script.cast(Named(60_000)).await.unwrap();
    script.cast(Insert(0)).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "inserted");
    assert_eq!(runtime.timer_count(), before + 1);
    script.cast(Finish("tired".into())).await.unwrap();
    script.cast(Insert(0)).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "false ends: <<\"tired\">>");
    assert_eq!(said.recv().await, None);
    assert_eq!(runtime.timer_count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_reply_comes_before_the_end_of_a_machine_that_replies_and_stops() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    assert!(script.call(Bye("bye".into())).await.unwrap());
    assert_eq!(said.recv().await.unwrap(), "false ends: <<\"bye\">>");
    let error = script.call(Bye("again".into())).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test]
async fn a_machine_can_be_started_with_a_monitor() {
    let runtime = runtime();
    let mut starter = runtime.attach::<Raw>().unwrap();
    let started = code_lock()
        .0
        .start_monitor(&starter, ServerOptions::default());
    let (lock, monitor) = started.await.unwrap();
    runtime.exit(lock.pid().unwrap(), atom!("enough"));
    let (reference, _, reason) = starter.receive().await.unwrap().down().unwrap();
    assert_eq!(
        (reference, reason.to_string().as_str()),
        (monitor, "enough")
    );
}

#[tokio::test(start_paused = true)]
async fn a_linked_machine_that_does_not_trap_ends_with_who_started_it() {
    let runtime = runtime();
    let (told, mut started) = mpsc::unbounded_channel();
    let (lock, mut seen) = code_lock();
    let parent = runtime.spawn(async move |mut process: Process<Raw>| {
        let options = ServerOptions::default().link();
        let lock = lock.start_with(&process, options).await.unwrap();
        told.send(lock).unwrap();
        process.receive_message().await;
    });
    let lock = started.recv().await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), "Locked");
    runtime.exit(parent.unwrap().pid(), atom!("shutdown"));
    // Nothing is sent any more when what it was made of is dropped.
    assert_eq!(seen.recv().await, None);
    let error = lock.call(CodeLength).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_too_long_says_so_and_its_reply_reaches_nobody() {
    let runtime = runtime();
    let limiter = RateLimiter { left: 1 };
    let limiter = limiter.start(&runtime).await.unwrap();
    assert_eq!(limiter.call(Acquire).await.unwrap(), 0);
    let short = INTERVAL / 2;
    let error = limiter.call_timeout(Acquire, short).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)), "{error}");
    // What was given up was handled with those that waited.
    assert_eq!(limiter.call(Acquire).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_starts_a_machine_again_in_its_first_state() {
    let runtime = runtime();
    let (seen, mut said) = mpsc::unbounded_channel();
    let name = "script";
    let child = Child::new(name, move || {
        let seen = seen.clone();
        Script::new(seen).statem()
    });
    let tree = one_for_one().with(child.registered(name));
    let supervisor = tree.start(&runtime).await.unwrap();
    let name = Target::Name(atom!("script"), runtime.node());
    let script: StatemRef<Script> = ServerRef::of(&runtime, name);
    script.cast(Crash).await.unwrap();
    for expected in ["enter false false", "first"] {
        assert_eq!(said.recv().await.unwrap(), expected);
    }
    let end = said.recv().await.unwrap();
    assert!(
        end.starts_with("false ends: {panic,<<\"as it was told"),
        "{end}"
    );
    assert_eq!(said.recv().await.unwrap(), "enter false false");
    drop(supervisor);
}

struct Unwanted;

impl GenStatem for Unwanted {
    type State = ();
    type Event = DoorEvent;

    async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<(), InitError> {
        Err(InitError::Ignore)
    }

    async fn handle_event(&mut self, _: &(), _: DoorEvent, _: &mut StatemContext<'_, Self>) {}
}

#[tokio::test(start_paused = true)]
async fn a_machine_may_not_want_to_be_started_and_a_dead_one_does_not_answer() {
    let runtime = runtime();
    let ignored = Unwanted.start(&runtime).await;
    assert_eq!(ignored.unwrap_err(), StartError::Ignored);
    let (lock, _seen) = code_lock();
    let lock = lock.start(&runtime).await.unwrap();
    runtime.exit(lock.pid().unwrap(), atom!("kill"));
    let error = lock.call(CodeLength).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_gives_itself_events_without_end_lets_others_run_and_can_be_killed() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    script.cast(Spin).await.unwrap();
    let pid = script.pid().unwrap();
    let other = runtime.spawn(async |_: Process<()>| {}).unwrap();
    while runtime.is_process_alive(other.pid()) {
        tokio::task::yield_now().await;
    }
    assert!(runtime.is_process_alive(pid));
    runtime.exit(pid, atom!("kill"));
    assert_eq!(said.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_postpones_more_than_it_may_ends() {
    let runtime = runtime();
    let (script, mut said) = script(&runtime).await;
    let most = POSTPONED_MAX as u32;
    script.cast(Postpone(most - 1)).await.unwrap();
    script.send(Ping(1)).await.unwrap();
    assert_eq!(said.recv().await.unwrap(), "ping 1");
    script.cast(Postpone(0)).await.unwrap();
    let expected = format!("false ends: {{postponed_max,{most}}}");
    assert_eq!(said.recv().await.unwrap(), expected);
}
