//! Supervisors that others disturb: by signals, by `sys`, by floods, by children and offers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use purlin_behaviours::supervisor::{Child, Shutdown, Supervisor, dynamic, one_for_one};
use purlin_behaviours::{Context, GenServer, InitError, ServerRef};
use purlin_runtime::{Process, Runtime};
use purlin_term::{Pid, Term, atom};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

mod support;

use support::{ask_sys, runtime};

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
    let (wait, begun) = (notify.clone(), beginning.clone());
    let child = Child::new("slow", move || {
        begun.notify_one();
        Slow(wait.clone())
    });
    let starting = one_for_one().with(child.registered("slow"));
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
