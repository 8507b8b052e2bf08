//! Applications of a node: others list them, and they end before it leaves; requests between nodes whose
//! replies are waited for later.

mod support;

use purlin_behaviours::application::Application;
use purlin_behaviours::supervisor::{Child, one_for_one};
use purlin_behaviours::{
    CallError, Context, GenServer, HandleCall, Request, Requests, ServerRef, by,
};
use purlin_runtime::Process;
use purlin_term::{Term, atom};
use serde::{Deserialize, Serialize};
use support::{Net, PATIENCE};
use tokio::sync::mpsc;

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
    while let Some((n, reply)) = requests.wait_response().await {
        assert_eq!(reply.unwrap(), 2 * n);
    }
    let ended = far.send_request(Double(0)).await;
    assert!(matches!(ended, Err(CallError::Ended(_))), "{ended:?}");
    let nobody = far.send_request(Double(1)).await;
    assert!(matches!(nobody, Err(CallError::NoProcess)), "{nobody:?}");
    one.stop(PATIENCE).await;
    other.stop(PATIENCE).await;
}
