//! Applications as nodes run them.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use purlin_behaviours::application::{Application, ApplicationError, Applications, Env};
use purlin_behaviours::supervisor::{Child, one_for_one};
use purlin_behaviours::{Context, GenServer, InitError};
use purlin_runtime::{Config, Process, Reason};
use purlin_term::{Atom, Term, atom};
use support::{runtime, runtime_of};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Duration, sleep, timeout};

type Events = UnboundedSender<String>;

/// Tells when it is dropped.
struct Told(&'static str, Events);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.send(format!("{} ended", self.0));
    }
}

/// One process under the application's name, which tells of its life; it ends when its environment says so
/// at its start.
fn application(name: &'static str, events: &Events) -> Application {
    let [tree, prepare, stop] = [events.clone(), events.clone(), events.clone()];
    Application::new(name)
        .tree(move |env| {
            let _ = tree.send(format!("{name} started"));
            let (events, ends) = (tree.clone(), env.get::<&'static str>("ends"));
            let body = move |_: Process<()>| {
                let told = Told(name, events.clone());
                async move {
                    let _told = told;
                    let Some(reason) = ends else {
                        return std::future::pending().await;
                    };
                    sleep(Duration::from_millis(10)).await;
                    Term::from(Atom::new(reason).unwrap())
                }
            };
            one_for_one()
                .intensity(0, Duration::from_secs(1))
                .with(Child::process(name, body).registered(name))
        })
        .prep_stop(move |_| {
            let _ = prepare.send(format!("{name} is to end"));
            async {}
        })
        .stop(move |_| {
            let _ = stop.send(format!("{name} is stopped"));
            async {}
        })
}

fn name(name: &'static str) -> Atom {
    Atom::new(name).unwrap()
}

fn heard(events: &mut UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn running(applications: &Applications) -> Vec<String> {
    let running = applications.which_applications().into_iter();
    running.map(|running| running.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_application_depends_on_starts_before_it_and_stops_after_it() {
    let applications = Applications::new(runtime());
    let (events, mut told) = mpsc::unbounded_channel();
    let shop = application("shop", &events);
    let shop = shop.depends_on("stock").depends_on("bank");
    applications.load(shop).unwrap();
    applications
        .load(application("bank", &events).depends_on("log"))
        .unwrap();
    applications
        .load(application("stock", &events).depends_on("log"))
        .unwrap();
    applications.load(Application::new("log")).unwrap();
    let alone = applications.start(&name("shop")).await;
    assert_eq!(alone, Err(ApplicationError::NotStarted(name("stock"))));
    let started = applications
        .ensure_all_started(&name("shop"))
        .await
        .unwrap();
    assert_eq!(started, ["log", "stock", "bank", "shop"].map(name));
    assert_eq!(
        heard(&mut told),
        ["stock started", "bank started", "shop started"]
    );
    assert_eq!(running(&applications), ["shop", "bank", "stock", "log"]);
    let again = applications.ensure_all_started(&name("shop")).await;
    assert_eq!(again, Ok(Vec::new()));
    applications.stop_all().await;
    let expected = ["shop", "bank", "stock"]
        .map(|name| ["is to end", "ended", "is stopped"].map(|what| format!("{name} {what}")));
    assert_eq!(heard(&mut told), expected.concat());
    assert!(running(&applications).is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_start_leaves_nothing_of_what_was_started_for_it() {
    let applications = Applications::new(runtime());
    let (events, mut told) = mpsc::unbounded_channel();
    applications.load(application("stock", &events)).unwrap();
    let fails = |_| async {
        sleep(Duration::from_millis(1)).await;
        Err(Reason::new(atom!("cold").into()))
    };
    let shop = application("shop", &events).depends_on("stock");
    applications
        .load(shop.start_phase("warm_up", fails))
        .unwrap();
    let failed = applications.ensure_all_started(&name("shop")).await;
    let Err(ApplicationError::Failed(of, reason)) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(
        (of, reason.to_string().as_str()),
        (name("shop"), "{start_phase,warm_up,cold}")
    );
    let expected = ["stock started", "shop started", "shop ended"];
    let expected =
        expected
            .into_iter()
            .chain(["stock is to end", "stock ended", "stock is stopped"]);
    assert_eq!(heard(&mut told), expected.collect::<Vec<_>>());
    assert!(running(&applications).is_empty());
    let panics = Application::new("panics").tree(|_| panic!("no tree"));
    applications.load(panics).unwrap();
    let failed = applications.start(&name("panics")).await.unwrap_err();
    assert!(failed.to_string().contains("no tree"), "{failed}");
}

/// A server that never starts.
struct Faulty;

impl GenServer for Faulty {
    type Messages = ();

    async fn init(&mut self, _: &mut Context<Self>) -> Result<(), InitError> {
        Err(InitError::stop(atom!("undef")))
    }
}

#[tokio::test(start_paused = true)]
async fn why_a_child_does_not_start_is_why_its_application_does_not() {
    let applications = Applications::new(runtime());
    let faulty = Application::new("faulty").tree(|_| one_for_one().child("server", || Faulty));
    applications.load(faulty).unwrap();
    let failed = applications.start(&name("faulty")).await.unwrap_err();
    let ApplicationError::Failed(of, reason) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(
        (of, reason.to_string().as_str()),
        (
            name("faulty"),
            "{shutdown,{failed_to_start_child,<<\"server\">>,undef}}"
        )
    );
    assert!(running(&applications).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_permanent_application_ends_all_others() {
    let applications = Applications::new(runtime());
    let (events, mut told) = mpsc::unbounded_channel();
    let ends = |name, reason: &'static str| application(name, &events).env("ends", reason);
    applications.load(application("other", &events)).unwrap();
    applications.start(&name("other")).await.unwrap();
    applications.load(ends("temporary", "crashed")).unwrap();
    applications.start(&name("temporary")).await.unwrap();
    sleep(Duration::from_millis(20)).await;
    assert_eq!(running(&applications), ["other"]);
    applications
        .load(ends("permanent", "crashed").permanent())
        .unwrap();
    applications.start(&name("permanent")).await.unwrap();
    heard(&mut told);
    sleep(Duration::from_millis(20)).await;
    assert!(running(&applications).is_empty());
    let expected = ["permanent ended", "permanent is stopped"];
    let expected =
        expected
            .into_iter()
            .chain(["other is to end", "other ended", "other is stopped"]);
    assert_eq!(heard(&mut told), expected.collect::<Vec<_>>());
    applications.start(&name("other")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_environment_has_values_by_type_and_is_seen_by_who_holds_it() {
    let applications = Applications::new(runtime());
    let (seen, mut told) = mpsc::unbounded_channel();
    let shop = Application::new("shop")
        .env("port", 80_u16)
        .tree(move |env| {
            let _ = seen.send((env.get::<u16>("port"), env.get::<String>("port")));
            one_for_one()
        });
    applications.load(shop).unwrap();
    let twice = applications.load(Application::new("shop"));
    assert_eq!(twice, Err(ApplicationError::AlreadyLoaded(name("shop"))));
    let env = applications.env(name("shop")).unwrap();
    for port in [80_u16, 8080] {
        env.put("port", port);
        applications.start(&name("shop")).await.unwrap();
        assert_eq!(told.recv().await.unwrap(), (Some(port), None));
        applications.stop(&name("shop")).await.unwrap();
    }
    env.remove("port");
    assert_eq!(env.get::<u16>("port"), None);
}

#[tokio::test(start_paused = true)]
async fn applications_that_need_each_other_are_refused() {
    let applications = Applications::new(runtime());
    applications
        .load(Application::new("a").depends_on("b"))
        .unwrap();
    applications
        .load(Application::new("b").depends_on("a"))
        .unwrap();
    let refused = applications.ensure_all_started(&name("a")).await;
    assert_eq!(refused, Err(ApplicationError::Circular(name("a"))));
    applications
        .load(Application::new("c").depends_on("d"))
        .unwrap();
    let refused = applications.ensure_all_started(&name("c")).await;
    assert_eq!(refused, Err(ApplicationError::NotLoaded(name("d"))));
}

#[tokio::test(start_paused = true)]
async fn applications_stop_though_as_many_processes_live_as_may() {
    let mut config = Config::default();
    // A master, a supervisor and a child.
    config.processes_max = 3;
    let runtime = runtime_of(config);
    let applications = Applications::new(runtime.clone());
    let (events, mut told) = mpsc::unbounded_channel();
    applications.load(application("shop", &events)).unwrap();
    applications.load(Application::new("bare")).unwrap();
    for name in ["shop", "bare"].map(name) {
        applications.start(&name).await.unwrap();
    }
    assert_eq!(runtime.process_count(), 3);
    applications.stop_all().await;
    assert!(running(&applications).is_empty());
    assert_eq!(heard(&mut told).last().unwrap(), "shop is stopped");
    assert_eq!(runtime.process_count(), 0);
}

async fn settle(_: Env) -> Result<(), Reason> {
    sleep(Duration::from_millis(1)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_panics_leaves_nothing_of_its_application() {
    let runtime = runtime();
    let applications = Applications::new(runtime.clone());
    let (events, mut told) = mpsc::unbounded_channel();
    // The tree's process runs by then.
    let settled = |name| application(name, &events).start_phase("settle", settle);
    let in_future = settled("in_future");
    let in_future = in_future.start_phase("go", |_| async { panic!("no phase") });
    let in_call = settled("in_call");
    let in_call = in_call.start_phase("go", |_| -> std::future::Ready<_> { panic!("no phase") });
    for application in [in_future, in_call] {
        let name = application.name().clone();
        applications.load(application).unwrap();
        let failed = applications.start(&name).await.unwrap_err();
        assert!(failed.to_string().contains("no phase"), "{failed}");
        let expected = ["started", "ended"].map(|what| format!("{name} {what}"));
        assert_eq!(heard(&mut told), expected);
        assert!(running(&applications).is_empty());
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(runtime.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn functions_around_the_end_that_panic_do_not_keep_an_application_from_ending() {
    let runtime = runtime();
    let applications = Applications::new(runtime.clone());
    let (events, mut told) = mpsc::unbounded_channel();
    let stops = events.clone();
    let shop = application("shop", &events)
        .prep_stop(|_| async { panic!("not prepared") })
        .stop(move |_| -> std::future::Ready<()> {
            let _ = stops.send("shop stops".to_owned());
            panic!("not stopped")
        });
    applications.load(shop.permanent()).unwrap();
    applications.load(application("other", &events)).unwrap();
    for name in ["other", "shop"].map(name) {
        applications.start(&name).await.unwrap();
    }
    applications.stop(&name("shop")).await.unwrap();
    let expected = ["other started", "shop started", "shop ended", "shop stops"];
    assert_eq!(heard(&mut told), expected);
    assert_eq!(running(&applications), ["other"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_given_up_leaves_nothing_and_the_next_waits_for_that() {
    let runtime = runtime();
    let applications = Applications::new(runtime.clone());
    let (events, mut told) = mpsc::unbounded_channel();
    // The first time it never ends.
    let ends = AtomicBool::new(false);
    let slow = move |env| {
        let ends = ends.swap(true, Ordering::Relaxed);
        async move {
            match ends {
                true => settle(env).await,
                false => std::future::pending().await,
            }
        }
    };
    let shop = application("shop", &events).start_phase("slow", slow);
    applications.load(shop).unwrap();
    let shop = name("shop");
    let given_up = timeout(Duration::from_millis(10), applications.start(&shop)).await;
    assert!(given_up.is_err());
    applications.start(&shop).await.unwrap();
    let expected = ["shop started", "shop ended", "shop started"];
    assert_eq!(heard(&mut told), expected);
    assert_eq!(running(&applications), ["shop"]);
    applications.stop(&shop).await.unwrap();
    assert_eq!(runtime.process_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_application_without_a_tree_does_what_is_to_be_done_around_its_start_and_end() {
    let applications = Applications::new(runtime());
    let (events, mut told) = mpsc::unbounded_channel();
    let say = |what: &'static str| {
        let events = events.clone();
        move || events.send(what.to_owned()).unwrap()
    };
    let (begin, prepare, stop) = (say("begins"), say("is to end"), say("is stopped"));
    let shop = Application::new("shop")
        .start_phase("go", move |_| {
            begin();
            async { Ok(()) }
        })
        .prep_stop(move |_| {
            prepare();
            async {}
        })
        .stop(move |_| {
            stop();
            async {}
        });
    applications.load(shop).unwrap();
    applications.start(&name("shop")).await.unwrap();
    assert_eq!(heard(&mut told), ["begins"]);
    applications.stop(&name("shop")).await.unwrap();
    assert_eq!(heard(&mut told), ["is to end", "is stopped"]);
    assert!(running(&applications).is_empty());
}
