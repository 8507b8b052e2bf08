//! Supervisors as programs and shells know them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use purlin_behaviours::supervisor::{
    Child, ChildError, Shutdown, Status, dynamic, one_for_all, one_for_one,
};
use purlin_behaviours::{
    Context, GenServer, HandleCall, HandleCast, InitError, Request, ServerRef, StartError, by, call,
};
use purlin_macros::message;
use purlin_otp::reason::Reason;
use purlin_runtime::{Process, Runtime, Target};
use purlin_term::{Pid, Term, atom};
use support::{paths, runtime};
use tokio::sync::mpsc;

type Events = mpsc::UnboundedSender<String>;

#[message(reply = u64, purlin = "crate::paths")]
struct Get;

#[message(purlin = "crate::paths")]
struct Crash;

/// Tells of its starts and ends.
struct Worker {
    name: &'static str,
    events: Events,
    /// Its `init` never ends.
    hangs: bool,
    fails: bool,
}

impl Worker {
    fn new(name: &'static str, events: &Events) -> Self {
        Self {
            name,
            events: events.clone(),
            hangs: false,
            fails: false,
        }
    }
}

impl GenServer for Worker {
    type Messages = (by::Call<Get>, by::Cast<Crash>);

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(true);
        let _ = self.events.send(format!("{} started", self.name));
        if self.hangs {
            std::future::pending::<()>().await;
        }
        match self.fails {
            true => Err(InitError::stop(atom!("no"))),
            false => Ok(()),
        }
    }

    async fn terminate(&mut self, reason: &Reason, _: &mut Context<Self>) {
        let _ = self.events.send(format!("{} {reason}", self.name));
    }
}

impl HandleCall<Get> for Worker {
    async fn handle_call(&mut self, _: Get, _: &mut Context<Self>) -> u64 {
        7
    }
}

impl HandleCast<Crash> for Worker {
    async fn handle_cast(&mut self, _: Crash, ctx: &mut Context<Self>) {
        ctx.stop(atom!("crashed"));
    }
}

fn named(runtime: &Runtime, name: &'static str) -> ServerRef<Worker> {
    let name = purlin_term::Atom::new(name).unwrap();
    ServerRef::of(runtime, Target::Name(name, runtime.node()))
}

async fn heard(events: &mut mpsc::UnboundedReceiver<String>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(events.recv().await.unwrap());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_child_that_crashes_is_started_again_and_all_end_in_reverse_order() {
    let runtime = runtime();
    let (events, mut told) = mpsc::unbounded_channel();
    let [one, two] = [events.clone(), events.clone()];
    let supervisor = one_for_one()
        .registered("one", move || Worker::new("one", &one))
        .registered("two", move || Worker::new("two", &two))
        .start(&runtime)
        .await
        .unwrap();
    assert_eq!(heard(&mut told, 2).await, ["one started", "two started"]);
    named(&runtime, "one").cast(Crash).await.unwrap();
    assert_eq!(heard(&mut told, 2).await, ["one crashed", "one started"]);
    assert_eq!(named(&runtime, "one").call(Get).await.unwrap(), 7);
    let stranger = runtime.attach::<()>().unwrap();
    stranger.exit(supervisor.pid().unwrap(), atom!("shutdown"));
    assert_eq!(supervisor.count_children().await.unwrap().active, 2);
    runtime.exit(supervisor.pid().unwrap(), atom!("shutdown"));
    assert_eq!(heard(&mut told, 2).await, ["two shutdown", "one shutdown"]);
}

/// Sends a request of `sys`.
async fn system(runtime: &Runtime, pid: Pid, request: &Term) {
    let asker = runtime.attach::<()>().unwrap();
    let tag = Term::from(runtime.make_reference());
    let from = Term::tuple([asker.pid().into(), tag]);
    let message = Term::tuple([atom!("system").into(), from, request.clone()]);
    runtime.send(pid, message).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_end_the_supervisor_and_its_other_children() {
    let runtime = runtime();
    let (events, mut told) = mpsc::unbounded_channel();
    let [one, two] = [events.clone(), events.clone()];
    let supervisor = one_for_all()
        .intensity(1, Duration::from_secs(5))
        .registered("one", move || Worker::new("one", &one))
        .child("two", move || Worker::new("two", &two))
        .start(&runtime)
        .await
        .unwrap();
    heard(&mut told, 2).await;
    let mut watcher = runtime.attach::<()>().unwrap();
    let monitor = watcher.monitor(supervisor.pid().unwrap());
    named(&runtime, "one").cast(Crash).await.unwrap();
    let restarted = heard(&mut told, 4).await;
    assert_eq!(
        restarted,
        ["one crashed", "two shutdown", "one started", "two started"]
    );
    named(&runtime, "one").cast(Crash).await.unwrap();
    assert_eq!(heard(&mut told, 2).await, ["one crashed", "two shutdown"]);
    let (reference, _, reason) = watcher.receive().await.unwrap().down().unwrap();
    assert_eq!(
        (reference, reason.to_string()),
        (monitor, "shutdown".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_start_fails_the_supervisor_and_ends_those_before_it() {
    let runtime = runtime();
    let (events, mut told) = mpsc::unbounded_channel();
    let [one, two] = [events.clone(), events.clone()];
    let failed = one_for_one()
        .child("one", move || Worker::new("one", &one))
        .child("two", move || Worker {
            fails: true,
            ..Worker::new("two", &two)
        })
        .start(&runtime)
        .await;
    let Err(StartError::Failed(reason)) = failed else {
        panic!("it has to fail");
    };
    let expected = "{shutdown,{failed_to_start_child,<<\"two\">>,no}}";
    assert_eq!(reason.to_string(), expected);
    let told = heard(&mut told, 3).await;
    assert_eq!(told, ["one started", "two started", "one shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_ends_though_a_child_hangs_in_its_init() {
    let runtime = runtime();
    let (events, mut told) = mpsc::unbounded_channel();
    let [one, two] = [events.clone(), events.clone()];
    let inner = move || {
        let [one, two] = [one.clone(), two.clone()];
        one_for_one()
            .child("one", move || Worker::new("one", &one))
            .child("two", move || Worker {
                hangs: true,
                ..Worker::new("two", &two)
            })
    };
    let outer = dynamic().start(&runtime).await.unwrap();
    let starting = outer.start_child(Child::new("inner", inner));
    let starting = tokio::time::timeout(Duration::from_secs(1), starting);
    assert!(starting.await.is_err());
    assert_eq!(heard(&mut told, 2).await, ["one started", "two started"]);
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(outer.pid().unwrap());
    let stop = Term::tuple([atom!("terminate").into(), atom!("shutdown").into()]);
    system(&runtime, outer.pid().unwrap(), &stop).await;
    assert_eq!(heard(&mut told, 1).await, ["one shutdown"]);
    let (_, _, reason) = watcher.receive().await.unwrap().down().unwrap();
    assert_eq!(reason.to_string(), "shutdown");
    assert_eq!(runtime.process_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn dynamic_children_come_and_go() {
    let runtime = runtime();
    let (events, _told) = mpsc::unbounded_channel();
    let supervisor = dynamic().max_children(2).start(&runtime).await.unwrap();
    let child = || {
        let events = events.clone();
        Child::new("any", move || Worker::new("any", &events)).temporary()
    };
    let first = supervisor.start_child(child()).await.unwrap().unwrap();
    supervisor.start_child(child()).await.unwrap().unwrap();
    let third = supervisor.start_child(child()).await.unwrap_err();
    assert_eq!(third.to_string(), "the supervisor refused: max_children");
    supervisor.terminate_child(first).await.unwrap();
    let counts = supervisor.count_children().await.unwrap();
    assert_eq!((counts.active, counts.workers), (1, 1));
    let unknown = supervisor.terminate_child(first).await;
    assert!(matches!(unknown, Err(ChildError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn a_shell_sees_children_and_starts_what_was_offered() {
    let runtime = runtime();
    let (events, _told) = mpsc::unbounded_channel();
    let [one, more] = [events.clone(), events.clone()];
    let supervisor = one_for_one()
        .with(
            Child::new(atom!("one"), move || Worker::new("one", &one))
                .shutdown(Shutdown::BrutalKill),
        )
        .offer(atom!("demo"), atom!("worker"), move |args| {
            args.is_empty().then(|| Worker::new("more", &more))
        })
        .start(&runtime)
        .await
        .unwrap();
    let pid = supervisor.pid().unwrap();
    let ask = async |request: &str| {
        let request = Term::parse(request).unwrap();
        let reply = call(&runtime, pid, &request, Duration::from_secs(1)).await;
        reply.unwrap().to_string()
    };
    let one = supervisor.which_children().await.unwrap()[0].status;
    let Status::Running(one) = one else {
        panic!("it runs");
    };
    let children = ask("which_children").await;
    assert!(
        children.starts_with(&format!("[{{one,{one},worker,")),
        "{children}"
    );
    let counts = ask("count_children").await;
    assert_eq!(counts, "[{specs,1},{active,1},{supervisors,0},{workers,1}]");
    let spec = ask("{get_childspec,one}").await;
    assert!(spec.contains("brutal_kill"), "{spec}");
    let two = "{start_child, #{id => two, start => {demo, worker, []}}}";
    let started = ask(two).await;
    assert!(started.starts_with("{ok,"), "{started}");
    assert!(ask(two).await.starts_with("{error,{already_started,"));
    assert_eq!(ask("{terminate_child,two}").await, "ok");
    assert_eq!(ask("{restart_child,one}").await, "{error,running}");
    assert_eq!(ask("{delete_child,two}").await, "ok");
    assert_eq!(ask("{terminate_child,two}").await, "{error,not_found}");
    assert!(ask("{sing,a_song}").await.starts_with("{error,{badarg,"));
}

#[tokio::test(start_paused = true)]
async fn a_child_can_be_any_process_and_is_killed_when_it_does_not_end() {
    let runtime = runtime();
    let starts = Arc::new(AtomicUsize::new(0));
    let counted = starts.clone();
    let supervisor = one_for_one()
        .with(
            Child::process("stubborn", move |process: Process<()>| {
                counted.fetch_add(1, Ordering::Relaxed);
                async move {
                    process.trap_exit(true);
                    std::future::pending::<()>().await
                }
            })
            .shutdown(Shutdown::Timeout(Duration::from_secs(3))),
        )
        .start(&runtime)
        .await
        .unwrap();
    let before = tokio::time::Instant::now();
    supervisor.terminate_child("stubborn").await.unwrap();
    assert_eq!(before.elapsed().as_secs(), 3);
    supervisor.restart_child("stubborn").await.unwrap().unwrap();
    assert_eq!(starts.load(Ordering::Relaxed), 2);
    let _: <Get as Request>::Reply = 1;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_be_made_does_not_start_and_its_supervisor_goes_on() {
    let runtime = runtime();
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let broken = Child::new("broken", || -> Worker { panic!("no such file") });
    let refused = supervisor.start_child(broken).await.unwrap_err();
    assert!(refused.to_string().contains("no such file"), "{refused}");
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
}

/// A child that does not end when it is told to, and has three seconds.
fn stubborn() -> Child {
    let body = |process: Process<()>| async move {
        process.trap_exit(true);
        std::future::pending::<()>().await
    };
    Child::process("stubborn", body).shutdown(Shutdown::Timeout(Duration::from_secs(3)))
}

#[tokio::test(start_paused = true)]
async fn a_deadline_stands_though_others_ask_and_send_what_they_like_meanwhile() {
    let runtime = runtime();
    let supervisor = one_for_one()
        .with(stubborn())
        .start(&runtime)
        .await
        .unwrap();
    let pid = supervisor.pid().unwrap();
    let before = tokio::time::Instant::now();
    let disturb = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        system(&runtime, pid, &atom!("get_state").into()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        runtime.send(pid, Term::from(7)).await.unwrap();
    };
    let (ended, ()) = tokio::join!(supervisor.terminate_child("stubborn"), disturb);
    ended.unwrap();
    assert_eq!(before.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_was_suspended_ends_its_children_all_the_same() {
    let runtime = runtime();
    let (events, mut told) = mpsc::unbounded_channel();
    let supervisor = one_for_one()
        .child("one", move || Worker::new("one", &events))
        .start(&runtime)
        .await
        .unwrap();
    heard(&mut told, 1).await;
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(supervisor.pid().unwrap());
    system(
        &runtime,
        supervisor.pid().unwrap(),
        &atom!("suspend").into(),
    )
    .await;
    runtime.exit(supervisor.pid().unwrap(), atom!("shutdown"));
    let ended = tokio::time::timeout(Duration::from_secs(60), watcher.receive());
    let (_, _, reason) = ended.await.expect("it ends").unwrap().down().unwrap();
    assert_eq!(reason.to_string(), "shutdown");
    assert_eq!(heard(&mut told, 1).await, ["one shutdown"]);
}
