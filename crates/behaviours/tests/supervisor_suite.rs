//! Cases of OTP's `supervisor_SUITE` that are the driver's, in virtual time: `docs/otp-suites/supervisor.md`.

mod support;

use std::time::Duration;

use purlin_behaviours::supervisor::{
    AutoShutdown, Child, Status, Supervisor, dynamic, one_for_all, one_for_one, rest_for_one,
};
use purlin_behaviours::{
    CallError, Context, GenServer, InitError, ServerOptions, ServerRef, StartError, call,
};
use purlin_macros::gen_server;
use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_runtime::{Attached, Process, Raw, Received, Runtime, Target};
use purlin_term::{Atom, Pid, Term, atom};
use support::{paths, runtime};
use tokio::sync::mpsc;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Init {
    Ready,
    Ignore,
    Panic,
    Hang,
}

/// Tells of its starts and ends.
struct Worker {
    name: &'static str,
    told: mpsc::UnboundedSender<String>,
    init: Init,
}

#[gen_server(purlin = "crate::paths")]
impl GenServer for Worker {
    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(true);
        match self.init {
            Init::Ready => {}
            Init::Ignore => return Err(InitError::Ignore),
            Init::Panic => panic!("no way"),
            Init::Hang => std::future::pending().await,
        }
        let _ = self.told.send(format!("{} started", self.name));
        Ok(())
    }

    async fn terminate(&mut self, reason: &Reason, _: &mut Context<Self>) {
        let _ = self.told.send(format!("{} {reason}", self.name));
    }

    #[cast]
    fn end(&mut self, reason: String, ctx: &mut Context<Self>) {
        ctx.stop(Term::parse(&reason).unwrap());
    }

    /// It is its supervisor's child no more, as far as links tell.
    #[cast]
    fn unlink_and_end(&mut self, ctx: &mut Context<Self>) {
        let parent = ctx.parent().unwrap();
        ctx.unlink(parent);
        ctx.stop(atom!("unlinked"));
    }
}

type Told = mpsc::UnboundedReceiver<String>;

#[derive(Clone)]
struct Teller(mpsc::UnboundedSender<String>);

impl Teller {
    fn new() -> (Self, Told) {
        let (told, events) = mpsc::unbounded_channel();
        (Self(told), events)
    }

    /// A child that is registered under its id.
    fn child(&self, name: &'static str) -> Child {
        self.child_with(name, Init::Ready)
    }

    fn child_with(&self, name: &'static str, init: Init) -> Child {
        self.nameless(name, init).registered(name)
    }

    fn nameless(&self, id: &'static str, init: Init) -> Child {
        let told = self.0.clone();
        Child::new(id, move || Worker {
            name: id,
            told: told.clone(),
            init,
        })
    }
}

async fn heard<const N: usize>(told: &mut Told) -> [String; N] {
    let mut all = [const { String::new() }; N];
    for one in &mut all {
        *one = told.recv().await.unwrap();
    }
    all
}

fn named(runtime: &Runtime, name: &'static str) -> ServerRef<Worker> {
    let name = Atom::new(name).unwrap();
    ServerRef::of(runtime, Target::Name(name, runtime.node()))
}

async fn end(runtime: &Runtime, name: &'static str, reason: &str) {
    let end = End(reason.to_owned());
    named(runtime, name).cast(end).await.unwrap();
}

fn parent(runtime: &Runtime) -> Attached<Raw> {
    let parent = runtime.attach::<Raw>().unwrap();
    parent.trap_exit(true);
    parent
}

async fn start_link(supervisor: Supervisor, parent: &Attached<Raw>) -> ServerRef<Supervisor> {
    let options = ServerOptions::default().link();
    supervisor.start_with(&**parent, options).await.unwrap()
}

async fn exit_heard(parent: &mut Attached<Raw>) -> String {
    match parent.receive().await.unwrap() {
        Received::Info(Info::Exit { reason, .. }) => reason.to_string(),
        _ => panic!("an exit was expected"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_ends_with_its_parent_and_is_linked_to_it() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let mut parent = parent(&runtime);
    let supervisor = one_for_one().with(teller.child("one"));
    let supervisor = start_link(supervisor, &parent).await;
    let pid = supervisor.pid().unwrap();
    parent.exit(pid, atom!("shutdown"));
    assert_eq!(exit_heard(&mut parent).await, "shutdown");
    assert_eq!(heard(&mut told).await, ["one started", "one shutdown"]);
    let error = supervisor.count_children().await.unwrap_err();
    assert_eq!(error.to_string(), CallError::NoProcess.to_string());
    let nobody = Target::Name(atom!("nobody"), runtime.node());
    let which = Term::from(atom!("which_children"));
    let error = call(&runtime, nobody, &which, SECOND).await.unwrap_err();
    assert!(matches!(error, CallError::NoProcess), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_init_ignores_is_kept_and_the_others_start() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let supervisor = one_for_one()
        .with(teller.child_with("ignored", Init::Ignore))
        .with(teller.child("one"))
        .start(&runtime)
        .await
        .unwrap();
    assert_eq!(heard(&mut told).await, ["one started"]);
    let children = supervisor.which_children().await.unwrap();
    let ignored = children
        .iter()
        .find(|child| child.id == Term::from("ignored"));
    assert!(!matches!(ignored.unwrap().status, Status::Running(_)));
    let more = teller.child_with("more", Init::Ignore).temporary();
    assert_eq!(supervisor.start_child(more).await.unwrap(), None);
    assert_eq!(supervisor.restart_child("ignored").await.unwrap(), None);
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_init_panics_fails_the_start_with_the_reason_of_the_panic() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let failed = one_for_one()
        .with(teller.child("one"))
        .with(teller.child_with("two", Init::Panic))
        .start(&runtime)
        .await;
    let Err(StartError::Failed(reason)) = failed else {
        panic!("it has to fail");
    };
    let reason = reason.to_string();
    let begin = "{shutdown,{failed_to_start_child,<<\"two\">>,{panic,<<\"no way";
    assert!(reason.starts_with(begin), "{reason}");
    assert_eq!(heard(&mut told).await, ["one started", "one shutdown"]);
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let panics = teller.child_with("more", Init::Panic);
    let error = supervisor.start_child(panics).await.unwrap_err();
    assert!(error.to_string().contains("no way"), "{error}");
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_unlinked_itself_is_ended_and_waited_for() {
    let runtime = runtime();
    let (told, mut events) = mpsc::unbounded_channel();
    let loose = Child::process("loose", move |mut process: Process<Pid>| {
        let told = told.clone();
        async move {
            process.trap_exit(true);
            let supervisor = process.receive_message().await;
            process.unlink(supervisor);
            told.send("unlinked".to_owned()).unwrap();
            let _ = process.receive().await;
            tokio::time::sleep(SECOND).await;
            told.send("ended".to_owned()).unwrap();
        }
    });
    let supervisor = one_for_one().with(loose.registered("loose"));
    let supervisor = supervisor.start(&runtime).await.unwrap();
    let loose = runtime.whereis(&atom!("loose")).unwrap();
    runtime
        .send(loose, supervisor.pid().unwrap())
        .await
        .unwrap();
    assert_eq!(heard(&mut events).await, ["unlinked"]);
    let before = tokio::time::Instant::now();
    supervisor.terminate_child("loose").await.unwrap();
    assert_eq!(events.try_recv().unwrap(), "ended");
    assert_eq!(before.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_unlinked_itself_and_ended_is_not_waited_for() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let supervisor = one_for_one().with(teller.child("one"));
    let supervisor = supervisor.start(&runtime).await.unwrap();
    let one = named(&runtime, "one");
    one.cast(UnlinkAndEnd).await.unwrap();
    assert_eq!(heard(&mut told).await, ["one started", "one unlinked"]);
    supervisor.terminate_child("one").await.unwrap();
    supervisor.restart_child("one").await.unwrap().unwrap();
    assert_eq!(heard(&mut told).await, ["one started"]);
}

/// `top` over `one` and a supervisor `inner` over `two` and `three`.
fn tree(teller: &Teller, top: Supervisor, inner: fn() -> Supervisor) -> Supervisor {
    let children = teller.clone();
    let inner = Child::new("inner", move || {
        let [two, three] = [children.child("two"), children.child("three")];
        inner().intensity(0, SECOND).with(two).with(three)
    });
    top.with(teller.child("one")).with(inner)
}

#[tokio::test(start_paused = true)]
async fn a_tree_ends_from_its_youngest_leaf() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let mut parent = parent(&runtime);
    let top = tree(&teller, one_for_one(), one_for_one);
    let top = start_link(top, &parent).await;
    let started = heard(&mut told).await;
    assert_eq!(started, ["one started", "two started", "three started"]);
    let counts = top.count_children().await.unwrap();
    assert_eq!(
        (counts.supervisors, counts.workers, counts.active),
        (1, 1, 2)
    );
    parent.exit(top.pid().unwrap(), atom!("shutdown"));
    let ended = heard(&mut told).await;
    assert_eq!(ended, ["three shutdown", "two shutdown", "one shutdown"]);
    assert_eq!(exit_heard(&mut parent).await, "shutdown");
    assert_eq!(runtime.process_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gives_up_is_restarted_by_the_one_above() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let top = tree(&teller, one_for_one(), one_for_one);
    let _top = top.start(&runtime).await.unwrap();
    heard::<3>(&mut told).await;
    end(&runtime, "two", "crashed").await;
    let heard_of = heard(&mut told).await;
    let expected = [
        "two crashed",
        "three shutdown",
        "two started",
        "three started",
    ];
    assert_eq!(heard_of, expected);
}

#[tokio::test(start_paused = true)]
async fn giving_up_goes_up_through_a_tree() {
    let runtime = runtime();
    for strategy in [one_for_one, one_for_all, rest_for_one] {
        let (teller, mut told) = Teller::new();
        let mut parent = parent(&runtime);
        let top = strategy().intensity(0, SECOND);
        let _top = start_link(tree(&teller, top, strategy), &parent).await;
        heard::<3>(&mut told).await;
        end(&runtime, "three", "crashed").await;
        let ended = heard(&mut told).await;
        assert_eq!(ended, ["three crashed", "two shutdown", "one shutdown"]);
        assert_eq!(exit_heard(&mut parent).await, "shutdown");
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_a_significant_child_ends_the_one_above() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let mut parent = parent(&runtime);
    let two = teller.clone();
    let inner = Child::new("inner", move || {
        let two = two.child("two").transient().significant();
        one_for_one()
            .auto_shutdown(AutoShutdown::AnySignificant)
            .with(two)
    });
    let top = one_for_one()
        .auto_shutdown(AutoShutdown::AnySignificant)
        .with(teller.child("one"))
        .with(inner.transient().significant());
    let _top = start_link(top, &parent).await;
    heard::<2>(&mut told).await;
    end(&runtime, "two", "normal").await;
    assert_eq!(heard(&mut told).await, ["two normal", "one shutdown"]);
    assert_eq!(exit_heard(&mut parent).await, "shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_its_children_with_it_and_is_restarted() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    // Without names: the supervisor is started anew before its children have ended.
    let inner = Child::new("inner", move || {
        let [one, two] = ["one", "two"].map(|id| teller.nameless(id, Init::Ready));
        one_for_one().with(one).with(two)
    });
    let top = one_for_one().with(inner).start(&runtime).await.unwrap();
    heard::<2>(&mut told).await;
    let Status::Running(inner) = top.which_children().await.unwrap()[0].status else {
        panic!("it runs");
    };
    runtime.exit(inner, atom!("kill"));
    let mut came: [String; 4] = heard(&mut told).await;
    came.sort();
    assert_eq!(
        came,
        ["one killed", "one started", "two killed", "two started"]
    );
    assert_eq!(top.count_children().await.unwrap().active, 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_init_hangs_is_given_up_after_its_time() {
    let runtime = runtime();
    let (teller, mut told) = Teller::new();
    let hanging = || teller.child_with("two", Init::Hang).start_timeout(SECOND);
    let failed = one_for_one()
        .with(teller.child("one"))
        .with(hanging())
        .start(&runtime)
        .await;
    let Err(StartError::Failed(reason)) = failed else {
        panic!("it has to fail");
    };
    let expected = "{shutdown,{failed_to_start_child,<<\"two\">>,timeout}}";
    assert_eq!(reason.to_string(), expected);
    assert_eq!(heard(&mut told).await, ["one started", "one shutdown"]);
    let supervisor = one_for_one().start(&runtime).await.unwrap();
    let error = supervisor.start_child(hanging()).await.unwrap_err();
    let refused = error.to_string();
    assert!(
        refused.starts_with("the supervisor refused: {timeout,{child,"),
        "{refused}"
    );
    assert_eq!(runtime.whereis(&atom!("two")), None);
    let in_time = teller.child("two").start_timeout(SECOND);
    assert!(supervisor.start_child(in_time).await.unwrap().is_some());
}
