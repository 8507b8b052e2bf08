//! Supervisors that others disturb: by signals, by `sys`, by floods, by children and offers that misbehave.

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use purlin_behaviours::supervisor::{Child, Shutdown, Status, Supervisor, dynamic, one_for_one};
use purlin_behaviours::{Context, GenServer, HandleCall, InitError, ServerRef, by};
use purlin_macros::message;
use purlin_runtime::{
    BoxFuture, Destination, Epoch, Outside, Process, Reason, Runtime, SendError, Signal,
};
use purlin_term::{EncodedTerm, NodeName, Pid, Reference, Term, atom};
use support::{ask_sys, paths, runtime};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Sends a request of `sys`, whose answer nobody hears.
async fn system(runtime: &Runtime, pid: Pid, request: Term) {
    let asker = runtime.attach::<()>().unwrap();
    let from = Term::tuple([asker.pid().into(), runtime.make_reference().into()]);
    let message = Term::tuple([atom!("system").into(), from, request]);
    runtime.send(pid, message).await.unwrap();
}

/// A child that does not end when it is told to, and has three seconds.
fn stubborn() -> Child {
    let body = |process: Process<()>| async move {
        process.trap_exit(true);
        std::future::pending::<()>().await
    };
    Child::process("stubborn", body).shutdown(Shutdown::Timeout(Duration::from_secs(3)))
}

async fn with_a_stubborn_child(runtime: &Runtime) -> ServerRef<Supervisor> {
    let supervisor = one_for_one().with(stubborn());
    supervisor.start(runtime).await.unwrap()
}

/// Waits for the end of a process, a minute at most.
async fn ended(runtime: &Runtime, pid: Pid) {
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(pid);
    let down = timeout(Duration::from_secs(60), watcher.receive()).await;
    down.expect("it ends").unwrap().down().unwrap();
}

/// A server whose `init` takes as long as it is let.
struct Slow(Arc<Notify>);

impl GenServer for Slow {
    type Messages = ();

    async fn init(&mut self, _: &mut Context<Self>) -> Result<(), InitError> {
        self.0.notified().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn further_exit_signals_of_its_parent_do_not_keep_a_supervisor_from_its_end() {
    let runtime = runtime();
    let supervisor = with_a_stubborn_child(&runtime).await;
    let (pid, before) = (supervisor.pid().unwrap(), Instant::now());
    let signals = async {
        for _ in 0..2 {
            runtime.exit(pid, atom!("shutdown"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(ended(&runtime, pid), signals);
    assert_eq!(before.elapsed().as_secs(), 3);
    assert_eq!(runtime.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_ends_is_not_suspended() {
    let runtime = runtime();
    let supervisor = with_a_stubborn_child(&runtime).await;
    let (pid, before) = (supervisor.pid().unwrap(), Instant::now());
    let suspend = async {
        runtime.exit(pid, atom!("shutdown"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        system(&runtime, pid, atom!("suspend").into()).await;
    };
    tokio::join!(ended(&runtime, pid), suspend);
    assert_eq!(before.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_starts_its_first_children_is_suspended_after_that() {
    let runtime = runtime();
    let (notify, beginning) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let starting = one_for_one().with(slow(&beginning, &notify).registered("slow"));
    let outer = dynamic().start(&runtime).await.unwrap();
    let inner = std::sync::Mutex::new(Some(starting));
    let inner = Child::new("inner", move || inner.lock().unwrap().take().unwrap());
    let suspend = async {
        beginning.notified().await;
        let slow = runtime.whereis(&atom!("slow")).unwrap();
        let links = runtime.process_info(slow).await.unwrap().links;
        system(&runtime, links[0], atom!("suspend").into()).await;
        notify.notify_one();
    };
    let started = timeout(Duration::from_secs(60), outer.start_child(inner));
    let (started, ()) = tokio::join!(started, suspend);
    let inner = started.expect("it starts").unwrap().unwrap();
    let status = ask_sys(&runtime, inner, atom!("get_status").into()).await;
    assert!(status.contains("suspended"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_though_the_mailbox_is_never_empty() {
    let runtime = runtime();
    let supervisor = with_a_stubborn_child(&runtime).await;
    let pid = supervisor.pid().unwrap();
    let (ending, asked) = (supervisor.clone(), Arc::new(Notify::new()));
    let done = asked.clone();
    let terminate = runtime.spawn(move |_: Process<()>| async move {
        ending.terminate_child("stubborn").await.unwrap();
        done.notify_one();
    });
    terminate.unwrap();
    let flood = async {
        // A clock that is paused stands still while anybody has something to do.
        for step in 0..1000 {
            for _ in 0..200 {
                runtime.try_send(pid, Term::from(7)).unwrap();
            }
            if step == 100 {
                tokio::time::advance(Duration::from_secs(4)).await;
            }
            tokio::task::yield_now().await;
        }
        panic!("the child is not killed");
    };
    tokio::select! {
        biased;
        () = asked.notified() => {}
        () = flood => {}
    }
}

/// A child whose `init` ends when it is let, and tells that it has begun.
fn slow(beginning: &Arc<Notify>, go_on: &Arc<Notify>) -> Child {
    let (beginning, go_on) = (beginning.clone(), go_on.clone());
    Child::new("slow", move || {
        beginning.notify_one();
        Slow(go_on.clone())
    })
}

/// A call of a shell.
fn call(from: Pid, tag: Term, request: Term) -> Term {
    let from = Term::tuple([from.into(), tag]);
    Term::tuple([atom!("$gen_call").into(), from, request])
}

#[tokio::test(start_paused = true)]
async fn a_busy_supervisor_keeps_so_much_for_shells_and_refuses_more() {
    let runtime = runtime();
    let (go_on, beginning) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let pid = supervisor.pid().unwrap();
    let mut asker = runtime.attach::<Term>().unwrap();
    let asked = 600;
    let others = async {
        beginning.notified().await;
        let large = Term::from("x".repeat(1 << 16).as_str());
        let request = Term::tuple([atom!("delete_child").into(), large]);
        for n in 0..asked {
            let call = call(asker.pid(), n.into(), request.clone());
            runtime.try_send(pid, call).unwrap();
        }
        let mut typed = pin!(supervisor.count_children());
        let early = timeout(Duration::from_millis(1), typed.as_mut()).await;
        assert!(early.is_err());
        let mut refused = 0;
        while let Some(reply) = asker.try_receive().unwrap() {
            let reply = reply.message().unwrap().to_string();
            assert!(reply.ends_with("{error,system_limit}}"), "{reply}");
            refused += 1;
        }
        assert!((300..asked).contains(&refused), "{refused} are refused");
        go_on.notify_one();
        typed.await.unwrap();
        for _ in refused..asked {
            let reply = asker.receive().await.unwrap().message().unwrap();
            let reply = reply.to_string();
            assert!(reply.ends_with("{error,simple_one_for_one}}"), "{reply}");
        }
        // There is room again.
        runtime
            .try_send(
                pid,
                call(asker.pid(), 7.into(), atom!("count_children").into()),
            )
            .unwrap();
        asker.receive().await.unwrap();
    };
    let child = slow(&beginning, &go_on);
    let (started, ()) = tokio::join!(supervisor.start_child(child), others);
    started.unwrap();
}

/// A server that leaves its supervisor in its `init`, and then is ended.
struct Runaway;

impl GenServer for Runaway {
    type Messages = ();

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.unlink(ctx.parent().unwrap());
        ctx.exit(ctx.pid(), atom!("kill"));
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_leaves_before_it_is_ready_and_ends_has_not_started() {
    let runtime = runtime();
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let child = Child::new("runaway", || Runaway);
    let refused = timeout(Duration::from_secs(60), supervisor.start_child(child)).await;
    let refused = refused.expect("it comes out").unwrap_err().to_string();
    assert!(
        refused.ends_with("killed") || refused.ends_with("noproc"),
        "{refused}"
    );
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
}

/// The way to a node that is not connected, or does not read.
struct Roads {
    is_connected: bool,
    dialled: AtomicUsize,
}

impl Outside for Roads {
    fn signal(&self, _: Pid, _: Destination, _: Signal, _: Option<Epoch>) {}

    fn epoch(&self, _: NodeName) -> Epoch {
        Epoch(1)
    }

    fn connect(&self, _: NodeName) -> Epoch {
        Epoch(1)
    }

    fn adopt_orphan(&self, _: Reference, _: NodeName, _: Reason) {}

    fn send(&self, _: Pid, _: Destination, _: EncodedTerm) -> BoxFuture<'_, Result<(), SendError>> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }

    fn try_send(&self, _: Pid, _: Destination, _: EncodedTerm) -> Result<(), SendError> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn try_send_noconnect(&self, _: Pid, to: Destination, _: EncodedTerm) -> Result<(), SendError> {
        let (node, why) = (to.node(), String::new());
        Err(match self.is_connected {
            true => SendError::Busy(node),
            false => SendError::NotConnected { node, why },
        })
    }
}

/// A process of another node.
fn elsewhere() -> Pid {
    Pid {
        node: NodeName::new(&atom!("elsewhere@test")).unwrap(),
        creation: 1,
        id: 1,
        serial: 0,
    }
}

fn with_roads(is_connected: bool) -> (Runtime, Arc<Roads>) {
    let (runtime, dialled) = (runtime(), AtomicUsize::new(0));
    let roads = Arc::new(Roads {
        is_connected,
        dialled,
    });
    runtime.set_outside(roads.clone());
    (runtime, roads)
}

/// What a shell on another node asks, in all forms that are answered.
fn questions() -> [Term; 4] {
    let call = |request| call(elsewhere(), 1.into(), request);
    let from = Term::tuple([elsewhere().into(), 1.into()]);
    [
        call(atom!("which_children").into()),
        call(atom!("sing").into()),
        call(Term::tuple([
            atom!("start_child").into(),
            Term::map([]).unwrap(),
        ])),
        Term::tuple([atom!("system").into(), from, atom!("get_state").into()]),
    ]
}

#[tokio::test(start_paused = true)]
async fn who_asks_in_the_name_of_a_node_that_is_not_there_holds_nobody_up() {
    let (runtime, roads) = with_roads(false);
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let server = Seven.start(&runtime).await.unwrap();
    for question in questions() {
        for pid in [supervisor.pid().unwrap(), server.pid().unwrap()] {
            runtime.try_send(pid, question.clone()).unwrap();
        }
    }
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
    assert_eq!(server.call(Get).await.unwrap(), 7);
    assert_eq!(roads.dialled.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_does_not_read_has_few_answers_waiting() {
    let (runtime, roads) = with_roads(true);
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let server = Seven.start(&runtime).await.unwrap();
    for _ in 0..1000 {
        for question in questions() {
            runtime
                .try_send(supervisor.pid().unwrap(), question)
                .unwrap();
        }
        let [.., system] = questions();
        runtime.try_send(server.pid().unwrap(), system).unwrap();
    }
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
    assert_eq!(server.call(Get).await.unwrap(), 7);
    // As many as there are processes for, let them run.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let waiting = roads.dialled.load(Ordering::Relaxed);
    assert!((1500..2048).contains(&waiting), "{waiting} answers wait");
    assert_eq!(runtime.process_count(), 2 + waiting);
}

/// What a process answers to a call of a shell.
async fn asked(runtime: &Runtime, pid: Pid, request: &str) -> String {
    let request = Term::parse(request).unwrap();
    let reply = purlin_behaviours::call(runtime, pid, &request, Duration::from_secs(1)).await;
    reply.unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_fails_fails_that_start_in_otps_words() {
    let runtime = runtime();
    let supervisor = one_for_one()
        .with(Child::new(atom!("here"), || Seven))
        .offer(atom!("demo"), atom!("seven"), |args| match args {
            [] => Some(Seven),
            [Term::Atom(_)] => None,
            _ => panic!("no such number"),
        });
    let supervisor = supervisor.start(&runtime).await.unwrap();
    let pid = supervisor.pid().unwrap();
    let start = async |id: &str, call: &str| {
        let spec = format!("{{start_child,#{{id=>{id},start=>{call}}}}}");
        asked(&runtime, pid, &spec).await
    };
    let child = |call: &str| format!("{{child,undefined,x,{call},permanent,false,5000,worker,");
    let os = start("x", "{os,cmd,[\"rm\"]}").await;
    let undef = "{error,{{'EXIT',{undef,[{os,cmd,[\"rm\"],[]}]}},";
    assert_eq!(
        os,
        format!("{undef}{}[os]}}}}}}", child("{os,cmd,[\"rm\"]}"))
    );
    // What is there already is not asked for its function.
    assert!(
        start("here", "{os,cmd,[]}")
            .await
            .starts_with("{error,{already_started,")
    );
    let refused = start("x", "{demo,seven,[other]}").await;
    assert!(
        refused.starts_with("{error,{{'EXIT',{undef,[{demo,seven,[other],[]}]}},{child,"),
        "{refused}"
    );
    let fallen = start("x", "{demo,seven,[8]}").await;
    assert!(fallen.starts_with("{error,{{'EXIT',{{panic,"), "{fallen}");
    assert!(fallen.contains("no such number"), "{fallen}");
    assert!(start("x", "{demo,seven,[]}").await.starts_with("{ok,"));
    let Status::Running(x) = supervisor.which_children().await.unwrap()[0].status else {
        panic!("it runs");
    };
    assert_eq!(asked(&runtime, x, "get").await, "7");
}

#[message(reply = u64, purlin = "crate::paths")]
struct Get;

/// Is asked for seven.
struct Seven;

impl GenServer for Seven {
    type Messages = (by::Call<Get>,);
}

impl HandleCall<Get> for Seven {
    async fn handle_call(&mut self, _: Get, _: &mut Context<Self>) -> u64 {
        7
    }
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_tries_without_end_to_start_a_child_can_be_ended() {
    let runtime = runtime();
    let child = Child::process("child", |_: Process<()>| std::future::pending::<Term>());
    let supervisor = one_for_one()
        .intensity(u32::MAX, Duration::from_secs(1))
        .with(child.registered("spot"));
    let supervisor = supervisor.start(&runtime).await.unwrap();
    let spot = atom!("spot");
    let child = runtime.whereis(&spot).unwrap();
    assert!(runtime.unregister(&spot));
    let other = runtime.attach::<()>().unwrap();
    runtime.register(spot, other.pid()).unwrap();
    runtime.exit(child, atom!("kill"));
    ended(&runtime, child).await;
    runtime.exit(supervisor.pid().unwrap(), atom!("shutdown"));
    ended(&runtime, supervisor.pid().unwrap()).await;
}

/// Ends by the link to its supervisor, whether it traps exits or not.
struct Named(bool);

impl GenServer for Named {
    type Messages = ();

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(self.0);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_successor_of_a_killed_supervisor_finds_the_names_of_its_children_free() {
    let runtime = runtime();
    let starts = Arc::new(AtomicUsize::new(0));
    let started = starts.clone();
    let inner = move || {
        started.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "b", "c", "d"].into_iter().enumerate();
        names.fold(one_for_one(), |inner, (number, name)| {
            inner.registered(name, move || Named(number % 2 == 0))
        })
    };
    let outer = one_for_one()
        .intensity(100, Duration::from_secs(5))
        .registered("inner", inner);
    let outer = outer.start(&runtime).await.unwrap();
    for kills in 1..=100 {
        let names = [atom!("inner"), atom!("a"), atom!("d")];
        let before = names.clone().map(|name| runtime.whereis(&name).unwrap());
        runtime.exit(before[0], atom!("kill"));
        ended(&runtime, before[0]).await;
        // Answered when it runs again.
        assert_eq!(outer.count_children().await.unwrap().active, 1);
        assert_eq!(starts.load(Ordering::Relaxed), 1 + kills);
        for (name, before) in names.iter().zip(before) {
            assert!(runtime.whereis(name).is_some_and(|pid| pid != before));
        }
    }
}
