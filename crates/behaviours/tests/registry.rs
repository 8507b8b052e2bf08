//! Servers are found by the keys of a registry while they run, and not after.

mod support;

use std::sync::Arc;
use std::time::Duration;

use purlin_behaviours::supervisor::{ChildError, dynamic, one_for_one};
use purlin_behaviours::{
    AlreadyRegistered, CallError, Context, GenServer, HandleCall, HandleCast, InitError, Registry,
    ServerOptions, ServerRef, StartError, by,
};
use purlin_macros::message;
use purlin_runtime::{Attached, Info, Process, Received, Runtime};
use purlin_term::{Pid, Term, atom};
use support::{paths, runtime};
use tokio::sync::Notify;

type Users = Registry<String, User>;

#[message(reply = String, purlin = "crate::paths")]
struct Name;

/// The server registers itself under one more key; answers who has it already.
#[message(reply = Option<Pid>, purlin = "crate::paths")]
struct Alias(String);

/// The server gives a key up; answers whether it had it.
#[message(reply = bool, purlin = "crate::paths")]
struct Unregister(String);

#[message(purlin = "crate::paths")]
enum End {
    Stop,
    Panic,
}

/// How an `init` fails.
#[derive(Clone, Copy)]
enum Fails {
    Stop,
    Ignore,
    Panic,
    Killed,
}

/// A user; it registers itself at its start where it has a registry.
#[derive(Default)]
struct User {
    name: &'static str,
    users: Users,
    enters: bool,
    fails: Option<Fails>,
    /// Its `init` goes on when this is told.
    goes_on: Option<Arc<Notify>>,
}

fn user(name: &'static str) -> User {
    User {
        name,
        ..User::default()
    }
}

impl GenServer for User {
    type Messages = (
        by::Call<Name>,
        by::Call<Alias>,
        by::Call<Unregister>,
        by::Cast<End>,
    );

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        if self.enters {
            self.users.register(ctx, self.name)?;
        }
        if let Some(goes_on) = &self.goes_on {
            goes_on.notified().await;
        }
        match self.fails {
            None => Ok(()),
            Some(Fails::Stop) => Err(InitError::stop(atom!("no"))),
            Some(Fails::Ignore) => Err(InitError::Ignore),
            Some(Fails::Panic) => panic!("as was asked for"),
            Some(Fails::Killed) => {
                ctx.exit(ctx.pid(), atom!("kill"));
                std::future::pending().await
            }
        }
    }
}

impl HandleCall<Name> for User {
    async fn handle_call(&mut self, _: Name, _: &mut Context<Self>) -> String {
        self.name.to_owned()
    }
}

impl HandleCall<Alias> for User {
    async fn handle_call(&mut self, Alias(key): Alias, ctx: &mut Context<Self>) -> Option<Pid> {
        let registered = self.users.register(ctx, key);
        registered.err().map(|AlreadyRegistered(pid)| pid)
    }
}

impl HandleCall<Unregister> for User {
    async fn handle_call(&mut self, Unregister(key): Unregister, ctx: &mut Context<Self>) -> bool {
        self.users.unregister(ctx, &key)
    }
}

impl HandleCast<End> for User {
    async fn handle_cast(&mut self, end: End, ctx: &mut Context<Self>) {
        match end {
            End::Stop => ctx.stop(atom!("normal")),
            End::Panic => panic!("as was asked for"),
        }
    }
}

fn pid_at(users: &Users, key: &str) -> Option<Pid> {
    users.lookup(key).and_then(|user| user.pid())
}

/// Waits for the end of a process that is monitored.
async fn ended<T: purlin_runtime::Message>(watcher: &mut Attached<T>) {
    let received = watcher.receive().await.unwrap();
    assert!(matches!(received, Received::Info(Info::Down { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_key_leads_to_one_server_and_who_comes_later_is_told_which() {
    let (runtime, users) = (runtime(), Users::new());
    let ann = users.start(&runtime, "ann", user("Ann")).await.unwrap();
    users.start(&runtime, "bob", user("Bob")).await.unwrap();
    assert_eq!(users.call("ann", Name).await.unwrap(), "Ann");
    assert_eq!(users.call("bob", Name).await.unwrap(), "Bob");
    let nobody = users.call("zoe", Name).await;
    assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");

    let pid = ann.pid().unwrap();
    let other = users.start(&runtime, "ann", user("Other")).await;
    assert_eq!(other.unwrap_err(), StartError::AlreadyStarted(pid));
    assert_eq!(users.call("ann", Name).await.unwrap(), "Ann");
    assert_eq!(users.keys(), ["ann", "bob"]);
    assert_eq!(runtime.process_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_start_tells_nothing_to_who_would_have_been_linked() {
    let (runtime, users) = (runtime(), Users::new());
    let ann = users.start(&runtime, "ann", user("Ann")).await.unwrap();
    let (told, heard) = tokio::sync::oneshot::channel();
    let registry = users.clone();
    let starts = runtime.spawn(move |mut process: Process<()>| async move {
        process.trap_exit(true);
        let options = ServerOptions::default().link();
        let other = registry.start_with(&process, options, "ann", user("Other"));
        assert!(other.await.is_err());
        assert_eq!(process.runtime().process_count(), 2);
        told.send(process.try_receive().is_none()).unwrap();
    });
    starts.unwrap();
    assert!(heard.await.unwrap());
    assert_eq!(pid_at(&users, "ann"), ann.pid());
}

#[tokio::test(start_paused = true)]
async fn a_server_registers_itself_under_as_many_keys_as_it_likes() {
    let (runtime, users) = (runtime(), Users::new());
    let enters = || User {
        users: users.clone(),
        enters: true,
        ..user("ann")
    };
    let ann = enters().start(&runtime).await.unwrap();
    assert_eq!(ann.call(Alias("anna".to_owned())).await.unwrap(), None);
    assert_eq!(users.keys(), ["ann", "anna"]);
    assert_eq!(users.keys_of(ann.pid().unwrap()), ["ann", "anna"]);
    assert_eq!(pid_at(&users, "anna"), ann.pid());
    assert_eq!(ann.call(Alias("anna".to_owned())).await.unwrap(), ann.pid());

    let pid = ann.pid().unwrap();
    let Err(StartError::Failed(reason)) = enters().start(&runtime).await else {
        panic!("the key is taken");
    };
    let text = AlreadyRegistered(pid).to_string();
    let reason = reason.to_string();
    assert!(reason.contains(&text), "{reason}");

    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(pid);
    ann.cast(End::Stop).await.unwrap();
    ended(&mut watcher).await;
    assert!(users.keys().is_empty());
    assert!(users.keys_of(pid).is_empty());
}

async fn gives_up(user: &ServerRef<User>, key: &str) -> bool {
    user.call(Unregister(key.to_owned())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_given_up_is_free_for_others_and_stays_theirs() {
    let (runtime, users) = (runtime(), Users::new());
    let knows = |name| User {
        users: users.clone(),
        ..user(name)
    };
    let ann = users.start(&runtime, "ann", knows("Ann")).await.unwrap();
    let bob = users.start(&runtime, "bob", knows("Bob")).await.unwrap();
    assert!(!gives_up(&bob, "ann").await);
    assert_eq!(pid_at(&users, "ann"), ann.pid());
    for _ in 0..3 {
        assert_eq!(ann.call(Alias("a".to_owned())).await.unwrap(), None);
        assert!(gives_up(&ann, "a").await);
        assert!(!gives_up(&ann, "a").await);
    }
    assert!(gives_up(&ann, "ann").await);
    assert_eq!((users.keys(), users.count()), (vec!["bob".to_owned()], 1));
    assert!(users.keys_of(ann.pid().unwrap()).is_empty());

    assert_eq!(bob.call(Alias("ann".to_owned())).await.unwrap(), None);
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(&ann);
    ann.cast(End::Stop).await.unwrap();
    ended(&mut watcher).await;
    let all = users.servers().into_iter();
    let all: Vec<_> = all.map(|(key, user)| (key, user.pid())).collect();
    let expected = ["ann", "bob"].map(|key| (key.to_owned(), bob.pid()));
    assert_eq!(all, expected);
    assert_eq!(users.keys_of(bob.pid().unwrap()), ["bob", "ann"]);
}

#[tokio::test(start_paused = true)]
async fn a_reference_by_key_leads_to_whoever_has_the_key_when_it_is_asked() {
    let (runtime, users) = (runtime(), Users::new());
    let ann = users.server(&runtime, "ann");
    let nobody = ann.call(Name).await;
    assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");
    let nobody = ann.send_request(Name).await;
    assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");
    ann.cast(End::Stop).await.unwrap();
    users.cast("ann", End::Stop).await.unwrap();
    assert_eq!(ann.pid(), None);
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(&ann);
    ended(&mut watcher).await;

    for name in ["First", "Second"] {
        let server = users.start(&runtime, "ann", user(name)).await.unwrap();
        assert_eq!(ann.pid(), server.pid());
        assert_eq!(ann.call(Name).await.unwrap(), name);
        assert_eq!(ann.send_request(Name).await.unwrap(), name);
        assert_eq!(users.call("ann", Name).await.unwrap(), name);
        watcher.monitor(&ann);
        users.cast("ann", End::Stop).await.unwrap();
        ended(&mut watcher).await;
        assert_eq!(ann.pid(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hears_of_a_start_that_failed_finds_key_and_name_free() {
    let (runtime, users) = (runtime(), Users::new());
    let ways = [Fails::Stop, Fails::Ignore, Fails::Panic, Fails::Killed];
    for (round, fails) in ways.into_iter().cycle().take(400).enumerate() {
        let ann = User {
            fails: Some(fails),
            ..user("Ann")
        };
        let options = ServerOptions::default().name(atom!("ann"));
        let started = users.start_with(&runtime, options, "ann", ann).await;
        assert!(
            matches!(
                (fails, &started),
                (Fails::Stop | Fails::Panic, Err(StartError::Failed(_)))
                    | (Fails::Ignore, Err(StartError::Ignored))
                    | (Fails::Killed, Err(StartError::Ended))
            ),
            "{round}: {started:?}"
        );
        assert_eq!(
            (pid_at(&users, "ann"), runtime.whereis(&atom!("ann"))),
            (None, None)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_start_frees_the_name_that_it_was_to_have() {
    let (runtime, users) = (runtime(), Users::new());
    let named = || ServerOptions::default().name(atom!("it"));
    let ann = users.start(&runtime, "ann", user("Ann")).await.unwrap();
    let other = users
        .start_with(&runtime, named(), "ann", user("Other"))
        .await;
    assert_eq!(
        other.unwrap_err(),
        StartError::AlreadyStarted(ann.pid().unwrap())
    );
    let bob = users
        .start_with(&runtime, named(), "bob", user("Bob"))
        .await
        .unwrap();
    assert_eq!(runtime.whereis(&atom!("it")), bob.pid());
    let other = users
        .start_with(&runtime, named(), "zoe", user("Zoe"))
        .await;
    assert_eq!(
        other.unwrap_err(),
        StartError::AlreadyStarted(bob.pid().unwrap())
    );
    assert_eq!(users.keys(), ["ann", "bob"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_has_its_key_while_its_init_runs_and_no_more_when_that_fails() {
    let (runtime, users) = (runtime(), Users::new());
    let goes_on = Arc::new(Notify::new());
    let waits = |fails: bool| User {
        goes_on: Some(goes_on.clone()),
        fails: fails.then_some(Fails::Stop),
        ..user("Ann")
    };
    let asks = async {
        let name = users.call("ann", Name);
        goes_on.notify_one();
        name.await
    };
    let (started, name) = tokio::join!(users.start(&runtime, "ann", waits(false)), asks);
    assert_eq!(name.unwrap(), "Ann");
    let ann = started.unwrap();
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(ann.pid().unwrap());
    ann.cast(End::Stop).await.unwrap();
    ended(&mut watcher).await;
    assert!(users.keys().is_empty());
    drop(watcher);

    goes_on.notify_one();
    let failed = users.start(&runtime, "ann", waits(true)).await;
    assert!(matches!(failed, Err(StartError::Failed(_))), "{failed:?}");
    let options = ServerOptions::default().timeout(Duration::from_secs(1));
    let hangs = users.start_with(&runtime, options, "bob", waits(false));
    assert!(matches!(hangs.await, Err(StartError::TimedOut(_))));
    assert!(users.keys().is_empty());
    assert_eq!(runtime.process_count(), 0);
}

/// Ends a server in one of all ways.
async fn end(runtime: &Runtime, users: &Users, pid: Pid, way: usize) {
    match way % 4 {
        0 => runtime.exit(pid, atom!("kill")),
        1 => runtime.exit(pid, atom!("told")),
        2 => users.lookup("ann").unwrap().cast(End::Stop).await.unwrap(),
        _ => users.lookup("ann").unwrap().cast(End::Panic).await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hears_of_an_end_finds_the_key_free() {
    let (runtime, users) = (runtime(), Users::new());
    let mut watcher = runtime.attach::<()>().unwrap();
    for way in 0..400 {
        let started = users.start(&runtime, "ann", user("Ann")).await;
        let pid = started.unwrap().pid().unwrap();
        watcher.monitor(pid);
        end(&runtime, &users, pid, way).await;
        ended(&mut watcher).await;
        assert!(users.lookup("ann").is_none(), "way {}", way % 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_start_under_one_key_at_once_one_does() {
    let (runtime, users) = (runtime(), Users::new());
    for _ in 0..100 {
        let starts = (0..4).map(|_| {
            let (runtime, users) = (runtime.clone(), users.clone());
            tokio::spawn(async move { users.start(&runtime, "ann", user("Ann")).await })
        });
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        for start in starts.collect::<Vec<_>>() {
            match start.await.unwrap() {
                Ok(server) => won.push(server.pid().unwrap()),
                Err(StartError::AlreadyStarted(pid)) => lost.push(pid),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(lost, [won[0]; 3]);
        let mut watcher = runtime.attach::<()>().unwrap();
        watcher.monitor(won[0]);
        runtime.exit(won[0], atom!("kill"));
        ended(&mut watcher).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_is_found_by_its_key_again_after_a_restart() {
    let (runtime, users) = (runtime(), Users::new());
    let ann = users.child("user", "ann", || user("Ann"));
    let supervisor = one_for_one().with(ann).start(&runtime).await.unwrap();
    let (first, ann) = (users.lookup("ann").unwrap(), users.server(&runtime, "ann"));
    first.cast(End::Panic).await.unwrap();
    // Answered when the child runs again.
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
    assert_ne!(pid_at(&users, "ann"), first.pid());
    assert_eq!(ann.call(Name).await.unwrap(), "Ann");
    let gone = first.call(Name).await;
    assert!(matches!(gone, Err(CallError::NoProcess)), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_says_of_a_child_whose_key_is_taken_who_has_it() {
    let (runtime, users) = (runtime(), Users::new());
    let supervisor = dynamic().start(&runtime).await.unwrap();
    let ann = || users.child("user", "ann", || user("Ann")).temporary();
    let pid = supervisor.start_child(ann()).await.unwrap().unwrap();
    let Err(ChildError::Refused(reason)) = supervisor.start_child(ann()).await else {
        panic!("the key is taken");
    };
    let taken = [atom!("already_started").into(), Term::from(pid)];
    assert_eq!(reason, Term::tuple(taken));
    supervisor.terminate_child(pid).await.unwrap();
    assert!(supervisor.start_child(ann()).await.unwrap().is_some());
    assert_eq!(users.keys(), ["ann"]);
}
