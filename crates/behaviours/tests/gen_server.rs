//! Servers as their users know them.

mod support;

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use purlin_behaviours::{
    CallError, Context, GenServer, HandleCall, HandleCallFrom, HandleCast, HandleContinue,
    HandleInfo, InitError, Other, ReplyTo, ServerOptions, ServerRef, StartError, by, call,
};
use purlin_macros::{gen_server, message};
use purlin_otp::reason::Reason;
use purlin_runtime::{Process, Raw, Target};
use purlin_term::{EncodedTerm, Term, atom};
use support::{paths, runtime};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[message(reply = i64, purlin = "crate::paths")]
struct Get;

#[message(reply = i64, purlin = "crate::paths")]
struct Add(i64);

#[message(reply = String, purlin = "crate::paths")]
struct Later;

#[message(purlin = "crate::paths")]
struct Reset;

#[message(purlin = "crate::paths")]
struct Tick(u64);

struct Load(i64);

struct Counter {
    value: i64,
    waiting: Option<ReplyTo<String>>,
    seen: mpsc::UnboundedSender<String>,
}

impl GenServer for Counter {
    type Messages = (
        by::Call<Get>,
        by::Call<Add>,
        by::Call<Later>,
        by::Cast<Reset>,
        by::Info<Tick>,
        by::Continue<Load>,
    );

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        if self.value < 0 {
            return Err(InitError::Ignore);
        }
        let _: u8 = self.value.to_string().parse()?;
        ctx.continue_with(Load(self.value));
        Ok(())
    }

    async fn terminate(&mut self, reason: &Reason, _: &mut Context<Self>) {
        let _ = self.seen.send(format!("terminate {reason}"));
    }

    async fn handle_timeout(&mut self, ctx: &mut Context<Self>) {
        ctx.stop(atom!("tired"));
    }

    fn state(&self) -> Option<Term> {
        Some(self.value.into())
    }
}

impl HandleCall<Get> for Counter {
    async fn handle_call(&mut self, _: Get, _: &mut Context<Self>) -> i64 {
        self.value
    }
}

impl HandleCall<Add> for Counter {
    async fn handle_call(&mut self, Add(n): Add, _: &mut Context<Self>) -> i64 {
        assert!(n < 1000, "too much");
        self.value += n;
        self.value
    }
}

impl HandleCallFrom<Later> for Counter {
    async fn handle_call_from(&mut self, _: Later, from: ReplyTo<String>, ctx: &mut Context<Self>) {
        self.waiting = Some(from);
        ctx.send_after(Duration::from_millis(5), Tick(7));
    }
}

impl HandleCast<Reset> for Counter {
    async fn handle_cast(&mut self, _: Reset, ctx: &mut Context<Self>) {
        self.value = 0;
        ctx.set_timeout(Duration::from_millis(50));
    }
}

impl HandleInfo<Tick> for Counter {
    async fn handle_info(&mut self, Tick(n): Tick, _: &mut Context<Self>) {
        if let Some(waiting) = self.waiting.take() {
            waiting.reply(format!("tick {n}")).await;
        }
    }
}

impl HandleContinue<Load> for Counter {
    async fn handle_continue(&mut self, Load(n): Load, _: &mut Context<Self>) {
        let _ = self.seen.send(format!("load {n}"));
    }
}

fn counter(value: i64) -> (Counter, mpsc::UnboundedReceiver<String>) {
    let (seen, events) = mpsc::unbounded_channel();
    let counter = Counter {
        value,
        waiting: None,
        seen,
    };
    (counter, events)
}

/// What a future is ready with at once.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await;
    match polled {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Keeps who asks, and answers nobody.
struct Silent(Vec<ReplyTo<i64>>);

impl GenServer for Silent {
    type Messages = (by::Call<Get>, by::Call<Add>);
}

impl HandleCallFrom<Get> for Silent {
    async fn handle_call_from(&mut self, _: Get, from: ReplyTo<i64>, _: &mut Context<Self>) {
        self.0.push(from);
    }
}

/// Answers this one, after those that it kept: how many of them nobody waits for any more.
impl HandleCallFrom<Add> for Silent {
    async fn handle_call_from(&mut self, _: Add, from: ReplyTo<i64>, _: &mut Context<Self>) {
        let abandoned = self.0.iter().filter(|kept| kept.is_abandoned()).count();
        for (n, kept) in self.0.drain(..).enumerate() {
            kept.reply(n as i64).await;
        }
        from.reply(abandoned as i64).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_by_one_reference_at_once_end_each_in_its_time() {
    let runtime = runtime();
    let server = Silent(Vec::new()).start(&runtime).await.unwrap();
    let began = Instant::now();
    let call = async |ms| {
        let timeout = Duration::from_millis(ms);
        let ended = server.call_timeout(Get, timeout).await;
        assert!(matches!(ended, Err(CallError::TimedOut(after)) if after == timeout));
        assert_eq!(began.elapsed(), timeout);
    };
    tokio::join!(call(400), call(100), call(250));
}

/// The calls are of one task and by one reference, so the next may use what the one before has used.
#[tokio::test(start_paused = true)]
async fn a_reply_that_comes_late_is_not_that_of_the_next_call() {
    let runtime = runtime();
    let server = Silent(Vec::new()).start(&runtime).await.unwrap();
    assert_eq!(server.call(Add(0)).await.unwrap(), 0);
    for _ in 0..3 {
        let timeout = Duration::from_millis(10);
        let late = server.call_timeout(Get, timeout).await;
        assert!(matches!(late, Err(CallError::TimedOut(_))));
        assert_eq!(server.call(Add(0)).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_on_in_another_task_is_answered_there() {
    let runtime = runtime();
    let server = Silent(Vec::new()).start(&runtime).await.unwrap();
    let other = server.clone();
    let mut call = Box::pin(async move { other.call(Get).await });
    assert!(poll_once(call.as_mut()).await.is_none());
    let elsewhere = tokio::spawn(call);
    tokio::task::yield_now().await;
    assert_eq!(server.call(Add(0)).await.unwrap(), 0);
    assert_eq!(elsewhere.await.unwrap().unwrap(), 0);
    assert_eq!(server.call(Add(0)).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_and_casts_by_type_are_answered_and_handled_in_order() {
    let runtime = runtime();
    let (server, mut events) = counter(3);
    let counter = server.start(&runtime).await.unwrap();
    assert_eq!(events.recv().await.unwrap(), "load 3");
    assert_eq!(counter.call(Get).await.unwrap(), 3);
    assert_eq!(counter.call(Add(4)).await.unwrap(), 7);
    assert_eq!(counter.call(Later).await.unwrap(), "tick 7");
    let pending = counter.send_request(Add(1));
    counter.cast(Reset).await.unwrap();
    assert_eq!(pending.await.unwrap(), 8);
    assert_eq!(counter.call(Get).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hears_nothing_for_the_time_it_set_handles_that() {
    let runtime = runtime();
    let (server, mut events) = counter(0);
    let counter = server.start(&runtime).await.unwrap();
    counter.cast(Reset).await.unwrap();
    events.recv().await.unwrap();
    assert_eq!(events.recv().await.unwrap(), "terminate tired");
    let error = counter.call(Get).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_server_after_its_terminate_and_its_caller_hears() {
    let runtime = runtime();
    let (server, mut events) = counter(0);
    let counter = server.start(&runtime).await.unwrap();
    events.recv().await.unwrap();
    let error = counter.call(Add(1000)).await.unwrap_err();
    assert!(
        matches!(error, CallError::NoReply(_) | CallError::NoProcess),
        "{error}"
    );
    let terminated = events.recv().await.unwrap();
    assert!(
        terminated.starts_with("terminate {panic,<<\"too much"),
        "{terminated}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_init_says_is_heard_by_who_starts_the_server() {
    let runtime = runtime();
    let ignored = counter(-1).0.start(&runtime).await;
    assert_eq!(ignored.unwrap_err(), StartError::Ignored);
    let failed = counter(256).0.start(&runtime).await.unwrap_err();
    assert!(failed.to_string().contains("number too large"), "{failed}");
    let options = || ServerOptions::default().name(atom!("counter"));
    let first = counter(1).0.start_with(&runtime, options()).await.unwrap();
    let second = counter(1).0.start_with(&runtime, options()).await;
    let pid = first.pid().unwrap();
    assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(pid));
}

#[tokio::test(start_paused = true)]
async fn calls_by_name_and_terms_arrive_as_the_same_types() {
    let runtime = runtime();
    let options = ServerOptions::default().name(atom!("counter"));
    let server = counter(1).0.start_with(&runtime, options).await.unwrap();
    let name = Target::Name(atom!("counter"), runtime.node());
    let patience = Duration::from_secs(1);
    let value = call(&runtime, name.clone(), &Add(2), patience)
        .await
        .unwrap();
    assert_eq!(value, 3);
    let by_type = ServerRef::<Counter>::of(&runtime, name.clone());
    assert_eq!(by_type.call(Add(2)).await.unwrap(), 5);
    let term = Term::tuple([atom!("add").into(), 2.into()]);
    let reply = call(&runtime, name.clone(), &term, patience).await.unwrap();
    assert_eq!(reply, Term::from(7));
    let wrong = Term::tuple([atom!("add").into(), atom!("x").into()]);
    let reply = call(&runtime, name.clone(), &wrong, patience)
        .await
        .unwrap();
    let reply = reply.to_string();
    assert!(
        reply.starts_with("{error,{badarg,<<\"add: expected an integer"),
        "{reply}"
    );
    assert_eq!(server.call(Add(0)).await.unwrap(), 7);
    let nobody = Target::Name(atom!("nobody"), runtime.node());
    let error = call(&runtime, nobody, &term, patience).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test(start_paused = true)]
async fn sys_looks_into_a_server_and_steers_it() {
    let runtime = runtime();
    let (server, mut events) = counter(5);
    let server = server.start(&runtime).await.unwrap();
    events.recv().await.unwrap();
    let pid = server.pid().unwrap();
    let ask = async |request: Term| {
        let mut asker = runtime.attach::<Raw>().unwrap();
        let tag = Term::from(runtime.make_reference());
        let from = Term::tuple([asker.pid().into(), tag]);
        let message = Term::tuple([atom!("system").into(), from, request]);
        runtime
            .send(pid, Raw(EncodedTerm::encode(&message).unwrap()))
            .await
            .unwrap();
        let Raw(reply) = asker.receive().await.unwrap().message().unwrap();
        let [_, reply] = reply.view().as_tuple_of().unwrap();
        reply.to_term().unwrap().to_string()
    };
    let atom = |name: &'static str| Term::from(purlin_term::Atom::new(name).unwrap());
    assert_eq!(ask(atom("get_state")).await, "{ok,5}");
    assert_eq!(ask(atom("suspend")).await, "ok");
    let status = ask(atom("get_status")).await;
    assert!(status.contains("suspended"), "{status}");
    let pending = server.send_request(Add(1));
    assert_eq!(ask(atom("get_state")).await, "{ok,5}");
    assert_eq!(ask(atom("resume")).await, "ok");
    assert_eq!(pending.await.unwrap(), 6);
    let pair = |a: Term, b: Term| Term::tuple([a, b]);
    let log = |flag: &'static str| pair(atom("debug"), pair(atom("log"), atom(flag)));
    assert_eq!(ask(log("true")).await, "ok");
    server.call(Get).await.unwrap();
    assert_eq!(
        ask(log("get")).await,
        "{ok,[{in,{'$gen_call',undefined,get}}]}"
    );
    let unknown = ask(atom("what")).await;
    assert_eq!(unknown, "{error,{unknown_system_msg,what}}");
    assert_eq!(ask(pair(atom("terminate"), atom("enough"))).await, "ok");
    assert_eq!(events.recv().await.unwrap(), "terminate enough");
}

#[message(purlin = "crate::paths")]
#[derive(Debug, PartialEq)]
struct Count(u32);

#[derive(serde::Serialize, serde::Deserialize)]
struct Limiter {
    left: u32,
    #[serde(skip)]
    waiting: Vec<ReplyTo<u32>>,
}

#[gen_server(purlin = "crate::paths")]
impl GenServer for Limiter {
    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.continue_with(Prepare(1));
        Ok(())
    }

    /// Takes one.
    #[call]
    async fn take_one(&mut self, from: ReplyTo<u32>) {
        self.waiting.push(from);
        self.give().await;
    }

    #[call]
    fn left(&self) -> u32 {
        self.left
    }

    /// What it answers is seen in this file alone.
    #[call]
    pub(crate) fn figures(&self) -> Count {
        Count(self.left)
    }

    #[call(Add)]
    async fn add(&mut self, Add(n): Add, _ctx: &mut Context<Self>) -> i64 {
        self.left += n as u32;
        self.give().await;
        n
    }

    #[cast]
    async fn put_back(&mut self, count: u32, mut times: u32) {
        while times > 0 {
            self.left += count;
            times -= 1;
        }
        self.give().await;
    }

    #[info]
    async fn stop_now(&mut self, ctx: &mut Context<Self>) {
        ctx.stop(atom!("normal"));
    }

    #[continued]
    fn prepare(&mut self, more: u32) {
        self.left += more;
    }
}

impl Limiter {
    async fn give(&mut self) {
        while self.left > 0
            && let Some(from) = self.waiting.pop()
        {
            self.left -= 1;
            from.reply(self.left).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_written_with_the_macro_is_as_one_written_by_hand() {
    let runtime = runtime();
    let server = Limiter {
        left: 0,
        waiting: Vec::new(),
    };
    let limiter = server.start(&runtime).await.unwrap();
    assert_eq!(limiter.call(TakeOne).await.unwrap(), 0);
    let waits = limiter.send_request(TakeOne);
    limiter.cast(PutBack(2, 3)).await.unwrap();
    assert_eq!(waits.await.unwrap(), 5);
    assert_eq!(limiter.call(Left).await.unwrap(), 5);
    assert_eq!(limiter.call(Figures).await.unwrap(), Count(5));
    let pid = limiter.pid().unwrap();
    let term = Term::from(atom!("take_one"));
    let patience = Duration::from_secs(1);
    let reply = call(&runtime, pid, &term, patience).await.unwrap();
    assert_eq!(reply, Term::from(4));
    limiter.send(StopNow).await.unwrap();
    let error = limiter.call(Left).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_stands_though_the_server_refuses_a_call_meanwhile() {
    let runtime = runtime();
    let (server, mut events) = counter(1);
    let counter = server.start(&runtime).await.unwrap();
    counter.cast(Reset).await.unwrap();
    let (pid, unknown) = (counter.pid().unwrap(), Term::from(atom!("sing")));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let began = tokio::time::Instant::now();
    let refused = call(&runtime, pid, &unknown, Duration::from_secs(1)).await;
    assert!(refused.unwrap().to_string().starts_with("{error,{badarg,"));
    assert_eq!(events.recv().await.unwrap(), "load 1");
    let tired = tokio::time::timeout(Duration::from_secs(1), events.recv()).await;
    assert_eq!(tired.unwrap().unwrap(), "terminate tired");
    assert_eq!(began.elapsed(), Duration::from_millis(30));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_may_be_further_than_time_goes() {
    let runtime = runtime();
    let server = Patient.start(&runtime).await.unwrap();
    server.cast(Reset).await.unwrap();
    assert_eq!(server.call(Get).await.unwrap(), 1);
    let pid = server.pid().unwrap();
    let state = support::ask_sys(&runtime, pid, atom!("suspend").into()).await;
    assert_eq!(state, "ok");
}

/// Waits as long as it can be said.
struct Patient;

impl GenServer for Patient {
    type Messages = (by::Call<Get>, by::Cast<Reset>);
}

impl HandleCall<Get> for Patient {
    async fn handle_call(&mut self, _: Get, ctx: &mut Context<Self>) -> i64 {
        ctx.set_timeout(Duration::MAX);
        1
    }
}

impl HandleCast<Reset> for Patient {
    async fn handle_cast(&mut self, _: Reset, ctx: &mut Context<Self>) {
        ctx.set_timeout(Duration::MAX);
    }
}

/// Never ready.
struct Hangs;

impl GenServer for Hangs {
    type Messages = ();

    async fn init(&mut self, _: &mut Context<Self>) -> Result<(), InitError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn who_starts_a_linked_server_that_is_not_ready_in_time_lives_and_is_told() {
    let runtime = runtime();
    let (told, heard) = tokio::sync::oneshot::channel();
    let starter = runtime.spawn(|process: Process<()>| async move {
        let options = ServerOptions::default().link();
        let options = options.timeout(Duration::from_millis(100));
        let started = Hangs.start_with(&process, options).await;
        // Whoever hears of it does not meet the one that was killed.
        assert_eq!(process.runtime().process_count(), 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let _ = told.send(started.map(drop));
    });
    starter.unwrap();
    let started = heard.await.expect("it lives");
    assert_eq!(
        started,
        Err(StartError::TimedOut(Duration::from_millis(100)))
    );
    assert_eq!(runtime.process_count(), 0);
}

/// Holds its thread in its `init` until it is told to go on.
struct Holds(std::sync::mpsc::Receiver<()>);

impl GenServer for Holds {
    type Messages = ();

    async fn init(&mut self, _: &mut Context<Self>) -> Result<(), InitError> {
        let _ = self.0.recv();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_starts_a_server_is_not_held_by_an_init_that_holds_its_thread() {
    let runtime = runtime();
    let (goes_on, holds) = std::sync::mpsc::channel();
    let options = ServerOptions::default().name(atom!("held"));
    let options = options.timeout(Duration::from_millis(10));
    let starting = Holds(holds).start_with(&runtime, options);
    let started = tokio::time::timeout(Duration::from_secs(20), starting).await;
    let started = started.expect("who starts it goes on");
    assert!(matches!(started, Err(StartError::TimedOut(_))));
    assert_eq!(runtime.whereis(&atom!("held")), None);
    assert_eq!(runtime.process_count(), 1, "it is still held");
    drop(goes_on);
    runtime.stop(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn sys_refuses_what_it_does_not_know_in_otps_words() {
    let runtime = runtime();
    let (server, _events) = counter(1);
    let server = server.start(&runtime).await.unwrap();
    let pid = server.pid().unwrap();
    let ask = async |request: &str| {
        let request = Term::parse(request).unwrap();
        support::ask_sys(&runtime, pid, request).await
    };
    for unknown in [
        "{debug,foo}",
        "{debug,{foo,bar}}",
        "{debug,{trace,maybe}}",
        "{debug,{log,{true,0}}}",
        "{debug,{log,{false,3}}}",
    ] {
        assert_eq!(ask(unknown).await, "unknown_debug", "{unknown}");
    }
    // Code is changed while a server is suspended.
    let change = "{change_code,s,1,[]}";
    let unknown = format!("{{error,{{unknown_system_msg,{change}}}}}");
    assert_eq!(ask(change).await, unknown);
    assert_eq!(ask("suspend").await, "ok");
    assert_eq!(ask(change).await, "ok");
    assert_eq!(ask("resume").await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_log_and_statistics_that_are_on_stay_as_they_are_when_they_are_switched_on() {
    let runtime = runtime();
    let (server, _events) = counter(1);
    let server = server.start(&runtime).await.unwrap();
    let pid = server.pid().unwrap();
    let ask = async |request: &str| {
        let request = Term::parse(request).unwrap();
        support::ask_sys(&runtime, pid, request).await
    };
    let on = ["{debug,{log,{true,3}}}", "{debug,{statistics,true}}"];
    for _ in 0..2 {
        for on in on {
            assert_eq!(ask(on).await, "ok");
        }
        server.cast(Reset).await.unwrap();
    }
    let log = ask("{debug,{log,get}}").await;
    assert_eq!(log.matches("$gen_cast").count(), 2, "{log}");
    let statistics = ask("{debug,{statistics,get}}").await;
    assert!(statistics.contains("{messages_in,2}"), "{statistics}");
}

#[test]
fn a_message_that_nobody_handles_is_shown_by_its_length_if_it_is_long() {
    let shown = |text: &str| {
        let message = EncodedTerm::encode(&Term::from(text)).unwrap();
        let mismatch = None;
        Other { message, mismatch }.to_string()
    };
    assert_eq!(shown("short"), "<<\"short\">>");
    assert_eq!(shown(&"x".repeat(1 << 16)), "a term of 65541 bytes");
}
