//! Cases of OTP's `gen_server_SUITE`, in virtual time: `docs/otp-suites/gen_server.md` lists them.

mod support;

use std::time::Duration;

use purlin_behaviours::{
    CallError, Context, GenServer, InitError, Other, ServerOptions, ServerRef, StartError, call,
    cast, stop,
};
use purlin_macros::gen_server;
use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_runtime::{Attached, Raw, Received, Runtime, Target};
use purlin_term::{Atom, EncodedTerm, Pid, Reference, Term, atom};
use support::{paths, runtime};
use tokio::sync::mpsc;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Init {
    Ready,
    Ignore,
    Stop,
    Error,
    Panic,
    Sleep(u64),
    Timeout(u64),
    SleepThenTimeout(u64),
}

/// Tells what happens to it.
struct Subject {
    told: mpsc::UnboundedSender<String>,
    init: Init,
    traps: bool,
    terminates_badly: bool,
}

impl Subject {
    fn tell(&self, what: String) {
        let _ = self.told.send(what);
    }
}

#[gen_server(purlin = "crate::paths")]
impl GenServer for Subject {
    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(self.traps);
        match self.init {
            Init::Ready => {}
            Init::Ignore => return Err(InitError::Ignore),
            Init::Stop => return Err(InitError::stop(atom!("stopped"))),
            Init::Error => return Err(InitError::Error(Reason::new(atom!("foobar").into()))),
            Init::Panic => panic!("no way"),
            Init::Sleep(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Init::Timeout(ms) => ctx.set_timeout(Duration::from_millis(ms)),
            Init::SleepThenTimeout(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                ctx.set_timeout(Duration::ZERO);
            }
        }
        Ok(())
    }

    async fn terminate(&mut self, reason: &Reason, _: &mut Context<Self>) {
        // Whoever is answered before this goes on meanwhile.
        tokio::task::yield_now().await;
        self.tell(format!("terminate {reason}"));
        assert!(!self.terminates_badly, "in terminate");
    }

    async fn handle_exit(&mut self, _: Pid, reason: Reason, _: &mut Context<Self>) {
        self.tell(format!("exit {reason}"));
    }

    async fn handle_down(
        &mut self,
        _: Reference,
        target: Target,
        reason: Reason,
        _: &mut Context<Self>,
    ) {
        let of = match target {
            Target::Pid(_) => "a pid".to_owned(),
            Target::Name(name, _) => name.to_string(),
        };
        self.tell(format!("down {of} {reason}"));
    }

    async fn handle_timeout(&mut self, _: &mut Context<Self>) {
        self.tell("timeout".to_owned());
    }

    async fn handle_other(&mut self, other: Other, _: &mut Context<Self>) {
        self.tell(format!("other {}", other.message.to_term().unwrap()));
    }

    #[call]
    fn started(&self) -> bool {
        true
    }

    /// Answers after so many milliseconds, and handles nothing meanwhile.
    #[call]
    async fn slow(&mut self, ms: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    }

    /// Answers from a process of its own.
    #[call]
    async fn delayed(&mut self, ms: u64, from: ReplyTo<u64>, ctx: &mut Context<Self>) {
        let answering = async move |_: purlin_runtime::Process<()>| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            from.reply(ms).await;
        };
        ctx.runtime().spawn(answering).unwrap();
    }

    /// The next call has to come within so many milliseconds.
    #[call]
    fn call_within(&mut self, ms: u64, ctx: &mut Context<Self>) -> bool {
        ctx.set_timeout(Duration::from_millis(ms));
        true
    }

    #[call]
    async fn ask(&mut self, other: Pid, ms: u64, ctx: &mut Context<Self>) -> String {
        let patience = Duration::from_millis(ms);
        let asked = ctx.call_timeout(other, Term::from(atom!("started")), patience);
        match asked.await {
            Ok(reply) => reply.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[call]
    fn fail(&mut self, with_reply: bool) -> bool {
        assert!(with_reply, "failed");
        true
    }

    #[call]
    fn end(&mut self, reason: String, ctx: &mut Context<Self>) -> bool {
        ctx.stop(Term::parse(&reason).unwrap());
        true
    }

    #[call]
    fn watch(&mut self, other: Pid, link: bool, ctx: &mut Context<Self>) -> bool {
        match link {
            true => ctx.link(other),
            false => drop(ctx.monitor(other)),
        }
        true
    }

    #[call]
    fn watch_name(&mut self, name: Atom, ctx: &mut Context<Self>) -> bool {
        ctx.monitor((name, ctx.runtime().node()));
        true
    }

    #[cast]
    fn note(&mut self, number: u64) {
        self.tell(format!("note {number}"));
    }

    #[cast]
    fn note_then_go_on(&mut self, number: u64, ctx: &mut Context<Self>) {
        self.tell(format!("note {number}"));
        ctx.continue_with(GoOn(number));
    }

    #[continued]
    fn go_on(&mut self, number: u64, ctx: &mut Context<Self>) {
        self.tell(format!("continue {number}"));
        if number > 1 {
            ctx.continue_with(GoOn(number - 1));
        }
    }

    #[info]
    fn plain(&mut self, number: u64) {
        self.tell(format!("plain {number}"));
    }
}

type Told = mpsc::UnboundedReceiver<String>;

fn subject(init: Init) -> (Subject, Told) {
    let (told, events) = mpsc::unbounded_channel();
    let subject = Subject {
        told,
        init,
        traps: false,
        terminates_badly: false,
    };
    (subject, events)
}

fn trapping() -> (Subject, Told) {
    let (server, told) = subject(Init::Ready);
    let server = Subject {
        traps: true,
        ..server
    };
    (server, told)
}

/// A process that hears of the ends of those linked to it.
fn parent(runtime: &Runtime) -> Attached<Raw> {
    let parent = runtime.attach::<Raw>().unwrap();
    parent.trap_exit(true);
    parent
}

/// The reason of the next end that a parent hears of.
async fn end_heard(parent: &mut Attached<Raw>) -> String {
    loop {
        let received = parent.receive().await.unwrap();
        if let Received::Info(Info::Exit { reason, .. } | Info::Down { reason, .. }) = received {
            return reason.to_string();
        }
    }
}

async fn start_linked(
    server: Subject,
    parent: &Attached<Raw>,
) -> Result<ServerRef<Subject>, StartError> {
    let options = ServerOptions::default().link().timeout(SECOND);
    server.start_with(&**parent, options).await
}

async fn send_term(runtime: &Runtime, to: Pid, text: &str) {
    let term = EncodedTerm::encode(&Term::parse(text).unwrap()).unwrap();
    runtime.send(to, Raw(term)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn those_linked_hear_how_an_init_ended_but_not_of_an_error_that_was_told() {
    let runtime = runtime();
    let mut parent = parent(&runtime);
    let cases = [
        (Init::Ignore, "ignored", "normal"),
        (Init::Stop, "stopped", "stopped"),
        (Init::Error, "foobar", "normal"),
    ];
    for (init, told, heard) in cases {
        let error = start_linked(subject(init).0, &parent).await.unwrap_err();
        match error {
            StartError::Ignored => assert_eq!(told, "ignored"),
            StartError::Failed(reason) => assert_eq!(reason.to_string(), told),
            other => panic!("{other}"),
        }
        assert_eq!(end_heard(&mut parent).await, heard);
    }
}

#[tokio::test(start_paused = true)]
async fn an_init_that_panics_fails_the_start_and_those_linked_hear_why() {
    let runtime = runtime();
    let mut parent = parent(&runtime);
    let failed = start_linked(subject(Init::Panic).0, &parent).await;
    let Err(StartError::Failed(reason)) = failed else {
        panic!("it has to fail");
    };
    assert!(reason.to_string().contains("no way"), "{reason}");
    assert_eq!(end_heard(&mut parent).await, reason.to_string());
}

#[tokio::test(start_paused = true)]
async fn an_init_that_takes_too_long_is_killed_and_its_name_is_free() {
    let runtime = runtime();
    let options = || {
        ServerOptions::default()
            .name(atom!("slow"))
            .timeout(Duration::from_millis(100))
    };
    let (server, mut told) = subject(Init::Sleep(5000));
    let failed = server.start_with(&runtime, options()).await.unwrap_err();
    assert_eq!(failed, StartError::TimedOut(Duration::from_millis(100)));
    assert_eq!(told.recv().await, None);
    let in_time = subject(Init::Sleep(50)).0;
    let server = in_time.start_with(&runtime, options()).await.unwrap();
    assert!(server.call(Started).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_exit_signal_in_init_ends_the_start() {
    let runtime = runtime();
    let options = ServerOptions::default().name(atom!("doomed"));
    let starting = subject(Init::Sleep(5000)).0;
    let ending = async {
        tokio::time::sleep(SECOND).await;
        let pid = runtime.whereis(&atom!("doomed")).unwrap();
        runtime.exit(pid, atom!("enough"));
    };
    let (started, ()) = tokio::join!(starting.start_with(&runtime, options), ending);
    assert_eq!(started.unwrap_err(), StartError::Ended);
    assert_eq!(runtime.whereis(&atom!("doomed")), None);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_set_in_init_comes_unless_a_message_comes_first() {
    let runtime = runtime();
    let (server, mut told) = subject(Init::Timeout(500));
    let before = Instant::now();
    let _server = server.start(&runtime).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "timeout");
    assert_eq!(before.elapsed().as_millis(), 500);
    let (server, mut told) = subject(Init::Timeout(500));
    let server = server.start(&runtime).await.unwrap();
    server.call(Started).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert!(told.try_recv().is_err());
    assert!(server.call(CallWithin(1000)).await.unwrap());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(told.try_recv().unwrap(), "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_comes_at_once_unless_a_message_waits_already() {
    let runtime = runtime();
    let before = Instant::now();
    let (server, mut told) = subject(Init::Timeout(0));
    let server = server.start(&runtime).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "timeout");
    assert!(server.call(CallWithin(0)).await.unwrap());
    assert_eq!(told.recv().await.unwrap(), "timeout");
    assert_eq!(before.elapsed(), Duration::ZERO);
    let within = server.send_request(CallWithin(0));
    server.cast(Note(1)).await.unwrap();
    assert!(within.await.unwrap());
    assert_eq!(told.recv().await.unwrap(), "note 1");
    let (server, mut told) = subject(Init::SleepThenTimeout(100));
    let options = ServerOptions::default().name(atom!("late"));
    let sending = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let late = Target::Name(atom!("late"), runtime.node());
        cast(&runtime, late, &Note(2)).await.unwrap();
    };
    let (started, ()) = tokio::join!(server.start_with(&runtime, options), sending);
    assert!(started.unwrap().call(Started).await.unwrap());
    assert_eq!(told.recv().await.unwrap(), "note 2");
    tokio::time::sleep(SECOND).await;
    assert!(told.try_recv().is_err(), "a message takes it away");
}

#[tokio::test(start_paused = true)]
async fn who_starts_a_server_with_a_monitor_hears_of_its_end_and_not_of_a_failed_start() {
    let runtime = runtime();
    let mut starter = runtime.attach::<Raw>().unwrap();
    let options = || ServerOptions::default().name(atom!("watched"));
    for init in [
        Init::Ignore,
        Init::Stop,
        Init::Error,
        Init::Panic,
        Init::Sleep(5000),
    ] {
        let options = options().timeout(SECOND);
        let failed = subject(init).0.start_monitor(&starter, options).await;
        assert!(failed.is_err());
        assert_eq!(runtime.whereis(&atom!("watched")), None);
    }
    let started = subject(Init::Ready).0.start_monitor(&starter, options());
    let (server, monitor) = started.await.unwrap();
    let taken = subject(Init::Ready).0.start_monitor(&starter, options());
    let pid = server.pid().unwrap();
    assert_eq!(taken.await.unwrap_err(), StartError::AlreadyStarted(pid));
    server.call(End("done".to_owned())).await.unwrap();
    let (reference, from, reason) = starter.receive().await.unwrap().down().unwrap();
    assert_eq!((reference, reason.to_string().as_str()), (monitor, "done"));
    assert_eq!(from, Target::Pid(pid));
}

#[tokio::test(start_paused = true)]
async fn who_stops_a_server_waits_for_its_end_and_hears_when_there_is_none() {
    let runtime = runtime();
    let (server, mut told) = subject(Init::Ready);
    let options = ServerOptions::default().name(atom!("to_stop"));
    let server = server.start_with(&runtime, options).await.unwrap();
    let name = Target::Name(atom!("to_stop"), runtime.node());
    let busy = server.send_request(Slow(2000));
    let late = stop(&runtime, name.clone(), atom!("normal"), SECOND).await;
    assert!(matches!(late, Err(CallError::TimedOut(_))), "{late:?}");
    assert_eq!(busy.await.unwrap(), 2000);
    assert_eq!(told.recv().await.unwrap(), "terminate normal");
    let again = stop(&runtime, name, atom!("normal"), SECOND).await;
    assert!(matches!(again, Err(CallError::NoProcess)), "{again:?}");
    let (server, mut told) = subject(Init::Ready);
    let pid = server.start(&runtime).await.unwrap().pid().unwrap();
    stop(&runtime, pid, atom!("other"), SECOND).await.unwrap();
    assert!(!runtime.is_process_alive(pid));
    assert_eq!(told.recv().await.unwrap(), "terminate other");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_itself_answers_after_terminate_and_those_linked_hear_its_reason() {
    let runtime = runtime();
    let mut parent = parent(&runtime);
    for reason in ["normal", "shutdown", "{shutdown,stop_reason}", "crashed"] {
        let (server, mut told) = subject(Init::Ready);
        let server = start_linked(server, &parent).await.unwrap();
        assert!(server.call(End(reason.to_owned())).await.unwrap());
        assert_eq!(told.try_recv().unwrap(), format!("terminate {reason}"));
        assert_eq!(end_heard(&mut parent).await, reason);
        let (server, mut told) = subject(Init::Ready);
        let pid = start_linked(server, &parent).await.unwrap().pid().unwrap();
        let end = End(reason.to_owned());
        assert!(call(&runtime, pid, &end, SECOND).await.unwrap());
        assert_eq!(told.try_recv().unwrap(), format!("terminate {reason}"));
        assert_eq!(end_heard(&mut parent).await, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn an_exit_signal_ends_without_terminate_and_is_handled_where_it_is_trapped() {
    let runtime = runtime();
    let (server, mut told) = subject(Init::Ready);
    let server = server.start(&runtime).await.unwrap();
    runtime.exit(server.pid().unwrap(), atom!("boom"));
    assert_eq!(told.recv().await, None);
    let stranger = runtime.attach::<Raw>().unwrap();
    let (server, mut told) = trapping();
    let server = server.start(&runtime).await.unwrap();
    let pid = server.pid().unwrap();
    stranger.exit(pid, atom!("boom"));
    assert_eq!(told.recv().await.unwrap(), "exit boom");
    assert!(server.call(Started).await.unwrap());
    stranger.exit(pid, atom!("kill"));
    assert_eq!(told.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_its_parent_ends_a_server_that_traps_exits_with_terminate() {
    let runtime = runtime();
    let parent = parent(&runtime);
    let (server, mut told) = trapping();
    let server = start_linked(server, &parent).await.unwrap();
    parent.exit(server.pid().unwrap(), atom!("shutdown"));
    assert_eq!(told.recv().await.unwrap(), "terminate shutdown");
    let (server, mut told) = trapping();
    let _server = start_linked(server, &parent).await.unwrap();
    parent.end(Reason::new(atom!("gone").into()));
    assert_eq!(told.recv().await.unwrap(), "terminate gone");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_terminate_is_the_reason_of_the_end() {
    let runtime = runtime();
    let mut parent = parent(&runtime);
    let (server, mut told) = subject(Init::Ready);
    let server = Subject {
        terminates_badly: true,
        ..server
    };
    let server = start_linked(server, &parent).await.unwrap();
    server.call(End("normal".to_owned())).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "terminate normal");
    let heard = end_heard(&mut parent).await;
    assert!(heard.contains("in terminate"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn exits_and_downs_of_others_are_handled() {
    let runtime = runtime();
    let (server, mut told) = trapping();
    let server = server.start(&runtime).await.unwrap();
    let other = runtime.attach::<Raw>().unwrap();
    let pid = other.pid();
    server.call(Watch(pid, true)).await.unwrap();
    server.call(Watch(pid, false)).await.unwrap();
    other.end(Reason::new(atom!("bye").into()));
    let mut both = [told.recv().await.unwrap(), told.recv().await.unwrap()];
    both.sort();
    assert_eq!(both, ["down a pid bye", "exit bye"]);
    server.call(Watch(pid, false)).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "down a pid noproc");
    server.call(Watch(pid, true)).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "exit noproc");
    server.call(WatchName(atom!("nobody"))).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "down nobody noproc");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_timed_out_is_carried_out_and_its_late_reply_disturbs_nobody() {
    let runtime = runtime();
    let server = subject(Init::Ready).0.start(&runtime).await.unwrap();
    let pid = server.pid().unwrap();
    assert_eq!(server.call_timeout(Delayed(1), SECOND).await.unwrap(), 1);
    let early = Duration::from_millis(1);
    let error = server.call_timeout(Delayed(30), early).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)), "{error}");
    let error = call(&runtime, pid, &Delayed(30), early).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)), "{error}");
    assert_eq!(call(&runtime, pid, &Delayed(50), SECOND).await.unwrap(), 50);
    assert_eq!(server.call(Delayed(60)).await.unwrap(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_server_answers_when_it_goes_on() {
    let runtime = runtime();
    let (server, mut told) = subject(Init::Ready);
    let server = server.start(&runtime).await.unwrap();
    let asker = runtime.attach::<Raw>().unwrap();
    let system = async |request: &str| {
        let from = Term::tuple([asker.pid().into(), runtime.make_reference().into()]);
        let request = Term::parse(request).unwrap();
        let message = Term::tuple([atom!("system").into(), from, request]);
        let message = EncodedTerm::encode(&message).unwrap();
        let to = server.pid().unwrap();
        runtime.send(to, Raw(message)).await.unwrap();
    };
    system("suspend").await;
    let error = server.call_timeout(Started, SECOND).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut(_)), "{error}");
    server.cast(Note(1)).await.unwrap();
    let waits = server.send_request(Started);
    system("resume").await;
    assert!(waits.await.unwrap());
    assert_eq!(told.recv().await.unwrap(), "note 1");
    system("suspend").await;
    system("{terminate,enough}").await;
    assert_eq!(told.recv().await.unwrap(), "terminate enough");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_when_a_server_ends_are_not_left_waiting() {
    let runtime = runtime();
    let before = Instant::now();
    let server = subject(Init::Ready).0.start(&runtime).await.unwrap();
    let pid = server.pid().unwrap();
    let slow = server.send_request(Slow(100));
    let fails = server.send_request(Fail(false));
    let behind = server.send_request(Started);
    let failing = call(&runtime, pid, &Started, SECOND);
    let (slow, fails, behind, by_pid) = tokio::join!(slow, fails, behind, failing);
    assert_eq!(slow.unwrap(), 100);
    let is_gone = |error: &CallError| matches!(error, CallError::NoReply(_) | CallError::NoProcess);
    assert!(fails.as_ref().is_err_and(is_gone), "{fails:?}");
    assert!(behind.as_ref().is_err_and(is_gone), "{behind:?}");
    let Err(CallError::Ended(reason)) = by_pid else {
        panic!("it waited behind the one that failed");
    };
    assert!(reason.to_string().contains("failed"), "{reason}");
    assert_eq!(before.elapsed().as_millis(), 100);
}

#[tokio::test(start_paused = true)]
async fn servers_that_call_each_other_or_themselves_go_on_when_their_patience_ends() {
    let runtime = runtime();
    let one = subject(Init::Ready).0.start(&runtime).await.unwrap();
    let two = subject(Init::Ready).0.start(&runtime).await.unwrap();
    let [pid_one, pid_two] = [&one, &two].map(|server| server.pid().unwrap());
    let before = Instant::now();
    let asked = (one.call(Ask(pid_two, 100)), two.call(Ask(pid_one, 200)));
    let (first, second) = tokio::join!(asked.0, asked.1);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.starts_with("no answer within 100 ms"), "{first}");
    assert_eq!(
        (second.as_str(), before.elapsed().as_millis()),
        ("true", 100)
    );
    let itself = one.call(Ask(pid_one, 100)).await.unwrap();
    assert!(itself.starts_with("no answer within 100 ms"), "{itself}");
    assert!(one.call(Started).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn casts_and_plain_messages_to_nobody_are_no_errors() {
    let runtime = runtime();
    let nobody = Target::Name(atom!("nobody"), runtime.node());
    cast(&runtime, nobody, &Note(1)).await.unwrap();
    let (server, mut told) = subject(Init::Ready);
    let server = server.start(&runtime).await.unwrap();
    server.call(End("normal".to_owned())).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "terminate normal");
    assert_eq!(told.recv().await, None);
    server.cast(Note(1)).await.unwrap();
    server.send(Plain(1)).await.unwrap();
    cast(&runtime, server.pid().unwrap(), &Note(1))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_server_does_not_take_it_hears_of_and_goes_on() {
    let runtime = runtime();
    let (server, mut told) = subject(Init::Ready);
    let server = server.start(&runtime).await.unwrap();
    let pid = server.pid().unwrap();
    let strange = [
        "{'$gen_cast',{note,x}}",
        "{'$gen_cast',unheard_of}",
        "{plain,x}",
        "timeout",
        "{'$gen_call',no_caller,started}",
        "{'EXIT',nobody,reason}",
    ];
    for text in strange {
        send_term(&runtime, pid, text).await;
        assert_eq!(told.recv().await.unwrap(), format!("other {text}"));
    }
    send_term(&runtime, pid, "{'$gen_cast',{note,3}}").await;
    assert_eq!(told.recv().await.unwrap(), "note 3");
    send_term(&runtime, pid, "{plain,4}").await;
    assert_eq!(told.recv().await.unwrap(), "plain 4");
    let unknown = Term::from(Atom::new("unheard_of").unwrap());
    let refused = call(&runtime, pid, &unknown, SECOND).await.unwrap();
    assert!(
        refused.to_string().starts_with("{error,{badarg,"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_server_goes_on_with_comes_before_its_messages() {
    let runtime = runtime();
    let (server, mut told) = subject(Init::Ready);
    let server = server.start(&runtime).await.unwrap();
    server.cast(NoteThenGoOn(2)).await.unwrap();
    server.cast(Note(9)).await.unwrap();
    for expected in ["note 2", "continue 2", "continue 1", "note 9"] {
        assert_eq!(told.recv().await.unwrap(), expected);
    }
}
