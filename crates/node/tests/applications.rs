//! Applications of a node: others list them, and they end before it leaves; requests between nodes whose
//! replies are waited for later.

mod support;

use std::sync::Arc;

use purlin_behaviours::application::Application;
use purlin_behaviours::supervisor::Supervisor;
use purlin_behaviours::supervisor::{Child, one_for_one};
use purlin_behaviours::{
    CallError, Context, GenServer, HandleCall, Request, Requests, ServerOptions, ServerRef, by,
};
use purlin_node::Node;
use purlin_runtime::Process;
use purlin_term::{Term, atom};
use serde::{Deserialize, Serialize};
use support::{Net, PATIENCE};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, timeout};

type Sender = mpsc::UnboundedSender<&'static str>;

/// Tells when it is dropped.
struct Told(&'static str, Sender);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

fn application(name: &'static str, events: &Sender) -> Application {
    let events = events.clone();
    Application::new(name)
        .description("Sells")
        .version("1.2")
        .tree(move |_| {
            let events = events.clone();
            let body = move |process: Process<()>| {
                let told = Told(name, events.clone());
                async move {
                    let _told = told;
                    let mut process = process;
                    process.receive_message().await;
                }
            };
            one_for_one().with(Child::process(name, body).registered(name))
        })
}

#[tokio::test]
async fn applications_are_listed_for_peers_and_end_with_the_node_the_youngest_first() {
    let net = Net::new().await;
    let (one, other) = (net.node("one").await, net.node("other").await);
    let (events, mut told) = mpsc::unbounded_channel();
    one.load_application(application("stock", &events)).unwrap();
    let shop = application("shop", &events).depends_on("stock");
    let started = one.start_application(shop).await.unwrap();
    assert_eq!(started, [atom!("stock"), atom!("shop")]);
    let listed: Term = other
        .erpc_call(
            one.name(),
            "application",
            "which_applications",
            (),
            PATIENCE,
        )
        .await
        .unwrap();
    let listed = listed.to_string();
    let expected = r#"[{shop,"Sells","1.2"},{stock,"Sells","1.2"},{purlin,"Purlin","#;
    assert!(listed.starts_with(expected), "{listed}");
    // Their processes run: only then do they tell of their end.
    for name in [atom!("shop"), atom!("stock")] {
        let pid = one.runtime().whereis(&name).unwrap();
        one.runtime().process_info(pid).await.unwrap();
    }
    one.stop(PATIENCE).await;
    assert_eq!(told.try_recv(), Ok("shop"));
    assert_eq!(told.try_recv(), Ok("stock"));
    other.stop(PATIENCE).await;
}

/// A child that tells when it runs and when it is to end, and whether its node is connected then; it ends when
/// `may_end` says so.
fn watched(
    node: &Node,
    events: &mpsc::UnboundedSender<String>,
    may_end: Arc<Notify>,
) -> Supervisor {
    let (node, events) = (node.clone(), events.clone());
    one_for_one().with(Child::process("watched", move |mut process: Process<()>| {
        let (node, events, may_end) = (node.clone(), events.clone(), may_end.clone());
        process.trap_exit(true);
        async move {
            let _ = events.send("runs".to_owned());
            let _ = process.receive().await;
            let _ = events.send(format!("ends beside {}", node.nodes().len()));
            may_end.notified().await;
        }
    }))
}

fn at_once() -> Arc<Notify> {
    let may_end = Arc::new(Notify::new());
    may_end.notify_one();
    may_end
}

#[tokio::test]
async fn who_else_stops_a_node_waits_for_its_trees_and_so_does_one_that_is_started_meanwhile() {
    let net = Net::new().await;
    let (one, other) = (net.node("one").await, net.node("other").await);
    one.connect_to(other.name()).await.unwrap();
    let (events, mut told) = mpsc::unbounded_channel();
    let may_end = Arc::new(Notify::new());
    let slow = watched(&one, &events, may_end.clone());
    one.supervise(slow).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "runs");
    let stopped = one.clone();
    let first = tokio::spawn(async move { stopped.stop(Duration::MAX).await });
    assert_eq!(told.recv().await.unwrap(), "ends beside 1");
    let second = timeout(Duration::from_millis(200), one.stop(PATIENCE)).await;
    assert!(second.is_err(), "the first still ends its trees");
    one.supervise(watched(&one, &events, at_once()))
        .await
        .unwrap();
    assert_eq!(told.recv().await.unwrap(), "runs");
    may_end.notify_one();
    first.await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "ends beside 1");
    other.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_was_started_for_an_application_that_was_given_up_ends_before_the_node_leaves() {
    let net = Net::new().await;
    let (one, other) = (net.node("one").await, net.node("other").await);
    one.connect_to(other.name()).await.unwrap();
    let (events, mut told) = mpsc::unbounded_channel();
    let (node, seen) = (one.clone(), events.clone());
    let stock = Application::new("stock").tree(move |_| watched(&node, &seen, at_once()));
    one.load_application(stock).unwrap();
    let shop = Application::new("shop")
        .depends_on("stock")
        .tree(|_| one_for_one())
        .start_phase("never", |_| std::future::pending());
    let starting = one.start_application(shop);
    tokio::select! {
        _ = starting => panic!("it does not start"),
        runs = told.recv() => assert_eq!(runs.unwrap(), "runs"),
    }
    one.stop(PATIENCE).await;
    assert_eq!(told.try_recv().unwrap(), "ends beside 1");
    other.stop(PATIENCE).await;
}

#[derive(Serialize, Deserialize)]
struct Double(u64);

impl Request for Double {
    type Reply = u64;
}

struct Doubler;

impl GenServer for Doubler {
    type Messages = (by::Call<Double>,);
}

impl HandleCall<Double> for Doubler {
    async fn handle_call(&mut self, Double(n): Double, ctx: &mut Context<Self>) -> u64 {
        if n == 0 {
            ctx.exit(ctx.pid(), atom!("zero"));
            std::future::pending::<()>().await;
        }
        2 * n
    }
}

#[tokio::test]
async fn a_server_of_another_node_is_called_by_names_that_are_written_as_text() {
    let net = Net::new().await;
    let (one, other) = (net.node("one").await, net.node("other").await);
    let options = ServerOptions::default().name("doubler");
    let doubler = Doubler.start_with(&other, options).await.unwrap();
    let there = "other@127.0.0.1";
    let doubled = one.call(("doubler", there), Double(2)).await.unwrap();
    assert_eq!(doubled, 4);
    let far: ServerRef<Doubler> = ServerRef::of(&one, (atom!("doubler"), other.name()));
    assert_eq!(far.call(Double(3)).await.unwrap(), 6);
    let arguments = (atom!("doubler"),);
    let found = one.erpc_call(there, "erlang", "whereis", arguments, PATIENCE);
    assert_eq!(found.await.unwrap(), doubler.pid().unwrap().into());
    one.stop(PATIENCE).await;
    other.stop(PATIENCE).await;
}

#[tokio::test]
async fn requests_to_another_node_are_answered_before_there_is_a_connection_too() {
    let net = Net::new().await;
    let (one, other) = (net.node("one").await, net.node("other").await);
    let doubler = Doubler.start(&other).await.unwrap();
    let far: ServerRef<Doubler> = ServerRef::of(one.runtime(), doubler.pid().unwrap());
    assert!(one.nodes().is_empty());
    let mut requests = Requests::new();
    for n in 1..=20 {
        requests.add(far.send_request(Double(n)), n);
    }
    while let Some((n, reply)) = requests.wait_response(PATIENCE).await.unwrap() {
        assert_eq!(reply.unwrap(), 2 * n);
    }
    let ended = far.send_request(Double(0)).await;
    assert!(matches!(ended, Err(CallError::Ended(_))), "{ended:?}");
    let nobody = far.send_request(Double(1)).await;
    assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");
    one.stop(PATIENCE).await;
    other.stop(PATIENCE).await;
}
